"""How set-up, steps, planners and memory grow with devices, units, lanes, EdgeMove's sites and HierTrain's steps.

    python benchmarks/growth.py [--only AXIS ...] [--pictures DIR] [--recorded]

A point is measured in a fresh process, in seconds of its own on one thread. A series ends once a point takes over
20 s. The exponent e of a series says that it grows as size^e; it is that of its last three points, as constant costs
hide it at small sizes. A quarter of an hour on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from growth_points import AXES
from growth_points import MOST_S as KILLED_S
from measure import Figure
from record import FILE, SCHEMA

from splitgym.ui.canvas import COLORS, clean, footnote, panel_grid, save_figure
from splitgym.ui.validation import read_json

SIZES: Mapping[str, tuple[int, ...]] = {
    "devices": (4, 8, 16, 32, 64, 128),
    "units": (10, 20, 50, 100, 200, 500),
    "lanes": (1, 16, 256, 1024, 4096, 16384),
    "sites": (125, 500, 1000, 2000, 5000, 10_000),
    "steps": (10, 20, 50, 100, 200),
}
LABELS = {
    "devices": "devices (VGG-16)", "units": "units (a chain of convolutions, 4 devices)", "lanes": "lanes",
    "sites": "EdgeMove's sites", "steps": "HierTrain's steps (a chain of convolutions)",
}  # fmt: skip
MOST_S = 20.0  # of a point; after that a series ends
FITTED = 3  # points that an exponent comes from
MEMORY = "memory"
STEPS = ("set-up", "first step", "scalar step", "batch step")
KINDS = {
    "steps": "environments: s on one thread",
    "plans": "planners: s on one thread",
    "memory": "MB, most that the process held",
}


@dataclass
class Series:
    """What is measured along an axis: values at sizes, seconds or MB, and why it ends early."""

    axis: str
    name: str
    quantity: str
    sizes: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    ends: str = ""

    @property
    def title(self) -> str:
        return f"{self.name}: {self.quantity}"

    @property
    def kind(self) -> str:
        """Which panel of its axis it is drawn in."""
        return "memory" if self.quantity == MEMORY else "steps" if self.quantity in STEPS else "plans"

    @property
    def unit(self) -> str:
        return "MB" if self.quantity == MEMORY else "s"

    @property
    def exponent(self) -> float:
        """Slope of log value over log size at the large end; NaN of one point."""
        if len(self.sizes) < 2:
            return float("nan")
        return float(np.polyfit(np.log(self.sizes[-FITTED:]), np.log(self.values[-FITTED:]), 1)[0])

    def figures(self) -> Iterator[Figure]:
        for size, value in zip(self.sizes, self.values, strict=True):
            yield Figure(f"{self.axis}={size} {self.title}", value, self.unit)
        ends = f", ends: {self.ends}" if self.ends else ""
        yield Figure(f"{self.axis}^e {self.title}{ends}", self.exponent, "= e")


def point(axis: str, job: str, size: int) -> Mapping[str, float] | None:
    """What a job measures at a size, in a process of its own; None where it does not end in time."""
    script = Path(__file__).with_name("growth_points.py")
    run = subprocess.run([sys.executable, str(script), axis, job, str(size)], capture_output=True, text=True)
    if -run.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return None
    if run.returncode:
        raise SystemExit(f"{axis}={size} {job} fails:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def measured(axis: str, job: str) -> list[Series]:
    """All quantities of a job, along its axis until one takes too long."""
    found: dict[str, Series] = {}
    for size in SIZES[axis]:
        values = point(axis, job, size)
        if values is None:
            ends = f"no answer in {KILLED_S:g} s at {size}"
        else:
            for quantity, value in values.items():
                series = found.setdefault(quantity, Series(axis, job, quantity))
                series.sizes.append(size)
                series.values.append(value)
            slow = max(value for quantity, value in values.items() if quantity != MEMORY)
            ends = f"over {MOST_S:g} s at {size}" if slow > MOST_S and size != SIZES[axis][-1] else ""
        if ends:
            for series in found.values():
                series.ends = ends
            break
    return list(found.values())


def growth(axis: str) -> Iterator[Series]:
    for job in AXES[axis]:
        yield from measured(axis, job)


def growth_figures(axis: str) -> Iterator[Figure]:
    """How set-up, steps, planners and memory grow along an axis, and as which power of it in the end."""
    for series in growth(axis):
        yield from series.figures()


def recorded(axis: str, file: Path = FILE) -> list[Series]:
    """What a run of the benchmarks has kept of an axis.

    Raises:
        InputError: the file cannot be read.
    """
    found: dict[str, Series] = {}
    for name, figure in read_json(file, schema=SCHEMA)["groups"].get(f"growth-{axis}", {}).get("figures", {}).items():
        at, _, title = name.partition(" ")
        if at.startswith(f"{axis}="):
            job, _, quantity = title.rpartition(": ")
            series = found.setdefault(title, Series(axis, job, quantity))
            series.sizes.append(int(at.partition("=")[2]))
            series.values.append(figure["value"])
    return list(found.values())


def picture(found: list[Series], path: Path) -> None:
    """Write log-log panels of an axis, as PNG: what environments take, what planners take, and memory."""
    panels = [kind for kind in KINDS if any(s.kind == kind for s in found)]
    figure, grid = panel_grid(len(panels), columns=1)
    figure.set_size_inches(8.0, 3.1 * len(panels) + 0.2)
    for axes, kind in zip(grid, panels, strict=True):
        _draw(axes, [s for s in found if s.kind == kind])
        axes.set_xlabel(LABELS[found[0].axis])
        axes.set_ylabel(KINDS[kind])
    footnote(figure, "measured (benchmarks/growth.py); e: a series grows as size^e at its last three points")
    save_figure(figure, path)


def _draw(axes, found: list[Series]) -> None:
    for number, series in enumerate(found):
        style = ("-", "--", ":")[number // len(COLORS)]
        label = f"{series.title}, e = {series.exponent:.2f}"
        axes.plot(
            series.sizes, series.values, style, marker="o", markersize=3.5, color=COLORS[number % len(COLORS)],
            label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({size for series in found for size in series.sizes})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xticks([], minor=True)
    if all(series.quantity == MEMORY for series in found):  # within a decade, where powers of ten say little
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), frameon=False, fontsize=8, labelspacing=0.3)
    clean(axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SIZES, default=list(SIZES), metavar="AXIS", help=", ".join(SIZES))
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw the curves of every axis there, as PNG")
    parser.add_argument(
        "--recorded", action="store_true", help="draw what benchmarks/run.py --record kept; no measuring"
    )
    args = parser.parse_args()
    for axis in args.only:
        found = recorded(axis) if args.recorded else []
        for series in growth(axis) if not args.recorded else ():
            found.append(series)
            for figure in series.figures():
                print(figure.line(), flush=True)
        if args.pictures and found:
            args.pictures.mkdir(parents=True, exist_ok=True)
            picture(found, args.pictures / f"growth-{axis}.png")


GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {f"growth-{axis}": partial(growth_figures, axis) for axis in SIZES}

if __name__ == "__main__":
    main()
