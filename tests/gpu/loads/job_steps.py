"""One process of a job that torchrun starts: products over all of its memory, then an all-reduce, step after step.
usage: torchrun ... job_steps.py WORD...: the words of job.py"""

import torch
import torch.distributed as dist

import job

# 512 MiB each.
matrices = [
    torch.full((16384, 16384), (i + 1) / 64, dtype=torch.bfloat16, device="cuda") for i in range(2 * job.gib)
]
thin = torch.ones((16384, 16), dtype=torch.bfloat16, device="cuda")
# 256 MiB; less for gloo, which goes through the host.
reduced = torch.empty(2**26 if job.backend == "nccl" else 2**18, device="cuda")
expected = [matrix @ thin for matrix in matrices]
first = [product.clone() for product in expected]
whole = sum(range(1, job.ranks + 1))
wrong = torch.zeros(1, device="cuda")


def step():
    global wrong
    for at, matrix in enumerate(matrices):
        torch.mm(matrix, thin, out=expected[at])
    reduced.fill_(job.rank + 1)
    dist.all_reduce(reduced)
    wrong += (reduced[::4096] != whole).sum()


def wrong_numbers():
    return wrong + sum((product != known).sum() for product, known in zip(expected, first))


job.run(step, wrong_numbers)
