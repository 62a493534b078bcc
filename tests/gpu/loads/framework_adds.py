"""A tenant: additions of 28000 x 28000 float32 (CuPy and JAX: 14000 x 14000) for SECONDS. Prints its work and whether data is right.
usage: framework_adds.py torch|cupy|jax SECONDS"""
import json
import os
import signal
import sys
import time

framework, seconds = sys.argv[1], float(sys.argv[2])
# A tenant that gets no turn any more ends all the same, inside the driver too.
signal.alarm(int(seconds) + 60)
rows = int(os.environ.get("REHEARSAL_SCALE", "1"))
n, start = 28000, time.monotonic()
if framework == "torch":
    import torch as xp
    a, b = (xp.full((n // rows, n), value, device="cuda") for value in (1.0, 2.0))
    add, wait = (lambda: xp.add(a, b)), xp.cuda.synchronize
elif framework == "cupy":
    import cupy as xp
    n = 14000
    a, b = (xp.full((n // rows, n), value, dtype=xp.float32) for value in (1.0, 2.0))
    add, wait = (lambda: xp.add(a, b)), xp.cuda.Stream.null.synchronize
elif framework == "jax":
    import jax
    import jax.numpy as xp
    n = 14000
    a, b = (xp.full((n // rows, n), value, dtype=xp.float32) for value in (1.0, 2.0))
    sum_ = jax.jit(xp.add)
    add, wait = (lambda: sum_(a, b).block_until_ready()), (lambda: None)
else:
    sys.exit(f"no such framework: {framework}")
add()
wait()
begin, ends = time.monotonic(), []
while time.monotonic() - begin < seconds:
    for _ in range(10):
        c = add()
    wait()
    ends.append(time.monotonic())
right = bool((c == 3).all()) and bool((a == 1).all()) and bool((b == 2).all())
print(json.dumps({"framework": framework, "adds": 10 * len(ends), "begin": begin, "ends": ends, "right": right, "start": begin - start}))
sys.exit(0 if right else 1)
