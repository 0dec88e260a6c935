"""What a paper says, as data: its figures and tables, the claims in each, and what is measured to judge them.

A measurement is a generator: it yields the jobs that it needs and is sent their results. So what a report has to run is
known before anything runs, jobs that several claims need run once, and a claim is judged again without running any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from ...envs.scenarios import Inputs

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1.25  # a figure holds when it is within this factor of the published one
TIE = 0.005  # what is as near as this is alike, and none of the two is less

T = TypeVar("T")
Basis = Literal["arithmetic", "modelled", "trained", "executed"]
Samples: TypeAlias = "Sequence[float] | np.ndarray"  # one a seed


@dataclass(frozen=True)
class Setting:
    """Under what a claim is judged.

    Attributes:
        inputs: the paper's own, as far as it prints or implies them, or those of catalogued devices.
        quick: fewer seeds and smaller budgets, to see where things stand.
    """

    inputs: Inputs = "paper"
    quick: bool = False

    def seeds(self, whole: int, quick: int = 1) -> range:
        """Seeds of what depends on luck."""
        return range(quick if self.quick else whole)


@dataclass(frozen=True)
class Job:
    """A call whose result is kept.

    Attributes:
        function: of a module, by keyword arguments; returns plain data (JSON). Where it returns a mapping, its entry
            ``provenance`` (lines) says which tables its numbers come from.
        arguments: plain data.
        seconds: about how long it takes, for the bar.
        exclusive: whether nothing may run beside it, since it measures time.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 1.0
    exclusive: bool = False


Asking = Generator[Sequence[Job], Sequence[Any], T]
Inquiry = Callable[[Setting], Asking[T]]


@dataclass(frozen=True)
class Part:
    """One quantity that a claim is about.

    Attributes:
        name: empty where a claim has one part only.
        samples: one a seed; a single one of what has no luck in it.
        low, high: where the paper has it, the ends included.
        unit: of samples, low and high.
    """

    name: str
    samples: Samples
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Claim:
    """A figure, an order or a sign that a paper states.

    Attributes:
        key: unique in the family; what ``--only`` takes.
        says: the paper's statement, in a sentence.
        published: its numbers with their units, or the order in words.
        measure: the quantities that decide it.
        basis: arithmetic on the paper's definitions, modelled latencies, agents or networks that are trained, or plans
            that are executed.
        fitted: whether an input was fitted to it; the others are the check.
        reason: why it does not hold, where it does not.
        alike: whether it is judged under the first inputs that are asked for only: both give the same, or training for
            both would take too long.
    """

    key: str
    says: str
    published: str
    measure: Inquiry[list[Part]]
    basis: Basis = "modelled"
    fitted: bool = False
    reason: str = ""
    alike: bool = False


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of a paper, or a passage of its text.

    Attributes:
        key: unique in the family; what ``--only`` takes.
        where: as the paper numbers it.
        title: what it shows.
        claims: what follows from it, as the paper says.
        draw: a figure (:mod:`...ui.canvas`) in the paper's own form, with the published values drawn in.
        untested: why nothing of it can be tested here; empty where something can.
    """

    key: str
    where: str
    title: str
    claims: tuple[Claim, ...] = ()
    draw: Inquiry[Any] | None = None
    untested: str = ""

    def __post_init__(self) -> None:
        assert self.claims or self.untested, f"{self.where}: neither claims nor a word why there are none"


def near(name: str, samples: Samples, published: float, unit: str = "", factor: float = TOLERANCE) -> Part:
    """A part that is to be within a factor of a published figure (a positive one)."""
    return Part(name, samples, published / factor, published * factor, unit)


def below(name: str, ratios: Samples, unit: str = "") -> Part:
    """A part that says that one thing is less than another, by their ratio."""
    return Part(name, ratios, -math.inf, 1.0 - TIE, unit)


def jobs_of(inquiry: Inquiry[Any], setting: Setting) -> list[Job]:
    """What an inquiry needs."""
    return list(next(inquiry(setting)))


def answer(inquiry: Inquiry[T], setting: Setting, result_of: Callable[[Job], Any]) -> T:
    """What comes of an inquiry.

    Args:
        result_of: finds the result of a job that is done.
    """
    asking = inquiry(setting)
    return concluded(asking, [result_of(job) for job in next(asking)])


def concluded(asking: Asking[T], results: Sequence[Any]) -> T:
    """What comes of an inquiry that has asked, by the results of its jobs."""
    try:
        asking.send(results)
    except StopIteration as end:
        return end.value
    raise AssertionError("an inquiry asks once")
