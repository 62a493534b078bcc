"""Times calls of driver_calls.py by a process of each kind in turn, and tells the differences.
usage: calls.py LOAD LIBRARY SCHEDULERS OUT MACHINE ROUNDS"""

import sys

from figures import begin, end, median, row
from paired_process import Process

program, library, schedulers, out, machine, rounds = sys.argv[1:]
begin(out, machine)
kinds = ["native", "swap", "managed"]
processes = {
    kind: Process(["python3", program], kind, library, f"{schedulers}/{kind}", f"{out}/{kind}.log") for kind in kinds
}
for process in processes.values():
    process.hear(60)
words = ("allocate", "free", "eight", "launch")
took = {word: {kind: [] for kind in kinds} for word in words}
for round in range(int(rounds)):
    for word in words:
        if word == "eight" and round % 3 != 1:
            continue
        for kind in kinds[round % 3 :] + kinds[: round % 3]:
            took[word][kind].append(float(processes[kind].ask(word, 60)))
for process in processes.values():
    process.end()
names = {
    "allocate": "cuMemAlloc of 1 GiB",
    "free": "cuMemFree of 1 GiB",
    "eight": "cuMemAlloc of 1 GiB, each of eight in a row",
}
for word in words[:3]:
    # The first one makes what the later ones use again, in the driver too.
    later = {kind: median(of[1:]) for kind, of in took[word].items()}
    row(f"{names[word]}: native", later["native"], "us")
    for kind in kinds[1:]:
        times = later[kind] / later["native"]
        row(f"{names[word]}: {kind}", later[kind], "us")
        row(
            f"{names[word]}: {kind}, of native's",
            times,
            "x",
            times <= 2,
            "<= 2 x native" if kind == "swap" and word != "free" else "",
        )
for kind in kinds:
    row(f"the first of all: {kind}", took["allocate"][kind][0], "us")
    first = took["eight"][kind][0]
    row(f"each of the first eight in a row: {kind}", first, "us")
    if kind != "native":
        # All of them come after the first one, and each wants swap space that there was not yet.
        times = first / took["eight"]["native"][0]
        row(
            f"each of the first eight in a row: {kind}, of native's",
            times,
            "x",
            times <= 2,
            "<= 2 x native" if kind == "swap" else "",
        )
row("cuLaunchKernel, with Python's share: native", median(took["launch"]["native"]), "us")
for kind in kinds[1:]:
    more = median(b - a for a, b in zip(took["launch"]["native"], took["launch"][kind]))
    row(f"cuLaunchKernel: {kind}, more than native", more, "us", more <= 0.1, "<= +0.1 us" if kind == "swap" else "")
end()
