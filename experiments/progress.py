"""The progress of a training."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..agents.protocol import Report
from ..ui.progress import Bar
from .run_folder import Progress


class TrainingBar(Bar):
    """A bar for a training: episodes, their rate, the best so far.

    Args:
        describe: best headline value -> text.
        before: how far an earlier call had come.
    """

    def __init__(self, describe: Callable[[float], str], before: Progress) -> None:
        super().__init__("training", before.share)
        self._describe, self._before = describe, before.episodes

    def update(self, report: Report) -> None:
        """Show a report."""
        rate = (report.episodes - self._before) / max(time.perf_counter() - self._begun, 1e-9)
        parts = (f"{report.episodes} episodes", f"{rate:.0f}/s", self._describe(report.best))
        self.show(report.share, "  ".join(part for part in parts if part))
