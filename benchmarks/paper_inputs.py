"""What the papers claim, beside what comes out under inputs="paper" and under inputs="devices"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from measure import Figure


@dataclass
class Claim:
    """A figure, an order or a sign that a paper states.

    Attributes:
        family, name: whose, and what about.
        published, paper, devices: the paper's, ours under either inputs; numbers with their units, or words.
        fitted: whether inputs were fitted to it; the others are the check.
        holds: whether it comes out under inputs="paper": an order or sign as stated, a figure within its tolerance.
        reason: why it does not.
    """

    family: str
    name: str
    published: str
    paper: str
    devices: str
    fitted: bool
    holds: bool
    reason: str = ""

    def line(self) -> str:
        kind = "fitted" if self.fitted else "checked"
        verdict = "holds" if self.holds else f"does not hold: {self.reason}"
        name = f"{self.family}: {self.name}"
        return f"{name:62s} {self.published:>16s} {self.paper:>16s} {self.devices:>16s}  {kind:7s} {verdict}"


CLAIMS: tuple[Callable[[], Iterator[Claim]], ...] = ()


def claim_figures() -> Iterator[Claim | Figure]:
    """Every claim: published, under paper, under devices; then how many of those hold that nothing was fitted to."""
    checked: list[bool] = []
    for claims in CLAIMS:
        for claim in claims():
            if not claim.fitted:
                checked.append(claim.holds)
            yield claim
    yield Figure("checked claims that hold under inputs=paper", float(sum(checked)), f"of {len(checked)}")


GROUPS: dict[str, Callable[[], Iterator[Claim | Figure]]] = {"paper-inputs": claim_figures}
