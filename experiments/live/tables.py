"""A live run's tables: the figures that count, and the terms of the latency."""

from __future__ import annotations

import math

from rich.table import Table

from .report import Report
from .terms import TERMS


def summary_table(report: Report) -> Table:
    """Latency, rate and speed-up, predicted and measured."""
    table = columns("", "predicted", "measured", "")
    spread = "no image counts"
    if report.latencies_s:
        ends = f"{min(report.latencies_s) * 1e3:.1f} to {max(report.latencies_s) * 1e3:.1f}"
        spread = f"median of {len(report.latencies_s)}, {ends}; prediction {report.error:+.1%}"
    if not report.alone:
        spread = f"of an image alone; {milliseconds(report.latency_s)} with others in flight (median)"
    measured = milliseconds(report.latency_s) if report.alone else "–"
    table.add_row("latency (ms)", milliseconds(report.predicted.latency_s), measured, spread)
    limit = "" if report.alone else f"limit: {report.stage}"
    table.add_row("images/s", _plain(report.predicted_ips), _plain(report.images_per_s), limit)
    if report.offload_s is not None:
        expected = report.offload_predicted_s / report.predicted.latency_s
        note = f"{report.offload_s * 1e3:.1f} ms measured, {report.offload_predicted_s * 1e3:.1f} predicted"
        if report.alone:
            table.add_row("speed-up over offload", _plain(expected), _plain(report.offload_s / report.latency_s), note)
        else:
            rates = report.predicted_ips * report.offload_predicted_s, report.images_per_s * report.offload_s
            table.add_row("images/s over offload's one by one", *map(_plain, rates), note)
    return table


def term_table(report: Report) -> Table:
    """Seconds by term."""
    table = columns("term (ms)", "predicted", "measured", "difference", "")
    for name, (expected, real) in report.terms.items():
        table.add_row(name, milliseconds(expected), milliseconds(real), f"{(real - expected) * 1e3:+.2f}", TERMS[name])
    total = [sum(pair[i] for pair in report.terms.values()) for i in (0, 1)]
    difference = f"{(total[1] - total[0]) * 1e3:+.2f}"
    table.add_row("sum", *map(milliseconds, total), difference, "the image of median latency")
    return table


def columns(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, text in enumerate(titles):
        table.add_column(text, justify="right" if 0 < number < len(titles) - 1 else "left", no_wrap=True)
    return table


def milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1e3, 2) + 0.0:.2f}" if math.isfinite(seconds) else "–"  # never -0.00


def _plain(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
