"""A picture of a network along its chain: what every cut sends, what is computed up to there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ui.canvas import COLORS, INK, clean, footnote, new_figure, top_legend
from .model import Model
from .report import Row, cuts_worth_a_look, image_bytes

_COLORS: dict[str, str] = dict(zip(("windowed", "remapped", "channels", "pointwise", "global", "tail"),
                   (COLORS[0], COLORS[4], COLORS[2], COLORS[10], COLORS[3], COLORS[7]), strict=True))  # fmt: skip
_MOST_NAMES = 60


def network_figure(model: Model, rows: Sequence[Row], title: str) -> Any:
    """Bytes of every cut and MACs of every step, side by side along the chain; cuts worth a look are marked."""
    from matplotlib.patches import Patch

    figure = new_figure(min(max(7.0, 1.5 + 0.2 * len(rows)), 18.0), 5.6)
    above, below = figure.subplots(2, sharex=True)
    at = range(len(rows))
    colors = [_COLORS[row.rows] for row in rows]
    above.bar(at, [row.cut_bytes for row in rows], 0.8, color=colors)
    line = above.axhline(image_bytes(model), color=INK, linewidth=0.9, linestyle=":")
    above.set_yscale("log")
    above.set_ylabel("sent at a cut behind it")
    _label_bytes(above)
    for i in cuts_worth_a_look(model, rows):
        mark = above.plot(i, rows[i].cut_bytes, marker="v", color=INK, markersize=5)[0]
    below.bar(at, [row.macs / 1e6 for row in rows], 0.8, color=colors)
    below.set_ylabel("million MACs")
    share = below.twinx()
    (done,) = share.plot(at, [100 * row.done for row in rows], color=INK, linewidth=1.0)
    share.set_ylim(0, 102)
    share.set_ylabel("% of all, up to here")
    share.spines["top"].set_visible(False)
    shown = range(0, len(rows), -(-len(rows) // _MOST_NAMES))
    below.set_xticks(list(shown), [rows[i].name for i in shown], rotation=70, ha="right", rotation_mode="anchor")
    below.tick_params(axis="x", labelsize=7, length=0)
    below.set_xlim(-0.6, len(rows) - 0.4)
    for axes in (above, below):
        clean(axes)
    used = [kind for kind in _COLORS if any(row.rows == kind for row in rows)]
    handles: dict[str, Any] = {f"rows: {kind}": Patch(color=_COLORS[kind]) for kind in used}
    handles |= {"the image itself, float32": line, "MACs up to here": done}
    if cuts_worth_a_look(model, rows):
        handles["sends least so far, image included"] = mark
    top_legend(figure, handles, title)
    footnote(figure, "all bytes are of float32; global: whoever has a part of it gets every row of its input")
    return figure


def _label_bytes(axes: Any) -> None:
    """Ticks of a logarithmic axis of bytes as "20 kB", several a decade where it spans few."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high < 200 * low else (1,)))
    axes.yaxis.set_major_formatter(EngFormatter("B"))
    axes.yaxis.set_minor_formatter(NullFormatter())
