"""The table of gangs.sh. usage: gangs.py OUT MACHINE GPUS PART...: how many GPUs there are, and which parts have run"""

import json
import os
import sys

from figures import begin, end, fail, row

out, machine, gpus, *parts = sys.argv[1:]
begin(out, f"{machine}, {gpus} GPUs, parts: {' '.join(parts)}")
nothing = float("nan")
for line in open(f"{out}/hung.txt"):
    fail(line.strip())


def read(name):
    """A job's steps; none: it has not ended."""
    path = f"{out}/{name}.json"
    if not os.path.exists(path) or not os.path.getsize(path):
        fail(f"{name} has not ended: {name}.log")
        return None
    said = json.load(open(path))
    if not said.get("right", said.get("wrong") == 0):
        fail(f"{name}: wrong numbers")
    return said


def rate(said, window=None):
    if not said or len(said["ends"]) < 2:
        return nothing
    start, stop = window or (said["begin"] + 2, said["ends"][-1])
    return sum(start < at <= stop for at in said["ends"]) / (stop - start) if stop > start else nothing


def both(name, skip=2):
    """The rates of two jobs while both run, but for the first seconds, and the longest stall of either."""
    one, other = read(f"{name}-1"), read(f"{name}-2")
    if not one or not other or not one["ends"] or not other["ends"]:
        return nothing, nothing, nothing
    window = max(one["begin"], other["begin"]) + skip, min(one["ends"][-1], other["ends"][-1])
    if window[1] <= window[0]:
        fail(f"{name}: the two did not run at the same time")
        return nothing, nothing, nothing
    stall = 0.0
    for said in one, other:
        within = [at for at in said["ends"] if window[0] <= at <= window[1]]
        stall = max([stall] + [b - a for a, b in zip([window[0]] + within, within + [window[1]])])
    return rate(one, window), rate(other, window), stall


def own_stall(name):
    """The longest time without a step of either of two jobs, from its own first one to its last one."""
    stall = 0.0
    for said in read(f"{name}-1"), read(f"{name}-2"):
        if not said or not said["ends"]:
            return nothing
        times = [said["begin"], *said["ends"]]
        stall = max([stall] + [b - a for a, b in zip(times, times[1:])])
    return stall


def ranks(name):
    """The steps of a job's processes a second, and its longest step."""
    said = []
    for rank in 0, 1:
        path = f"{out}/{name}-{rank}.txt"
        lines = open(path).read().splitlines() if os.path.exists(path) else []
        said.append([json.loads(line) for line in lines])
        if not said[-1] or "wrong" not in said[-1][-1]:
            fail(f"{name}-{rank} has not ended: {name}-{rank}.log")
            return nothing, nothing
        if said[-1][-1]["wrong"]:
            fail(f"{name}-{rank}: wrong numbers")
    longest = max(of[-1]["longest_seconds"] for of in said)
    steps = [line for line in said[0] if "step" in line]
    if len(steps) < 2:
        fail(f"{name}: fewer than 17 steps")
        return nothing, longest
    took = steps[-1]["seconds"] - steps[0]["seconds"]
    return (steps[-1]["step"] - steps[0]["step"]) / took, longest


def log(name):
    """The lines of a scheduler's log."""
    path = f"{out}/{name}-scheduler.log"
    return open(path).read().splitlines() if os.path.exists(path) else []


def put_down(*names):
    """How often members were found unable to end their work."""
    return sum("cannot end its work (lease" in line for name in names for line in log(name))


def late_answers(*names):
    """The most lines of one process's log about work that does not end."""
    counts = [0]
    for name in names:
        for suffix in ".log", "-0.log", "-1.log":
            path = f"{out}/{name}{suffix}"
            text = open(path, errors="replace").read() if os.path.exists(path) else ""
            counts.append(text.count("work did not end within"))
    return max(counts)


def part_one():
    one_alone, _ = ranks("one-alone")
    gangs = [ranks(f"one-gang-{job}") for job in (1, 2)]
    in_sum, stall = sum(of[0] for of in gangs), max(of[1] for of in gangs)
    row("one GPU: two jobs of two in turns of 2 s, in sum of one alone", in_sum / one_alone * 100, "%")
    row("one GPU: their longest step", stall, "s", stall <= 3.5, "<= 3.5 s")
    stuck = put_down("one")
    row("one GPU: put down as unable to end its work", stuck, "", stuck == 0, "none")
    unknown = [ranks(f"one-unknown-{job}") for job in (1, 2)]
    of_one = sum(of[0] for of in unknown) / one_alone * 100
    row("one GPU: the same, not known as jobs, in sum of one alone", of_one, "%")
    longest = max(of[1] for of in unknown)
    # Ten seconds until the first job is known, as many until the second, and a turn.
    row("one GPU: their longest step", longest, "s", longest <= 24, "<= 24 s")
    row("one GPU: they were put down as unable to end their work", put_down("one-unknown"), "times")
    lines = late_answers("one-unknown-1", "one-unknown-2")
    row("one GPU: one library's lines about work that does not end", lines, "", lines <= 6, "<= 6")


def part_two():
    native, alone = rate(read("native")), rate(read("alone"))
    row("one job, natively", native, "/s")
    row("one job, under nvshare, of native", alone / native * 100, "%", alone >= 0.97 * native, ">= 97 %")
    together = both("native-both")
    row("two jobs that fit, natively, in sum", sum(together[:2]), "/s")
    # Each has turns for itself first, until it is known what it needs.
    fit = both("fit", skip=6)
    of_native = sum(fit[:2]) / sum(together[:2]) * 100
    row("two jobs that fit, under nvshare, of native", of_native, "%", of_native >= 97, ">= 97 %")
    auto = both("auto")
    of_one = sum(auto[:2]) / alone * 100
    row("two jobs in turns, quantum auto, in sum of one alone", of_one, "%", of_one >= 95, ">= 95 %")
    row("their shares, the smaller of the greater", min(auto[:2]) / max(auto[:2]) * 100, "%")
    events = []
    if os.path.exists(f"{out}/trace-auto.json"):
        events = json.load(open(f"{out}/trace-auto.json"))["traceEvents"]
    is_turn = lambda event: event["name"] == "run" and "unfinished" not in event["args"]  # noqa: E731
    longest = max((event["dur"] / 1e6 for event in events if is_turn(event)), default=nothing)
    row("longest turn, quantum auto", longest, "s")
    row("longest stall, quantum auto", auto[2], "s", auto[2] <= longest + 1, "<= a turn and 1 s")
    short = both("short")
    row("two jobs in turns of 2 s, in sum of one alone", sum(short[:2]) / alone * 100, "%")
    row("longest stall, turns of 2 s", short[2], "s", short[2] <= 3, "<= 3 s")
    stuck = put_down("two-fit", "two-auto", "two-short")
    row("members put down as unable to end their work", stuck, "", stuck == 0, "none")
    pair, beside = read("pair"), read("beside")
    row("a job of two on one GPU beside a tenant: steps", len(pair["ends"]) if pair else nothing, "")
    row("steps of the tenant beside it", len(beside["ends"]) if beside else nothing, "")
    unknown = own_stall("unknown")
    row("two jobs that are not known as such: longest stall", unknown, "s", unknown <= 24, "<= 24 s")


def part_models():
    alone, parallel, beside = rate(read("parallel-alone")), rate(read("parallel")), read("parallel-beside")
    row("a tensor-parallel model, alone", alone, "/s")
    row("the same beside a job of one GPU, of alone", parallel / alone * 100, "%")
    row("steps of the job of one GPU beside it", len(beside["ends"]) if beside else nothing, "")
    ddp = both("ddp")
    row("two DDP jobs with a DataLoader in turns of 2 s, in sum", sum(ddp[:2]), "/s")
    row("their longest stall", ddp[2], "s", ddp[2] <= 3, "<= 3 s")
    stuck = put_down("models")
    row("their processes put down as unable to end their work", stuck, "", stuck == 0, "none")


for part in parts:
    {"one": part_one, "two": part_two, "models": part_models}[part]()
end()
