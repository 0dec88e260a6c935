"""Pictures of what was measured: latency against rows by kernel, training time by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...models.model import Model
from ...ui.canvas import COLORS, INK, clean, footnote, new_figure, top_legend
from ..tables import Provenance
from ..training import TrainingProfile
from .measuring import KernelTimes, Measured

MOST_PANELS = 12  # of kernels by shape; the slowest are drawn
MOST_BANDS = 6  # of kernels in a panel; more are a fog
MOST_BATCHES = 4
ACROSS = 4


def table_figure(model: Model, measured: Measured) -> Any:
    """Milliseconds against output rows: one panel for all kernels of the same layer and shapes, the slowest first.

    Lines are medians, bands the middle half of the runs. A dotted line is the time in proportion to the rows: where
    the kernel lies above it, a part of the rows costs more than its share.
    """
    groups: dict[Any, list[int]] = {}
    for k, kernel in enumerate(model.kernels):
        if kernel.out_shape.height > 1:
            groups.setdefault((kernel.layer, kernel.in_shape), []).append(k)
    full_s = [float(times.seconds[1, -1]) for times in measured.times]
    ranked = sorted(groups.values(), key=lambda group: -sum(full_s[k] for k in group))
    shown = sorted(ranked[:MOST_PANELS]) or [[0]]
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = new_figure(max(4.6, 2.5 * across), 1.0 + 1.75 * down)
    panels = list(figure.subplots(down, across, squeeze=False).ravel())
    handles: dict[str, Any] = {}
    for panel, group in zip(panels, shown, strict=False):
        handles = _kernel_panel(panel, [measured.times[k] for k in group]) | handles
        panel.set_title(_names([model.kernels[k].name for k in group]), loc="left", fontsize=9)
    for i, panel in enumerate(panels):
        if i >= len(shown):
            panel.remove()
            continue
        if i % across == 0:
            panel.set_ylabel("ms", fontsize=9)
        if i + across >= len(shown):
            panel.set_xlabel("output rows", fontsize=9)
    top_legend(figure, handles, f"{measured.table.model} on {measured.table.device}", 1.6)
    footnote(figure, _small_print(measured, len(groups), len(shown)))
    return figure


def _kernel_panel(panel: Any, group: Sequence[KernelTimes]) -> dict[str, Any]:
    """Draw kernels of equal shapes; returns the handles of a legend."""
    from matplotlib.ticker import MaxNLocator

    handles: dict[str, Any] = {}
    for i, times in enumerate(group):
        color = COLORS[i % 10]
        low, median, high = times.seconds * 1e3
        band = None
        if len(group) <= MOST_BANDS:
            band = panel.fill_between(times.rows, low, high, color=color, alpha=0.25, linewidth=0)
        marker = "." if len(median) < 60 else ""
        (line,) = panel.plot(times.rows, median, color=color, linewidth=1.3, marker=marker, markersize=4)
        if not i:
            handles["median"] = line
        if band is not None:
            handles.setdefault("middle half of the runs", band)
    slowest = max(group, key=lambda times: times.seconds[1, -1])
    (share,) = panel.plot(
        [0, slowest.rows[-1]], [0, slowest.seconds[1, -1] * 1e3], color=INK, linewidth=0.9, linestyle=":", zorder=1
    )
    panel.set_xlim(0, slowest.rows[-1] * 1.02)
    panel.set_ylim(bottom=0)
    panel.tick_params(labelsize=8)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    clean(panel)
    return {**handles, "in proportion to the rows": share}


def _names(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 24 else f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else f"{text[:23]}…"


def _small_print(measured: Measured, groups: int, shown: int) -> str:
    table = measured.table
    single = [
        (name, s[1]) for name, height, s in zip(table.kernels, table.heights, table.seconds, strict=True) if height == 1
    ]
    slowest = sorted(single, key=lambda item: -item[1])[:4]
    flat = ", ".join(f"{name} {s * 1e3:.3g} ms" for name, s in slowest)
    parts = (
        f"the {shown} slowest of {groups} shapes" if groups > shown else "",
        f"of one row, not drawn: {flat}{' …' if len(single) > 4 else ''}" if single else "",
        _about(table.provenance),
    )
    return "; ".join(filter(None, parts))


def _about(where: Provenance) -> str:
    return ", ".join((where.source, where.precision, where.software, where.date))


def training_figure(profile: TrainingProfile) -> Any:
    """Milliseconds of forward, backward and update of every step, stacked; one panel for every batch size."""
    chosen = np.unique(np.linspace(0, len(profile.batches) - 1, min(MOST_BATCHES, len(profile.batches))).round())
    figure = new_figure(min(max(6.5, 1.5 + 0.3 * len(profile.steps)), 13.0), 1.3 + 1.7 * len(chosen))
    panels = figure.subplots(len(chosen), sharex=True, squeeze=False)[:, 0]
    at = np.arange(len(profile.steps))
    for panel, i in zip(panels, chosen.astype(int), strict=True):
        bottom = np.zeros(len(at))
        parts = {"forward": profile.forward_s[i], "backward": profile.backward_s[i], "weight update": profile.update_s}
        for color, (name, seconds) in zip(COLORS, parts.items(), strict=False):
            panel.bar(at, seconds * 1e3, 0.75, bottom, color=color, label=name)
            bottom += seconds * 1e3
        panel.set_title(f"batch {profile.batches[i]}: {bottom.sum():.4g} ms", loc="left", fontsize=9)
        panel.set_ylabel("ms", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.set_xlim(-0.6, len(at) - 0.4)
        clean(panel)
    panels[-1].set_xticks(at, list(profile.steps), rotation=60, ha="right", rotation_mode="anchor")
    panels[-1].tick_params(axis="x", length=0)
    handles, names = panels[0].get_legend_handles_labels()
    top_legend(figure, dict(zip(names, handles, strict=True)), f"{profile.model} on {profile.device}")
    footnote(figure, _about(profile.provenance))
    return figure
