"""How the scripts say what they have measured: a table for people, and figures.tsv for machines with the columns
what, value, unit, promise, verdict (held, falls short, or nothing where nothing is promised)."""
import math
import statistics
import sys

fine = True
_file = None


def begin(out, machine):
    global _file
    _file = open(f"{out}/figures.tsv", "w", buffering=1)
    print(machine)


def row(what, value, unit, good=None, must=""):
    """One line of the table. `value` None or NaN: not measured, which falls short of any promise. `good` None: no promise."""
    global fine
    missing = value is None or math.isnan(value)
    if must and (missing or not good):
        fine, verdict = False, "falls short"
    else:
        verdict = "held" if must else ""
    shown = "nothing" if missing else f"{value:.2f}"
    says = ("NOT MEASURED" if missing else "FALLS SHORT" if verdict == "falls short" else "") if must else ""
    print(f"{what:<68}{shown:>9} {unit:<5}{f'(must: {must}) {says}' if must else ''}".rstrip(), flush=True)
    print(what, "" if missing else f"{value:.6g}", unit, must, verdict, sep="\t", file=_file)


def fail(why):
    """Something that must be and is no number."""
    global fine
    fine = False
    print(f"FALLS SHORT: {why}", flush=True)
    print(why, "", "", "", "falls short", sep="\t", file=_file)


def end():
    print("as promised" if fine else "FALLS SHORT")
    sys.exit(0 if fine else 1)


def percentile(values, part):
    """The smallest value that so great a part of them does not exceed."""
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * part) - 1)] if values else math.nan


def median(values):
    values = list(values)
    return statistics.median(values) if values else math.nan
