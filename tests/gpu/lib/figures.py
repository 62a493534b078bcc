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


def surely(values):
    """Between which values the median of what these were drawn from lies, with at least 95 %: by their order alone, so that
    nothing is supposed of how they spread. Of fewer than six nothing can be said so surely."""
    values, n = sorted(values), len(values)
    below = [sum(math.comb(n, k) for k in range(i + 1)) / 2**n for i in range(n)]
    at = max((i for i in range(n // 2) if 2 * below[i] <= 0.05), default=None)
    return (-math.inf, math.inf) if at is None else (values[at], values[n - 1 - at])


def shift(before, after, ratio):
    """By how much, or by what part, the values of `after` are above those of `before`: the median over all pairs (Hodges and
    Lehmann), and between which values it lies with at least 95 % (by the ranks alone, as Mann and Whitney test)."""
    pairs = sorted(b / a - 1 if ratio else b - a for a in before for b in after)
    # In how many orders of all values just so many pairs have their second one below.
    m, n = len(before), len(after)
    orders = [1]
    for k in range(1, m + 1):
        # The Gaussian binomial, from k - 1 to k: times (1 - q^(n + k)), divided by (1 - q^k).
        more = orders + [0] * n
        for at in range(len(more) - 1, n + k - 1, -1):
            more[at] -= more[at - n - k]
        for at in range(k, len(more)):
            more[at] += more[at - k]
        orders = more
    total, below, at = sum(orders), 0, -1
    while at + 1 < len(pairs) // 2 and 2 * (below + orders[at + 1]) <= 0.05 * total:
        at += 1
        below += orders[at]
    low, high = (-math.inf, math.inf) if at < 0 else (pairs[at], pairs[-1 - at])
    return statistics.median(pairs), low, high
