"""L2S's online regression: updates, discounts and draws against direct solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.l2s.ridge import DiscountedRidge, Ridge
from splitgym.agents.registry import AgentSpec, agents_of, hyperparams_of, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import make_env, options_for, play

from ... import slow
from ...envs.l2s.reference import make


class Direct:
    """A and b of Alg. 1 for every lane, solved anew for every question."""

    def __init__(self, contexts: np.ndarray, ridge: float, lanes: int) -> None:
        self.contexts, d = contexts, contexts.shape[1]
        self.A = [ridge * np.eye(d) for _ in range(lanes)]
        self.b = [np.zeros(d) for _ in range(lanes)]

    def update(self, arm: np.ndarray, value: np.ndarray, seen: np.ndarray) -> None:
        for lane in np.flatnonzero(seen):
            x = self.contexts[arm[lane]]
            self.A[lane] += np.outer(x, x)
            self.b[lane] += value[lane] * x

    @property
    def predicted(self) -> np.ndarray:
        return np.stack([self.contexts @ np.linalg.solve(A, b) for A, b in zip(self.A, self.b, strict=True)], axis=1)

    @property
    def width(self) -> np.ndarray:
        squared = [[x @ np.linalg.solve(A, x) for A in self.A] for x in self.contexts]
        return np.sqrt(np.maximum(squared, 0.0))


def random_contexts(rng: np.random.Generator, arms: int, d: int) -> np.ndarray:
    contexts = rng.uniform(0.0, 1.0, (arms, d))
    contexts[-1] = 0.0
    return contexts


def random_rounds(rng: np.random.Generator, arms: int, lanes: int, rounds: int) -> list[tuple[np.ndarray, ...]]:
    return [
        (rng.integers(arms, size=lanes), rng.normal(2.0, 1.0, lanes), rng.random(lanes) < 0.7) for _ in range(rounds)
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 14), st.integers(1, 4), st.sampled_from([0.01, 1]))
@settings(max_examples=40)
def test_ridge_is_the_direct_solution(seed: int, d: int, arms: int, lanes: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    contexts = random_contexts(rng, arms, d)
    ridge, direct = Ridge(contexts, beta, lanes), Direct(contexts, beta, lanes)
    assert ridge.width() == pytest.approx(direct.width)
    for arm, value, seen in random_rounds(rng, arms, lanes, 25):
        ridge.update(arm, value, seen)
        direct.update(arm, value, seen)
    np.testing.assert_allclose(ridge.predicted, direct.predicted, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(ridge.variance, direct.width**2, rtol=1e-7, atol=1e-9)
    inverse = np.stack([np.linalg.inv(A) for A in direct.A], axis=2)
    np.testing.assert_allclose(ridge.inverse, inverse, rtol=1e-7, atol=1e-7)
    assert not ridge.predicted[-1].any()
    assert not ridge.width()[-1].any()


@pytest.mark.parametrize("scenario", ["resnet34-gpu-100", *slow("vgg16-gpu-60")])
def test_ridge_is_still_right_after_20_000_updates(scenario: str) -> None:
    system, rng = make(scenario).dynamics.system, np.random.default_rng(3)
    contexts = system.contexts
    ridge, direct = Ridge(contexts, 0.01, 2), Direct(contexts, 0.01, 2)
    arms = rng.choice(len(contexts), size=(20_000, 2), p=(w := np.arange(len(contexts))[::-1] ** 2) / w.sum())
    values, everyone = rng.normal(1.5, 0.05, (20_000, 2)), np.ones(2, dtype=bool)
    for arm, value in zip(arms, values, strict=True):
        ridge.update(arm, value, everyone)
        direct.update(arm, value, everyone)
    np.testing.assert_allclose(ridge.predicted, direct.predicted, atol=1e-6)
    np.testing.assert_allclose(ridge.width(), direct.width, atol=1e-6)


@pytest.mark.parametrize("kind", [Ridge, DiscountedRidge])
def test_clearing_some_lanes_leaves_the_others_to_the_bit(kind: Any) -> None:
    rng = np.random.default_rng(1)
    contexts = random_contexts(rng, 6, 4)
    extra = () if kind is Ridge else (0.9,)
    model, fresh = kind(contexts, 0.1, 5, *extra), kind(contexts, 0.1, 5, *extra)
    before, after = random_rounds(rng, 6, 5, 20), random_rounds(rng, 6, 5, 20)
    for arm, value, seen in before:
        model.update(arm, value, seen.astype(float))
    kept = {name: getattr(model, name).copy() for name in ("predicted", "variance")}
    model.clear(np.array([1, 3]))
    for name, values in kept.items():
        assert np.array_equal(getattr(model, name)[:, [0, 2, 4]], values[:, [0, 2, 4]])
        assert np.array_equal(getattr(model, name)[:, [1, 3]], getattr(fresh, name)[:, [1, 3]])
    for arm, value, seen in after:
        model.update(arm, value, seen.astype(float))
        fresh.update(arm, value, seen.astype(float))
    assert np.array_equal(model.predicted[:, [1, 3]], fresh.predicted[:, [1, 3]])
    assert not np.array_equal(model.predicted[:, [0, 2, 4]], fresh.predicted[:, [0, 2, 4]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([0.5, 0.9, 0.98, 0.999]))
@settings(max_examples=20)
def test_discounted_ridge_is_the_weighted_sum(seed: int, d: int, gamma: float) -> None:
    """Russac et al.: V = sum gamma^age x x^T + beta I, V~ with gamma^2, width^2 = x^T V^-1 V~ V^-1 x."""
    rng, beta, lanes = np.random.default_rng(seed), 0.1, 3
    contexts = random_contexts(rng, 6, d)
    model, rounds = DiscountedRidge(contexts, beta, lanes, gamma), random_rounds(rng, 6, lanes, 30)
    for arm, value, seen in rounds:
        model.update(arm, value, seen.astype(float))
    for lane in range(lanes):
        V, squared, target = beta * np.eye(d), beta * np.eye(d), np.zeros(d)
        for age, (arm, value, seen) in enumerate(reversed(rounds)):
            if seen[lane]:
                x = contexts[arm[lane]]
                V += gamma**age * np.outer(x, x)
                squared += gamma ** (2 * age) * np.outer(x, x)
                target += gamma**age * value[lane] * x
        inverse = np.linalg.inv(V)
        np.testing.assert_allclose(model.predicted[:, lane], contexts @ inverse @ target, rtol=1e-7, atol=1e-9)
        widths = np.sqrt([x @ inverse @ squared @ inverse @ x for x in contexts])
        np.testing.assert_allclose(model.width()[:, lane], widths, rtol=1e-7, atol=1e-9)


def test_forgetting_widens_what_is_not_observed() -> None:
    contexts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    model = DiscountedRidge(contexts, 0.1, 1, 0.9)
    model.update(np.array([0]), np.array([3.0]), np.ones(1))
    widths = []
    for _ in range(100):
        widths.append(model.width()[0, 0])
        model.update(np.array([2]), np.zeros(1), np.zeros(1))
    assert np.all(np.diff(widths) > 0)
    assert model.predicted[0, 0] == pytest.approx(0.0, abs=1e-3)
    assert model.width()[0, 0] == pytest.approx(np.sqrt(1 / 0.1), rel=1e-3)


def test_draws_have_the_posteriors_mean_and_covariance() -> None:
    rng, lanes = np.random.default_rng(5), 20_000
    contexts = random_contexts(rng, 6, 4)
    ridge = Ridge(contexts, 0.5, lanes)
    for arm in (0, 3, 1, 0):
        ridge.update(np.full(lanes, arm), np.ones(lanes), np.ones(lanes, dtype=bool))
    drawn = ridge.sampled(rng.standard_normal((lanes, 4)))
    expected = contexts @ ridge.inverse[:, :, 0] @ contexts.T
    deviation = np.sqrt(np.diag(expected))
    assert np.all(np.abs(drawn.mean(axis=1)) <= 4 * deviation / np.sqrt(lanes))
    spread = 4 * np.sqrt(2 / lanes) * np.outer(deviation, deviation)
    assert np.all(np.abs(np.cov(drawn) - expected) <= spread)


def test_thompson_sampling_chooses_as_often_as_its_posterior_says() -> None:
    """Before anything is seen theta is N(0, alpha^2 / beta I)."""
    lanes, alpha, beta = 4000, 1.0, 1.0
    env = make("resnet34-gpu-100")
    observation, _ = env.reset(seed=0)
    agent = make_agent("l2s", "lints", env, 3, alpha=alpha, ridge=beta)
    batch = {key: np.repeat(value[None], lanes, axis=0) for key, value in observation.items()}
    choice, _ = agent.predict(batch)
    theta = np.random.default_rng(9).normal(0.0, alpha / np.sqrt(beta), (lanes, 8))
    expected = (observation["device_delay"] + theta @ observation["contexts"].T).argmin(axis=1)
    points = len(observation["device_delay"])
    found, wanted = (np.bincount(c, minlength=points) / lanes for c in (choice, expected))
    assert len(np.flatnonzero(wanted > 0.05)) > 1
    assert np.abs(found - wanted).max() < 4 * np.sqrt(0.5 / lanes)


EDGES = ({"ridge": 1e-6}, {"ridge": 1e6}, {"ridge": 1e-6, "alpha": 1e6}, {"alpha": 0})
BANDITS = [spec for spec in agents_of("l2s").values() if "ridge" in hyperparams_of("l2s", spec.name, "")]


@pytest.mark.parametrize("spec", BANDITS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_every_bandit_plays_at_the_edges_of_what_is_allowed(spec: AgentSpec, edge: dict[str, Any]) -> None:
    env = make_env(get_family("l2s"), "resnet34-gpu-60", options_for(spec, {"rounds": 150}))
    found = play(make_agent("l2s", spec.name, env, 0, **edge), env, 1)
    assert found.trace is not None
    assert np.isfinite(found.trace["predicted_edge_s"]).all()
    assert np.isfinite(list(found.metrics.values())).all()
