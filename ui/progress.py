"""Progress on a terminal, or now and then a line where there is none."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from .console import duration, note, stderr

LINES = 10  # lines over the whole budget where there is no terminal


class Bar:
    """A bar for a share of work from 0 to 1 with a text beside it, a rate and the time left.

    Args:
        name: in front of the bar.
        share: where it begins.
    """

    def __init__(self, name: str, share: float = 0.0) -> None:
        console = stderr()
        self._live = console.is_terminal
        self._name = name
        self._begun, self._first = time.perf_counter(), share
        self._told = share
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[text]}"),
            console=console,
            disable=not self._live,
            transient=True,
        )
        self._task: Any = self._progress.add_task(name, total=1.0, text="")
        self._progress.update(self._task, completed=share)

    def __enter__(self) -> Any:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, share: float, text: str) -> None:
        """Move the bar; ``text`` goes beside it."""
        text = "  ".join(part for part in (text, self._left(share)) if part)
        self._progress.update(self._task, completed=share, text=text)
        if not self._live and share - self._told >= 1.0 / LINES:
            self._told = share
            note(f"{self._name} {share * 100:3.0f} %  {text}")

    def _left(self, share: float) -> str:
        done = share - self._first
        if share >= 1.0:
            return ""
        if done <= 0:
            return "– left"
        seconds = (1.0 - share) * (time.perf_counter() - self._begun) / done
        return duration(max(1.0, round(seconds))).replace(".0 s", " s") + " left"
