"""Frameworks and CUDA's libraries, each natively, under nvshare alone and in turns with another tenant, with both engines.
usage: frameworks.py OUT RUNTIME BUILT SPEED-FOLDER SECONDS CASE...

Some cases at a time, a process of each kind for each. First all of them work at once, until each has a result. Then one
after the other is timed, each kind in turn. Last, for each engine, its processes begin anew beside a load that always wants
the card, everything moved out at each turn's end, and have to give the same results."""
import json
import os
import subprocess
import sys
import time

from figures import begin, end, fail, median, row, surely
from paired_process import Process, command

out, runtime, built, speed, limit, *cases = sys.argv[1:]
KINDS, AT_ONCE, ROUNDS = ["native", "swap", "managed"], int(os.environ.get("AT_ONCE", "7")), int(os.environ.get("ROUNDS", "7"))
# So many more where the figure is above what is promised, but not surely.
MORE = int(os.environ.get("MORE_ROUNDS", "30"))
SCALE = int(os.environ.get("REHEARSAL_SCALE", "1"))
deadline = time.monotonic() + float(limit)


def ctl(engine, *words):
    done = subprocess.run([f"{built}/nvsharectl", "--runtime-dir", f"{runtime}/{engine}", *words], capture_output=True, text=True, check=True)
    return done.stdout


def left(most):
    """Seconds that an answer may take."""
    return max(1.0, min(most, deadline - time.monotonic()))


class Case:
    def __init__(self, name):
        self.name, self.digest, self.beside, self.turns = name, {}, {}, {}
        self.took, self.why, self.gone = {kind: [] for kind in KINDS}, {}, set()
        self.processes = {}
        for kind in KINDS:
            log = f"{out}/{name}-{kind}.log"
            self.processes[kind] = Process(command(name, speed), kind, f"{built}/libnvshare.so", f"{runtime}/{kind}", log)

    def alive(self):
        return [kind for kind in KINDS if kind not in self.gone]

    def hear(self, kind, most):
        """A number, or None: then this kind has ended or hangs, and is out."""
        try:
            return float(self.processes[kind].hear(left(most)))
        except (RuntimeError, ValueError) as error:
            self.out(kind, error)
            return None

    def tell(self, kind, word):
        try:
            self.processes[kind].tell(word)
        except OSError:
            # What it ended with is told when it is heard.
            pass

    def out(self, kind, why):
        self.gone.add(kind)
        self.why[kind] = str(why)
        self.processes[kind].process.kill()
        print(f"{self.name}, {kind}: {why}", file=sys.stderr, flush=True)

    def more(self, engine):
        """What each round took more than natively: us for a launch, else parts of a step; and the most that is promised."""
        pairs = list(zip(self.took["native"], self.took[engine]))
        if self.name.endswith("_launches"):
            return [b - a for a, b in pairs], 0.1
        return [b / a - 1 for a, b in pairs], 0.01

    def is_open(self, engine="swap"):
        more, most = self.more(engine)
        return "native" not in self.gone and engine not in self.gone and median(more) > most >= surely(more)[0]

    def same(self, number):
        native = self.digest.get("native")
        return number is not None and native is not None and abs(number - native) <= 1e-3 * abs(native)


def grants(engine, pid):
    return sum(tenant["grants"] for tenant in json.loads(ctl(engine, "status", "--json"))["tenants"] if tenant["pid"] == pid)


def contend(batch, engine):
    """The processes of one engine begin anew, all at once, beside a load."""
    mine = [case for case in batch if engine not in case.gone]
    if not mine or time.monotonic() > deadline:
        return
    ctl(engine, "set", "evict", "always")
    ctl(engine, "set", "tq", "0.2")
    env = dict(os.environ, LD_PRELOAD=f"{built}/libnvshare.so", NVSHARE_ENGINE=engine, NVSHARE_SOCKET=f"{runtime}/{engine}/tenants/scheduler.sock")
    log = open(f"{out}/load-{engine}.log", "w")
    load = subprocess.Popen([f"{built}/load", "--bytes", str(2**31 // SCALE), "--seconds", "3600"], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    for line in load.stdout:
        if '"step"' in line:
            break
    # Nobody reads the rest, so it goes away and not into a full pipe.
    drain = subprocess.Popen(["cat"], stdin=load.stdout, stdout=subprocess.DEVNULL)
    before = {case: grants(engine, case.processes[engine].process.pid) for case in mine}
    for case in mine:
        case.tell(engine, "digest 3")
    for case in mine:
        case.beside[engine] = case.hear(engine, 90)
        if engine not in case.gone:
            case.turns[engine] = grants(engine, case.processes[engine].process.pid) - before[case]
    if load.poll() is not None:
        fail(f"the load beside {' '.join(case.name for case in mine)} ({engine}) has ended: see load-{engine}.log")
    load.kill()
    load.wait()
    drain.wait()
    ctl(engine, "set", "evict", "pressure")


def run(names):
    batch = []
    for name in names:
        try:
            batch.append(Case(name))
        except OSError as error:
            fail(f"{name}: not run: {error}")
    for case in batch:
        for kind in KINDS:
            case.tell(kind, "digest")
    for case in batch:
        for kind in KINDS:
            case.digest[kind] = case.hear(kind, 120)
    for case in batch:
        # The first round settles how many steps are timed.
        for round in range(ROUNDS + MORE + 1):
            if round > ROUNDS and not (case.is_open() and time.monotonic() < deadline - 60):
                break
            kinds = case.alive()
            for kind in kinds[round % 3:] + kinds[:round % 3]:
                case.tell(kind, "time")
                took = case.hear(kind, 60)
                if round and took is not None:
                    case.took[kind].append(took)
    for engine in KINDS[1:]:
        contend(batch, engine)
    for case in batch:
        for process in case.processes.values():
            process.end()
    return batch


def show(case):
    native = case.took["native"]
    if case.digest["native"] is None:
        return fail(f"{case.name} does not run natively: {case.why.get('native')}")
    row(f"{case.name}: native, a step", median(native), "us")
    for engine in KINDS[1:]:
        name = f"{case.name}, {engine}"
        if engine in case.why:
            fail(f"{name}: {case.why[engine]}")
        more, most = case.more(engine)
        unit, scale, what = ("us", 1, " for a launch") if case.name.endswith("_launches") else ("%", 100, "")
        low, high = surely(more)
        promise = f"<= +{most * scale:g} {unit}" if engine == "swap" else ""
        row(f"{name}: alone, more{what}", median(more) * scale, unit, median(more) <= most, promise)
        print(f"    surely {low * scale:+.2f} to {high * scale:+.2f} {unit}, {len(more)} rounds", flush=True)
        if engine in case.why:
            continue
        for what, number in ("alone", case.digest[engine]), ("in turns", case.beside.get(engine)):
            if not case.same(number):
                said = "not run" if number is None else f"results differ: {number!r} for {case.digest['native']!r}"
                fail(f"{name}: {what}: {said}")
        turns = case.turns.get(engine)
        row(f"{name}: results as natively, turns taken", turns, "", turns is not None and turns >= 2, ">= 2")


begin(out, os.environ.get("MACHINE", ""))
for at in range(0, len(cases), AT_ONCE):
    names = cases[at:at + AT_ONCE]
    if deadline - time.monotonic() < 25:
        for name in names:
            fail(f"{name}: not run: no time left")
        continue
    start = time.monotonic()
    for case in run(names):
        show(case)
    print(f"    ({', '.join(names)}: {time.monotonic() - start:.0f} s)", flush=True)
end()
