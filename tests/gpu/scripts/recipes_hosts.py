"""The table of recipes_hosts.sh. usage: recipes_hosts.py OUT MACHINE"""

import sys

from figures import begin, end, row

out, machine = sys.argv[1:]
begin(out, machine)
for line in open(f"{out}/facts.tsv"):
    what, value, unit, must, good = line.rstrip("\n").split("\t")
    row(what, float(value) if value else None, unit, good == "yes", must)
print(open(f"{out}/failed.txt").read(), end="")
end()
