"""Recorded trainings with a cut that moves: what is noted of them, and the fit through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitgym.envs.l2s.staleness import BINS
from splitgym.experiments.l2s import staleness
from splitgym.experiments.l2s.staleness_fit import expected, fitted, lost, stale_shares
from splitgym.experiments.studies import Images

ROUNDS = 30


def trained(moves: str, sync: Any, rounds: int = ROUNDS) -> dict[str, Any]:
    settings = {"model": "lenet5", "moves": moves, "sync": sync, "rounds": rounds, "batch": 16, "rate": 0.02, "seed": 3}
    return staleness.train(settings, Images(None, staleness.STUDY.shape).load(), lambda share: None)


def test_a_sync_at_every_change_is_a_cut_that_stays() -> None:
    stays, synced = trained("none", None), trained("every", "change")
    assert synced["moves"] > 0 == stays["moves"]
    for name in ("accuracy", "train_accuracy", "curve", "changes"):
        assert synced[name] == stays[name]
    assert sum(stays["stale_by_age"]) == sum(synced["stale_by_age"]) == 0


def test_old_copies_make_another_training_and_are_counted_by_age() -> None:
    stays, never, often = trained("none", None), trained("every", None), trained("every", 4)
    assert never["curve"] != stays["curve"] != often["curve"] != never["curve"]
    assert sum(never["stale_by_age"][4:]) > 0 == sum(often["stale_by_age"][3:])
    assert sum(never["stale_by_age"]) <= ROUNDS
    assert set(never["changes"]["30"]) == {"conv1", "conv2", "fc1", "fc2", "fc3"}
    assert all(value > 0 for value in never["changes"]["30"].values())


@pytest.mark.parametrize("moves", staleness.MOVES)
def test_cuts_follow_from_the_seed_and_keep_images_on_the_device(moves: str) -> None:
    cuts = staleness.cuts_of(moves, "lenet5", 200, 1)
    assert len(cuts) == 200
    assert (cuts >= 1).all()
    assert (cuts <= 7).all()
    np.testing.assert_array_equal(cuts, staleness.cuts_of(moves, "lenet5", 200, 1))
    made = int((np.diff(cuts) != 0).sum())
    low, high = {"none": (0, 0), "every": (150, 199), "rarely": (1, 30), "l2s": (1, 199)}[moves]
    assert low <= made <= high


def runs_of(scale: float, power: float, seeds: int) -> list[dict[str, Any]]:
    """Trainings that lose exactly what a curve says."""
    rng, runs = np.random.default_rng(0), []
    for seed in range(seeds):
        base = 0.5 + 0.1 * rng.random()
        none: dict[str, Any] = {"moves": "none", "sync": None, "seed": seed, "stale_by_age": [0] * BINS}
        runs.append({**none, "train_accuracy": base})
        for moves in ("every", "rarely", "l2s"):
            for sync in (1, 10, 100):
                ages = rng.integers(0, 40, BINS).tolist()
                loss = float(expected(np.array([ages]) / 1000, scale, power)[0])
                told = {"moves": moves, "sync": sync, "seed": seed, "stale_by_age": ages}
                runs.append({**told, "train_accuracy": base - loss})
    return runs


@pytest.mark.parametrize(("scale", "power"), [(0.03, 0.1), (0.01, 0.6), (0.2, -0.3)])
def test_the_fit_finds_the_curve_that_trainings_follow(scale: float, power: float) -> None:
    runs = runs_of(scale, power, 4)
    found = fitted(runs, 1000)
    assert (found["scale"], found["power"]) == pytest.approx((scale, power), rel=1e-3)
    assert found["error_points"] == pytest.approx(0.0, abs=1e-3)
    assert found["held_out_points"] == pytest.approx(0.0, abs=1e-3)
    assert found["trainings"] == 24
    assert lost(runs[:1]).tolist() == [0.0]
    assert stale_shares(runs, 1000).shape == (40, BINS)


def test_a_curve_through_one_seed_has_no_error() -> None:
    found = fitted(runs_of(0.03, 0.1, 1), 1000)
    assert found["scale_error"] is None is found["power_error"]
