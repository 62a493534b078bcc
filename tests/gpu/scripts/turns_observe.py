"""What a turn costs by itself: from a grant to the first kernel, from a revocation to the release. The scheduler's events
are read as they come (`nvsharectl events --json`) and laid beside the lines of two loads, by this process's clock.
usage: turns_observe.py OUT NAME CTL RUNTIME SECONDS COMMAND...     COMMAND: a load, of which two run. Writes OUT/NAME.json"""
import json
import subprocess
import sys
import threading
import time

out, name, ctl, runtime, seconds, *command = sys.argv[1:]
events, steps, last = [], {}, {}


def read(process, take):
    for line in process.stdout:
        at = time.monotonic()
        try:
            take(at, json.loads(line))
        except ValueError:
            print(f"no JSON: {line}", file=sys.stderr)


feed = subprocess.Popen([ctl, "--runtime-dir", runtime, "events", "--json"], stdout=subprocess.PIPE, text=True)
reader = threading.Thread(target=read, args=(feed, lambda at, event: events.append((at, event))))
reader.start()
loads, readers = [], []
for i in range(2):
    load = subprocess.Popen([*command, "--seconds", seconds], stdout=subprocess.PIPE, stderr=open(f"{out}/{name}-{i + 1}.log", "w"), text=True)
    steps[load.pid] = []

    def take(at, line, pid=load.pid):
        if "gpu_seconds" in line:
            steps[pid].append((at, line["gpu_seconds"]))
        last[pid] = line

    readers.append(threading.Thread(target=read, args=(load, take)))
    readers[-1].start()
    loads.append(load)
codes = [load.wait() for load in loads]
for thread in readers:
    thread.join()
feed.terminate()
feed.wait()
reader.join()

first, drains, unbounded, bounded = [], [], [], set()
pids = {}
granted, revoked = {}, {}
for at, event in events:
    tenant, kind = event.get("tenant"), event["kind"]
    if event.get("pid"):
        pids[tenant] = event["pid"]
    if kind == "granted":
        granted[tenant] = at
        later = [(end, gpu) for end, gpu in steps.get(pids.get(tenant), []) if end > at]
        # The first step after it: its line came when its kernels had ended.
        if later:
            first.append(later[0][0] - later[0][1] - at)
    elif kind == "revoked":
        revoked[tenant] = at
    elif kind == "released" and tenant in revoked:
        # What a tenant's first turn ends with was submitted before anybody waited, and is not bounded.
        (drains if tenant in bounded else unbounded).append(at - revoked.pop(tenant))
        bounded.add(tenant)
kinds = {}
for _, event in events:
    kinds[event["kind"]] = kinds.get(event["kind"], 0) + 1
right = codes == [0, 0] and all(line.get("wrong") == 0 for line in last.values())
json.dump({"right": right, "codes": codes, "first_kernel": first, "drains": drains, "unbounded": unbounded, "events": kinds}, open(f"{out}/{name}.json", "w"))
sys.exit(0 if right else 1)
