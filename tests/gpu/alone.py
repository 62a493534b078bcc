"""What one tenant costs alone: small launches, a 9.4 GB vector add, a transformer training step. Prints JSON."""
import json
import time

import torch


def timed(work, repeat):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeat


def launch():
    x = torch.zeros(16, device="cuda")
    timed(lambda: x.add_(1), 2000)
    return min(timed(lambda: x.add_(1), 20000) for _ in range(5)) * 1e6


def vector_add():
    a, b = (torch.full((28000, 28000), value, device="cuda") for value in (1.0, 2.0))
    c = torch.empty_like(a)
    timed(lambda: torch.add(a, b, out=c), 20)
    best = min(timed(lambda: torch.add(a, b, out=c), 50) for _ in range(3)) * 1e3
    assert bool((c == 3).all())
    return best


def training_step():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.randn(16, 256, 1024, device="cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            model(x).square().mean().backward()
        optimizer.step()

    timed(step, 10)
    return min(timed(step, 30) for _ in range(3)) * 1e3


print(json.dumps({"launch_us": launch(), "vector_add_ms": vector_add(), "training_step_ms": training_step()}))
