#!/bin/bash
# PyTorch alone under nvshare beside native: a process of each kind, one of which works at a time, in turn, so that what
# the machine does meanwhile meets all of them alike. Each has a scheduler of its own and is alone there. Processes differ
# among each other, natively too, so that there are several sets of them, one after the other.
# What it must show: a launch at most +0.1 us, vector add and training step within 1 % (swap, the default: 0.5 %), in the
# median of the sets.
# Expected: 130 s. Settings: SETS (5), ROUNDS (7).
. "$(dirname "$0")/../lib/common.sh"
# Each of them has up to 18 GiB at the same time.
need_managed 18
need_free 60
configure auto
declare -A schedulers=()
for engine in swap managed; do
  "$built/nvshare-scheduler" --runtime-dir "$runtime/$engine" --config "$runtime/config.toml" 2>>"$out/scheduler.log" & schedulers[$engine]=$!
done
for engine in "${!schedulers[@]}"; do until_answers "$runtime/$engine" "${schedulers[$engine]}"; done
python3 - "$loads/torch_alone.py" "$built/libnvshare.so" "$runtime" "$out" "$(machine)" "${SETS:-5}" "${ROUNDS:-7}" <<'PY'
import json, os, sys
from paired_process import Process
from runs import *
program, library, schedulers, out, machine, sets, rounds = sys.argv[1:]
begin(out, machine)
kinds = ["native", "swap", "managed"]
core = {"LAUNCH_CORE": str(max(os.sched_getaffinity(0)))}
took = {load: {kind: [] for kind in kinds} for load in ("small_launch", "vector_add", "training_step")}
for _ in range(int(sets)):
    processes = {kind: Process(["python3", program], kind, library, f"{schedulers}/{kind}", f"{out}/{kind}.log", core) for kind in kinds}
    for process in processes.values():
        process.hear(60)
    for of in took.values():
        for one in of.values():
            one.append([])
    for round in range(int(rounds)):
        for load in took:
            # Nobody is always first.
            for kind in kinds[round % 3:] + kinds[:round % 3]:
                took[load][kind][-1].append(float(processes[kind].ask(load, 30)))
    for process in processes.values():
        process.end()
json.dump(took, open(f"{out}/alone.json", "w"))
print(f"{sets} sets of processes, {rounds} rounds in turn: medians of the sets' medians; the differences are those within a round")
def each(load, kind, less):
    return [median(less(a, b) for a, b in zip(*of)) for of in zip(took[load]["native"], took[load][kind])]
def spread(of):
    return f"{min(of):+.2f} to {max(of):+.2f}"
for load, by in took.items():
    row(f"{load}: native", median(median(of) for of in by["native"]), "us")
    for kind in kinds[1:]:
        row(f"{load}: {kind}", median(median(of) for of in by[kind]), "us")
        # The default engine is swap; managed is shown beside it.
        if load == "small_launch":
            more, unit, most = each(load, kind, lambda a, b: b - a), "us", 0.1
        else:
            more, unit, most = each(load, kind, lambda a, b: (b / a - 1) * 100), "%", 0.5
        row(f"{load}: {kind}, more than native ({spread(more)})", median(more), unit, median(more) <= most, f"<= {most:+} {unit}" if kind == "swap" else "")
print("native's own medians: " + ", ".join(f"{load} {spread([median(of) for of in by['native']])}" for load, by in took.items()))
end()
PY
