"""What ``splitgym-profile`` prints about a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table

from ...ui.console import print_table, stdout
from .measuring import Measured
from .training_profiler import MeasuredTraining

SHOWN = 12


def print_kernels(measured: Measured) -> None:
    """The slowest kernels at full height, and their sum beside the whole model."""
    table = measured.table
    full_s = np.array([times.seconds[1, -1] for times in measured.times])
    spread = np.array([times.spread()[-1] for times in measured.times])
    rows = [
        (name, str(height), _ms(s), _percent(s / full_s.sum()), _percent(scatter))
        for name, height, s, scatter in zip(table.kernels, table.heights, full_s, spread, strict=True)
    ]
    _print(table.label(), ("kernel", "rows", "ms", "of all", "spread"), rows, full_s)
    whole_s = measured.whole_s
    beside = "" if whole_s is None else f", whole model {_ms(whole_s)} ms ({table.total_s() / whole_s:.0%})"
    stdout().print(f"sum over kernels {_ms(table.total_s())} ms{beside}")


def print_steps(measured: MeasuredTraining) -> None:
    """The slowest steps at the largest batch size, and the sum over all."""
    profile = measured.profile
    forward_s, backward_s, update_s = profile.forward_s[-1], profile.backward_s[-1], profile.update_s
    all_s = forward_s + backward_s + update_s
    columns = ("step", "forward ms", "backward ms", "update ms", "of all", "spread")
    rows = [
        (name, *map(_ms, parts), _percent(sum(parts) / all_s.sum()), _percent(scatter))
        for name, *parts, scatter in zip(
            profile.steps, forward_s, backward_s, update_s, measured.spread[-1], strict=True
        )
    ]
    _print(profile.label(), columns, rows, all_s)
    sums = profile.forward_s.sum(axis=1) + profile.backward_s.sum(axis=1) + update_s.sum()
    batches = ", ".join(f"{_ms(s)} ms at batch {b}" for b, s in zip(profile.batches, sums, strict=True))
    stdout().print(f"sum over steps: {batches}", soft_wrap=True)


def _print(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], seconds: npt.NDArray[np.float64]
) -> None:
    console = stdout()
    console.print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    slowest = np.argsort(-seconds)[:SHOWN]
    for i in slowest:
        table.add_row(*rows[i])
    print_table(console, table)
    if len(rows) > len(slowest):
        rest_s = seconds.sum() - seconds[slowest].sum()
        console.print(f"and {len(rows) - len(slowest)} more: {_ms(rest_s)} ms", style="dim")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.3f}"


def _percent(share: float) -> str:
    return f"{share:.1%}"
