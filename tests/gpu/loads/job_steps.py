"""One process of a job that torchrun starts: products over all of its memory, then an all-reduce, step after step.
usage: torchrun ... job_steps.py GIB SECONDS OUT [backend=gloo] [device=N]
By default each process has the GPU of its local number, and NCCL; with `device` all have that one. The first process
writes OUT: the steps' ends (CLOCK_MONOTONIC), and whether all numbers of all processes are right."""
import json
import os
import signal
import sys
import time

import torch
import torch.distributed as dist

gib, seconds, out = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
words = dict(word.split("=") for word in sys.argv[4:])
rank = int(os.environ["RANK"])
device = int(words.get("device", os.environ["LOCAL_RANK"]))
# A job that gets no turn any more ends all the same, inside the driver too.
signal.alarm(int(seconds) + 60)
torch.cuda.set_device(device)
dist.init_process_group(words.get("backend", "nccl"))
# 512 MiB each.
matrices = [torch.full((16384, 16384), (i + 1) / 64, dtype=torch.bfloat16, device="cuda") for i in range(2 * gib)]
thin = torch.ones((16384, 16), dtype=torch.bfloat16, device="cuda")
# 256 MiB; less for gloo, which goes through the host.
reduced = torch.empty(2**26 if words.get("backend", "nccl") == "nccl" else 2**18, device="cuda")
goes_on = torch.ones(1, device="cuda")
expected = [matrix @ thin for matrix in matrices]
first = [product.clone() for product in expected]
whole = sum(range(1, dist.get_world_size() + 1))
wrong = torch.zeros(1, device="cuda")
torch.cuda.synchronize()
dist.barrier()
print("ready", file=sys.stderr, flush=True)
begin, ends, steps = time.monotonic(), [], 0
while True:
    for at, matrix in enumerate(matrices):
        torch.mm(matrix, thin, out=expected[at])
    reduced.fill_(rank + 1)
    dist.all_reduce(reduced)
    wrong += (reduced[::4096] != whole).sum()
    steps += 1
    if steps % 16 == 0:
        goes_on.fill_(float(time.monotonic() < begin + seconds))
        dist.broadcast(goes_on, 0)
        if goes_on.item() == 0:
            break
    torch.cuda.synchronize()
    ends.append(time.monotonic())
for product, known in zip(expected, first):
    wrong += (product != known).sum()
dist.all_reduce(wrong)
if rank == 0:
    json.dump({"begin": begin, "ends": ends, "right": wrong.item() == 0}, open(out, "w"))
dist.destroy_process_group()
sys.exit(0 if wrong.item() == 0 else 1)
