"""What the viewers of all families share: figures on Agg canvases, as pixels. matplotlib is imported when used."""

from __future__ import annotations

from typing import Any

import numpy as np


def canvas_figure(width_in: float, height_in: float) -> Any:
    """An empty matplotlib figure on an Agg canvas, never pyplot's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def frame(figure: Any) -> np.ndarray:
    """Pixels of a figure, (height, width, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
