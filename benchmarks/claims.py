"""What a paper claims, beside what comes out here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

TOLERANCE = 1.25  # a figure holds when it is within this factor of the published one


@dataclass
class Claim:
    """A figure, an order or a sign that a paper states.

    Attributes:
        family, name: whose, and what about.
        published, paper, devices: the paper's, ours under either inputs; numbers with their units, or words.
        fitted: whether inputs were fitted to it; the others are the check.
        holds: whether it comes out under inputs="paper": an order or sign as stated, a figure within its tolerance.
        reason: why it does not.
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

    def line(self) -> str:
        kind = "fitted" if self.fitted else "checked"
        verdict = "holds" if self.holds else f"does not hold: {self.reason}"
        name = f"{self.family}: {self.name}"
        return f"{name:62s} {self.published:>16s} {self.paper:>16s} {self.devices:>16s}  {kind:7s} {verdict}"


def figure(
    family: str, name: str, published: float, ours: Callable[[str], float], fitted: bool, reason: str, unit: str = "x"
) -> Claim:
    """A claim about a figure.

    Args:
        family, name, published, fitted, unit: see :class:`Claim`.
        ours: the same figure under inputs paper or devices.
        reason: told where it does not hold.
    """
    paper, devices = ours("paper"), ours("devices")
    holds = published / TOLERANCE <= paper <= published * TOLERANCE
    told, ours_paper, ours_devices = (f"{value:.3g} {unit}" for value in (published, paper, devices))
    return Claim(family, name, told, ours_paper, ours_devices, fitted, holds, "" if holds else reason)


def band(
    family: str,
    name: str,
    published: tuple[float, float],
    ours: Callable[[str], Sequence[float]],
    fitted: bool,
    reason: str,
) -> Claim:
    """A claim that figures are within a range.

    Args:
        family, name, fitted, reason: see :class:`Claim` and :func:`figure`.
        published: least and largest, to a decimal.
        ours: the figures under inputs paper or devices; to a decimal all must be within.
    """
    paper, devices = ours("paper"), ours("devices")
    holds = all(published[0] <= round(value, 1) <= published[1] for value in paper)
    told, ours_paper, ours_devices = (f"{min(v):.2f}-{max(v):.2f}" for v in (published, paper, devices))
    return Claim(family, name, told, ours_paper, ours_devices, fitted, holds, "" if holds else reason)


def order(
    family: str,
    name: str,
    published: str,
    ours: Callable[[str], tuple[bool, str]],
    reason: str,
) -> Claim:
    """A claim about an order or a sign that nothing was fitted to.

    Args:
        family, name, published: see :class:`Claim`.
        ours: whether it comes out under inputs paper or devices, and the figures behind it.
        reason: told where it does not hold.
    """
    (holds, paper), (_, devices) = ours("paper"), ours("devices")
    return Claim(family, name, published, paper, devices, False, holds, "" if holds else reason, is_order=True)
