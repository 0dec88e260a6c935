"""Where accuracies come from: the fitted curves, or real training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...ui.errors import InputError
from ...ui.programs import needs
from ..core import seeds_of
from .curves import RECORDED, Curves, LearningModel
from .kernels import trained
from .system import System

if TYPE_CHECKING:
    from ...runtime.training.data import Dataset
    from ...runtime.training.settings import Settings
    from ...runtime.training.trainer import Training


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

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> np.ndarray:
        """Train an epoch at budgets (indices): (3, k) test accuracies, the same without noise, test losses."""
        ...


def learning_model(system: System, curves: Curves) -> LearningModel:
    """The fit for a scenario, with or without the module.

    Raises:
        InputError: another cut, filter, rate or number of maps was recorded, or nothing without the module.
    """
    setting, recorded = system.scenario, curves.provenance["settings"]
    fields = {"model": curves.network, "layer": curves.layer, **{name: recorded[name] for name in RECORDED}}
    for name, value in fields.items():
        mine = getattr(setting, name)
        if mine != value and (setting.module or name != "mask"):
            raise InputError(
                f"scenario {setting.name}: {name} is {mine}, but the curves {curves.name} were recorded with {value}; "
                'train for real with --env-kwargs backend=train (in gym.make backend="train"), or name other curves'
            )
    phi = curves.runs[0]["phi"]
    if system.interface.phi != phi:
        raise InputError(
            f"scenario {setting.name}: {system.interface.phi} maps, but {curves.name} was recorded with {phi}"
        )
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

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> np.ndarray:
        fit, noise, epochs, number = self._model.fit, self._noise, self._epochs, self._number
        return trained(fit, self._ceiling, self._keep, noise, lanes, budget, epochs, number)


def training_data(system: System) -> Dataset:
    """The images that a scenario trains on, of its network's input shape.

    Raises:
        InputError: torch is not installed, or the images cannot be read.
    """
    try:
        from ...runtime.training.data import load_images

        return load_images(system.scenario.data or None, system.model.input)
    except ModuleNotFoundError as error:
        raise InputError(f'backend "train" {needs(error)}') from None


def settings_of(system: System, seed: int) -> Settings:
    """How a scenario is really trained."""
    from ...runtime.training.settings import Settings

    setting = system.scenario
    return Settings(
        layer=setting.layer, module=setting.module, resolution=setting.resolution,
        phi=system.interface.phi if setting.module else None,
        images=system.images, batch=setting.batch, flips=bool(setting.data),
        learning_rate=setting.learning_rate or Settings.learning_rate, decay=setting.decay, gamma=setting.gamma,
        mask=setting.mask, seed=seed,
    )  # fmt: skip


class TrainLearner:
    """Really trains, with torch: one net a lane, one epoch a step.

    Args:
        system: the scenario.
        data: its images.
        lanes: n.
        checkpoints: folder in which every epoch's weights are kept, so that an episode that begins like one before goes
            on from there; None keeps nothing.

    Raises:
        InputError: network, data and learning rate do not fit together.
    """

    def __init__(self, system: System, data: Dataset, lanes: int, checkpoints: str | None) -> None:
        self._system, self._data = system, data
        self.chance = 1.0 / len(data.classes)
        self._folder = Path(checkpoints) if checkpoints is not None else None
        self._seeds = np.zeros(lanes, dtype=np.int64)
        self._rngs: list[np.random.Generator] = [np.random.default_rng(0)] * lanes
        self._trainings: list[Any] = [None] * lanes
        self._training(0)  # complains now, not at the first reset

    def seed(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        self._seeds[lanes] = seeds_of(rngs)
        for lane, rng in zip(lanes, rngs, strict=True):
            self._rngs[lane] = rng

    def _training(self, seed: int) -> Training:
        from ...runtime.training.trainer import Training

        return Training(self._system.model, self._data, settings_of(self._system, seed))

    def reset(self, lanes: np.ndarray) -> None:
        for lane in lanes:
            self._trainings[lane] = self._training(int(self._seeds[lane]))
            self._seeds[lane] = self._rngs[lane].integers(2**31)  # the next episode's net is another one

    def epoch(self, lanes: np.ndarray, budget: np.ndarray) -> np.ndarray:
        from ...runtime.training.store import next_epoch

        try:
            records = [
                next_epoch(self._trainings[lane], self._system.budgets[at], self._folder)
                for lane, at in zip(lanes, budget, strict=True)
            ]
        except KeyboardInterrupt:
            if self._folder is None or not self._folder.is_dir():
                raise
            raise KeyboardInterrupt(
                f"interrupted; whole epochs are kept in {self._folder}, the same command goes on from there"
            ) from None
        accuracy = [record.test_accuracy for record in records]
        return np.array([accuracy, accuracy, [record.test_loss for record in records]])
