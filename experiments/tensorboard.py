"""A run as TensorBoard reads it: curves, pictures and the final table below one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"


class Board:
    """The events of one run, in ``tensorboard/`` of its folder; one that goes on adds to them.

    Args:
        folder: of the run.
        config: what to show with it.
        axis: the column of logged rows that is the axis of the curves.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], axis: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / FOLDER))
        self._axis = axis
        self._writer.add_text("config", f"```\n{json.dumps(dict(config), indent=1, default=str)}\n```")

    def log(self, row: Mapping[str, float]) -> None:
        """A point of every curve."""
        at = int(row[self._axis])
        for name, value in row.items():
            if name != self._axis:
                self._writer.add_scalar(name, value, at)

    def finish(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        images: Mapping[str, Path],
        summary: Mapping[str, Any],
    ) -> None:
        """The final table, pictures and figures."""
        import numpy as np
        from PIL import Image

        if rows:
            lines = [columns, ["---"] * len(columns), *rows]
            self._writer.add_text("results", "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))
        for name, path in images.items():
            with Image.open(path) as image:
                self._writer.add_image(name, np.asarray(image.convert("RGB")), dataformats="HWC")
        for name, value in summary.items():
            self._writer.add_scalar(f"final/{name}", value)
        self._writer.close()
