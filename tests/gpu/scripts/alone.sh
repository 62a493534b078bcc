#!/bin/bash
# PyTorch alone under nvshare beside native: a process of each kind, one of which works at a time, in turn, so that what
# the machine does meanwhile meets all of them alike. Each has a scheduler of its own and is alone there. Processes differ
# among each other, natively too, so that there are several sets of them, one after the other.
# What it must show: a launch at most +0.1 us, vector add and training step within 1 % (swap, the default: 0.5 %), in the
# median of the sets.
# Expected: 130 s. Settings: SETS (5), ROUNDS (7).
. "$(dirname "$0")/../lib/common.sh"
# Each of them has up to 18 GiB at the same time.
need_managed 18
need_free 60
start_scheduler_each
python3 "$scripts/alone.py" "$loads/torch_alone.py" "$built/libnvshare.so" "$runtime" "$out" "$(machine)" "${SETS:-5}" "${ROUNDS:-7}"
