#!/bin/bash
# The swap engine beside the managed one: two tenants of 12 GiB on 12.5 GiB, which change places whole, at quanta of 1, 2, 5,
# 10 and 30 s: seconds per hand-over and the useful share of the time, in a table and in engines.svg.
# What it must show: nothing beyond right data; what it shows goes into docs/measurements/gpu.md.
# Expected: 190 s. Settings: TURNS ("1:5,2:3,5:2,10:2,30:1", quantum:turns)
. "$(dirname "$0")/../lib/common.sh"
# Managed memory is never more than the card has: 12.5 GiB is what the scheduler gives, not what there is.
need_managed 26
export NVSHARE_LOG=info
for engine in swap managed; do
  world "$(usable 12.5)" ''
  timeout -k 5 160 python3 "$scripts/engines_observe.py" "$out" $engine "$built/nvsharectl" "$runtime" "${TURNS:-1:5,2:3,5:2,10:2,30:1}" \
    env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock" NVSHARE_ENGINE=$engine \
    "$built/load" --bytes "$(bytes_of 12)" --until-closed 2>"$out/$engine.log" || echo "$engine: $(tail -n 1 "$out/$engine.log")" >&2
  ctl trace --output "$out/trace-$engine.json" >&2
  stop_scheduler
done
python3 "$scripts/engines.py" "$out" "$(machine)"
