"""The table of oversubscribed.sh. usage: oversubscribed.py OUT MACHINE"""

import json
import sys

from figures import begin, end, median, row
from runs import all_of, moves, rate, read, show, together

out, machine = sys.argv[1:]
begin(out, machine)
copies = json.load(open(f"{out}/copies.json"))
row("copies both ways at once, in", copies["in"], "GB/s")
row("copies both ways at once, out", copies["out"], "GB/s")
logs = lambda name, count: [moves(f"{out}/{name}-{i + 1}.log") for i in range(count)]
for name, count, gib in ("two", 2, 24), ("three", 3, 16):
    what, alone = f"{count} of {gib} GiB on 32", rate(read(out, f"alone-{gib}"))
    runs = all_of(out, name, count)
    # All of it with the making of swap space, for who wants to know; then as it goes on.
    rates, window = together(runs)
    row(f"{what}: useful work, all {window:.0f} s", sum(rates) / alone * 100, "%")
    settle = min(5, window / 3)
    rates, window = together(runs, settle)
    row(
        f"{what}: useful work, without the first {settle:.0f} s ({window:.0f} s)",
        sum(rates) / alone * 100,
        "%",
        sum(rates) >= 0.92 * alone,
        ">= 92 %",
    )
    print("    shares of the time: " + ", ".join(f"{r / max(sum(rates), 1e-9) * 100:.1f} %" for r in rates))
    went = sum(g for log in logs(name, count) for part in ("released", "after") for g, s in log[part])
    turns = sum(len(log["released"]) for log in logs(name, count))
    # All together are 48 GiB, 16 more than there is: the next one lacks what the others have of its place.
    row(
        f"{what}: moved out in {turns} hand-overs, each of the 16 GiB lacking",
        went / turns / 16 if turns else None,
        "x",
        went <= 1.1 * 16 * turns,
        "<= 1.1",
    )
    show(out, name)
rates, _ = together(all_of(out, "whole", 2), 2)
row("two of 12 GiB on 12.5: useful work", sum(rates) / rate(read(out, "alone-12")) * 100, "%")
show(out, "whole")
for way, what in ("in", ("granted", "ahead")), ("out", ("released", "after")):
    seen = [(g, s) for log in logs("whole", 2) for part in what for g, s in log[part] if g > 6 and s]
    speed = median(g * 2**30 / s / 1e9 for g, s in seen)
    row(
        f"hand-over of {median(g for g, s in seen):.1f} GiB, {way}, {median(s for g, s in seen):.3f} s, {len(seen)} of them",
        speed,
        "GB/s",
        speed >= 0.9 * copies[way],
        f">= {0.9 * copies[way]:.1f}",
    )
end()
