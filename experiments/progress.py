"""The progress of a training."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..agents.protocol import Report
from ..agents.run_folder import Progress
from ..ui.progress import Bar


class TrainingBar(Bar):
    """A bar for a training: episodes, or steps until one ends, their rate, and how good it is.

    Args:
        describe: report -> text.
        before: how far an earlier call had come.
    """

    def __init__(self, describe: Callable[[Report], str], before: Progress) -> None:
        super().__init__("training", before.share)
        self._describe, self._before = describe, before

    def update(self, report: Report) -> None:
        """Show a report."""
        done, before, what = report.steps, self._before.steps, "steps"
        if report.episodes > self._before.episodes:
            done, before, what = report.episodes, self._before.episodes, "episodes"
        rate = (done - before) / max(time.perf_counter() - self._begun, 1e-9)
        parts = (f"{done} {what}", f"{rate:.3g}/s", self._describe(report))
        self.show(report.share, "  ".join(part for part in parts if part))
