"""Compares what each program said natively and in each of the other ways, and tells the differences.
usage: programs.py RUNTIME OUT MACHINE DIFFERS PROGRAM..."""

import collections
import difflib
import pathlib
import sys

from figures import begin, end, fail, row

runtime, out, machine, differs, *names = sys.argv[1:]
runtime, out, names = pathlib.Path(runtime), pathlib.Path(out), sorted(names)
begin(out, machine)
ways = ["alone", "contended", "contended-managed"]


def got(way, name):
    try:
        return tuple((runtime / way / f"{name}.{part}").read_text(errors="replace") for part in ("code", "out", "err"))
    except FileNotFoundError:
        return ("not run\n", "", "")


# By program and engine: what each line that differs contains, and why.
documented = {}
for line in open(differs):
    if not line.startswith("#"):
        name, engine, says, why = (part.strip() for part in line.split("|"))
        documented[name, engine] = says, why


def as_documented(way, name, native, here):
    known = documented.get((name, "managed" if way == "contended-managed" else "swap"))
    new = [line[2:] for line in difflib.ndiff(native[1].splitlines(), here[1].splitlines()) if line.startswith("+ ")]
    return known if known and new and all(known[0] in line for line in new) else None


def verdict(native, here):
    # What the driver cannot do, nvshare may do or not.
    if native[0] == "77\n":
        return "-"
    if "not run\n" in (here[0], native[0]):
        return "NOT RUN"
    return "same" if here[:2] == native[:2] else "DIFFERS"


details, rows, counts = open(out / "details.txt", "a"), [], {way: collections.Counter() for way in ["native", *ways]}
for name in names:
    native = got("native", name)
    cells = []
    details.write(f"=== {name}: native exit {native[0].strip()}\n{native[1]}{native[2]}")
    for way in ways:
        here = got(way, name)
        cell = verdict(native, here)
        known = as_documented(way, name, native, here) if cell == "DIFFERS" else None
        if known:
            cell = "as documented"
            details.write(f"--- {name} {way} differs as documented: {known[1]}\n")
        counts[way][cell] += 1
        # Told, for a person should look.
        warns = cell == "same" and any(word in here[2] for word in (" warn: ", " error: "))
        cells.append("same, but warns" if warns else cell)
        if here[2].strip() and here[2] != native[2]:
            details.write(f"--- {name} {way}, stderr:\n{here[2][-3000:]}")
        if cell in ("DIFFERS", "as documented"):
            lines = difflib.unified_diff(native[1].splitlines(), here[1].splitlines(), "native", way, lineterm="", n=1)
            details.write(
                f"--- {name} {way} {cell}: exit {native[0].strip()} natively, {here[0].strip()}\n"
                + "\n".join(lines)
                + "\n"
            )
    code = native[0].strip()
    kind = {"0": "", "77": "native cannot: " + (native[1].strip().splitlines() or ["?"])[-1]}.get(
        code, f"NATIVE FAILS ({code})"
    )
    counts["native"]["right" if not kind else kind.split(":")[0].split(" (")[0]] += 1
    if kind or set(cells) != {"same"}:
        rows.append(f"{name:<26}" + "".join(f"{cell:<19}" for cell in cells) + kind)
failed = (runtime / "bin/failed").read_text().splitlines()
for line in failed:
    fail(line)
print(f"{'program':<26}" + "".join(f"{way:<19}" for way in ways) + "(the others: the same everywhere)")
print("\n".join(rows))
row(
    "programs that run natively",
    counts["native"]["right"],
    "",
    counts["native"]["right"] > 0 and not any("FAILS" in what for what in counts["native"]),
    "all that the driver can",
)
for way in ways:
    able = sum(counts[way].values()) - counts[way]["-"] - counts[way]["as documented"]
    row(f"programs as natively, {way}", counts[way]["same"], "", counts[way]["same"] == able, f"{able}")
    if counts[way]["as documented"]:
        row(f"programs that differ as documented, {way}", counts[way]["as documented"], "")
end()
