#!/bin/bash
# Two PyTorch tenants (9.4 GB additions, 60 s each) take turns of 2 s, everything moved out each time; their
# work beside that of one alone. Then JAX and CuPy tenants beside each other.
# What it must show: data right, the sum at least 85 % of one alone for the same wall time.
. "$(dirname "$0")/lib.sh"
need_managed $((26 * 1024 * 1024 * 1024))
seconds=${SECONDS_EACH:-60}
start_scheduler --quantum 2 --evict always
run() { shared python3 "$here/tenant.py" "$1" "$seconds" >"$out/$2.json" 2>"$out/$2.log"; }
run torch alone
run torch first & a=$!; run torch second & b=$!; wait $a; wait $b
export XLA_PYTHON_CLIENT_PREALLOCATE=false
seconds=20
run jax jax & a=$!; run cupy cupy & b=$!; wait $a; wait $b
ctl trace --output "$out/trace.json"; ctl status --json >"$out/status.json"
python3 - "$out" "$(machine)" <<'PY'
import json, sys
out, machine = sys.argv[1:]
got = {name: json.load(open(f"{out}/{name}.json")) for name in ("alone", "first", "second", "jax", "cupy")}
print(machine)
for name, run in got.items():
    print(f"{name:<8}{run['framework']:<7}{run['adds']:>8} adds in {run['seconds']:.1f} s, data {'right' if run['right'] else 'WRONG'}")
rate = lambda *names: sum(got[name]["adds"] / got[name]["seconds"] for name in names)
share = rate("first", "second") / rate("alone")
print(f"two tenants: {share * 100:.1f} % of one alone   (must: >= 85 %)")
sys.exit(0 if share >= 0.85 and all(run["right"] for run in got.values()) else 1)
PY
