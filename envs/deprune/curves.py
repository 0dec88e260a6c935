"""A compact learning model: what a net knows after epochs at some budgets, fitted to recorded trainings.

The test accuracy at a budget follows a power law in effective epochs, to a ceiling that falls with the compression:

    accuracy(b) = chance + (ceiling(b) - chance) (1 - (1 + n_b / tau)^-alpha) (1 - delta exp(-m_b / rest)) (1 - s_b)

    ceiling(b)  = top - drop log2(phi / b)^bend
    n_b         = sum over budgets c of m_c keep(c, b),   keep = up^log2(b / c) if b > c, down^log2(c / b) if b < c

m_c are the epochs that were trained at budget c. What was learnt at a smaller budget counts for a larger one (deprune)
with a share ``up`` for every doubling, the other way round (prune) with ``down``; maps that have not crossed before
first have to be learnt (delta, rest); and s_b = ``boost`` in the first epochs after a change of budget, which are
trained at selectLr's higher rate (``boosted_epochs``). The order of epochs does not count, only how many there were at
which budget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ui.errors import InputError

if TYPE_CHECKING:
    from .kernels import Fit

RECORDED = ("resolution", "mask", "decay", "gamma")  # fields of a scenario that the recorded trainings had, too
PARAMETERS = ("top", "drop", "bend", "tau", "alpha", "up", "down", "delta", "rest", "boost")


@dataclass(frozen=True)
class LearningModel:
    """See the module; shares in place of budgets, so that it holds for every phi.

    Attributes:
        chance: accuracy of guessing.
        top, drop, bend, tau, alpha, up, down, delta, rest, boost: fitted.
        loss: coefficients (c0, c1, c2) of the test loss as a polynomial of the accuracy.
        noise: standard deviation of a recorded accuracy around the model.
        boosted_epochs: l_k of the recorded trainings.
    """

    chance: float
    top: float
    drop: float
    bend: float
    tau: float
    alpha: float
    up: float
    down: float
    delta: float
    rest: float
    boost: float
    loss: tuple[float, float, float]
    noise: float
    boosted_epochs: int = 2

    def tables(self, shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """(ceiling (K,), keep (K, K): row b, column c) for budgets as shares of phi."""
        doublings = -np.log2(np.asarray(shares, dtype=float))
        ceiling = self.top - self.drop * doublings**self.bend
        apart = doublings[None, :] - doublings[:, None]  # above 0 where b is larger than c
        keep = np.where(apart >= 0, self.up ** np.abs(apart), self.down ** np.abs(apart))
        return ceiling, keep

    def accuracy(self, shares: Sequence[float], epochs: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(n,) test accuracy without noise.

        Args:
            shares: (K,) budgets as shares of phi.
            epochs: (K, n) epochs trained at each of them so far.
            at: (n,) index of the budget that is tested.
        """
        ceiling, keep = self.tables(shares)
        return self.accuracy_by(ceiling, keep, epochs, at)

    def accuracy_by(self, ceiling: np.ndarray, keep: np.ndarray, epochs: np.ndarray, at: np.ndarray) -> np.ndarray:
        """:meth:`accuracy` from its :meth:`tables`."""
        from .kernels import accuracies

        epochs = np.ascontiguousarray(epochs, dtype=np.float64)
        return accuracies(self.fit, ceiling, keep, epochs, np.ascontiguousarray(at, dtype=np.intp))

    @cached_property
    def fit(self) -> Fit:
        """What kernels take of it."""
        from .kernels import Fit

        values = {**vars(self), **{f"loss_{power}": factor for power, factor in enumerate(self.loss)}}
        return Fit(*(float(values[name]) for name in Fit._fields))

    def test_loss(self, accuracy: np.ndarray) -> np.ndarray:
        """(n,) cross entropy that goes with accuracies."""
        from .kernels import losses

        return losses(self.fit, np.ascontiguousarray(accuracy))


@dataclass(frozen=True)
class Curves:
    """A fitted model with what it was fitted to.

    Attributes:
        name: key of the data file.
        model: the fit.
        network: name of the recorded network in the zoo.
        layer: of the cut, modules in front of it.
        images, steps: of a recorded epoch.
        classes: of the data set.
        bare: the fit to trainings without the module; None where there are none.
        fit: what the fit says of itself: mean absolute errors in points of a first fit (``judged``) to some of the
            runs, of those that were held out from it too; ``model`` is then fitted to all of them.
        provenance: data set, machine, versions, date, command.
        runs: summaries of the recorded runs, one mapping each.
        beside: those of runs with another γ, which nothing was fitted to.
    """

    name: str
    model: LearningModel
    bare: LearningModel | None
    network: str
    layer: int
    images: int
    steps: int
    classes: int
    fit: Mapping[str, Any]
    provenance: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]
    beside: tuple[Mapping[str, Any], ...]

    @property
    def judged(self) -> LearningModel:
        """The first fit, which has not seen the held-out runs."""
        return _model(self.fit["judged"])

    def label(self) -> str:
        """One line: what was recorded, and how well the model tells what it has not seen."""
        held = self.fit["held_out_error_points"]
        error = "nothing held out" if held is None else f"held-out error {held:.1f} points"
        told = f"{len(self.runs)} measured trainings, {error}"
        return f"accuracy: modelled, fitted to {told} ({self.provenance['data']}, {self.provenance['machine']})"


@cache
def load_curves() -> Mapping[str, Curves]:
    """All curves that ship, by name."""
    data = json.loads(Path(__file__).with_name("curves.json").read_text(encoding="utf-8"))
    return {name: _read(name, entry) for name, entry in data["curves"].items()}


def _read(name: str, entry: Mapping[str, Any]) -> Curves:
    rest = {k: v for k, v in entry.items() if k not in ("model", "bare", "runs", "beside")}
    runs = {kind: tuple(entry[kind]) for kind in ("runs", "beside")}
    fits = {kind: entry[kind] and _model(entry[kind]) for kind in ("model", "bare")}
    return Curves(name=name, **runs, **fits, **rest)


def _model(entry: Mapping[str, Any]) -> LearningModel:
    return LearningModel(**{**entry, "loss": tuple(entry["loss"])})


def get_curves(name: str, where: str) -> Curves:
    """Curves by name.

    Raises:
        InputError: there are none of that name.
    """
    known = load_curves()
    if name not in known:
        raise InputError(f"{where}: unknown curves {name!r}; known: {', '.join(known)}")
    return known[name]
