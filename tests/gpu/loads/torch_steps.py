"""A PyTorch tenant whose whole memory is written in every step, so that every byte is checked and none can be left behind.
usage: torch_steps.py GIB SECONDS [burst] [pause=MS] [DEVICE...]
Batch: adds 1 to all of it, again and again; after each step it has something else to do for `pause` ms. With `burst`: rests, and once a second works for 50 ms (measured when it is
alone at its start). On several devices the memory lies on all of them in turn. Ends after SECONDS, or soon after SIGTERM.
Prints JSON: the steps' ends (CLOCK_MONOTONIC, so that runs can be laid beside each other), the bursts' latencies, and
whether every number is right."""
import json
import os
import signal
import sys
import time

import torch

gib, seconds = int(sys.argv[1]), float(sys.argv[2])
pause = sum(float(word[6:]) / 1e3 for word in sys.argv[3:] if word.startswith("pause="))
burst, devices = "burst" in sys.argv[3:], [int(word) for word in sys.argv[3:] if word.isdigit()] or [0]
words = 2**28 // int(os.environ.get("REHEARSAL_SCALE", "1"))
# A tenant that gets no turn any more ends all the same, inside the driver too.
signal.alarm(int(seconds) + 45)
until = [float("inf")]
signal.signal(signal.SIGTERM, lambda *_: until.__setitem__(0, 0.0))


def wait():
    for device in devices:
        torch.cuda.synchronize(device)


blocks = [torch.full((words,), float(i), device=f"cuda:{devices[i % len(devices)]}") for i in range(gib)]
wait()
done = [0] * gib
ends, bursts = [], []


def add(which):
    blocks[which].add_(1)
    done[which] += 1


def all_blocks():
    for which in range(gib):
        add(which)
    wait()


def share_of_one():
    start = time.monotonic()
    for _ in range(20):
        all_blocks()
    return (time.monotonic() - start) / 20 / gib


print("ready", file=sys.stderr, flush=True)
if burst:
    adds = max(1, round(0.050 / share_of_one()))
    begin = time.monotonic()
    until[0] = min(until[0], begin + seconds)
    while time.monotonic() < until[0]:
        start = time.monotonic()
        for i in range(adds):
            add(i % gib)
        wait()
        end = time.monotonic()
        bursts.append((start, end - start))
        print(f"burst {len(bursts)}", file=sys.stderr, flush=True)
        # The load is bursts at a fixed rate: this is its rest, not a wait for anything.
        time.sleep(max(0.0, 1 - (end - start)))
else:
    all_blocks()
    begin = time.monotonic()
    until[0] = min(until[0], begin + seconds)
    while time.monotonic() < until[0]:
        all_blocks()
        ends.append(time.monotonic())
        # Loading data, say: what a program does between its steps.
        time.sleep(pause)
right = all(bool((block == i + done[i]).all()) for i, block in enumerate(blocks))
print(json.dumps({"gib": gib, "begin": begin, "ends": ends, "bursts": bursts, "right": right}))
sys.exit(0 if right else 1)
