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
python3 - "$out" "$(machine)" <<'PY'
import sys
from runs import *
out, machine = sys.argv[1:]
begin(out, machine)
alone = rate(read(out, "alone"))
native, fit = (sum(together(all_of(out, kind, 2))[0]) for kind in ("native", "fit"))
row("two that fit, of native's sum", fit / native * 100, "%", fit >= 0.98 * native, ">= 98 %")
turns, window = together(all_of(out, "turns", 2))
row(f"two in turns (auto, evict=always, {window:.0f} s), of one alone", sum(turns) / alone * 100, "%", sum(turns) >= 0.9 * alone, ">= 90 %")
show(out, "turns")
end()
PY
