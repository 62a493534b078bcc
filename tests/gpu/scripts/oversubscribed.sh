#!/bin/bash
# A real oversubscribed card, without managed memory: the rest of it is taken by a plain allocation. Two PyTorch tenants
# of 24 GiB and three of 16 GiB on 32 GiB, every byte written in every step and checked, quantum auto; two of 12 GiB that
# change places whole, beside the copy bandwidth both ways at once of the same run.
# What it must show: useful work >= 92 % of the same tenants one after the other; bytes moved <= 1.1 times the shortfall;
# a hand-over at >= 90 % of the copy bandwidth.
# Expected: 190 s. Settings: SECONDS_EACH (45); WHOLE_SECONDS (15).
. "$(dirname "$0")/../lib/common.sh"
# Never managed memory on a full card; the tenants' swap space is at most 48 GiB of the host's memory.
export NVSHARE_ENGINE=swap NVSHARE_LOG=info
need_free 40
hold_card 35 "$out/copies.json"
seconds=${SECONDS_EACH:-45}
world "$(usable 32)" ''
block alone-24 shared python3 "$loads/torch_steps.py" 24 5 || true
blocks two 2 24 "$seconds" shared || true
ctl trace --output "$out/trace-two.json" >&2
stop_scheduler
world "$(usable 32)" ''
block alone-16 shared python3 "$loads/torch_steps.py" 16 5 || true
blocks three 3 16 "$seconds" shared || true
ctl trace --output "$out/trace-three.json" >&2
stop_scheduler
# What is told to the scheduler is what there is, but for two contexts.
release_card
hold_card 14.6
world "$(usable 12.5)" ''
block alone-12 shared python3 "$loads/torch_steps.py" 12 4 || true
blocks whole 2 12 "${WHOLE_SECONDS:-15}" shared || true
python3 "$scripts/oversubscribed.py" "$out" "$(machine)"
