"""The table of recipes.sh. usage: recipes.py OUT MACHINE GIB"""

import glob
import json
import os
import sys

from figures import begin, end, fail, median, row
from runs import read

out, machine, gib = sys.argv[1:]
begin(out, machine)
for name in ("share-py", "share-cu"):
    said = [open(path).read().strip() for path in sorted(glob.glob(f"{out}/{name}-*.txt"))]
    if said:
        right = sum(line.endswith("right: True") for line in said)
        row(f"{name}, two at the same time: with right numbers", right, "", right == 2, "2")

asked = {name: read(out, name) for name in ("native", "alone", "fit", "idle", "busy")}
if not all(asked.values()):
    end()
answer = asked["native"]["answers"][0][0]
if not answer:
    fail("natively, the answer is empty")


def typical(name, skip=1):
    """The median of all ports, seconds; the first answers warm up."""
    return median(took for port in asked[name]["took"] for took in port[skip:])


native, alone = typical("native"), typical("alone")
for name, what in (
    ("alone", "alone"),
    ("fit", "two that fit"),
    ("idle", "one fits, asked in turn"),
    ("busy", "one fits, both asked all the time"),
):
    given = [text for port in asked[name]["answers"] for text in port]
    same = sum(text == answer for text in given) / len(given)
    row(f"{gib} GiB each, {what}: answers as natively", same * 100, "%", same == 1, "100 %")
row("an answer natively", native * 1e3, "ms")
# On the simulated card times are nobody's concern.
real = not os.environ.get("NVSHARE_TEST_DRIVER")
row("alone, beyond native", (alone / native - 1) * 100, "%", alone <= native * 1.05 or not real, "<= 5 %")
row("two that fit, both asked at once: an answer", typical("fit") * 1e3, "ms")
late = typical("idle") - alone
row("one fits, the other was asked before: an answer beyond alone", late * 1e3, "ms", late <= 1 or not real, "<= 1000 ms")
row("one fits, both asked all the time: an answer", typical("busy") * 1e3, "ms")
device = json.load(open(f"{out}/status.json"))["gpus"][0]
row("hand-overs meanwhile", device["handovers"], "", device["handovers"] >= 2, ">= 2")
end()
