#!/bin/bash
# Two batch jobs of 24 GiB on 32 GiB that pause for 40 ms after each step, as programs do that load data: whether their turns
# last, although each pause is long enough to look like the end of the work.
# What it must show: nothing promised but right data; the useful work beside that of jobs without pauses.
# Expected: 65 s. Settings: SECONDS_EACH (25); PAUSE (40 ms).
. "$(dirname "$0")/lib.sh"
# Never managed memory on a full card.
export NVSHARE_ENGINE=swap NVSHARE_LOG=info
need_free 40
hold_card 35
pause=${PAUSE:-40}
world "$(usable 32)" ''
blocks alone 1 24 6 shared || true
blocks pausing 2 24 "${SECONDS_EACH:-25}" shared || true
ctl trace --output "$out/trace.json" >&2
python3 - "$out" "$(machine)" "$pause" <<'PY'
import json, sys
from blocks import *
out, machine, pause = sys.argv[1:]
begin(out, machine)
rates, window = together(all_of(out, "pausing", 2), 5)
row(f"two of 24 GiB on 32, each pausing {pause} ms a step ({window:.0f} s), of one alone", sum(rates) / rate(read(out, "alone-1")) * 100, "%")
runs = [event["dur"] / 1e6 for event in json.load(open(f"{out}/trace.json"))["traceEvents"] if event["name"] == "run"]
row(f"a turn lasts, {len(runs)} turns", median(runs), "s")
show(out, "pausing")
end()
PY
