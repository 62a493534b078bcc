"""Tells what service.sh found. usage: service.py OUT MACHINE BAD SECONDS SCALE
OUT has its facts and what it kept of the service; BAD are steps that did not come to pass; SECONDS is how long the daemon
had to live; SCALE is how many times smaller a simulated card is than it says."""
import json
import os
import re
import sys

from figures import begin, end, fail, row

DENIED = "Operation not permitted"
# What DevicePolicy=closed lets everybody have, and what systemd puts there.
STANDARD = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
out, machine, bad, lasts, scale = sys.argv[1:]
facts, culprits = {}, []
for line in open(f"{out}/facts.tsv"):
    name, value = line.rstrip("\n").split("\t")
    facts[name] = value
    if name == "culprit":
        culprits.append("the whole sandbox" if value.startswith("[") else value)


def text(name):
    try:
        return open(f"{out}/{name}").read()
    except FileNotFoundError:
        return ""


def status(name):
    try:
        return json.loads(text(f"{name}.json"))
    except ValueError:
        return {"gpus": [], "tenants": [], "uptime_seconds": 0}


def number(fact):
    try:
        return float(facts.get(fact, ""))
    except ValueError:
        return None


def opened(name):
    """Of each device node, what opening it gave."""
    return dict(line.split(" ", 1) for line in text(f"probe-{name}.txt").splitlines())


def apps(name):
    """Of each process that NVML lists, its MiB."""
    return {int(pid): int(mib) for pid, mib in re.findall(r"^(\d+), (\d+)$", text(f"{name}.txt"), re.M)}


def last(name):
    """The last word of a program."""
    lines = text(f"{name}.json").splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}


begin(out, f"{machine}; systemd 252 ({facts['state']})")
row("systemd is up after", number("boot"), "s")
start, exposure = number("start"), number("exposure")
row("the service is ready after (Type=notify)", start, "s", facts["active"] == "active" and start < 5, "< 5 s")
row("exposure that systemd sees", exposure, "", exposure is not None and exposure <= 1, "<= 1.0")

# As the kernel has it.
kernel = dict(re.findall(r"^(\w+):\s*(\S*)", text("daemon-status.txt"), re.M))
wanted = {"CapEff": "0" * 16, "CapBnd": "0" * 16, "CapPrm": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
missing = [f"{key} {kernel.get(key)}" for key, value in wanted.items() if kernel.get(key) != value]
missing += [key for key, good in {"user": facts["user"] == "nvshare", "network": facts["network"] == "own",
                                  "read-only root": facts["root"].startswith("ro")}.items() if not good]
row("parts of the sandbox that the daemon is not in", len(missing), "", not missing, "none")
if missing:
    fail("not so: " + ", ".join(missing))

# Devices.
inside, free = opened("devices"), opened("anything")
gpu = [node for node in inside if node.startswith("nvidia")]
others = [node for node in free if node not in STANDARD and node not in gpu]
kept = [node for node in others if inside.get(node) != DENIED]
if not others or DENIED in (free[node] for node in others):
    fail(f"without its policy, the sandbox gives {free}: nothing can be said of the policy")
row(f"devices that are not the driver's and are in reach ({facts['enforced']})", len(kept) if others else None, "", not kept, "none")
shut = [node for node in gpu if inside[node] == DENIED]
row(f"devices of the driver that are not in reach, of {len(gpu)}", len(shut) if gpu else None, "", not shut, "none")
if shut or kept:
    fail(f"in the sandbox: {inside}; without its policy: {free}")

# NVML, as nvidia-smi and the daemon ask it.
sandboxed, plain = text("probe-smi.txt").strip(), text("smi.txt").strip()
row("GPUs that NVML tells of in the sandbox", len(sandboxed.splitlines()), "", sandboxed == plain != "", "as outside")
if sandboxed != plain:
    fail(f"in the sandbox: {sandboxed!r}; outside: {plain!r}; as outside without: {', '.join(culprits) or 'nothing that was tried'}")
journal = text("journal-service.txt")
row("times that the daemon opened NVML", journal.count("NVML is open"), "", journal.count("NVML is open") >= 2, ">= 2, one of each start")
print(f"    its devices then: {facts.get('handles') or 'none'}")
silent = [line for line in journal.splitlines() if "NVML does not tell" in line or "is not known" in line]
row("questions that NVML did not answer", len(silent), "", not silent, "none")
for line in silent[:3]:
    print("    " + line)
seen = status("turns")
device = seen["gpus"][0] if seen["gpus"] else {"name": "", "uuid": "", "capacity_bytes": 0, "handovers": 0}
told = [[field.strip() for field in line.split(",")] for line in plain.splitlines()]
match = [fields for fields in told if len(fields) > 3 and (fields[1], fields[2]) == (device["name"], device["uuid"])]
row("GPUs of nvidia-smi's name and UUID in nvsharectl status", len(match), "", len(match) == 1, "1")
if match:
    share = device["capacity_bytes"] * int(scale) / 2**20 / float(match[0][3]) * 100
    row("its memory, of what nvidia-smi tells", share, "%", 97 <= share <= 100, "97 to 100 %")
else:
    fail(f"nvsharectl: {device['name']}, {device['uuid']}; nvidia-smi: {plain!r}")
within, among, here = apps("probe-apps"), apps("apps"), apps("apps-here")
print(f"    processes by pid (MiB): in the sandbox {within}, outside {among}, in the script's namespace {here}; the one outside: {facts['stranger']}")
stranger = int(facts["stranger"] or 0)
simulated = "NVSHARE_TEST_DRIVER" in os.environ
if simulated:
    among = within = {stranger: 5}
for name in "outside", "outside-again":
    outside = [d["outside_bytes"] for d in status(name)["gpus"]][:1] or [0]
    what = "memory of a program outside that the daemon knows" + (", after the restart" if name != "outside" else "")
    if stranger in among:
        row(what, outside[0] / 2**20, "MiB", abs(outside[0] / 2**20 - among[stranger]) <= 2, f"{among[stranger]} MiB, as NVML outside")
    else:
        row(what + " (NVML does not list it outside of the sandbox either)", outside[0] / 2**20, "MiB")
same = set(within) == set(among) and within.get(stranger) == among.get(stranger)
row("processes that NVML lists in the sandbox", len(within), "", same, "as outside")
if not same:
    fail(f"in the sandbox: {text('probe-apps.txt')!r}; outside: {text('apps.txt')!r}")

# The tenants.
row("hand-overs before the restart", device["handovers"], "", device["handovers"] >= 4, ">= 4")
row("the restart takes", number("restart"), "s")
row("until both tenants have had two turns again", number("came_back"), "s", "again" not in bad, "within 40 s")
more = [int(n) for n in facts["more_steps"].split()]
row("steps after the restart, of the slower tenant", min(more), "", min(more) > 0, "> 0")
wrong = [last(name).get("wrong") for name in ("one", "two", "stranger")]
row("programs whose data are right, of 3", wrong.count(0), "", wrong.count(0) == 3, "3")
tenants = status("again")["tenants"]
swap = [t["swap_bytes"] for t in tenants]
print(f"    engine {', '.join(sorted({t['engine'] for t in tenants}))}; swap space {', '.join(f'{n / 2**30:.2f} GiB' for n in swap)}")

limited = [t for t in status("served")["tenants"] if str(t["pid"]) == facts["train_pid"]]
again = [t for t in status("served-again")["tenants"] if str(t["pid"]) == facts["train_pid"]]
row("a service with LD_PRELOAD and a limit: tenant, of its unit's process", len(limited), "", len(limited) == 1 and limited[0]["limit_bytes"] is not None, "1")
row("... after a restart of the scheduler too", len(again), "", len(again) == 1, "1")
numbers = last("train").get("wrong")
row("... numbers that are wrong at its end", numbers, "", numbers == 0, "0")

lived = status("lasts")["uptime_seconds"]
row("seconds that the second daemon lived under the watchdog of 10 s", lived, "s", lived >= float(lasts) and facts["same_pid"] == "same", f">= {lasts}")
row("restarts by systemd itself", number("restarts"), "", number("restarts") == 0, "none")
patted = ((number("watchdog") or 0) - (number("ready") or 0)) / 1e6
row("the last word to the watchdog came so long after its start", patted, "s", patted > float(lasts) - 10, f"> {float(lasts) - 10:.0f} s")
row("it stops within", number("stop"), "s", facts["result"] == "success", "with success")
complaints = [line for line in journal.splitlines() if re.search("WARN|ERROR|panicked", line)]
row("complaints in its log", len(complaints), "", not complaints, "none")
for line in complaints[:5]:
    print("    " + line)
if bad:
    fail(f"did not come to pass: {bad}")
end()
