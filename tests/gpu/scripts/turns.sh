#!/bin/bash
# What a turn costs by itself: from the grant to the first kernel of a tenant of 12 GiB, when everything is still there and
# when everything must come in (nothing fetched ahead), with each engine; and from the revocation to the release without
# moving anything, with kernels of 10 ms, each waited for, and submitted 64 at a time.
# What it must show: <= 10 ms when all is there, <= 0.30 s when all must come in (swap, the default); p99 <= 100 ms, but for
# each tenant's first turn, in which it submitted without anybody waiting.
# Expected: 130 s. Settings: SECONDS_EACH (10); DRAIN_SECONDS (20).
. "$(dirname "$0")/../lib/common.sh"
need_managed 26
export NVSHARE_LOG=info
seconds=${SECONDS_EACH:-10}
# usage: measure NAME ENGINE SECONDS LOAD-ARGUMENTS...
measure() {
  local name=$1 engine=$2 length=$3; shift 3
  timeout $((length + 60)) python3 "$scripts/turns_observe.py" "$out" "$name" "$built/nvsharectl" "$runtime" "$length" \
    env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock" NVSHARE_ENGINE="$engine" \
    "$built/load" "$@" 2>"$out/$name.log" || echo "$name: exit $?" >&2
}
for engine in swap managed; do
  world auto $'share = false\nquantum = 0.5'
  measure "there-$engine" $engine "$seconds" --bytes "$(bytes_of 12)"
  stop_scheduler
  world auto $'evict = "always"\noverlap = false\nquantum = 1'
  measure "away-$engine" $engine "$seconds" --bytes "$(bytes_of 12)"
  stop_scheduler
done
world auto $'share = false\nquantum = 0.1'
for ahead in 1 64; do measure drains-$ahead swap "${DRAIN_SECONDS:-20}" --bytes 1048576 --spin 10000000 --ahead $ahead; done
python3 "$scripts/turns.py" "$out" "$(machine)"
