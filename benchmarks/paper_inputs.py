"""What the papers claim, beside what comes out under inputs="paper" and under inputs="devices"."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import paper_distredge
import paper_distredge_online
from claims import TOLERANCE, Claim
from measure import Figure

CLAIMS: tuple[Callable[[], Iterator[Claim]], ...] = (
    paper_distredge.claims,
    paper_distredge_online.claims,
)


def claim_figures() -> Iterator[Claim | Figure]:
    """Every claim: published, under paper, under devices; then how many of those hold that nothing was fitted to."""
    checked: list[Claim] = []
    for claims in CLAIMS:
        for claim in claims():
            checked += [] if claim.fitted else [claim]
            yield claim
    for name, is_order in (("orders and signs", True), (f"figures, within {TOLERANCE:g} times", False)):
        found = [claim.holds for claim in checked if claim.is_order == is_order]
        yield Figure(f"paper: {name}, not fitted, that hold", float(sum(found)), f"of {len(found)}")


GROUPS: dict[str, Callable[[], Iterator[Claim | Figure]]] = {"paper-inputs": claim_figures}
