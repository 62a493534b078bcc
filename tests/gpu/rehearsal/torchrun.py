"""Stands in for torchrun where there is no PyTorch: the processes of the job are tests/src/bin/rank.rs, one on each
simulated device, with the variables that torchrun would have set.
usage: torchrun.py RANK-PROGRAM SCALE --nproc-per-node N --master-port PORT PROGRAM WORD..."""

import json
import os
import subprocess
import sys
import tempfile
import time

program, scale, _, count, _, port, _, *rest = sys.argv[1:]
words = dict(word.split("=", 1) for word in rest)
count, size = int(count), int(float(words["gib"]) * 2**30 / int(scale)) // 4096 * 4096
with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
    started = []
    for rank in range(count):
        device = words.get("device", str(rank))
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count), "RANK": str(rank)}
        told |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count), "TORCHELASTIC_RUN_ID": "none"}
        command = [program, "--device", device, "--rank", str(rank), "--ranks", str(count), "--meet", directory + "/meet"]
        command += ["--bytes", str(size), "--seconds", words["seconds"]]
        started.append(subprocess.Popen(command, env=os.environ | told, stdout=subprocess.PIPE, text=True))
    begin, ends, wrong = None, [], 0
    # Each line of the first process counts as a step.
    for line in started[0].stdout:
        said = json.loads(line)
        if "step" in said:
            ends.append(time.monotonic())
            begin = begin or ends[0]
        wrong += said.get("wrong", 0)
    for process in started[1:]:
        wrong += sum(json.loads(line).get("wrong", 0) for line in process.stdout)
    failed = any([process.wait() for process in started])
if not failed and ends:
    json.dump({"begin": begin, "ends": ends, "right": wrong == 0}, open(words["out"], "w"))
sys.exit(1 if failed or wrong else 0)
