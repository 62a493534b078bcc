"""Writes what tests/gpu/all.sh measured into docs/measurements/gpu.md, between the two markers; what people wrote stays, and so
do the figures of scripts of which the files say nothing.
usage: report.py NAME.tsv... [--into FILE]
Of several files the later ones replace a script's figures of the earlier ones. Plots come out of NAME.tar.gz beside each."""
import argparse
import pathlib
import re
import sys
import tarfile

BEGIN, END = "<!-- by tests/gpu/report.py: begin -->", "<!-- by tests/gpu/report.py: end -->"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(path):
    """The run's facts, and for each script its rows of what, value, unit, promise, verdict."""
    facts, scripts = {}, {}
    for line in path.read_text().splitlines():
        fields = line.split("\t")
        if line.startswith("# "):
            facts[fields[0][2:]] = fields[1]
        elif len(fields) == 6:
            scripts.setdefault(fields[0], []).append(fields[1:])
    return facts, scripts


def table(rows):
    lines = ["| | measured | promised |", "|---|---|---|"]
    for what, value, unit, promise, verdict in rows:
        if what == "seconds it took":
            continue
        says = f"{promise}{': ' if promise else ''}**falls short**" if verdict == "falls short" else promise
        measured = f"{float(value):.4g} {unit}".strip() if value else "nothing" if unit else verdict
        lines.append(f"| {what.strip().replace('|', '/')} | {measured} | {says} |")
    return lines


def plots(path, script, into):
    """Draws the script's plots into the page's folder; the lines that show them."""
    packed, lines = path.with_suffix("").with_suffix(".tar.gz"), []
    if packed.exists():
        with tarfile.open(packed) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(".svg") and f"/{script}/" in member.name:
                    name = f"gpu-{pathlib.Path(member.name).name}"
                    (into.parent / name).write_bytes(tar.extractfile(member).read())
                    lines += ["", f"![{script}]({name})"]
    return lines


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("files", nargs="+", type=pathlib.Path)
    parse.add_argument("--into", type=pathlib.Path, default=ROOT / "docs/measurements/gpu.md")
    args = parse.parse_args()
    found = {}
    for path in args.files:
        facts, scripts = read(path)
        if "SIMULATED" in facts.get("machine", "SIMULATED"):
            sys.exit(f"{path}: not of a real GPU")
        for script, rows in scripts.items():
            found[script] = facts, rows, path
    page = args.into.read_text() if args.into.exists() else ""
    marked = re.compile(re.escape(BEGIN) + "(.*?)" + re.escape(END), re.S)
    before = marked.search(page)
    sections = dict(re.findall(r"^## `tests/gpu/scripts/(\S+)\.sh`\n\n(.*?)\n*(?=^## |\Z)", before[1] if before else "", re.S | re.M))
    for script, (facts, rows, path) in found.items():
        if len(rows) < 2 and rows[0][0] == "seconds it took":
            continue
        what = "; ".join(f"{facts[name]}" for name in ("machine", "date") if name in facts)
        sections[script] = "\n".join([f"{what}; `{facts.get('command', '').strip()}`.", "", *table(rows), *plots(path, script, args.into)])
    lines = [BEGIN, ""]
    for script, section in sections.items():
        lines += [f"## `tests/gpu/scripts/{script}.sh`", "", section, ""]
    text = "\n".join([*lines, END])
    page = marked.sub(lambda _: text, page) if before else page.rstrip("\n") + "\n\n" + text + "\n"
    args.into.write_text(page)
    print(f"{args.into}: figures of {len(found)} scripts")


main()
