#!/bin/bash
# PyTorch alone under nvshare beside native: a process of each kind, one of which works at a time, in turn, so that what
# the machine does meanwhile meets all of them alike. Each has a scheduler of its own and is alone there.
# What it must show: a launch at most +0.1 us, vector add and training step within 1 % (swap, the default: 0.5 %).
# Expected: 55 s. Settings: ROUNDS (21).
. "$(dirname "$0")/lib.sh"
# Each of them has up to 18 GiB at the same time.
need_managed 18
need_free 60
configure auto
declare -A schedulers=()
for engine in swap managed; do
  "$built/nvshare-scheduler" --runtime-dir "$runtime/$engine" --config "$runtime/config.toml" 2>>"$out/scheduler.log" & schedulers[$engine]=$!
done
for engine in "${!schedulers[@]}"; do until_answers "$runtime/$engine" "${schedulers[$engine]}"; done
python3 - "$here/alone.py" "$built/libnvshare.so" "$runtime" "$out" "$(machine)" "${ROUNDS:-21}" <<'PY'
import json, os, sys
from beside import Process
from blocks import *
program, library, schedulers, out, machine, rounds = sys.argv[1:]
begin(out, machine)
kinds = ["native", "swap", "managed"]
core = {"LAUNCH_CORE": str(max(os.sched_getaffinity(0)))}
processes = {kind: Process(["python3", program], kind, library, f"{schedulers}/{kind}", f"{out}/{kind}.log", core) for kind in kinds}
for process in processes.values():
    process.hear(60)
took = {load: {kind: [] for kind in kinds} for load in ("small_launch", "vector_add", "training_step")}
for round in range(int(rounds)):
    for load in took:
        # Nobody is always first.
        for kind in kinds[round % 3:] + kinds[:round % 3]:
            took[load][kind].append(float(processes[kind].ask(load, 30)))
for process in processes.values():
    process.end()
json.dump(took, open(f"{out}/alone.json", "w"))
print(f"{rounds} rounds in turn, medians of what one took and of the differences within a round")
for load, by in took.items():
    row(f"{load}: native", median(by["native"]), "us")
    for kind in kinds[1:]:
        row(f"{load}: {kind}", median(by[kind]), "us")
        # The default engine is swap; managed is shown beside it.
        if load == "small_launch":
            more = median(b - a for a, b in zip(by["native"], by[kind]))
            row(f"{load}: {kind}, more than native", more, "us", more <= 0.1, "<= +0.1 us" if kind == "swap" else "")
        else:
            more = median(b / a - 1 for a, b in zip(by["native"], by[kind])) * 100
            row(f"{load}: {kind}, more than native", more, "%", more <= 0.5, "<= +0.5 %" if kind == "swap" else "")
spread = ", ".join(f"{load} {percentile(by['native'], 0.05):.2f} to {percentile(by['native'], 0.95):.2f}" for load, by in took.items())
print(f"native's own 5 to 95 %: {spread}")
end()
PY
