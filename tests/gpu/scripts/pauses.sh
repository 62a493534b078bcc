#!/bin/bash
# Two batch jobs of 24 GiB on 32 GiB that pause after each step, as programs do that load data: for 40 ms, which is long
# enough to look like the end of the work, and for 150 ms, which is shorter than the hand-overs that it would cost.
# What it must show: nothing promised but right data; the useful work beside that of one such job alone.
# Expected: 115 s. Settings: SECONDS_EACH (20); PAUSES ("40 150"), ms.
. "$(dirname "$0")/../lib/common.sh"
# Never managed memory on a full card.
export NVSHARE_ENGINE=swap NVSHARE_LOG=info
pauses=${PAUSES:-40 150}
need_free 40
hold_card 35
world "$(usable 32)" ''
for pause in $pauses; do
  blocks "alone-$pause" 1 24 6 shared || true
  blocks "pausing-$pause" 2 24 "${SECONDS_EACH:-20}" shared || true
  ctl trace --output "$out/trace-$pause.json" >&2
done
# shellcheck disable=SC2086
python3 "$scripts/pauses.py" "$out" "$(machine)" $pauses
