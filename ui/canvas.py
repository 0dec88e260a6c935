"""What all pictures share: figures on Agg canvases (never pyplot), colors, panels, one legend, PNG files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

from .files import replacing
from .fonts import give_fonts

DPI = 150
COLORS = (
    "#3b6fb6", "#e08a1e", "#3f9a5b", "#c8453b", "#8562b5", "#8c5b45", "#d773b4", "#7a7a7a", "#b5b03a", "#3fb3c6",
    "#a9c4e6", "#f6c491", "#a6d8a8", "#f0a5a0", "#cbb6e0", "#c9aaa0", "#f3c1dd", "#c8c8c8", "#dedb92", "#a8dfe8",
)  # fmt: skip
INK = "#333333"
LETTERS_PER_IN, TITLE_LETTERS_PER_IN = 16, 11.0  # of small print, of titles
GRID = "#e6e6e6"


def new_figure(
    width_in: float, height_in: float, dpi: int = DPI, layout: Literal["constrained"] | None = "constrained"
) -> Any:
    """An empty matplotlib figure on an Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path, dpi: int = DPI) -> None:
    """Write a figure as PNG, whole or not at all."""
    give_fonts(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)


def top_legend(figure: Any, handles: Mapping[str, Any], title: str = "", handle_length: float = 1.2) -> None:
    """One legend for all panels, above them, in as many columns as the figure has room for."""
    title = "\n".join(wrap(title, int(TITLE_LETTERS_PER_IN * figure.get_size_inches()[0])))
    longest = max(map(len, handles), default=0)
    columns = max(3, int(figure.get_size_inches()[0] / max(1.45, 0.35 + 0.1 * handle_length + 0.075 * longest)))
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=max(1, min(len(handles), columns)),
        frameon=False, fontsize=9, title=title, alignment="left", title_fontproperties={"size": 11},
        columnspacing=1.2, handlelength=handle_length,
    )  # fmt: skip


def panel_grid(count: int, columns: int = 3) -> tuple[Any, list[Any]]:
    """A figure with so many equal panels in rows of ``columns``: (figure, axes)."""
    across = min(columns, count)
    rows = math.ceil(count / across)
    width_in, height_in = (7.5, 3.6) if count == 1 else (max(7.5, 3.9 * across), 2.5 * rows)
    figure = new_figure(width_in, height_in + 0.9)
    axes = list(figure.subplots(rows, across, squeeze=False).ravel())
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def clean(axes: Any) -> None:
    """Faint horizontal lines behind the data, no frame at the top and the right."""
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def footnote(figure: Any, text: str) -> None:
    """Small print at the bottom left, as many lines as the width of the figure asks for; one that is there stays."""
    if figure.get_supxlabel():
        return
    lines = wrap(text, int(LETTERS_PER_IN * figure.get_size_inches()[0]))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7.5, color="#777777")
