"""What the loss or return of workers did to a stream: its rate before, meanwhile and after, in numbers and drawn.

All times are the devices': real seconds over the emulation's time scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...runtime.requester import Item
from ...runtime.service import Event
from ...ui.canvas import COLORS, clean, new_figure
from .stream import Streamed


@dataclass(frozen=True)
class Stretch:
    """Time in which one plan served.

    Attributes:
        workers: that had something to do, as text.
        begun_s, ended_s: since the first image, until the next plan is deployed or one of them is lost.
        images: that were delivered in it.
    """

    workers: str
    begun_s: float
    ended_s: float
    images: int

    @property
    def images_per_s(self) -> float:
        """Its rate."""
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


def stretches(found: Streamed, scale: float) -> list[Stretch]:
    """A stream by the epochs that served.

    Args:
        scale: real seconds over the devices'.
    """
    if not found.all:
        return []
    zero_s, last_s = found.all[0].begun_s, max(map(_ended_s, found.all))
    out = []
    for i, event in enumerate(found.events):
        if event.kind == "serving":
            over_s = next((later.at_s for later in found.events[i + 1 :] if _ends(later, event)), last_s)
            begun_s, ended_s = (max(0.0, at_s - zero_s) / scale for at_s in (event.at_s, over_s))
            images = sum(item.epoch == event.epoch for item in found.all)
            out.append(Stretch(event.text, begun_s, max(begun_s, ended_s), images))
    return out


def _ends(event: Event, serving: Event) -> bool:
    """Whether something ends what serves."""
    return event.kind == "deploying" or (event.kind == "lost" and _worker(event.text) in serving.text.split(", "))


def _worker(text: str) -> str:
    """Whom a loss is about."""
    return text.partition(" ")[0]


def losses(found: Streamed, scale: float) -> list[Loss]:
    """Workers that were lost while images were under way.

    Args:
        scale: real seconds over the devices'.
    """
    if not found.all:
        return []
    zero_s, ends = found.all[0].begun_s, sorted(_ended_s(item) for item in found.all)
    out = []
    for event in (e for e in found.events if e.kind == "lost"):
        later = next((end_s for end_s in ends if end_s > event.at_s), None)
        stood_still_s = None if later is None else (later - event.at_s) / scale
        out.append(Loss(event.text, (event.at_s - zero_s) / scale, stood_still_s))
    return out


def _ended_s(item: Item) -> float:
    return item.begun_s + item.latency_s


def rate_figure(found: Streamed, title: str, scale: float) -> Any:
    """Images a second over time, a step an image, with what happened.

    Args:
        scale: real seconds over the devices'.

    Returns:
        A matplotlib Figure (Agg canvas).
    """
    figure = new_figure(9.0, 4.2)
    axes = figure.subplots()
    clean(axes)
    zero_s = found.all[0].begun_s
    ends = [0.0, *((_ended_s(item) - zero_s) / scale for item in found.all)]
    rates = [1.0 / max(b - a, 1e-6) for a, b in pairwise(ends)]
    axes.stairs(rates, ends, baseline=0.0, fill=True, color=COLORS[10])
    axes.stairs(rates, ends, baseline=None, color=COLORS[0], lw=1.2)
    for i, part in enumerate(stretches(found, scale)):
        axes.axvspan(part.begun_s, part.ended_s, color="0.5", alpha=0.12 if i % 2 else 0.0, lw=0)
        if part.images:
            middle_s, words = (part.begun_s + part.ended_s) / 2, part.workers.replace(", ", "\n")
            axes.annotate(
                words, (middle_s, 0.98), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=8
            )
    for loss in losses(found, scale):
        axes.axvline(loss.at_s, color=COLORS[3], lw=1.2)
        axes.annotate(
            f"{_worker(loss.text)} lost", (loss.at_s, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="bottom", fontsize=8, color=COLORS[3],
        )  # fmt: skip
    for event in (e for e in found.events if e.kind == "back" and e.at_s > zero_s):
        at_s = (event.at_s - zero_s) / scale
        axes.axvline(at_s, color=COLORS[2], lw=1.2)
        axes.annotate(
            f"{event.text} back", (at_s, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="bottom", fontsize=8, color=COLORS[2],
        )  # fmt: skip
    clock = f" (the devices': real / {scale:g})" if scale != 1 else ""
    xlabel = f"seconds since the first image{clock}"
    axes.set(title=title, xlabel=xlabel, ylabel="images a second", xlim=(0.0, ends[-1]))
    axes.set_ylim(0.0, 1.45 * max(_usual(rates), 1e-9))
    return figure


def _usual(rates: Sequence[float]) -> float:
    """The highest rate but for outliers, so that one quick result does not flatten the rest."""
    return sorted(rates)[int(0.95 * (len(rates) - 1))]


def lines(found: Streamed, scale: float) -> list[str]:
    """What happened, for people; nothing where nothing did.

    Args:
        scale: real seconds over the devices'.
    """
    out = []
    for loss in losses(found, scale):
        still = "no result after it" if loss.stood_still_s is None else f"{loss.stood_still_s:.3g} s to the next result"
        out.append(f"{loss.at_s:.2f} s: {loss.text}: {still}")
    out += [f"planning failed, what served went on: {why}" for why in failures(found)]
    parts = [part for part in stretches(found, scale) if part.images]
    if out or len(parts) > 1:
        for part in parts:
            rate = f"{part.images} images, {part.images_per_s:.3g}/s"
            out.append(f"{part.begun_s:.2f}-{part.ended_s:.2f} s: {rate}: {part.workers}")
    redone = sum(item.attempts > 1 for item in found.all)
    if redone:
        out.append(f"{redone} images were begun more than once, each has one result")
    if out and scale != 1:
        clock = f"the devices' time (real time / {scale:g})"
        out.insert(0, f"since the first image, in {clock}, but for the reasons of losses:")
    return out


def failures(found: Streamed) -> list[str]:
    """Why planners failed, each reason once."""
    return list(dict.fromkeys(event.text for event in found.events if event.kind == "failed"))


def to_json(found: Streamed, scale: float) -> dict[str, Any]:
    """What happened, as plain data; the devices' seconds since the first image.

    Args:
        scale: real seconds over the devices'.
    """
    return {
        "losses": [{"text": x.text, "at_s": x.at_s, "stood_still_s": x.stood_still_s} for x in losses(found, scale)],
        "planning_failed": failures(found),
        "stretches": [
            {"workers": p.workers, "begun_s": p.begun_s, "ended_s": p.ended_s, "images": p.images}
            for p in stretches(found, scale)
        ],
    }


def happened(found: Streamed) -> bool:
    """Whether anybody was lost, or worked under several plans."""
    return bool(losses(found, 1.0)) or sum(part.images > 0 for part in stretches(found, 1.0)) > 1
