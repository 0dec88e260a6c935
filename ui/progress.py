"""Progress on a terminal, or now and then a line where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from .console import duration, note, stderr

LINES = 10  # lines over the whole budget where there is no terminal
PATIENCE_S = 2.0  # before a plan that is being made gets a bar

_listener: ContextVar[Callable[[float, str], None] | None] = ContextVar("listener", default=None)


def tell(share: float, text: str) -> None:
    """Say how far a plan is that is being made; heard within :func:`planning` alone."""
    listener = _listener.get()
    if listener is not None:
        listener(share, text)


@contextmanager
def planning(what: str) -> Iterator[None]:
    """While an agent is made, which may be planning: a spinner beside ``what``; a bar where that takes long and tells
    how far it is."""
    begun = time.perf_counter()
    bar: Bar | None = None
    with ExitStack() as stack:
        status = stack.enter_context(stderr().status(f"{what} …"))

        def told(share: float, text: str) -> None:
            nonlocal bar
            if bar is None and time.perf_counter() - begun > PATIENCE_S:
                status.stop()
                bar = stack.enter_context(Bar(what, share))
            if bar is not None:
                bar.show(share, text)

        token = _listener.set(told)
        try:
            yield
        finally:
            _listener.reset(token)


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
