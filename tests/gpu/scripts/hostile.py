"""The table of hostile.sh. usage: hostile.py OUT MACHINE"""

import json
import sys

from figures import begin, end, row
from runs import all_of, read, together

out, machine = sys.argv[1:]
begin(out, machine)
without, beside = (sum(together(all_of(out, kind, 2))[0]) for kind in ("without", "beside"))
row(
    "two beside a hostile user, of what they do without",
    beside / without * 100,
    "%",
    beside >= 0.8 * without,
    ">= 80 %",
)
row("hostile messages", json.load(open(f"{out}/hostile.json"))["sent"], "")
row(
    "the daemon at most",
    int(open(f"{out}/daemon.txt").read().split()[1]) / 1024,
    "MiB",
    int(open(f"{out}/daemon.txt").read().split()[1]) < 64 * 1024,
    "< 64 MiB",
)
device = json.load(open(f"{out}/status.json"))["gpus"][0]
row("the card's memory by NVML", device["capacity_bytes"] / 2**30, "GiB", device["capacity_from"] == "nvml", "by NVML")
events = [json.loads(line) for line in open(f"{out}/events.jsonl")]
stopped = next((event for event in events if event["kind"] == "stopped"), None)
asked = [
    event["seconds"]
    for event in events
    if event["kind"] == "requested" and stopped and event["seconds"] <= stopped["seconds"]
]
took = stopped["seconds"] - asked[-1] if asked else 99
row("a stopped tenant is named after the next one asks", took, "s", took <= 1, "<= 1 s")
small = read(out, "stopped-3")
row("steps of one that fits beside it", len(small["ends"]) if small else 0, "", bool(small and small["ends"]), "> 0")
for name in ("stopped-1", "stopped-2"):
    read(out, name)
end()
