"""The table of gangs.sh. usage: gangs.py OUT MACHINE one|two: the GPUs that there were"""

import json
import os
import sys

from figures import begin, end, fail, row

out, machine, gpus = sys.argv[1:]
begin(out, machine + ("" if gpus == "one" else ", two GPUs"))


def read(name):
    """A job's steps; none: it has not ended."""
    path = f"{out}/{name}.json"
    if not os.path.exists(path):
        fail(f"{name} has not ended: {name}.log")
        return None
    said = json.load(open(path))
    if not said["right"]:
        fail(f"{name}: wrong numbers")
    return said


def rate(said, window=None):
    if not said:
        return float("nan")
    start, stop = window or (said["begin"] + 2, said["ends"][-1])
    return sum(start < at <= stop for at in said["ends"]) / (stop - start)


def both(name):
    """The rates of two jobs while both run, and the longest stall of either."""
    one, other = read(f"{name}-1"), read(f"{name}-2")
    if not one or not other:
        return float("nan"), float("nan"), float("nan")
    window = max(one["begin"], other["begin"]) + 2, min(one["ends"][-1], other["ends"][-1])
    stall = 0.0
    for said in one, other:
        within = [at for at in said["ends"] if window[0] <= at <= window[1]]
        stall = max([stall] + [b - a for a, b in zip([window[0]] + within, within + [window[1]])])
    return rate(one, window), rate(other, window), stall


def ranks(name):
    """The steps of a job's processes a second, and its longest step."""
    said = []
    for rank in 0, 1:
        lines = open(f"{out}/{name}-{rank}.txt").read().splitlines()
        said.append([json.loads(line) for line in lines])
        if not said[-1] or "wrong" not in said[-1][-1]:
            fail(f"{name}-{rank} has not ended: {name}-{rank}.log")
            return float("nan"), float("nan")
        if said[-1][-1]["wrong"]:
            fail(f"{name}-{rank}: wrong numbers")
    steps = [line for line in said[0] if "step" in line]
    took = steps[-1]["seconds"] - steps[0]["seconds"]
    return (steps[-1]["step"] - steps[0]["step"]) / took, max(of[-1]["longest_seconds"] for of in said)


one_alone, _ = ranks("one-alone")
gangs = [ranks(f"one-gang-{job}") for job in (1, 2)]
in_sum, stall = sum(of[0] for of in gangs), max(of[1] for of in gangs)
row("one GPU: two jobs of two in turns of 2 s, in sum of one alone", in_sum / one_alone * 100, "%")
row("one GPU: their longest step", stall, "s", stall <= 3.5, "<= 3.5 s")
stuck = open(f"{out}/one-scheduler.log").read().count("cannot end its work")
row("one GPU: put down as unable to end its work", stuck, "", stuck == 0, "none")
unknown = [ranks(f"one-unknown-{job}") for job in (1, 2)]
row("one GPU: the same, not known as jobs, in sum of one alone", sum(of[0] for of in unknown) / one_alone * 100, "%")
row("one GPU: their longest step", max(of[1] for of in unknown), "s")
if gpus == "one":
    print("two GPUs: LEFT OUT, there is one")
    end()

native, alone = rate(read("native")), rate(read("alone"))
row("one job, natively", native, "/s")
row("one job, under nvshare, of native", alone / native * 100, "%", alone >= 0.97 * native, ">= 97 %")
together = both("native-both")
row("two jobs that fit, natively, in sum", sum(together[:2]), "/s")
shared = both("fit")
row(
    "two jobs that fit, under nvshare, of native",
    sum(shared[:2]) / sum(together[:2]) * 100,
    "%",
    sum(shared[:2]) >= 0.97 * sum(together[:2]),
    ">= 97 %",
)
auto = both("auto")
row(
    "two jobs in turns, quantum auto, in sum of one alone",
    sum(auto[:2]) / alone * 100,
    "%",
    sum(auto[:2]) >= 0.95 * alone,
    ">= 95 %",
)
row("their shares, the smaller of the greater", min(auto[:2]) / max(auto[:2]) * 100, "%")
turns = [
    event["dur"] / 1e6
    for event in json.load(open(f"{out}/trace-auto.json"))["traceEvents"]
    if event["name"] == "run" and "unfinished" not in event["args"]
]
longest = max(turns, default=float("nan"))
row("longest turn, quantum auto", longest, "s")
row("longest stall, quantum auto", auto[2], "s", auto[2] <= longest + 1, "<= a turn and 1 s")
short = both("short")
row("two jobs in turns of 2 s, in sum of one alone", sum(short[:2]) / alone * 100, "%")
row("longest stall, turns of 2 s", short[2], "s", short[2] <= 3, "<= 3 s")
pair = read("pair")
row("a job of two on one GPU beside a tenant: steps", len(pair["ends"]) if pair else float("nan"), "")
beside = json.load(open(f"{out}/beside.json")) if os.path.getsize(f"{out}/beside.json") else {}
if not beside.get("right", beside.get("wrong") == 0):
    fail("the tenant beside it: wrong numbers, or not ended")
unknown = both("unknown")
row("two jobs that are not known as such: longest stall", unknown[2], "s")
log = open(f"{out}/gangs-scheduler.log").read()
stuck = [line for line in log.splitlines() if "cannot end its work" in line and "unknown" not in line]
row("members put down as unable to end their work", len(stuck), "")
end()
