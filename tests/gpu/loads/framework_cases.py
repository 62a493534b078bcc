"""One way of using the GPU by a framework: usage: framework_cases.py CASE. For each line of standard input it answers a line:
digest: makes everything anew, runs some steps, and goes on for as many seconds as the line says after the word; prints a
number that stands for all results. time: what one step takes, in microseconds, over about 0.15 s."""
import os
import sys
import time

case = sys.argv[1]
# So large that a step waits for the GPU and not for the processor.
LARGE = os.environ.get("CASE_SIZE") == "large"
# Each step of two processes is two turns beside others.
STEPS = 12 if LARGE or case == "torch_ipc" else 60
settings = {
    "torch_expandable": ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    "torch_malloc_async": ("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync"),
    "jax_preallocated": ("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.06"),
    "jax": ("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
}
if case in settings:
    os.environ.update([settings[case]])


def torch_model(autocast=False, mode=None, loader=False):
    """A transformer that learns to give back what it gets; each step's result is its loss."""
    import torch

    torch.manual_seed(0)
    width = 3072 if LARGE else 512
    with torch.device("cuda"):
        layer = torch.nn.TransformerEncoderLayer(width, width // 64, 4 * width, dropout=0.0, batch_first=True)
        model = torch.nn.TransformerEncoder(layer, 4)
        if LARGE:
            model = torch.nn.Sequential(torch.nn.Linear(512, width), model, torch.nn.Linear(width, 512))
    if mode:
        model = torch.compile(model, mode=mode)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    data = torch.randn(64, 16, 128, 512, generator=torch.Generator().manual_seed(1))
    if loader:
        data = torch.utils.data.TensorDataset(data.flatten(0, 1))
        batches = torch.utils.data.DataLoader(data, batch_size=16, num_workers=2, pin_memory=True, persistent_workers=True)
        stream = (batch[0] for _ in range(10**6) for batch in batches)
    else:
        stream = (data[i % 64] for i in range(10**9))

    def step():
        x = next(stream).cuda(non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=autocast):
            # Of a normalised output alone the square is always one.
            loss = (model(x).float() - x).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def torch_graph():
    """A graph that was captured once and is launched again and again; its products are cuBLAS's."""
    import torch

    x = torch.ones(4096, 4096, device="cuda")
    w = torch.eye(4096, device="cuda") * 1.0001
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            y = x @ w
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x
        for _ in range(20):
            y = y @ w

    def step():
        graph.replay()
        return float(y[0, 0])

    return step


def torch_fft():
    """cuFFT there and back again."""
    import torch

    x = torch.randn(64, 2**18, device="cuda", generator=torch.Generator("cuda").manual_seed(2))

    def step():
        return float((torch.fft.irfft(torch.fft.rfft(x) * 0.5, n=x.shape[1])).abs().mean())

    return step


def child(pipe):
    """The other process of torch_ipc: adds one to the tensor that it was sent, whenever it is told to."""
    import torch

    shared = pipe.recv()
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        shared.add_(1)
        torch.cuda.synchronize()
        pipe.send(True)


def torch_ipc():
    """A tensor that two processes use by turns (CUDA IPC)."""
    import torch
    import torch.multiprocessing as mp

    context = mp.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=child, args=(other,), daemon=True)
    process.start()
    # Its death closes the pipe, for whoever waits.
    other.close()
    shared = torch.zeros(2**30 if LARGE else 2**22, device="cuda")
    mine.send(shared)

    def step():
        shared.add_(1)
        torch.cuda.synchronize()
        mine.send(True)
        if not mine.poll(60) or not mine.recv():
            sys.exit("the other process does not answer")
        if shared[0].item() > 1000:
            shared.zero_()
        return float(shared.mean())

    return step


def jax_model():
    import jax
    import jax.numpy as jnp

    n = 8192 if LARGE else 4096
    x = jax.random.normal(jax.random.PRNGKey(0), (n, n))
    grow = jax.jit(lambda a: jnp.tanh(a @ x * 0.001) + a * 0.5)
    size = jax.jit(lambda a: jnp.abs(a).mean())
    state = [x]

    def step():
        state[0] = grow(state[0]) + 0.01
        return float(size(state[0]))

    return step


def cupy_model(pool):
    import cupy

    pools = {"async": cupy.cuda.MemoryAsyncPool, "pool": cupy.cuda.MemoryPool}
    cupy.cuda.set_allocator(pools[pool]().malloc)
    a = cupy.arange(4096 * 4096, dtype=cupy.float32).reshape(4096, 4096) / 1e7

    def step():
        return float((cupy.tanh(a @ a.T) + cupy.sqrt(a)).mean())

    return step


def triton_kernel():
    import torch

    from triton_add import add

    n = 2**26
    x, y = torch.arange(n, device="cuda", dtype=torch.int32), torch.ones(n, device="cuda", dtype=torch.int32)
    out = torch.empty_like(x)

    def step():
        add(x, y, out)
        return float((out - x).float().mean())

    return step


CASES = {
    "torch_eager": torch_model,
    "torch_autocast": lambda: torch_model(autocast=True),
    "torch_compile_graphs": lambda: torch_model(mode="reduce-overhead"),
    "torch_loader": lambda: torch_model(loader=True),
    "torch_expandable": torch_model,
    "torch_malloc_async": torch_model,
    "torch_graph": torch_graph,
    "torch_fft": torch_fft,
    "torch_ipc": torch_ipc,
    "jax": jax_model,
    "jax_preallocated": jax_model,
    "cupy_pool": lambda: cupy_model("pool"),
    "cupy_async_pool": lambda: cupy_model("async"),
    "triton": triton_kernel,
}


def main():
    if case not in CASES:
        sys.exit(f"no such case: {case} (there are: {' '.join(CASES)})")
    step = repeat = None
    for line in sys.stdin:
        word, *more = line.split()
        if word == "digest":
            begin, step = time.monotonic(), CASES[case]()
            result = sum(step() for _ in range(STEPS))
            while more and time.monotonic() - begin < float(more[0]):
                step()
            print(repr(result), flush=True)
        else:
            start = time.perf_counter()
            for _ in range(repeat or 5):
                step()
            took = (time.perf_counter() - start) / (repeat or 5)
            repeat = repeat or max(5, round(0.15 / took))
            print(took * 1e6, flush=True)


if __name__ == "__main__":
    main()
