"""Budgets from epoch to epoch: the paper's schedules (Sec. 3.2, 3.3, 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ui.errors import InputError

FULL = 128  # maps behind layer 5 of VGG-11: named budgets are counted of as many, and scaled to what a cut has


@dataclass(frozen=True)
class Schedule:
    """A budget for every epoch.

    Attributes:
        name: what it is called in records and figures.
        budgets: maps sent in each epoch, counted of ``FULL``; :meth:`at` scales them to a cut.
        module: False for split learning without the compression module.
    """

    name: str
    budgets: tuple[int, ...]
    module: bool = True

    def at(self, phi: int) -> tuple[int, ...]:
        """The budgets of a cut that may send phi maps: the same shares, at least one map."""
        return tuple(max(1, round(budget * phi / FULL)) for budget in self.budgets)


def phases(*parts: tuple[int, int]) -> tuple[int, ...]:
    """Budgets of one epoch after another from (budget, epochs) pairs."""
    return tuple(budget for budget, epochs in parts for _ in range(epochs))


def no_compression(epochs: int = 18) -> Schedule:
    """All maps, always."""
    return Schedule("no-compression", phases((FULL, epochs)))


def high_compression(epochs: int = 18, budget: int = 4) -> Schedule:
    """A small budget, always."""
    return Schedule("high-compression", phases((budget, epochs)))


def deprune(low_epochs: int = 15, full_epochs: int = 3, budget: int = 4) -> Schedule:
    """Few maps first, all of them at the end: 15+3 epochs on CIFAR-10 (Fig. 8), 25+5 on ImageNet-100 (Fig. 9)."""
    return Schedule(f"deprune-{low_epochs}-{full_epochs}", phases((budget, low_epochs), (FULL, full_epochs)))


def prune(first: int = 30, after: int = 10, budgets: Sequence[int] = (32, 4)) -> Schedule:
    """All maps first, then fewer and fewer, each from what was learnt before (Algorithm 3; Fig. 12)."""
    return Schedule(f"prune-{first}-{after}", phases((FULL, first), *((b, after) for b in budgets)))


def from_scratch(budget: int, epochs: int = 18) -> Schedule:
    """One budget from random weights."""
    return Schedule(f"scratch-{budget}", phases((budget, epochs)))


def without_module(epochs: int = 18) -> Schedule:
    """Split learning with nothing in the cut."""
    return Schedule("without-module", phases((FULL, epochs)), module=False)


def parse(text: str) -> Schedule:
    """A schedule written as budget x epochs, joined by +: ``4x15+128x3``.

    Raises:
        InputError: it is not written so, or a budget lies outside 1..128.
    """
    parts: list[tuple[int, int]] = []
    for part in text.split("+"):
        budget, by, epochs = part.partition("x")
        if not (by and budget.isdecimal() and epochs.isdecimal() and 1 <= int(budget) <= FULL and int(epochs) >= 1):
            raise InputError(
                f"schedule {text!r}: {part!r} must be <budget>x<epochs> with a budget of 1 to {FULL}, as in 4x15+128x3"
            )
        parts.append((int(budget), int(epochs)))
    return Schedule(text, phases(*parts))
