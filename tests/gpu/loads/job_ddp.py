"""One process of a training with DistributedDataParallel, whose batches two worker processes of a DataLoader make.
usage: torchrun ... job_ddp.py WORD...: the words of job.py; gib: the parameters of each process with their gradients"""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

import job

width, batch = 4096, 64
layers = max(1, job.gib * 2**30 // (2 * width * width * 4))


class Numbers(Dataset):
    """What each worker makes for itself: the same number in each place of an item."""

    def __len__(self):
        return 1 << 30

    def __getitem__(self, at):
        return torch.full((width,), float(at % 64) / 64)


torch.manual_seed(7)
# 64 MiB each, and as much of gradients.
net = torch.nn.Sequential(*(torch.nn.Linear(width, width, bias=False) for _ in range(layers))).cuda()
net = DistributedDataParallel(net, device_ids=[job.device], gradient_as_bucket_view=True)
training = torch.optim.SGD(net.parameters(), lr=1e-3)
batches = iter(DataLoader(Numbers(), batch_size=batch, num_workers=2, pin_memory=True))
losses = []


def step():
    items = next(batches).cuda(non_blocking=True)
    loss = net(items).square().mean()
    loss.backward()
    training.step()
    training.zero_grad()
    losses.append(loss.detach())


def wrong_numbers():
    """All processes have the same parameters after all steps, and all losses are numbers."""
    wrong = (~torch.isfinite(torch.stack(losses))).sum()
    for parameter in net.parameters():
        of_first = parameter.detach().clone()
        dist.broadcast(of_first, 0)
        wrong = wrong + (of_first != parameter).sum()
    return wrong


job.run(step, wrong_numbers)
