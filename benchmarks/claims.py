"""What a paper claims, beside what comes out here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splitgym.envs.scenarios import Inputs

TOLERANCE = 1.25  # a figure holds when it is within this factor of the published one
Told = tuple[bool, str]  # whether it is as the paper says, and the figures behind it
Reason = str | Callable[[], str]  # or what tells it, called where it is needed


@dataclass
class Claim:
    """A figure, an order or a sign that a paper states.

    Attributes:
        family, name: whose, and what about.
        published, paper, devices: the paper's, ours under either inputs; numbers with their units, or words.
        fitted: whether inputs were fitted to it; the others are the check.
        holds: whether it comes out under inputs="paper": an order or sign as stated, a figure within its tolerance.
        reason: why it does not; nothing fails without one.
        is_order: whether it is about an order or a sign, not a figure.
    """

    family: str
    name: str
    published: str
    paper: str
    devices: str
    fitted: bool
    holds: bool
    reason: str = ""
    is_order: bool = False

    def __post_init__(self) -> None:
        assert self.holds or self.reason, f"{self.family}: {self.name} does not hold, and no reason is given"

    def line(self) -> str:
        kind = "fitted" if self.fitted else "checked"
        verdict = "holds" if self.holds else f"does not hold: {self.reason}"
        name = f"{self.family}: {self.name}"
        return f"{name:62s} {self.published:>16s} {self.paper:>16s} {self.devices:>16s}  {kind:7s} {verdict}"


def _why(holds: bool, reason: Reason) -> str:
    if holds:
        return ""
    return reason if isinstance(reason, str) else reason()


def figure(
    family: str,
    name: str,
    published: float,
    ours: Callable[[Inputs], float],
    reason: Reason = "",
    unit: str = "x",
    fitted: bool = False,
) -> Claim:
    """A claim about a figure.

    Args:
        family, name, published, fitted, unit: see :class:`Claim`.
        ours: the same figure under inputs paper or devices; within :data:`TOLERANCE` it holds, the ends included.
        reason: told where it does not hold.
    """
    paper, devices = ours("paper"), ours("devices")
    holds = published / TOLERANCE <= paper <= published * TOLERANCE
    told, ours_paper, ours_devices = (f"{value:.3g} {unit}".rstrip() for value in (published, paper, devices))
    return Claim(family, name, told, ours_paper, ours_devices, fitted, holds, _why(holds, reason))


def band(
    family: str,
    name: str,
    published: tuple[float, float],
    ours: Callable[[Inputs], Sequence[float]],
    reason: Reason = "",
    fitted: bool = False,
) -> Claim:
    """A claim that figures are within a range.

    Args:
        family, name, fitted, reason: see :class:`Claim` and :func:`figure`.
        published: least and largest.
        ours: the figures under inputs paper or devices; all must be within, the ends included, unrounded.
    """
    paper, devices = ours("paper"), ours("devices")
    holds = all(published[0] <= value <= published[1] for value in paper)
    told, ours_paper, ours_devices = (f"{min(v):.2f}-{max(v):.2f}" for v in (published, paper, devices))
    return Claim(family, name, told, ours_paper, ours_devices, fitted, holds, _why(holds, reason))


def order(
    family: str,
    name: str,
    published: str,
    ours: Callable[[Inputs], Told],
    reason: Reason = "",
    fitted: bool = False,
) -> Claim:
    """A claim about an order or a sign.

    Args:
        family, name, published, fitted: see :class:`Claim`.
        ours: whether it comes out under inputs paper or devices, and the figures behind it.
        reason: told where it does not hold.
    """
    (holds, paper), (_, devices) = ours("paper"), ours("devices")
    return Claim(family, name, published, paper, devices, fitted, holds, _why(holds, reason), is_order=True)
