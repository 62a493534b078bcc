#!/bin/bash
# One tenant of 12 GiB beside a small one, everything moved out at each turn's end: from the grant's arrival
# to the gate's opening, and the rate; with demand paging beside it.
# What it must show: at most 0.30 s, at least 45 GB/s.
. "$(dirname "$0")/lib.sh"
gib=$((1024 * 1024 * 1024))
need_managed $((13 * gib))
for prefetch in on off; do
  start_scheduler --quantum 1 --evict always
  shared NVSHARE_PREFETCH=$prefetch NVSHARE_LOG=info "$built/load" --bytes $((12 * gib)) --seconds 20 \
    >"$out/large-$prefetch.jsonl" 2>"$out/large-$prefetch.log" & large=$!
  shared "$built/load" --bytes $((gib / 2)) --seconds 20 >"$out/small-$prefetch.jsonl" 2>&1 & small=$!
  wait $large; wait $small
  ctl trace --output "$out/trace-$prefetch.json"
  stop_scheduler
done
python3 - "$out" "$(machine)" <<'PY'
import json, re, statistics, sys
out, machine = sys.argv[1:]
print(machine)
def steps(kind):
    lines = [json.loads(line) for line in open(f"{out}/large-{kind}.jsonl")]
    assert lines[-1]["wrong"] == 0, lines[-1]
    return [line["gpu_seconds"] for line in lines if "gpu_seconds" in line]
granted = [(float(g), float(s)) for g, s in re.findall(r"granted: ([\d.]+) GiB in ([\d.]+) s", open(f"{out}/large-on.log").read()) if float(g) > 11.9]
assert granted, "no grant brought 12 GiB back: were there turns?"
seconds = statistics.median(s for _, s in granted)
rate = 12 * 2**30 / seconds / 1e9
on, off = steps("on"), steps("off")
plain = statistics.median(on)
first = [s - plain for s in off if s > 3 * plain]
assert first, "demand paging shows no slow step: were there turns?"
print(f"{'memory by':<16}{'hand-overs':>11}{'s each':>9}{'GB/s':>8}")
print(f"{'bulk prefetch':<16}{len(granted):>11}{seconds:>9.3f}{rate:>8.1f}   (must: <= 0.30 s, >= 45 GB/s)")
print(f"{'demand paging':<16}{len(first):>11}{statistics.median(first):>9.3f}{12*2**30/statistics.median(first)/1e9:>8.1f}")
sys.exit(0 if seconds <= 0.30 and rate >= 45 else 1)
PY
