"""What one tenant costs alone: a small launch, a 9.4 GB vector add, a transformer training step.
Reads the name of a load from each line of standard input, runs it once and prints what one of it took, in microseconds."""
import os
import sys
import time

import torch

# Only this thread, which launches: the driver's threads and the library's stay where they are.
CORE = int(os.environ.get("LAUNCH_CORE", "-1"))
SCALE = int(os.environ.get("REHEARSAL_SCALE", "1"))


def timed(work, repeat):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeat * 1e6


def small_launch():
    x = torch.zeros(16, device="cuda")
    return lambda: timed(lambda: x.add_(1), 5000)


def vector_add():
    a, b = (torch.full((28000 // SCALE, 28000), value, device="cuda") for value in (1.0, 2.0))
    c = torch.empty_like(a)

    def run():
        took = timed(lambda: torch.add(a, b, out=c), 60)
        assert bool((c[::97] == 3).all())
        return took

    return run


def training_step():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.randn(64, 256, 1024, device="cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            model(x).square().mean().backward()
        optimizer.step()

    return lambda: timed(step, 10)


loads = {make.__name__: make() for make in (small_launch, vector_add, training_step)}
if CORE >= 0:
    os.sched_setaffinity(0, {CORE})
for run in loads.values():
    run(), run()
print("ready", flush=True)
for line in sys.stdin:
    print(loads[line.strip()](), flush=True)
