"""What results of jobs have in common: numbers as a file keeps them, recorded studies, two inquiries at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .statement import Asking, concluded


def short(values: Any) -> list[float]:
    """Numbers of six digits."""
    return [float(f"{value:.6g}") for value in np.asarray(values, dtype=float)]


def recorded(summary: Mapping[str, Any], what: str) -> str:
    """Where a shipped summary of a study comes from, as a line of provenance.

    Args:
        what: was trained.
    """
    told = summary["provenance"]
    return (
        f"recorded study, shown as shipped: {told['trainings']} trainings of {what} on {told['data']} "
        f"({told['machine']}, {told['date']}): {told['command']}"
    )


def both(one: Asking[Any], other: Asking[Any]) -> Asking[tuple[Any, Any]]:
    """What comes of two inquiries, asked at once."""
    first, second = list(next(one)), list(next(other))
    found = yield [*first, *second]
    return concluded(one, found[: len(first)]), concluded(other, found[len(first) :])
