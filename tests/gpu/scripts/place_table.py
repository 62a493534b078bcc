"""The table of a script that uses lib/place.sh. usage: place_table.py OUT MACHINE"""

import sys

from figures import begin, end, row

out, machine = sys.argv[1:]
begin(out, machine)
for line in open(f"{out}/facts.tsv"):
    what, value, unit, must, good = line.rstrip("\n").split("\t")
    row(what, float(value) if value else None, unit, good == "yes", must)
print(open(f"{out}/failed.txt").read(), end="")
end()
