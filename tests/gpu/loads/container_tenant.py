"""A tenant in a container: adds one to every word of GIB of memory for SECONDS, then checks every word.

usage: container_tenant.py GIB SECONDS. Prints one line of JSON."""
import json
import sys
import time

import torch

gib, seconds = float(sys.argv[1]), float(sys.argv[2])
words = int(gib * 2**30 / 4 / 3)
a, b = torch.zeros(words, device="cuda"), torch.ones(words, device="cuda")
c = torch.empty_like(a)
torch.cuda.synchronize()
steps, begin = 0, time.monotonic()
while time.monotonic() - begin < seconds:
    for _ in range(10):
        a.add_(b)
        c.copy_(a)
    torch.cuda.synchronize()
    steps += 10
taken = time.monotonic() - begin
# A word of float32 counts exactly up to 2^24 steps.
right = all(bool((chunk == steps).all()) for chunk in (*a.chunk(8), *c.chunk(8))) and steps < 2**24
managed = any("libnvshare.so" in line for line in open("/proc/self/maps"))
print(json.dumps({"steps": steps, "seconds": round(taken, 2), "right": right, "managed": managed}), flush=True)
sys.exit(0 if right and managed else 1)
