#!/bin/bash
# An interactive PyTorch tenant (50 ms of work once a second; 3 GiB, then 4 GiB) beside a batch job (30 GiB) on 32 GiB,
# where both do not fit: the rest of the card is taken by a plain allocation.
# What it must show: p95 latency <= one hand-over + 100 ms; the batch job loses <= 10 % beyond the other's own share.
# Expected: 125 s. Settings: SECONDS_EACH (30); SIZES ("3 4"): GiB of the interactive tenant.
. "$(dirname "$0")/../lib/common.sh"
# Never managed memory on a full card.
export NVSHARE_ENGINE=swap NVSHARE_LOG=info
sizes=${SIZES:-3 4}
need_free 40
hold_card 33.5
world "$(usable 32)" ''
block alone shared python3 "$loads/torch_steps.py" 30 6 || true
for gib in $sizes; do
  # It knows its own burst before the other one comes, and stays until that has ended.
  block "interactive-$gib" shared python3 "$loads/torch_steps.py" "$gib" $((${SECONDS_EACH:-30} + 45)) burst & a=$!
  if until_says 'burst 5' "$out/interactive-$gib.log" $a 40; then
    block "batch-$gib" shared python3 "$loads/torch_steps.py" 30 "${SECONDS_EACH:-30}" || true
  fi
  # shellcheck disable=SC2046
  kill $(cat /proc/$a/task/$a/children) 2>/dev/null || true
  wait $a || true
done
ctl trace --output "$out/trace.json" >&2
python3 "$scripts/interactive.py" "$out" "$(machine)" $sizes
