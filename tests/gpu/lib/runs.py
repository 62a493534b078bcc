"""What the scripts have in common that lay runs of tenants beside each other."""
import glob
import json
import math
import os
import re

from figures import fail, median

SCALE = int(os.environ.get("REHEARSAL_SCALE", "1"))


def read(out, name):
    """What a tenant said last; None, and the table says so, if it did not come to its end or has wrong data."""
    try:
        run = json.loads(open(f"{out}/{name}.json").read().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return fail(f"{name} did not come to its end: see {name}.log")
    return run if run["right"] else fail(f"{name}: {run.get('failed') or 'WRONG DATA'}: see {name}.log")


def all_of(out, kind, count):
    """The runs KIND-1 to KIND-COUNT; empty unless all of them are right."""
    runs = [read(out, f"{kind}-{i + 1}") for i in range(count)]
    return runs if all(runs) else []


def rate(run):
    """Steps a second of a run that was alone."""
    return len(run["ends"]) / (run["ends"][-1] - run["begin"]) if run and run["ends"] else math.nan


def together(runs, settle=0.0):
    """Steps a second of each while all were at work, the first `settle` seconds left out; and how long that was."""
    if not runs or not all(runs) or not all(run["ends"] for run in runs):
        return [math.nan], math.nan
    begin = max(run["begin"] for run in runs) + settle
    end = min(run["ends"][-1] for run in runs)
    if end <= begin:
        return [math.nan], math.nan
    return [sum(begin < at <= end for at in run["ends"]) / (end - begin) for run in runs], end - begin


def moves(log):
    """GiB and seconds that a tenant's log (NVSHARE_LOG=info) tells: of grants, fetches ahead, revocations, and after them."""
    try:
        text = open(log, errors="replace").read()
    except OSError:
        text = ""

    def found(what):
        return [(float(g) * SCALE, float(s)) for g, s in re.findall(what, text)]

    return {
        "granted": found(r"granted: ([\d.]+) GiB(?: \([^)]*\))? in ([\d.]+) s"),
        "ahead": found(r"fetched ahead: ([\d.]+) GiB(?: \([^)]*\))? in ([\d.]+) s"),
        "released": found(r"released: drained in [\d.]+ s, ([\d.]+) GiB(?: \([^)]*\))? out in ([\d.]+) s"),
        "after": found(r"moved out: ([\d.]+) GiB(?: \([^)]*\))? in ([\d.]+) s"),
        "drained": [float(s) for s in re.findall(r"released: drained in ([\d.]+) s", text)],
    }


def show(out, *names):
    """How memory moved, from the tenants' own logs."""
    for path in sorted(path for name in names for path in glob.glob(f"{out}/{name}.log") + glob.glob(f"{out}/{name}-[0-9].log")):
        log = moves(path)
        drained = median(log.pop("drained"))
        parts = [f"{what} {len(of)} x {median(g for g, s in of):.2f} GiB in {median(s for g, s in of):.3f} s" for what, of in log.items() if of]
        print(f"    {path.split('/')[-1][:-4]}: {', '.join(parts)}, drained in {drained:.3f} s")
