"""Recorded trainings of a pipeline: one in flight is plain SGD, more of them are not, and time is the environment's."""

from __future__ import annotations

from typing import Any

import pytest

from splitgym.envs.edgemove.scenarios import get_scenario
from splitgym.envs.edgemove.system import System
from splitgym.experiments.cut_training import CutTraining
from splitgym.experiments.edgemove import staleness
from splitgym.experiments.studies import Images
from splitgym.models.lookup import get_model

COUNT, RATE, SEED = 36, 0.02, 4


def trained(in_flight: int, moving: bool = False) -> dict[str, Any]:
    settings = {"model": "lenet5", "cut": 4, "in_flight": in_flight, "moving": moving, "rate": RATE, "batch": 16,
                "minibatches": COUNT, "cycle": 10, "seed": SEED}  # fmt: skip
    return staleness.train(settings, Images(None, staleness.STUDY.shape).load(), lambda share: None)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return trained(1)


def test_one_in_flight_is_plain_sgd(plain: dict[str, Any]) -> None:
    model = get_model("lenet5")
    training = CutTraining(model, Images(None, model.input).load(), SEED, 16)
    curve = []
    for number in range(COUNT):
        training.round(number, len(model.steps), RATE)
        if number + 1 in plain["minibatches"]:
            curve.append(round(training.accuracy(len(model.steps)), 4))
    assert plain["curve"] == curve


def test_old_weights_make_another_training_and_moves_are_drained(plain: dict[str, Any]) -> None:
    two, moving = trained(2), trained(2, moving=True)
    assert plain["curve"] != two["curve"] != moving["curve"]
    assert (plain["drains"], two["drains"], moving["drains"]) == (0, 0, COUNT // 10)
    assert all(0.0 <= found["train_accuracy"] <= 1.0 for found in (plain, two, moving))


def test_a_cut_that_moves_has_no_say_without_a_pipeline(plain: dict[str, Any]) -> None:
    assert trained(1, moving=True)["curve"] == plain["curve"]


def test_more_in_flight_never_take_longer() -> None:
    found = staleness.minibatch_s()
    assert found["1"] >= found["2"] >= found["4"] >= found["8"] > 0
    assert found["0"] == pytest.approx(System(get_scenario(staleness.TASK)).on_device_iteration_s, rel=1e-3)
    assert found["2"] >= 0.5 * found["1"] * (1 - 1e-3)
