"""What a step costs under nvshare alone, told by many processes.
usage: processes.py OUT RUNTIME BUILT SPEED-FOLDER SECONDS CASE...

For loads that wait for the processor, one process of each kind tells little: where its memory and its threads happen to lie
makes 10 % and more, natively too. So some of each kind are started, which are timed in turn, all on the same few cores and
with their addresses not randomised; each one's figure is the median of its rounds. A CASE is NAME, or NAME:large, a step
of which waits for the GPU."""
import os
import sys
import time

from figures import begin, end, fail, median, row, shift
from paired_process import Process, command

out, runtime, built, speed, limit, *cases = sys.argv[1:]
KINDS = ["native", "swap"]
# Of each kind; of large ones, which differ less and need 8 GiB of the card each.
PROCESSES, LARGE_PROCESSES = int(os.environ.get("PROCESSES", "8")), int(os.environ.get("LARGE_PROCESSES", "4"))
ROUNDS, LARGE_ROUNDS = int(os.environ.get("ROUNDS", "9")), int(os.environ.get("LARGE_ROUNDS", "5"))
deadline = time.monotonic() + float(limit)


def pin(pid):
    """To the last quarter of the cores, with all its threads and children."""
    count = os.cpu_count()
    cores = set(range(count - max(1, count // 4), count))
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), cores)
            children = open(f"/proc/{pid}/task/{thread}/children").read().split()
        except (OSError, ProcessLookupError):
            continue
        for child in children:
            pin(int(child))


def start(case, kind, nth):
    name, _, size = case.partition(":")
    log = f"{out}/{name}-{size or 'small'}-{kind}-{nth}.log"
    # JAX's trials choose among kernels that differ by 10 %, each process for itself.
    settings = {"PYTHONHASHSEED": "0", "CASE_SIZE": size, "XLA_FLAGS": "--xla_gpu_autotune_level=0"}
    words = ["setarch", "-R", *command(name, speed)]
    return Process(words, kind, f"{built}/libnvshare.so", f"{runtime}/swap", log, settings)


def measure(case):
    """Each kind's figures, one of each process, us."""
    processes, rounds = (LARGE_PROCESSES, LARGE_ROUNDS) if case.endswith(":large") else (PROCESSES, ROUNDS)
    all = [(kind, start(case, kind, nth)) for nth in range(processes) for kind in KINDS]
    try:
        for _, process in all:
            process.tell("digest")
        for _, process in all:
            process.hear(120)
        for _, process in all:
            pin(process.process.pid)
        took = [[] for _ in all]
        # The first round settles how many steps are timed.
        for round in range(rounds + 1):
            for nth in range(len(all)):
                nth = (nth + round * 5) % len(all)
                us = float(all[nth][1].ask("time", 60))
                if round:
                    took[nth].append(us)
        return {kind: [median(us) for (of, _), us in zip(all, took) if of == kind] for kind in KINDS}
    finally:
        for _, process in all:
            process.process.stdin.close()
        for _, process in all:
            process.end()


def show(case, figures):
    native, ours = figures["native"], figures["swap"]
    launches = case.endswith("_launches")
    more, low, high = shift(native, ours, ratio=not launches)
    unit, scale, most, what = ("us", 1, 0.1, " for a launch") if launches else ("%", 100, 0.01, "")
    row(f"{case}: native, a step, {len(native)} processes", median(native), "us")
    row(f"{case}: native, spread of the processes", (max(native) / min(native) - 1) * 100, "%")
    row(f"{case}, swap: alone, more{what}", more * scale, unit, more <= most, f"<= +{most * scale:g} {unit}")
    row(f"{case}, swap: surely at least{what}", low * scale, unit)
    row(f"{case}, swap: surely at most{what}", high * scale, unit)


begin(out, os.environ.get("MACHINE", ""))
for case in cases:
    if deadline - time.monotonic() < 45:
        fail(f"{case}: not run: no time left")
        continue
    started = time.monotonic()
    try:
        show(case, measure(case))
    except (RuntimeError, ValueError, OSError) as error:
        fail(f"{case}: {error}")
    print(f"    ({time.monotonic() - started:.0f} s)", flush=True)
end()
