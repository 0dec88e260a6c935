"""The committed figures of benchmarks, as ``benchmarks/run.py --record`` writes them, in words and on a page."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from make_pages import table

from splitgym.ui.validation import read_json

SCHEMA = 1
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
PREFIXES = ((1e9, "G "), (1e6, "M "), (1e3, "k "))
GROWTH, EXPONENT = "growth-", "^e"  # groups of figures at growing sizes, and how the exponents' names begin
FILE = Path(__file__).resolve().parent / "results" / "benchmarks.json"


@cache
def groups() -> dict[str, dict[str, Any]]:
    """Name -> about, command, date, machine, cpus, versions, figures; those recorded last come last."""
    return read_json(FILE, schema=SCHEMA)["groups"] if FILE.is_file() else {}


def figure(name: str) -> dict[str, Any]:
    """A figure as it was recorded last: value, and unit, ratio and reference where it has any.

    Raises:
        KeyError: none has this name.
    """
    return {n: found for group in groups().values() for n, found in group["figures"].items()}[name]


def look_up(name: str, digits: str) -> str:
    """A figure for prose: in words, or in so many digits without its unit; its ratio where NAME ends in ``:ratio``.

    Raises:
        KeyError: none has this name, or it has no ratio.
    """
    whole, _, what = name.rpartition(":")
    if what == "ratio":
        ratio = figure(whole)["ratio"]
        return format(ratio, digits) if digits else rounded(ratio)
    found = figure(name)
    return format(found["value"], digits) if digits else told(found["value"], found.get("unit", ""))


def told(value: float, unit: str) -> str:
    """A value in two or three digits, with a prefix where its unit is one of time or of a rate."""
    if unit in SECONDS:
        value *= SECONDS[unit]
        scale, name = next(((s, n) for s, n in TIMES if abs(value) >= 0.1 * s), TIMES[-1])
        return f"{rounded(value / scale)} {name}"
    if unit.endswith("/s"):
        scale, prefix = next(((s, p) for s, p in PREFIXES if value >= s), (1.0, ""))
        return f"{rounded(value / scale)} {prefix}{unit}"
    return f"{rounded(value)} {unit}".rstrip()


def rounded(value: float) -> str:
    """Whole numbers as they are, others in two digits, or three from 100 on."""
    if not math.isfinite(value):
        return "–"
    if value == round(value):
        return f"{value:.0f}"
    power = math.floor(math.log10(abs(float(f"{value:.1e}"))))  # behind rounding: 9.97 is 10
    return f"{value:.1e}" if power < -3 else f"{value:.{max(0, 1 - power)}f}"


def page() -> str:
    """The page of all figures that are recorded."""
    return "\n\n".join(
        (
            "# What the benchmarks measured",
            "Every figure that `.venv/bin/python benchmarks/run.py --record` has kept, group by group, as it was "
            "measured last; beside it its ratio to its reference, if it has one. Timings are of one thread.",
            *(part for name, group in groups().items() for part in _section(name, group)),
        )
    )


def _section(name: str, group: dict[str, Any]) -> list[str]:
    return [
        f"## {name}",
        group["about"],
        f"`{group['command']}`, {group['date']}, {group['machine']}, {group['cpus']} CPUs ({group['versions']}).",
        _by_size(group["figures"]) if name.startswith(GROWTH) else _listed(group["figures"]),
    ]


def _listed(figures: dict[str, dict[str, Any]]) -> str:
    """A line a figure."""
    rows = [(n, told(f["value"], f.get("unit", "")), _ratio(f)) for n, f in figures.items()]
    return table(("figure", "value", "ratio"), rows)


def _by_size(figures: dict[str, dict[str, Any]]) -> str:
    """A line for all figures ``axis=size TITLE``, with the exponent that ``axis^e TITLE`` tells at its end."""
    series: dict[str, dict[str, str]] = {}
    for name, figure in figures.items():
        at, _, title = name.partition(" ")
        what = "*e*" if at.endswith(EXPONENT) else at.partition("=")[2]
        value = f"{figure['value']:.2f}" if what == "*e*" else told(figure["value"], figure["unit"])
        series.setdefault(title.partition(", ends: ")[0], {})[what] = value
    sizes = sorted({size for values in series.values() for size in values if size != "*e*"}, key=int)
    columns = (*sizes, "*e*")
    rows = [(title, *(values.get(column, "") for column in columns)) for title, values in series.items()]
    return table(("", *columns), rows)


def _ratio(figure: dict[str, Any]) -> str:
    return f"{rounded(figure['ratio'])} x {figure['reference']}" if "ratio" in figure else ""
