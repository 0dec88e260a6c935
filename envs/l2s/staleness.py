"""What training on old copies costs in accuracy, fitted to this suite's own recorded trainings.

    lost(r) = scale * r^power

is the accuracy that a training loses all of whose rounds train layers on old copies, r rounds behind the last sync. A
training's loss is taken as the mean of it over its rounds, those without old copies counting 0. The recordings and the
fit are in ``staleness.json``; ``python -m splitgym.experiments.l2s.staleness`` makes and shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...ui.errors import InputError
from ...ui.validation import read_json

FILE = Path(__file__).with_name("staleness.json")
BINS = 13  # of stale rounds by age in a record: 1, 2-3, 4-7, ...
_FIRST = 2 ** np.arange(BINS)  # age of every bin, and how many it has
_AGES = np.arange(1, 2**BINS, dtype=float)
_LOGS = np.log(_AGES)


@dataclass(frozen=True)
class StaleCurve:
    """The fit.

    Attributes:
        name: of the recorded images.
        scale, power: fitted.
        fit: their errors, and how far the fit is off, in points of accuracy.
        settings: of the recorded trainings.
        provenance: images, machine, command, date.
    """

    name: str
    scale: float
    power: float
    fit: Mapping[str, float]
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def lost(self, age: np.ndarray) -> np.ndarray:
        """Share of accuracy by rounds since the last sync, 1 for the first round behind it."""
        return self.scale * np.asarray(age, dtype=float) ** self.power

    def label(self) -> str:
        """One line: what it was fitted to, and how well."""
        error, seen, kept = (self.fit[name] for name in ("error_points", "trainings", "held_out_points"))
        return (
            f"accuracy lost on old copies: modelled, fitted to this suite's own recordings ({seen:g} trainings of "
            f"{self.settings['model']}, {self.provenance['data']}; error {error:.1f} points, on L2S's moves {kept:.1f})"
        )


@cache
def load_curves() -> Mapping[str, StaleCurve]:
    """All curves that ship, by name of the recorded images."""
    found = read_json(FILE, schema=1)["data"]
    return {name: _curve(name, summary) for name, summary in found.items()}


def _curve(name: str, summary: Mapping[str, Any]) -> StaleCurve:
    fit = summary["fit"]
    return StaleCurve(name, fit["scale"], fit["power"], fit, summary["settings"], summary["provenance"])


def get_curve(name: str, where: str) -> StaleCurve:
    """A curve by name.

    Raises:
        InputError: there is none of that name.
    """
    known = load_curves()
    if name not in known:
        raise InputError(f"{where}: unknown stale_curve {name!r}; known: {', '.join(known)}")
    return known[name]


def bin_of(age: int) -> int:
    """The bin of a stale round, by rounds since the last sync."""
    return min(age.bit_length(), BINS) - 1


def bin_means(power: float) -> np.ndarray:
    """(BINS,) mean of age^power over the ages of every bin."""
    return np.add.reduceat(_AGES**power, _FIRST - 1) / _FIRST


def bin_slopes(power: float) -> np.ndarray:
    """(BINS,) derivative of :func:`bin_means` by the power."""
    return np.add.reduceat(_LOGS * _AGES**power, _FIRST - 1) / _FIRST
