#!/bin/bash
# What sharing costs: two PyTorch tenants that fit together, beside the same two natively; two that take turns with
# everything moved out (quantum auto), beside one alone.
# What it must show: >= 98 % of native's sum; >= 90 % of one alone.
# Expected: 95 s. Settings: SECONDS_EACH (35): of the turns; FIT_SECONDS (10).
. "$(dirname "$0")/../lib/common.sh"
need_managed 26
export NVSHARE_LOG=info
block alone python3 "$loads/torch_steps.py" 12 6 || true
blocks native 2 12 "${FIT_SECONDS:-10}" || true
start_scheduler
blocks fit 2 12 "${FIT_SECONDS:-10}" shared || true
stop_scheduler
start_scheduler --evict always
blocks turns 2 12 "${SECONDS_EACH:-35}" shared || true
ctl trace --output "$out/trace.json" >&2
python3 "$scripts/sharing.py" "$out" "$(machine)"
