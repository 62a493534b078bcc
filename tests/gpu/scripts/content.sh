#!/bin/bash
# Only what has content and has changed moves: the kernel that looks at memory by itself (every change found, its rate);
# then pairs of tenants in turns, with it and without (NVSHARE_MOVE=all), in turn: two that serve a model (16 GiB each on 20,
# of which 2 GiB are weights and the rest is a zeroed pool), two with 12 GiB of weights on 16, two that train (12 GiB each on
# 16, every byte changes), the first two with single bits and words changed at random places between steps.
# What it must show: every change of at least a million found; data right. A hand-over of the serving ones in at most 1/64 s
# for each GiB of content and 1/512 s for each GiB of zeros, which is 0.25 s for 64 GiB with 8 GiB of content; of those with
# weights at most 55 % of that without the pass; training at most 3 % slower than without.
# Expected: 150 s. Settings: SECONDS_EACH (7); ROUNDS (250); GRANULES (4096).
. "$(dirname "$0")/../lib/common.sh"
need_free 20
seconds=${SECONDS_EACH:-7} traces=0
"$built/flips" --granules "${GRANULES:-4096}" --rounds "${ROUNDS:-250}" --compared 16 --timed 20 >"$out/flips.json" 2>"$out/flips.log" \
  || { tail -n 3 "$out/flips.log" >&2; exit 1; }
# usage: pair NAME MOVE USABLE GIB ARGUMENTS...
pair() {
  local name=$1-$2 i pids=()
  world "$(usable "$3")" 'quantum = 1'
  for i in 1 2; do
    shared NVSHARE_LOG=info NVSHARE_MOVE="$2" timeout -k 5 $((seconds * 3 + 40)) "$built/contents" --bytes "$(bytes_of "$4")" --seconds "$seconds" --seed "$i" "${@:5}" \
      >"$out/$name-$i.jsonl" 2>"$out/$name-$i.log" & pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i" || true; done
  ctl trace --output "$out/$name-trace-$((++traces)).json" >&2
  for i in 1 2; do for end in jsonl log; do cat "$out/$name-$i.$end" >>"$out/$name-$i-all.$end"; done; done
  stop_scheduler
}
step=(--spin 50000000 --flips 1)
for move in changed all; do
  pair serving "$move" 20 16 --content "$(bytes_of 2)" "${step[@]}"
  pair weights "$move" 16 12 --content "$(bytes_of 12)" "${step[@]}"
done
for move in changed all changed all; do
  pair training "$move" 16 12 --changing "$(bytes_of 12)" --spin 5000000
done
python3 "$scripts/content.py" "$out" "$(machine)"
