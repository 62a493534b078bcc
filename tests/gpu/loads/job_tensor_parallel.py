"""One process of a tensor-parallel model, as servers of language models run it: each layer's first matrix is split by
columns, its second one by rows, and the parts of its result are summed over the processes. So the processes meet twice in
every layer of attention and of feeding forward, within each step.
usage: torchrun ... job_tensor_parallel.py WORD...: the words of job.py; gib: the weights of each process"""

import torch
import torch.distributed as dist
import torch.nn.functional as functional

import job

width, inner, heads, batch, length = 4096, 16384, 32, 2, 128
part, own_heads = inner // job.ranks, heads // job.ranks
own_width = width // job.ranks
# Of each process: a quarter of attention's four matrices for each of them, and two for feeding forward; in bfloat16.
layer_bytes = (4 * width * own_width + 2 * width * part) * 2
layers = max(1, job.gib * 2**30 // layer_bytes)
# The same on all processes: each takes its part.
torch.manual_seed(7)
numbers = torch.Generator(device="cuda").manual_seed(7)


def weights(rows, columns, by_columns):
    """This process's part of a matrix that all processes make in the same way."""
    whole = torch.randn((rows, columns), generator=numbers, device="cuda", dtype=torch.bfloat16) * 0.02
    parts = whole.chunk(job.ranks, dim=1 if by_columns else 0)
    return parts[job.rank].contiguous()


model = [
    (
        [weights(width, width, True) for _ in range(3)],
        weights(width, width, False),
        weights(width, inner, True),
        weights(inner, width, False),
    )
    for _ in range(layers)
]
given = torch.randn((batch, length, width), generator=numbers, device="cuda", dtype=torch.bfloat16)


def split_heads(tensor):
    return tensor.view(batch, length, own_heads, width // heads).transpose(1, 2)


def answer(hidden):
    for (query, key, value), out, up, down in model:
        normal = functional.layer_norm(hidden, (width,))
        q, k, v = (split_heads(normal @ matrix) for matrix in (query, key, value))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        partial = seen.transpose(1, 2).reshape(batch, length, own_width) @ out
        dist.all_reduce(partial)
        hidden = hidden + partial
        partial = functional.gelu(functional.layer_norm(hidden, (width,)) @ up) @ down
        dist.all_reduce(partial)
        hidden = hidden + partial
    return hidden


with torch.no_grad():
    known = answer(given).clone()
    # All processes have the same answer, and it is one.
    of_first = known.clone()
    dist.broadcast(of_first, 0)
    wrong = (of_first != known).sum() + (~torch.isfinite(known)).sum()

    def step():
        global wrong
        wrong = wrong + (answer(given) != known).sum()

    job.run(step, lambda: wrong)
