"""The table of crowded.sh. usage: crowded.py OUT MACHINE"""

import sys

from figures import begin, end, row
from runs import all_of, rate, read, show, together

out, machine = sys.argv[1:]
begin(out, machine)
runs = all_of(out, "crowded", 3)
row("tenants that came to their end with right data", len(runs), "", len(runs) == 3, "3")
rates, window = together(runs)
row(f"three of 14 GiB, usable = auto ({window:.0f} s): useful work", sum(rates) / rate(read(out, "alone")) * 100, "%")
refused = sum(open(f"{out}/crowded-{i + 1}.log", errors="replace").read().count("find no room") for i in range(3))
row("warnings of memory that finds no room", refused, "")
show(out, "crowded")
end()
