"""What old copies cost: the fit that ships, and what the environment charges by it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from splitgym.envs.l2s.staleness import BINS, FILE, bin_means, bin_of, get_curve, load_curves
from splitgym.experiments.l2s.staleness_fit import fitted

from .reference import make, play

NAMES = sorted(load_curves())
ROUNDS = 240


@pytest.mark.parametrize("name", NAMES)
def test_the_curve_is_the_fit_through_the_trainings_in_its_file(name: str) -> None:
    summary, curve = json.loads(FILE.read_text())["data"][name], get_curve(name, "test")
    assert (curve.scale, curve.power) == (summary["fit"]["scale"], summary["fit"]["power"])
    again = fitted(summary["runs"], summary["settings"]["rounds"])
    assert again == pytest.approx(summary["fit"], rel=1e-3, nan_ok=True)
    assert "fitted to this suite's own recordings" in curve.label()


def test_bins_hold_every_age_once() -> None:
    ages = np.arange(1, 2**BINS)
    assert [bin_of(int(age)) for age in ages] == np.repeat(np.arange(BINS), 2 ** np.arange(BINS)).tolist()
    assert bin_of(10**9) == BINS - 1
    assert bin_means(1.0)[:3] == pytest.approx([1.0, 2.5, 5.5])
    assert bin_means(0.0) == pytest.approx(np.ones(BINS))


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
def test_a_round_on_old_copies_costs_its_share_of_the_curve_by_its_age(sync: str) -> None:
    options: dict[str, Any] = {"sync": sync, "rounds": 12, "sync_period": 6, "noise": 0.0}
    choices = [0, 0, 3, 3, 0, 0, 0, 0, 5, 5, 5, 5]
    ages = [0, 0, 3, 4, 5, 6, 0, 0, 3, 4, 5, 6] if sync != "change" else [0] * 12
    free_env = make("alexnet-gpu-60", **options)
    if sync == "ask":  # in front of the fifth round: the copies are alike then, until the cut moves in it
        choices[4] += free_env.dynamics.system.n_points
        ages[4:6] = [1, 2]
    _, free_rewards, _ = play(free_env, choices)
    told, rewards, info = play(make("alexnet-gpu-60", stale_curve=NAMES[0], accuracy_worth=50.0, **options), choices)
    curve = get_curve(NAMES[0], "test")
    lost = np.array([curve.lost(np.array(age)) / 12 if age else 0.0 for age in ages])
    assert [one["accuracy_cost"] for one in told] == pytest.approx(lost)
    assert info["accuracy_cost"] == pytest.approx(lost.sum())
    assert np.array(free_rewards) - np.array(rewards) == pytest.approx(50.0 * lost, abs=1e-12)


def test_a_training_that_is_stale_throughout_loses_the_mean_of_the_curve() -> None:
    env = make("alexnet-gpu-60", stale_curve=NAMES[0], sync_period=10**9, rounds=ROUNDS)
    _, _, info = play(env, [0, 7] * (ROUNDS // 2))
    expected = get_curve(NAMES[0], "test").lost(np.arange(2, ROUNDS + 1)).sum() / ROUNDS
    assert info["accuracy_cost"] == pytest.approx(float(expected))


@pytest.mark.parametrize("name", NAMES)
def test_the_period_of_synchronisation_has_an_optimum(name: str) -> None:
    """Often costs time, seldom costs accuracy: what is best lies between, the shorter the more accuracy is worth."""
    choices = np.random.default_rng(0).integers(0, 12, ROUNDS)
    periods = (1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 240)

    def best(worth: float) -> int:
        costs = []
        for period in periods:
            options: dict[str, Any] = {"privacy_point": 0, "mbps": 500.0, "noise": 0.0, "rounds": ROUNDS}
            options |= {"stale_curve": name, "accuracy_worth": worth, "sync_period": period, "reward": "total"}
            _, rewards, _ = play(make("resnet34-gpu-60", **{**options, "privacy_point": 5}), choices)
            costs.append(-sum(rewards))
        return periods[int(np.argmin(costs))]

    assert best(0.0) == periods[-1]
    found = [best(worth) for worth in (1e3, 1e4, 1e5, 1e6, 1e7)]
    assert found == sorted(found, reverse=True)
    assert any(1 < period < periods[-1] for period in found)


def test_provenance_says_what_the_curve_was_fitted_to() -> None:
    env = make("alexnet-gpu-60", stale_curve=NAMES[0])
    assert any("fitted to this suite's own recordings" in line for line in env.dynamics.provenance)
    plain = make("alexnet-gpu-60")
    assert not any("recordings" in line for line in plain.dynamics.provenance)
