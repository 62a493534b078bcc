"""The table of several.sh. usage: several.py OUT MACHINE PROGRAMS
PROGRAMS: exit code of programs.sh, or nvcc where there is none"""

import collections
import json
import sys

from figures import begin, end, fail, row
from runs import all_of, rate, read, together

out, machine, programs = sys.argv[1:]
begin(out, machine + ", two GPUs")
for i in 1, 2:
    native, shared = (rate(read(out, f"{kind}-{i}")) for kind in ("native", "queues"))
    row(
        f"GPU {i - 1}: one tenant beside one on the other GPU, of native",
        shared / native * 100,
        "%",
        shared >= 0.98 * native,
        ">= 98 %",
    )
for i, name in enumerate(["first", "second"]):
    rates, window = together(all_of(out, name, 2), 3)
    alone = rate(read(out, f"native-{i + 1}"))
    row(
        f"GPU {i}: two in turns of 1 s, evict=always ({window:.0f} s), of one alone",
        sum(rates) / alone * 100,
        "%",
        sum(rates) >= 0.9 * alone,
        ">= 90 %",
    )
all_of(out, "both", 2), all_of(out, "single", 2)
runs, held = collections.defaultdict(list), collections.defaultdict(lambda: collections.defaultdict(list))
for event in json.load(open(f"{out}/trace.json"))["traceEvents"]:
    if event["name"] == "run" and "unfinished" not in event["args"]:
        runs[event["pid"]].append((event["ts"], event["ts"] + event["dur"], event["tid"]))
        held[event["tid"]][event["pid"]].append(event["ts"])
# In its first turn a process has one GPU and begins to use the other one, whoever has that; then it gets both together.
firsts = {tid: min(min(of) for of in by.values()) for tid, by in held.items()}
overlaps, early = 0.0, 0.0
for spans in runs.values():
    spans.sort()
    for one, other in zip(spans, spans[1:]):
        both = max(0.0, min(one[1], other[1]) - other[0]) / 1e3
        if any(start == firsts[tid] for start, _, tid in (one, other)):
            early += both
        else:
            overlaps += both
row("time in which a GPU had two holders, after the first turns", overlaps, "ms", overlaps < 1, "none")
row("time in which a GPU had two holders, in first turns", early, "ms")
# A tenant with both GPUs has the same turns on both, from the first on that began on both: before, it used one.
half = 0
for by in held.values():
    if len(by) == 2:
        a, b = (set(map(round, by[pid])) for pid in sorted(by))
        half += sum(start > min(a & b, default=0) for start in a ^ b)
row("turns in which a process had only one of its two GPUs", half, "", half == 0, "none")
turns = [max(len(of) for of in by.values()) for by in held.values()]
row(
    f"turns of each of {len(turns)} processes, at least",
    min(turns, default=0),
    "",
    len(turns) == 4 and min(turns) >= 5,
    ">= 5",
)
said = open(f"{out}/programs.txt").read() if programs != "nvcc" else "no nvcc: the programs were not run"
print("\n".join("    " + line for line in said.splitlines()))
if programs != "0":
    fail("programs that use several devices: see above")
end()
