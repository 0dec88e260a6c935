"""What the viewers of all families share: figures as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ui.canvas import new_figure


def canvas_figure(width_in: float, height_in: float) -> Any:
    """An empty figure as a viewer draws it: a frame has 100 pixels an inch."""
    return new_figure(width_in, height_in, dpi=100)


def frame(figure: Any) -> np.ndarray:
    """Pixels of a figure, (height, width, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
