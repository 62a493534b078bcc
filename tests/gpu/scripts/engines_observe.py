"""The engines beside each other: two loads of 12 GiB that fit only one at a time, at each quantum in turn. Who computes is
seen by the lines of the loads, by this process's clock; a hand-over is the time between the last step of one and the
beginning of the first step of the other.
usage: engines_observe.py OUT ENGINE CTL RUNTIME TURNS COMMAND...
TURNS: quantum:turns,...; COMMAND: a load, of which two run. Writes OUT/ENGINE.json"""
import json
import statistics
import subprocess
import sys
import threading
import time

out, engine, ctl, runtime, turns, *command = sys.argv[1:]
changed = threading.Condition()
steps = []  # who, when it ended, the GPU's seconds for it
changes = []  # the indices in `steps` at which somebody else works than before
last, loads = {}, []


def read(who, process):
    for line in process.stdout:
        at = time.monotonic()
        try:
            said = json.loads(line)
        except ValueError:
            continue
        with changed:
            if "gpu_seconds" in said:
                if steps and steps[-1][0] != who:
                    changes.append(len(steps))
                steps.append((who, at, said["gpu_seconds"]))
            last[who] = said
            changed.notify_all()
    with changed:
        last.setdefault(who, {})["ended"] = True
        changed.notify_all()


def wait_for(what, holds, seconds):
    """Until `holds()`; looked at after each line of a load."""
    end = time.monotonic() + seconds
    with changed:
        while not holds():
            if any("ended" in said for said in last.values()):
                raise RuntimeError(f"{engine}: a load has ended before {what}")
            if time.monotonic() > end:
                raise RuntimeError(f"{engine}: no {what} within {seconds:.0f} s")
            changed.wait(timeout=0.5)


def start():
    who = len(loads)
    loads.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(f"{out}/{engine}-{who + 1}.log", "w"), text=True))
    threads.append(threading.Thread(target=read, args=(who, loads[who])))
    threads[who].start()


def set_quantum(quantum):
    subprocess.run([ctl, "--runtime-dir", runtime, "set", "tq", quantum], check=True, stdout=subprocess.DEVNULL)


measured, threads, failed, alone = [], [], None, None
try:
    set_quantum("1")
    start()
    wait_for("steps of one alone", lambda: len(steps) >= 40, 60)
    alone = statistics.median(gpu for _, _, gpu in steps[10:40])
    start()
    # Each has had its first turn, for which swap space is made.
    wait_for("turns", lambda: len(changes) >= 4, 60)
    done = len(changes)
    for part in turns.split(","):
        quantum, count = part.split(":")
        # Said just after a hand-over, so the turn that has begun lasts so long already.
        set_quantum(quantum)
        wait_for(f"{count} turns of {quantum} s", lambda: len(changes) >= done + int(count), int(count) * (float(quantum) + 10) + 20)  # noqa: B023
        begin, end = changes[done - 1], changes[done + int(count) - 1]
        done = len(changes)
        # From the first step of a turn to the first step of another one: whole turns and hand-overs.
        handovers = [steps[i][1] - steps[i][2] - steps[i - 1][1] for i in changes if begin < i <= end]
        took = steps[end][1] - steps[end][2] - (steps[begin][1] - steps[begin][2])
        measured.append({"quantum": float(quantum), "turns": int(count), "seconds": took, "steps": end - begin,
                         "useful": (end - begin) * alone / took, "handover": statistics.median(handovers)})
        print(f"{engine}: {measured[-1]}", file=sys.stderr, flush=True)
except RuntimeError as error:
    failed = str(error)
    print(failed, file=sys.stderr)
for load in loads:
    if failed:
        load.kill()
    load.stdin.close()
for load, thread in zip(loads, threads):
    try:
        load.wait(30)
    except subprocess.TimeoutExpired:
        load.kill()
        failed = failed or "a load does not end"
    thread.join()
right = not failed and all(said.get("wrong") == 0 for said in last.values())
json.dump({"right": right, "engine": engine, "alone": alone, "measured": measured, "failed": failed}, open(f"{out}/{engine}.json", "w"))
sys.exit(0 if right else 1)
