"""The KL divergence of a small network by cut, measured on real images.

``python -m splitgym.experiments.l2s.privacy`` trains it on scikit-learn's handwritten digits; :mod:`.divergence` says
what is measured.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ...models.cuts import cut_points
from ...models.model import Model
from ...profiling.training import VALUE_BYTES
from ...ui.canvas import COLORS, GRID, INK, new_figure, save_figure
from ...ui.console import (
    MOST_SEED,
    Parser,
    duration,
    entry,
    png_file,
    positive_number,
    print_table,
    seed_number,
    stdout,
)
from ...ui.progress import Bar
from ..tables import number

if TYPE_CHECKING:
    from .digits import Trained

PROG = "python -m splitgym.experiments.l2s.privacy"
TRAINING_SHARE = 0.7  # of the whole run, for the progress bar
REDUCE = ("min", "mean")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure and print as the command line says; returns the exit code."""
    return entry(PROG, _main, argv)


@dataclass(frozen=True)
class Report:
    """What the script found.

    Attributes:
        model: the network.
        kl: nats for the partition points 1, 2, ..., P.
        uniform: nats of an answer that knows nothing.
        target: nats that were asked for; PPT's when none were.
        point: P^c for the target, None where the target is PPT's and the last cut has less.
        ppt: PPT's partition point.
    """

    model: Model
    kl: np.ndarray
    uniform: float
    target: float
    point: int | None
    ppt: int

    @property
    def cuts(self) -> tuple[int, ...]:
        """Steps in front of the partition points 1 to P."""
        return cut_points(self.model)[1:]


def _main(argv: Sequence[str] | None) -> int:
    args = _parse(argv)
    from .digits import train_digits  # torch, which to be told of options takes none
    from .divergence import first_conv_point, kl_by_cut, kl_of_uniform, point_for

    begun = time.perf_counter()
    with Bar("privacy") as bar:
        trained = train_digits(args.seed, on_progress=lambda done: bar.show(TRAINING_SHARE * done, "training"))
        kl = kl_by_cut(
            trained.model,
            None,
            trained.images,
            reduce=args.reduce,
            on_progress=lambda done: bar.show(TRAINING_SHARE + (1.0 - TRAINING_SHARE) * done, "measuring"),
        )
    model = trained.model.model
    ppt, by_point = first_conv_point(model), kl[np.array(cut_points(model)[1:]) - 1]
    target = float(by_point[ppt - 1]) if args.target is None else args.target
    uniform = kl_of_uniform(trained.model, trained.images)
    point = None if args.target is None and kl[-1] < target else point_for(model, kl, target)
    report = Report(model, by_point, uniform, target, point, ppt)
    if args.out is not None:
        save_figure(_chart(report, args.reduce), args.out)
    _print(report, args, trained, time.perf_counter() - begun)
    return 0


def _parse(argv: Sequence[str] | None) -> Namespace:
    parser = Parser(
        PROG,
        "Train a small network on handwritten digits and measure how private each of its cuts is.",
        lambda: f"examples:\n  {PROG}\n  {PROG} --target 2.5 --out kl.png",
    )
    parser.add_argument(
        "--target", metavar="NATS", type=positive_number, help="privacy that P^c must give (that of PPT's cut)"
    )
    parser.add_argument(
        "--reduce", choices=REDUCE, default="min", help="over the maps of a cut: most revealing, or all (min)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=seed_number, default=0, help=f"of split, weights and order, 0 to {MOST_SEED} (0)"
    )
    parser.add_argument("--out", metavar="FILE", type=png_file, help="draw KL by cut there, a .png file")
    return parser.parse_args(sys.argv[1:] if argv is None else argv)


def _print(report: Report, args: Namespace, trained: Trained, seconds: float) -> None:
    from scipy.stats import spearmanr

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("point", "after", "KL (nats)", "KB per image", ""):
        table.add_column(name, justify="left" if name in ("after", "") else "right", no_wrap=True)
    names = [report.model.steps[cut - 1].name for cut in report.cuts]
    for point, (cut, name, kl) in enumerate(zip(report.cuts, names, report.kl, strict=True), start=1):
        marks = ("PPT" if point == report.ppt else "", "P^c" if point == report.point else "")
        kilobytes = report.model.cut_bytes(cut, VALUE_BYTES) / 1e3
        table.add_row(str(point), name, f"{kl:.3f}", f"{kilobytes:.2f}", ", ".join(m for m in marks if m))
    console = stdout()
    console.print(
        f"{report.model.name} on handwritten digits, seed {args.seed}: {trained.accuracy:.1%} of "
        f"{len(trained.images)} test images right, {duration(seconds)}"
    )
    print_table(console, table)
    correlation = spearmanr(np.arange(len(report.kl)), report.kl)[0]  # pyright: ignore[reportArgumentType]
    falls = [name for name, rise in zip(names[1:], np.diff(report.kl), strict=True) if rise < 0]
    grows = (
        "KL grows with every cut" if not falls else f"KL does not grow with every cut (it falls at {', '.join(falls)})"
    )
    console.print(f"{grows}; Spearman correlation with the cut {correlation:+.2f}")
    console.print(f"an answer that knows nothing: {report.uniform:.3f} nats")
    wanted = "the privacy of PPT's cut" if args.target is None else "the target"
    if report.point is not None:
        console.print(f"P^c for {wanted}, {report.target:.3f} nats: {report.point}")
    else:
        console.print(f"no P^c gives {wanted}, {report.target:.3f} nats: the last cut has {report.kl[-1]:.3f}")
    if args.out is not None:
        console.print(f"chart: {args.out}")


def _chart(report: Report, reduce: str) -> Any:
    """Bars of KL by cut on a logarithmic axis: early cuts are orders of magnitude below late ones."""
    figure = new_figure(7.0, 3.8)
    axes = figure.add_subplot()
    points = np.arange(1, len(report.kl) + 1)
    allowed = [report.point is not None and point >= report.point for point in points]
    bars = axes.bar(points, report.kl, 0.7, color=[COLORS[0] if ok else COLORS[10] for ok in allowed])
    axes.bar_label(bars, [number(float(kl), 3) for kl in report.kl], fontsize=9, color=INK, padding=2)
    for value, text, color in ((report.target, "target", COLORS[3]), (report.uniform, "knows nothing", INK)):
        axes.axhline(value, color=color, linewidth=1.0, linestyle=(0, (5, 3)))
        axes.annotate(text, (1.01, value), xycoords=("axes fraction", "data"), va="center", color=color, fontsize=9)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(top=2.0 * max(report.kl.max(), report.target))
    names = [report.model.steps[cut - 1].name for cut in report.cuts]
    axes.set_xticks(points, [f"{point}\n{name}" for point, name in enumerate(names, start=1)])
    axes.set_ylabel(f"KL divergence (nats), {reduce} over maps")
    allows = "no P^c reaches the target" if report.point is None else f"dark: allowed by P^c = {report.point}"
    axes.set_title(f"privacy by cut of {report.model.name}; {allows}", loc="left", fontsize=11)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    sys.exit(main())
