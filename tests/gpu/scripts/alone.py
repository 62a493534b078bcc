"""Times a load of torch_alone.py by a process of each kind in turn, and tells the differences.
usage: alone.py LOAD LIBRARY SCHEDULERS OUT MACHINE SETS ROUNDS"""

import json
import os
import sys

from figures import begin, end, median, row
from paired_process import Process

program, library, schedulers, out, machine, sets, rounds = sys.argv[1:]
begin(out, machine)
kinds = ["native", "swap", "managed"]
core = {"LAUNCH_CORE": str(max(os.sched_getaffinity(0)))}
took = {load: {kind: [] for kind in kinds} for load in ("small_launch", "vector_add", "training_step")}
for _ in range(int(sets)):
    processes = {
        kind: Process(["python3", program], kind, library, f"{schedulers}/{kind}", f"{out}/{kind}.log", core)
        for kind in kinds
    }
    for process in processes.values():
        process.hear(60)
    for of in took.values():
        for one in of.values():
            one.append([])
    for round in range(int(rounds)):
        for load in took:
            # Nobody is always first.
            for kind in kinds[round % 3 :] + kinds[: round % 3]:
                took[load][kind][-1].append(float(processes[kind].ask(load, 30)))
    for process in processes.values():
        process.end()
json.dump(took, open(f"{out}/alone.json", "w"))
print(
    f"{sets} sets of processes, {rounds} rounds in turn: medians of the sets' medians; the differences are those within a round"
)


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
        row(
            f"{load}: {kind}, more than native ({spread(more)})",
            median(more),
            unit,
            median(more) <= most,
            f"<= {most:+} {unit}" if kind == "swap" else "",
        )
print(
    "native's own medians: "
    + ", ".join(f"{load} {spread([median(of) for of in by['native']])}" for load, by in took.items())
)
end()
