#!/bin/bash
# Two GPUs of one machine: a queue each (a tenant on one does not wait for a tenant on the other), two tenants in turns on
# each, then two processes that use both GPUs beside a tenant on each: each process gets its GPUs together, no GPU has two
# holders at a time, nobody is left out. Last the programs of tests/programs that use several devices.
# What it must show: >= 98 % of native where nobody shares; >= 90 % of one alone in turns; no overlap, data right.
# Expected: 95 s. Settings: SECONDS_EACH (12).
unset CUDA_VISIBLE_DEVICES
. "$(dirname "$0")/../lib/common.sh"
[ "$(nvidia-smi -L | grep -c '^GPU ')" -ge 2 ] || { echo 'needs two GPUs' >&2; exit 77; }
need_managed 14
export NVSHARE_LOG=info
seconds=${SECONDS_EACH:-12}
# usage: on NAME GIB SECONDS "DEVICE..." COMMAND...: a tenant in the background
pids=()
on() { # shellcheck disable=SC2086
  block "$1" "${@:5}" python3 "$loads/torch_steps.py" "$2" "$3" $4 & pids+=($!)
}
all_end() { local pid; for pid in "${pids[@]}"; do wait "$pid" || true; done; pids=(); }

on native-1 6 6 0; on native-2 6 6 1; all_end
start_scheduler --evict always
on queues-1 6 6 0 shared; on queues-2 6 6 1 shared; all_end
stop_scheduler
start_scheduler --evict always --quantum 1
for i in 1 2; do on "first-$i" 6 "$seconds" 0 shared; on "second-$i" 6 "$seconds" 1 shared; done; all_end
stop_scheduler
start_scheduler --evict always --quantum 0.5
for i in 1 2; do on "both-$i" 6 $((seconds + 6)) '0 1' shared; done
on single-1 4 $((seconds + 6)) 0 shared; on single-2 4 $((seconds + 6)) 1 shared; all_end
ctl trace --output "$out/trace.json" >&2
stop_scheduler
programs=0
mkdir -p "$out/programs"
if command -v nvcc >/dev/null || [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
  ONLY='context_devices copy_peer' OUT=$out/programs LIMIT_SECONDS=80 bash "$scripts/programs.sh" >"$out/programs.txt" 2>&1 || programs=$?
else
  programs=nvcc
fi
python3 - "$out" "$(machine)" "$programs" <<'PY'
import collections, json, sys
from runs import *
out, machine, programs = sys.argv[1:]
begin(out, machine + ", two GPUs")
for i in 1, 2:
    native, shared = (rate(read(out, f"{kind}-{i}")) for kind in ("native", "queues"))
    row(f"GPU {i - 1}: one tenant beside one on the other GPU, of native", shared / native * 100, "%", shared >= 0.98 * native, ">= 98 %")
for i, name in enumerate(["first", "second"]):
    rates, window = together(all_of(out, name, 2), 3)
    alone = rate(read(out, f"native-{i + 1}"))
    row(f"GPU {i}: two in turns of 1 s, evict=always ({window:.0f} s), of one alone", sum(rates) / alone * 100, "%", sum(rates) >= 0.9 * alone, ">= 90 %")
all_of(out, "both", 2), all_of(out, "single", 2)
runs, held = collections.defaultdict(list), collections.defaultdict(lambda: collections.defaultdict(list))
for event in json.load(open(f"{out}/trace.json"))["traceEvents"]:
    if event["name"] == "run" and "unfinished" not in event["args"]:
        runs[event["pid"]].append((event["ts"], event["ts"] + event["dur"], event["tid"]))
        held[event["tid"]][event["pid"]].append(event["ts"])
# In its first turn a process has one GPU and begins to use the other one, whoever has that; then it gets both together.
firsts = {tid: min(min(of) for of in by.values()) for tid, by in held.items()}
overlaps, early = 0.0, 0.0
for spans in runs.values():
    spans.sort()
    for one, other in zip(spans, spans[1:]):
        both = max(0.0, min(one[1], other[1]) - other[0]) / 1e3
        if any(start == firsts[tid] for start, _, tid in (one, other)):
            early += both
        else:
            overlaps += both
row("time in which a GPU had two holders, after the first turns", overlaps, "ms", overlaps < 1, "none")
row("time in which a GPU had two holders, in first turns", early, "ms")
# A tenant with both GPUs has the same turns on both, from the first on that began on both: before, it used one.
half = 0
for by in held.values():
    if len(by) == 2:
        a, b = (set(map(round, by[pid])) for pid in sorted(by))
        half += sum(start > min(a & b, default=0) for start in a ^ b)
row("turns in which a process had only one of its two GPUs", half, "", half == 0, "none")
turns = [max(len(of) for of in by.values()) for by in held.values()]
row(f"turns of each of {len(turns)} processes, at least", min(turns, default=0), "", len(turns) == 4 and min(turns) >= 5, ">= 5")
said = open(f"{out}/programs.txt").read() if programs != "nvcc" else "no nvcc: the programs were not run"
print("\n".join("    " + line for line in said.splitlines()))
if programs != "0":
    fail("programs that use several devices: see above")
end()
PY
