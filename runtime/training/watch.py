"""When members compute what, and for how long; an emulated one takes as long as the device that it stands for.

As in :mod:`..compute` what is emulated is done for real and then waited for, until its begin plus the seconds of the
device. Where the real work took longer that is an overrun: the step says nothing about the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from ..patience import wait
from ..wire import Span
from ..wire_training_plan import TrainingPace

Work = Literal["forward", "backward", "train", "update"]  # train: forward and backward as one
WORKS: tuple[Work, ...] = ("forward", "backward", "train", "update")


class Watch:
    """Takes no notice."""

    @contextmanager
    def over(self, work: Work, number: int, start: int, stop: int, samples: int = 0) -> Iterator[None]:
        """What is done inside is the work of an entry over steps [start, stop) of the model, on so many samples."""
        yield


NO_WATCH = Watch()


class Clock(Watch):
    """Takes notice of everything.

    Args:
        batch: samples of the batch that a pace's seconds are of.
        pace: of an emulated member.
        given_up: asked while its time is waited for.

    Attributes:
        taken: (entry, what was done) since it was last emptied.
        overrun_s: by entry, by how much real work took longer than what it stands for.
    """

    def __init__(self, batch: int, pace: TrainingPace | None, given_up: Callable[[], bool] = lambda: False) -> None:
        self._batch, self._pace, self.given_up = batch, pace, given_up
        self.taken: list[tuple[int, Span]] = []
        self.overrun_s: dict[int, float] = {}

    @contextmanager
    def over(self, work: Work, number: int, start: int, stop: int, samples: int = 0) -> Iterator[None]:
        begun_s = time.monotonic()
        yield
        ended_s = time.monotonic()
        if self._pace is not None:
            due_s = begun_s + self._seconds(self._pace, work, start, stop, samples)
            if due_s > ended_s:
                wait(due_s, self.given_up)
                ended_s = time.monotonic()
            else:
                self.overrun_s[number] = self.overrun_s.get(number, 0.0) + ended_s - due_s
        self.taken.append((number, Span(work, begun_s, ended_s, steps_label(start, stop))))

    def _seconds(self, pace: TrainingPace, work: Work, start: int, stop: int, samples: int) -> float:
        if work == "update":
            return sum(pace.update_s[start:stop])
        forward_s, backward_s = sum(pace.forward_s[start:stop]), sum(pace.backward_s[start:stop])
        whole_s = {"forward": forward_s, "backward": backward_s, "train": forward_s + backward_s}[work]
        return whole_s * samples / self._batch


def steps_label(start: int, stop: int) -> str:
    """Steps [start, stop) of the model, as a span is labelled."""
    return f"{start}-{stop}"
