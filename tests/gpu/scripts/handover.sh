#!/bin/bash
# One tenant of 12 GiB beside a small one, everything moved out at each turn's end: from the grant's arrival to the
# gate's opening, and the rates both ways, with each engine; with demand paging beside them.
# What it must show: at most 0.30 s, at least 45 GB/s (swap, the default); every word right.
# Expected: 60 s. Settings: SECONDS_EACH (14).
. "$(dirname "$0")/../lib/common.sh"
need_managed 13
seconds=${SECONDS_EACH:-14}
for kind in swap managed paging; do
  engine=$kind prefetch=on
  [ $kind != paging ] || { engine=managed prefetch=off; }
  start_scheduler --quantum 1 --evict always
  shared NVSHARE_ENGINE=$engine NVSHARE_PREFETCH=$prefetch NVSHARE_LOG=info timeout -k 5 $((seconds + 45)) "$built/load" --bytes "$(bytes_of 12)" --seconds "$seconds" \
    >"$out/large-$kind.jsonl" 2>"$out/large-$kind.log" & large=$!
  shared NVSHARE_ENGINE=$engine timeout -k 5 $((seconds + 45)) "$built/load" --bytes "$(bytes_of 0.5)" --seconds "$seconds" >"$out/small-$kind.jsonl" 2>&1 & small=$!
  wait $large || true; wait $small || true
  stop_scheduler
done
python3 "$scripts/handover.py" "$out" "$(machine)"
