"""One line about two containers that took turns and a third process; exit code 1 if it falls short.
usage: containers_turns.py WORK TRACE NAMED EXEC-NAMED GIB"""

import collections
import json
import sys

work, trace, named, exec_named, gib = sys.argv[1:]


def last(name):
    lines = open(f"{work}/{name}.out").read().splitlines()
    return json.loads(lines[-1]) if lines else {"right": False, "managed": False, "steps": 0}


first, second, third = (last(name) for name in ("first", "second", "exec"))
events = json.load(open(trace))["traceEvents"]
runs = collections.Counter(e["tid"] for e in events if e["name"] == "run")
turns = sorted(runs.values(), reverse=True)[:2]
moved = {
    kind: sum(e["args"].get("bytes", 0) for e in events if e["name"] == kind) / 2**30 for kind in ("fetch", "evict")
}
good = all(t["right"] and t["managed"] for t in (first, second, third)) and len(turns) == 2 and min(turns) >= 4
word = lambda yes: "right" if yes else "WRONG"
print(
    f"{word(first['right'])}/{word(second['right'])}  turns {'/'.join(map(str, turns))}  steps {first['steps']}/{second['steps']}  "
    f"in {moved['fetch']:.0f} GiB  out {moved['evict']:.0f} GiB  named: {named}  exec: {'managed, ' + word(third['right']) if third['managed'] else 'NOT MANAGED'}, "
    f"named: {exec_named}  {'ok' if good and 'no' not in (named, exec_named) else 'FALLS SHORT'}"
)
sys.exit(0 if good and "no" not in (named, exec_named) else 1)
