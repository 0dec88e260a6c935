"""Deprune's agents play the schedules that the paper describes, and the best one is the best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.deprune import EVAL_AGENTS
from splitgym.agents.deprune.schedule_agent import ScheduleAgent, best, constant, deprune, prune, share_index
from splitgym.agents.registry import agents_of, get_spec, hyperparams_of, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import Played, make_env, options_for, play
from splitgym.models.plans import CompressedPlan
from splitgym.ui.errors import InputError
from splitgym.ui.validation import validated

from ... import slow

FAMILY = get_family("deprune")
SCENARIO = "vgg11-cifar10"
QUIET = {"noise": False}
FIXED = [name for name, spec in agents_of("deprune").items() if not spec.learns]


def make(**options: Any) -> Any:
    return make_env(FAMILY, SCENARIO, options)


@cache
def played(agent: str, seed: int = 0, **options: Any) -> Played:
    env = make_env(FAMILY, SCENARIO, options_for(get_spec("deprune", agent), options))
    return play(make_agent("deprune", agent, env, seed), env, 1, seed)


def shares(agent: ScheduleAgent, env: Any) -> list[float]:
    """The budgets that it plays, as shares of all maps."""
    system = env.unwrapped.dynamics.system
    return [system.shares[at] for at in agent.budgets]


# Schedules.


def test_deprune_is_fifteen_epochs_at_a_thirtysecond_and_three_at_all() -> None:
    budgets = played("deprune").trace["budget"]  # type: ignore[index]
    assert budgets.tolist() == [2] * 15 + [64] * 3
    assert played("deprune").metrics["bytes_share"] == pytest.approx((15 / 32 + 3) / 18)


@pytest.mark.parametrize(
    ("epochs", "full", "last"),
    [(18, 1 / 6, 3), (30, 1 / 6, 5), (6, 1 / 6, 1), (2, 1 / 6, 1), (1, 1 / 6, 1), (10, 0.0, 1), (10, 1.0, 10)],
)
def test_deprune_has_all_maps_in_the_last_share_of_epochs(epochs: int, full: float, last: int) -> None:
    env = make(epochs=epochs)
    assert shares(deprune(env, full=full), env) == [1 / 32] * (epochs - last) + [1.0] * last


@pytest.mark.parametrize(
    ("epochs", "counts"), [(50, (30, 10, 10)), (30, (18, 6, 6)), (18, (11, 3, 4)), (5, (3, 1, 1)), (2, (1, 1, 0))]
)
def test_prune_begins_with_all_maps_and_divides_the_rest(epochs: int, counts: Sequence[int]) -> None:
    env = make(epochs=epochs)
    expected = [1.0] * counts[0] + [1 / 4] * counts[1] + [1 / 32] * counts[2]
    assert shares(prune(env), env) == expected


@pytest.mark.parametrize("first", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("steps", [(0.5,), (0.5, 0.25, 1 / 8, 1 / 16, 1 / 32)])
def test_prune_never_has_more_maps_than_before(first: float, steps: Sequence[float]) -> None:
    env = make(epochs=17)
    found = shares(prune(env, shares=steps, first=first), env)
    assert len(found) == 17
    assert found == sorted(found, reverse=True)
    assert found.count(1.0) == round(17 * first)


@pytest.mark.parametrize(
    ("share", "nearest"),
    [(1.0, 1.0), (0.5, 0.5), (0.72, 1.0), (0.70, 0.5), (0.2, 1 / 4), (0.15, 1 / 8), (1e-6, 1 / 32), (0.04, 1 / 32)],
)
def test_a_share_is_the_nearest_one_in_doublings(share: float, nearest: float) -> None:
    env = make()
    assert env.unwrapped.dynamics.system.shares[share_index(env, share)] == nearest
    assert set(shares(constant(env, share=share), env)) == {nearest}


@pytest.mark.parametrize(
    ("agent", "budget"),
    [("no-compression", 64), ("high-compression", 2), ("from-scratch", 16), ("without-module", 64)],
)
def test_baselines_never_change_the_budget(agent: str, budget: int) -> None:
    assert played(agent).trace["budget"].tolist() == [budget] * 18  # type: ignore[index]


def test_every_lane_follows_the_schedule_from_its_own_beginning() -> None:
    env = make(epochs=4)
    agent = deprune(env)
    first, state = agent.predict(np.zeros((3, 17)), None, np.ones(3, dtype=bool))
    for _ in range(2):
        _, state = agent.predict(np.zeros((3, 17)), state, np.zeros(3, dtype=bool))
    last, _ = agent.predict(np.zeros((3, 17)), state, np.array([False, True, False]))
    assert first.tolist() == [0, 0, 0]
    assert last.tolist() == [5, 0, 5]


# The best schedule.


@pytest.mark.parametrize(
    "options",
    [{}, {"bytes_weight": 0.0}, {"bytes_weight": 1.0}, {"epochs": 5}, {"time_weight": 0.3, "clients": 8}],
    ids=str,
)
def test_nobody_beats_the_best_schedule_without_noise(options: dict[str, Any]) -> None:
    scores = {name: played(name, **QUIET, **options).metrics["score"] for name in FIXED}
    assert scores["best-schedule"] == max(scores.values())
    assert played("best-schedule", **QUIET, **options).metrics["regret"] == pytest.approx(0.0, abs=1e-9)
    for name, score in scores.items():
        regret = played(name, **QUIET, **options).metrics["regret"]
        assert regret == pytest.approx(scores["best-schedule"] - score, abs=1e-9)


def test_random_schedules_do_not_beat_it_either() -> None:
    env = make(**QUIET, epochs=7)
    score = play(best(env), env, 1).metrics["score"]
    rng = np.random.default_rng(0)
    for budgets in rng.integers(6, size=(200, 7)):
        assert play(ScheduleAgent(env, budgets), env, 1).metrics["score"] <= score + 1e-12


def test_free_traffic_is_used_and_dear_traffic_is_not() -> None:
    free, dear = (played("best-schedule", **QUIET, bytes_weight=w).metrics["bytes_share"] for w in (0.0, 5.0))
    assert free > 0.9
    assert dear == pytest.approx(1 / 32)


def test_too_many_schedules_are_refused() -> None:
    with pytest.raises(InputError, match=r"best-schedule: \d+ ways .* are too many; take fewer epochs or shares"):
        best(make(epochs=100))


# Plans.


@pytest.mark.parametrize("agent", ["deprune", "prune", "best-schedule", "high-compression"])
def test_a_plan_is_carried_out_again(agent: str, tmp_path: Path) -> None:
    first = played(agent, 3)
    assert first.plan is not None
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**first.plan, "notes": {}}))
    env = make()
    assert play(make_agent("deprune", str(path), env), env, 1, 3).metrics == first.metrics
    plan = CompressedPlan.from_json(first.plan, "plan")
    assert list(plan.budgets) == first.trace["budget"].tolist()  # type: ignore[index]


def test_a_plan_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**(played("deprune").plan or {}), "notes": {}}))
    with pytest.raises(InputError, match=r"plan\.json: budgets has 18 epochs, allowed: 6"):
        make_agent("deprune", str(path), make(epochs=6))


# The registry.


def test_evaluation_compares_everybody_who_is_not_trained() -> None:
    assert set(EVAL_AGENTS) == set(FIXED)


@pytest.mark.parametrize("agent", list(agents_of("deprune")))
def test_hyperparameters_of_the_file_are_allowed(agent: str) -> None:
    spec = get_spec("deprune", agent)
    assert spec.hyperparams is not None
    validated(spec.hyperparams, hyperparams_of("deprune", agent, SCENARIO), agent)


# Learners.


def learner(name: str, seed: int = 0, **hyperparams: Any) -> tuple[Any, Any]:
    env = make(epochs=4)
    tiny = {"lanes": 2, "n_steps": 8, "batch_size": 8, "n_epochs": 1}
    if name == "dqn":
        tiny = {"lanes": 2, "batch_size": 8, "buffer_size": 200, "learning_starts": 10, "gradient_steps": 1}
    return env, make_agent("deprune", name, env, seed, **tiny, **hyperparams)


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_a_learner_goes_on_where_it_was_saved(name: str, tmp_path: Path) -> None:
    env, agent = learner(name)
    agent.learn(6, None, lambda _: None)
    agent.save(tmp_path)
    _, again = learner(name, seed=1)
    again.load(tmp_path)
    a, b = (play(each, env, 1, 5).trace["budget"].tolist() for each in (agent, again))  # type: ignore[index]
    assert a == b
    before = _weights(again)
    again.learn(20, None, lambda _: None)
    assert any((_weights(again)[key] != value).any() for key, value in before.items())


def _weights(agent: Any) -> dict[str, Any]:
    return {key: value.clone() for key, value in agent.model.policy.state_dict().items()}


@pytest.mark.parametrize(("epochs", "episodes"), [(9, 1000), *slow((18, 3000))])
def test_ppo_comes_close_to_the_best_schedule(epochs: int, episodes: int) -> None:
    env = make(epochs=epochs)
    agent: Any = make_agent("deprune", "ppo", env)
    agent.learn(episodes, None, lambda _: None)
    learned = play(agent, env, 10).metrics["regret"]
    assert learned < 0.015
    others = (played(name, epochs=epochs) for name in ("deprune", "no-compression", "prune"))
    assert min(other.metrics["regret"] for other in others) > learned
