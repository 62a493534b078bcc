"""The table of turns.sh. usage: turns.py OUT MACHINE"""

import math
import sys

from figures import begin, end, median, percentile, row
from runs import read

out, machine = sys.argv[1:]
begin(out, machine)
for engine in "swap", "managed":
    for kind, most, what in ("there", 0.010, "all of 12 GiB still there"), ("away", 0.30, "all of 12 GiB must come in"):
        run = read(out, f"{kind}-{engine}") or {"first_kernel": []}
        # The first turn of each finds new memory.
        took = median(run["first_kernel"][2:])
        row(
            f"{engine}: grant to first kernel, {what}, {len(run['first_kernel'][2:])} turns",
            took * 1e3,
            "ms",
            took <= most,
            f"<= {most * 1e3:.0f} ms" if engine == "swap" else "",
        )
for ahead, what in (1, "each waited for"), (64, "64 submitted at a time"):
    run = read(out, f"drains-{ahead}") or {"drains": [], "unbounded": []}
    drains = run["drains"]
    what = f"revocation to release, kernels of 10 ms, {what}, {len(drains)} turns"
    p99 = percentile(drains, 0.99)
    row(f"{what}: median", median(drains) * 1e3, "ms")
    # Of fewer than a hundred it is the longest.
    row(f"{what}: p99", p99 * 1e3, "ms", p99 <= 0.1, "<= 100 ms")
    row(f"{what}: the longest", max(drains, default=math.nan) * 1e3, "ms")
    row(f"{what}: of what was submitted before anybody waited", max(run["unbounded"], default=math.nan) * 1e3, "ms")
end()
