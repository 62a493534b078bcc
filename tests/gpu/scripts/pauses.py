"""The table of pauses.sh. usage: pauses.py OUT MACHINE PAUSE..."""

import json
import sys

from figures import begin, end, median, row
from runs import all_of, rate, read, show, together

out, machine, *pauses = sys.argv[1:]
begin(out, machine)
before = float("-inf")
for pause in pauses:
    rates, window = together(all_of(out, f"pausing-{pause}", 2), 5)
    row(
        f"two of 24 GiB on 32, each pausing {pause} ms a step ({window:.0f} s), of one alone",
        sum(rates) / rate(read(out, f"alone-{pause}-1")) * 100,
        "%",
    )
    # A trace holds what the ones before it did.
    events = [
        event
        for event in json.load(open(f"{out}/trace-{pause}.json"))["traceEvents"]
        if event.get("ts", before) > before
    ]
    runs = [event["dur"] / 1e6 for event in events if event["name"] == "run"]
    row(f"pausing {pause} ms: a turn lasts, {len(runs)} turns", median(runs), "s")
    before = max((event["ts"] for event in events if "ts" in event), default=before)
    show(out, f"pausing-{pause}")
end()
