"""The table of sharing.sh. usage: sharing.py OUT MACHINE"""

import sys

from figures import begin, end, row
from runs import all_of, rate, read, show, together

out, machine = sys.argv[1:]
begin(out, machine)
alone = rate(read(out, "alone"))
native, fit = (sum(together(all_of(out, kind, 2))[0]) for kind in ("native", "fit"))
row("two that fit, of native's sum", fit / native * 100, "%", fit >= 0.98 * native, ">= 98 %")
turns, window = together(all_of(out, "turns", 2))
row(
    f"two in turns (auto, evict=always, {window:.0f} s), of one alone",
    sum(turns) / alone * 100,
    "%",
    sum(turns) >= 0.9 * alone,
    ">= 90 %",
)
show(out, "turns")
end()
