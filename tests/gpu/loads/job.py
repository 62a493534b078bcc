"""What the programs of jobs (job_*.py) have in common: their words, their coming together, and their steps.
Words: out=FILE seconds=N bound=N gib=N [backend=gloo] [device=N]. By default each process has the GPU of its local number,
and NCCL; with `device` all have that one. The first process writes `out`: when the steps began, their ends
(CLOCK_MONOTONIC), and whether all numbers of all processes are right. A job ends itself after `bound` seconds in any case."""

import json
import os
import signal
import sys
import time

import torch
import torch.distributed as dist

words = dict(word.split("=", 1) for word in sys.argv[1:])
gib, seconds, backend = int(words["gib"]), float(words["seconds"]), words.get("backend", "nccl")
rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
# One that gets no turn any more ends all the same, inside the driver too.
signal.alarm(int(float(words["bound"])))
device = int(words.get("device", os.environ["LOCAL_RANK"]))
torch.cuda.set_device(device)
dist.init_process_group(backend)


def run(step, wrong):
    """Steps until the time is over; all processes do as many. `step` submits work for the GPU; `wrong`, which is asked at
    the end, counts numbers that are wrong (a tensor of one)."""
    torch.cuda.synchronize()
    dist.barrier()
    print("ready", file=sys.stderr, flush=True)
    goes_on = torch.ones(1, device="cuda")
    begin, ends, steps = time.monotonic(), [], 0
    while True:
        step()
        steps += 1
        if steps % 16 == 0:
            goes_on.fill_(float(time.monotonic() < begin + seconds))
            dist.broadcast(goes_on, 0)
            if goes_on.item() == 0:
                break
        torch.cuda.synchronize()
        ends.append(time.monotonic())
    bad = wrong().float().reshape(1)
    dist.all_reduce(bad)
    if rank == 0:
        with open(words["out"], "w") as out:
            json.dump({"begin": begin, "ends": ends, "right": bad.item() == 0}, out)
    dist.destroy_process_group()
    sys.exit(0 if bad.item() == 0 else 1)
