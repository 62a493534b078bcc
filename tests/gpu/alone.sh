#!/bin/bash
# PyTorch alone under nvshare beside native, alternating in one run.
# What it must show: a launch at most +0.1 us, vector add and training step within 1 %.
. "$(dirname "$0")/lib.sh"
need_managed $((16 * 1024 * 1024 * 1024))
start_scheduler
for round in 1 2 3; do
  python3 "$here/alone.py" >>"$out/native.jsonl" 2>>"$out/native.log"
  shared python3 "$here/alone.py" >>"$out/shared.jsonl" 2>>"$out/shared.log"
done
ctl status --json >"$out/status.json"
python3 - "$out" "$(machine)" <<'PY'
import json, sys
out, machine = sys.argv[1:]
native, shared = ([json.loads(line) for line in open(f"{out}/{kind}.jsonl")] for kind in ("native", "shared"))
print(machine)
print(f"{'load':<18}{'native':>10}{'nvshare':>10}{'more':>12}")
fine = True
for key in native[0]:
    a, b = (min(run[key] for run in runs) for runs in (native, shared))
    good = b - a <= 0.1 if key == "launch_us" else b <= 1.01 * a
    fine &= good
    more = f"{b - a:+.3f} us" if key == "launch_us" else f"{(b / a - 1) * 100:+.2f} %"
    print(f"{key:<18}{a:>10.3f}{b:>10.3f}{more:>12}  {'' if good else 'FALLS SHORT'}")
sys.exit(0 if fine else 1)
PY
