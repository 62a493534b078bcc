"""Takes the card's free memory by a plain allocation, all but LEFT GiB, until it is killed; makes the file READY then.
usage: hold_card.py LEFT READY [COPIES]       COPIES: first measures copies both ways at once, GB/s, into this file"""
import json
import os
import signal
import sys

import torch

left, ready = float(sys.argv[1]), sys.argv[2]
scale = int(os.environ.get("REHEARSAL_SCALE", "1"))
if sys.argv[3:]:
    size = 2 * 2**30 // scale
    host = [torch.empty(size, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
    card = [torch.empty(size, dtype=torch.uint8, device="cuda") for _ in range(2)]
    streams = [torch.cuda.Stream() for _ in range(2)]
    best = [0.0, 0.0]
    for _ in range(5):
        marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(2)]
        torch.cuda.synchronize()
        for way in range(2):
            with torch.cuda.stream(streams[way]):
                marks[way][0].record()
                for _ in range(4):
                    if way == 0:
                        card[0].copy_(host[0], non_blocking=True)
                    else:
                        host[1].copy_(card[1], non_blocking=True)
                marks[way][1].record()
        torch.cuda.synchronize()
        best = [max(best[way], 4 * size * scale / marks[way][0].elapsed_time(marks[way][1]) / 1e6) for way in range(2)]
    with open(sys.argv[3], "w") as file:
        json.dump({"in": best[0], "out": best[1]}, file)
    del host, card
    torch.cuda.empty_cache()
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(1, int(free - left * 2**30 / scale)), dtype=torch.uint8, device="cuda")
open(ready, "w").close()
signal.pause()
