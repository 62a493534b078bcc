#!/bin/bash
# Single calls of the driver's API beside native, by a process of each kind, in turn: allocations of 1 GiB, launches.
# What it must show: an allocation no slower than twice native, after the first; a launch at most +0.1 us (swap, the default).
# Expected: 20 s. Settings: ROUNDS (30).
. "$(dirname "$0")/../lib/common.sh"
need_managed 9
need_free 34
start_scheduler_each
python3 "$scripts/calls.py" "$loads/driver_calls.py" "$built/libnvshare.so" "$runtime" "$out" "$(machine)" "${ROUNDS:-30}"
