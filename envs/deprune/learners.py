"""Where accuracies come from: the fitted curves, or real training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...models.errors import InputError
from .curves import Curves, LearningModel
from .system import System


class Learner(Protocol):
    """Trains the nets of n lanes, epoch by epoch.

    Attributes:
        chance: accuracy before the first epoch.
    """

    chance: float

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """What the next episodes of some lanes draw from."""
        ...

    def reset(self, lanes: np.ndarray) -> None:
        """New nets in some lanes."""
        ...

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Train an epoch at budgets (indices): (test accuracy, the same without noise, test loss), (k,) each."""
        ...


def learning_model(system: System, curves: Curves) -> LearningModel:
    """The fit for a scenario, with or without the module.

    Raises:
        InputError: nothing was recorded without it.
    """
    if system.scenario.module:
        return curves.model
    if curves.bare is None:
        raise InputError(f"scenario {system.scenario.name}: nothing was recorded without the module")
    return curves.bare


class CurveLearner:
    """Plays the model of recorded trainings.

    Args:
        system: the scenario.
        curves: its fit.
        lanes: n.
    """

    def __init__(self, system: System, curves: Curves, lanes: int) -> None:
        self._setting = system.scenario
        self._model = learning_model(system, curves)
        self.chance = self._model.chance
        self._ceiling, self._keep = self._model.tables(system.shares)
        self._epochs = np.zeros((len(system.budgets), lanes))
        self._noise = np.zeros((system.scenario.epochs, lanes))
        self._number = np.zeros(lanes, dtype=np.intp)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * lanes

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng

    def reset(self, lanes: np.ndarray) -> None:
        self._epochs[:, lanes] = 0.0
        self._number[lanes] = 0
        if self._setting.noise:
            for lane in lanes:
                self._noise[:, lane] = self._model.noise * self._rngs[lane].standard_normal(len(self._noise))

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._epochs[budget, lanes] += 1.0
        expected = self._model.accuracy_by(self._ceiling, self._keep, self._epochs[:, lanes], budget)
        accuracy = np.clip(expected + self._noise[self._number[lanes], lanes], 0.0, 1.0)
        self._number[lanes] += 1
        return accuracy, expected, self._model.test_loss(accuracy)


class TrainLearner:
    """Really trains, with torch: one net a lane, one epoch a step.

    Args:
        system: the scenario.
        lanes: n.
        checkpoints: folder in which every epoch's weights are kept, so that an episode that begins like one before goes
            on from there; None keeps nothing.

    Raises:
        InputError: torch is not installed, or the data do not fit.
    """

    def __init__(self, system: System, lanes: int, checkpoints: str | None) -> None:
        try:
            from .data import load_images
        except ModuleNotFoundError as error:
            raise InputError(f'backend "train" needs {error.name}: pip install "splitgym[train]"') from None
        self._system = system
        self._data = load_images(system.scenario.data or None, system.model.input)
        self.chance = 1.0 / len(self._data.classes)
        self._folder = Path(checkpoints) if checkpoints is not None else None
        self._seeds = np.zeros(lanes, dtype=np.int64)
        self._trainings: list[Any] = [None] * lanes

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        for lane, rng in zip(lanes, rngs, strict=True):
            entropy = getattr(rng.bit_generator.seed_seq, "entropy", None)
            self._seeds[lane] = entropy % 2**31 if isinstance(entropy, int) else rng.integers(2**31)

    def reset(self, lanes: np.ndarray) -> None:
        from .settings import Settings
        from .trainer import Training

        setting = self._system.scenario
        rate = setting.learning_rate or Settings.learning_rate
        for lane in lanes:
            settings = Settings(
                layer=setting.layer, module=setting.module, resolution=setting.resolution,
                phi=self._system.interface.phi if setting.module else None,
                images=setting.images or None, batch=setting.batch, flips=True, seed=int(self._seeds[lane]), learning_rate=rate,
            )  # fmt: skip
            self._trainings[lane] = Training(self._system.model, self._data, settings)
            self._seeds[lane] += 1  # the next episode's net is another one

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from .store import next_epoch

        records = [
            next_epoch(self._trainings[lane], self._system.budgets[at], self._folder)
            for lane, at in zip(lanes, budget, strict=True)
        ]
        accuracy = np.array([record.test_accuracy for record in records])
        return accuracy, accuracy, np.array([record.test_loss for record in records])
