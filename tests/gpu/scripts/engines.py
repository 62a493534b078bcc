"""The table and the plot of engines.sh. usage: engines.py OUT MACHINE"""

import json
import sys

from figures import begin, end, row
from plot import curves
from runs import SCALE, read, show

out, machine = sys.argv[1:]
begin(out, machine)
series = {}
for engine in "swap", "managed":
    read(out, engine)
    try:
        run = json.load(open(f"{out}/{engine}.json"))
    except (OSError, ValueError):
        continue
    for part in run["measured"]:
        what = f"{engine}, quantum {part['quantum']:g} s"
        row(f"{what}: a hand-over, {part['turns']} of them", part["handover"], "s")
        row(f"{what}: useful share", part["useful"] * 100, "%")
        series.setdefault(engine, []).append((part["quantum"], part["useful"] * 100))
    show(out, engine)
if series:
    simulated = "SIMULATED, " if SCALE > 1 else ""
    with open(f"{out}/engines.svg", "w") as file:
        file.write(
            curves(f"Two tenants of 12 GiB on 12.5 GiB ({simulated}{machine})", "quantum, s", "useful share, %", series)
        )
end()
