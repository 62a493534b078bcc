"""The table of content.sh. usage: content.py OUT MACHINE"""

import glob
import json
import re
import sys

from figures import begin, end, fail, median, row
from runs import moves

out, machine = sys.argv[1:]
begin(out, machine)


def lines(path):
    found = []
    for line in open(path):
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


def steps(kind, move):
    """Steps in all, of both tenants."""
    count = 0
    for i in (1, 2):
        ends = [line for line in lines(f"{out}/{kind}-{move}-{i}-all.jsonl") if "steps" in line]
        if len(ends) != (2 if kind == "training" else 1) or any(line["wrong"] for line in ends):
            fail(f"{kind}, {move}: did not come to its end with every word right: see {kind}-{move}-{i}-all.log")
        count += sum(line["steps"] for line in ends)
    return count


def hand_overs(kind, move):
    """The seconds from the end of one tenant's work to the other's turn, once both have content on the host: from the third
    hand-over on."""
    gaps = []
    for path in glob.glob(f"{out}/{kind}-{move}-trace-*.json"):
        spans = sorted(
            (event["ts"], event["ts"] + event["dur"], event["tid"], event["name"])
            for event in json.load(open(path))["traceEvents"]
            if event["name"] in ("run", "drain") and "unfinished" not in event["args"]
        )
        pairs = [
            (before, after)
            for before, after in zip(spans, spans[1:])
            if before[2] != after[2] and (before[3], after[3]) == ("drain", "run")
        ]
        gaps += [(after[0] - before[1]) / 1e6 for before, after in pairs[2:]]
    return gaps


def spared(kind, move, way, what):
    """GiB that a hand-over did not copy, in the median."""
    found = []
    for path in glob.glob(f"{out}/{kind}-{move}-?-all.log"):
        for line in open(path, errors="replace"):
            if re.search(way, line) and " 0.00 GiB in" not in line:
                part = re.search(rf"([\d.]+) GiB {what}", line)
                found.append(float(part[1]) if part else 0.0)
    return median(found[2:])


flips = lines(f"{out}/flips.json")[-1]
row("the kernel: granules looked at after a change, each right", flips["checked"], "", flips["checked"] >= 10**6, ">= 1000000")
row("the kernel: over 8 GiB", flips["terabytes_per_second"], "TB/s", flips["terabytes_per_second"] >= 2, ">= 2 TB/s")
for kind, content, zero in ("serving", 2, 14), ("weights", 12, 0), ("training", 12, 0):
    count = {move: steps(kind, move) for move in ("changed", "all")}
    gaps = {move: hand_overs(kind, move) for move in count}
    took = {move: median(gaps[move]) for move in count}
    for move in count:
        row(f"{kind}, {move}: a hand-over ({len(gaps[move])})", took[move] * 1e3, "ms")
        log = [moves(path) for path in glob.glob(f"{out}/{kind}-{move}-?-all.log")]
        for way in "granted", "released":
            row(f"{kind}, {move}: {way}", median(s for one in log for g, s in one[way] if g > 1) * 1e3, "ms")
    row(f"{kind}: not copied out, unchanged", spared(kind, "changed", "released|moved out", "unchanged"), "GiB")
    row(f"{kind}: not copied out, zero", spared(kind, "changed", "released|moved out", "zero"), "GiB")
    part = took["changed"] / took["all"] * 100
    if kind == "serving":
        must = content / 64 + zero / 512
        row("serving: a hand-over", took["changed"] * 1e3, "ms", took["changed"] <= must, f"<= {must * 1e3:.0f} ms")
    row(f"{kind}: a hand-over, of that without", part, "%", part <= 55 if kind == "weights" else None, "<= 55 %" if kind == "weights" else "")
    work = count["changed"] / count["all"] * 100
    row(f"{kind}: steps, of those without", work, "%", work >= 97 if kind == "training" else None, ">= 97 %" if kind == "training" else "")
end()
