"""The table of handover.sh. usage: handover.py OUT MACHINE"""

import json
import sys

from figures import begin, end, fail, median, row
from runs import moves

out, machine = sys.argv[1:]
begin(out, machine)


def steps(kind):
    """The GPU's seconds for each step."""
    lines = []
    for line in open(f"{out}/large-{kind}.jsonl"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            pass
    if not lines or lines[-1].get("wrong") != 0:
        fail(f"{kind}: did not come to its end with every word right: see large-{kind}.log")
    return [line["gpu_seconds"] for line in lines if "gpu_seconds" in line]


for kind, promised in ("swap", True), ("managed", False):
    steps(kind)
    log = moves(f"{out}/large-{kind}.log")
    # Fetched ahead of the grant is fetched too.
    came = [(g, s) for g, s in log["granted"] + log["ahead"] if g > 11.5]
    went = [(g, s) for g, s in log["released"] + log["after"] if g > 11.5]
    a, b = median(s for _, s in came), median(s for _, s in went)
    gbps = lambda moved: median(g * 2**30 / s / 1e9 for g, s in moved if s)
    row(
        f"{kind}: 12 GiB in, {len(came)} times", a, "s", promised and a <= 0.30 or None, "<= 0.30 s" if promised else ""
    )
    row(f"{kind}: in", gbps(came), "GB/s", promised and gbps(came) >= 45 or None, ">= 45 GB/s" if promised else "")
    row(f"{kind}: 12 GiB out, {len(went)} times", b, "s")
    row(f"{kind}: out", gbps(went), "GB/s")
off, plain = steps("paging"), median(steps("managed"))
first = [s - plain for s in off if s > 3 * plain]
row(f"managed, demand paging (NVSHARE_PREFETCH=off): 12 GiB in, {len(first)} times", median(first), "s")
end()
