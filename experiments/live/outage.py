"""What the loss or return of workers did to a stream: its rate before, meanwhile and after, in numbers and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...runtime.requester import Item
from ...ui.canvas import COLORS, clean, new_figure
from .stream import Streamed


@dataclass(frozen=True)
class Stretch:
    """Time between two changes of who works.

    Attributes:
        workers: that had something to do, as text.
        begun_s, ended_s: since the first image; real time.
        images: that were delivered in it.
    """

    workers: str
    begun_s: float
    ended_s: float
    images: int

    @property
    def images_per_s(self) -> float:
        """Real ones."""
        return self.images / (self.ended_s - self.begun_s) if self.ended_s > self.begun_s else 0.0


@dataclass(frozen=True)
class Loss:
    """A worker that was lost.

    Attributes:
        text: which, and why.
        at_s: since the first image.
        stood_still_s: until the next result; None where there was none.
    """

    text: str
    at_s: float
    stood_still_s: float | None


def stretches(found: Streamed) -> list[Stretch]:
    """A stream by epoch."""
    if not found.all:
        return []
    zero_s, served = found.all[0].begun_s, [e for e in found.events if e.kind == "serving"]
    ends = [_ended_s(item) for item in found.all]
    out = []
    for event, following in zip(served, [*served[1:], None], strict=True):
        begun_s = max(0.0, event.at_s - zero_s)
        ended_s = (following.at_s if following is not None else max(ends)) - zero_s
        images = sum(item.epoch == event.epoch for item in found.all)
        out.append(Stretch(event.text, begun_s, max(begun_s, ended_s), images))
    return out


def losses(found: Streamed) -> list[Loss]:
    """Workers that were lost while images were under way."""
    if not found.all:
        return []
    zero_s, ends = found.all[0].begun_s, sorted(_ended_s(item) for item in found.all)
    out = []
    for event in (e for e in found.events if e.kind == "lost"):
        later = next((end_s for end_s in ends if end_s > event.at_s), None)
        out.append(Loss(event.text, event.at_s - zero_s, None if later is None else later - event.at_s))
    return out


def _ended_s(item: Item) -> float:
    return item.begun_s + item.latency_s


def rate_figure(found: Streamed, title: str) -> Any:
    """Images a second over time, a step an image, with what happened.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure = new_figure(9.0, 4.2)
    axes = figure.subplots()
    clean(axes)
    zero_s = found.all[0].begun_s
    ends = [0.0, *(_ended_s(item) - zero_s for item in found.all)]
    rates = [1.0 / max(b - a, 1e-6) for a, b in pairwise(ends)]
    axes.stairs(rates, ends, baseline=0.0, fill=True, color=COLORS[10])
    axes.stairs(rates, ends, baseline=None, color=COLORS[0], lw=1.2)
    for i, part in enumerate(stretches(found)):
        axes.axvspan(part.begun_s, part.ended_s, color="0.5", alpha=0.12 if i % 2 else 0.0, lw=0)
        if part.images:
            middle_s, words = (part.begun_s + part.ended_s) / 2, part.workers.replace(", ", "\n")
            axes.annotate(
                words, (middle_s, 0.98), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=8
            )
    for loss in losses(found):
        axes.axvline(loss.at_s, color=COLORS[3], lw=1.2)
        axes.annotate(
            f"{loss.text.split()[0]} lost", (loss.at_s, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="bottom", fontsize=8, color=COLORS[3],
        )  # fmt: skip
    for event in (e for e in found.events if e.kind == "back" and e.at_s > zero_s):
        axes.axvline(event.at_s - zero_s, color=COLORS[2], lw=1.2)
        axes.annotate(
            f"{event.text} back", (event.at_s - zero_s, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="bottom", fontsize=8, color=COLORS[2],
        )  # fmt: skip
    axes.set(title=title, xlabel="real seconds since the first image", ylabel="images a second", xlim=(0.0, ends[-1]))
    axes.set_ylim(0.0, 1.45 * max(_usual(rates), 1e-9))
    return figure


def _usual(rates: Sequence[float]) -> float:
    """The highest rate but for outliers, so that one quick result does not flatten the rest."""
    return sorted(rates)[int(0.95 * (len(rates) - 1))]


def lines(found: Streamed, scale: float) -> list[str]:
    """What happened, for people; nothing where nothing did."""
    out = []
    for loss in losses(found):
        still = "no result after it" if loss.stood_still_s is None else f"{loss.stood_still_s:.2f} s to the next result"
        out.append(f"{loss.at_s:.1f} s: {loss.text}: {still}")
    parts = [part for part in stretches(found) if part.images]
    if out or len(parts) > 1:
        for part in parts:
            rate = part.images_per_s * scale
            out.append(f"{part.begun_s:.1f}-{part.ended_s:.1f} s: {part.images} images, {rate:.3g}/s: {part.workers}")
    redone = sum(item.attempts > 1 for item in found.all)
    return [*out, f"{redone} images were begun more than once, each has one result"] if redone else out


def to_json(found: Streamed) -> dict[str, Any]:
    """What happened, as plain data; real seconds since the first image."""
    return {
        "losses": [{"text": x.text, "at_s": x.at_s, "stood_still_s": x.stood_still_s} for x in losses(found)],
        "stretches": [
            {"workers": p.workers, "begun_s": p.begun_s, "ended_s": p.ended_s, "images": p.images}
            for p in stretches(found)
        ],
    }


def happened(found: Streamed) -> bool:
    """Whether anybody was lost, or worked under several plans."""
    return bool(losses(found)) or sum(part.images > 0 for part in stretches(found)) > 1
