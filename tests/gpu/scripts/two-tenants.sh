#!/bin/bash
# Two PyTorch tenants (9.4 GB additions, 60 s each) take turns of 2 s, everything moved out each time; their work beside
# that of one alone. Then JAX and CuPy tenants beside each other.
# What it must show: data right, the sum at least 85 % of one alone for the same wall time.
# Expected: 125 s. Settings: SECONDS_EACH (60), ALONE_SECONDS (12); OTHERS=no leaves JAX and CuPy out.
. "$(dirname "$0")/../lib/common.sh"
need_managed 26
seconds=${SECONDS_EACH:-60} failed=0
export NVSHARE_LOG=info
run() { block "$2" shared python3 "$loads/framework_adds.py" "$1" "$3"; }
pair() { # FRAMEWORK NAME FRAMEWORK NAME SECONDS
  local a b
  run "$1" "$2" "$5" & a=$!
  run "$3" "$4" "$5" & b=$!
  # What does not come to its end is told of by the table.
  wait $a || failed=1; wait $b || failed=1
}
start_scheduler --quantum 2 --evict always
run torch alone "${ALONE_SECONDS:-12}" || failed=1
pair torch first torch second "$seconds"
others=()
if [ "${OTHERS:-yes}" = yes ]; then
  export XLA_PYTHON_CLIENT_PREALLOCATE=false
  pair jax jax cupy cupy $((seconds / 4 > 2 ? seconds / 4 : 2))
  others=(jax cupy)
else
  echo 'OTHERS=no: JAX and CuPy are left out'
fi
ctl trace --output "$out/trace.json" >&2; ctl status --json >"$out/status.json"
python3 - "$out" "$(machine)" "${others[@]}" <<'PY'
import sys
from runs import *
out, machine, *others = sys.argv[1:]
begin(out, machine)
got = {name: read(out, name) for name in ["alone", "first", "second", *others]}
for name, run in got.items():
    if run:
        print(f"{name:<8}{run['framework']:<7}{run['adds']:>8} additions in {run['ends'][-1] - run['begin']:.1f} s, data right")
# Only the time in which both were at work counts: all of it, with the first hand-over, for which swap space is made.
rates, window = together([got["first"], got["second"]])
alone = rate(got["alone"])
row(f"two in turns of 2 s, evict=always ({window:.0f} s), of one alone", sum(rates) / alone * 100, "%", sum(rates) >= 0.85 * alone, ">= 85 %")
settle = min(10, window / 4)
rates, window = together([got["first"], got["second"]], settle)
row(f"two in turns, without the first {settle:.0f} s ({window:.0f} s), of one alone", sum(rates) / alone * 100, "%")
show(out, "first", "second")
end()
PY
