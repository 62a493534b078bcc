"""The table of interactive.sh. usage: interactive.py OUT MACHINE GIB..."""

import sys

from figures import begin, end, median, percentile, row
from runs import moves, rate, read, show, together

out, machine, *sizes = sys.argv[1:]
begin(out, machine)
alone = read(out, "alone")
for gib in sizes:
    batch, interactive = read(out, f"batch-{gib}"), read(out, f"interactive-{gib}")
    if not (alone and batch and interactive and batch["ends"]):
        continue
    # Until it has slept once while the other waited, nothing is known of it.
    start, last = batch["begin"] + 3, batch["ends"][-1]
    late = [took for at, took in interactive["bursts"] if start < at < last]
    # The first burst warms up; the job has begun to allocate some seconds before its first step has ended.
    own = median(took for at, took in interactive["bursts"][1:5])
    mine, other = moves(f"{out}/interactive-{gib}.log"), moves(f"{out}/batch-{gib}.log")
    hand_over = median(d + o[1] for d, o in zip(other["drained"], other["released"])) + median(
        s for g, s in mine["granted"]
    )
    p50, p95 = percentile(late, 0.5), percentile(late, 0.95)
    print(
        f"{30 + int(gib)} GiB on 32: a burst takes {own * 1e3:.0f} ms alone; a hand-over to it {hand_over * 1e3:.0f} ms; {len(late)} bursts, median {p50 * 1e3:.0f} ms"
    )
    row(
        f"{30 + int(gib)} GiB on 32: p95 latency beyond the burst itself",
        (p95 - own) * 1e3,
        "ms",
        p95 <= own + hand_over + 0.1,
        f"<= {(hand_over + 0.1) * 1e3:.0f} ms",
    )
    bursts = own * len(late) / (last - start)
    share = together([batch], 3)[0][0] / rate(alone)
    row(
        f"{30 + int(gib)} GiB on 32: the job, of itself alone ({bursts * 100:.1f} % are the bursts')",
        share * 100,
        "%",
        share >= 0.9 - bursts,
        f">= {(0.9 - bursts) * 100:.1f} %",
    )
    show(out, f"batch-{gib}", f"interactive-{gib}")
end()
