"""The table of two-tenants.sh. usage: two_tenants.py OUT MACHINE OTHER..."""

import sys

from figures import begin, end, row
from runs import rate, read, show, together

out, machine, *others = sys.argv[1:]
begin(out, machine)
got = {name: read(out, name) for name in ["alone", "first", "second", *others]}
for name, run in got.items():
    if run:
        print(
            f"{name:<8}{run['framework']:<7}{run['adds']:>8} additions in {run['ends'][-1] - run['begin']:.1f} s, data right"
        )
# Only the time in which both were at work counts: all of it, with the first hand-over, for which swap space is made.
rates, window = together([got["first"], got["second"]])
alone = rate(got["alone"])
row(
    f"two in turns of 2 s, evict=always ({window:.0f} s), of one alone",
    sum(rates) / alone * 100,
    "%",
    sum(rates) >= 0.85 * alone,
    ">= 85 %",
)
settle = min(10, window / 4)
rates, window = together([got["first"], got["second"]], settle)
row(f"two in turns, without the first {settle:.0f} s ({window:.0f} s), of one alone", sum(rates) / alone * 100, "%")
show(out, "first", "second")
end()
