"""One evaluation loop for all: what is counted, how it is summarised, what agents are told."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import Family, get_family
from splitgym.experiments.play import Explanations, assess, evaluate, make_env, options_for, play
from splitgym.experiments.results import Result, fill_regret
from splitgym.ui.errors import InputError

from ..envs.toy_family import STEPS, Exact, Fixed


class Watcher:
    """Counts its steps in ``state`` and writes down all it is told."""

    def __init__(self) -> None:
        self.starts: list[list[bool]] = []
        self.states: list[Any] = []
        self.deterministic: list[bool] = []

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        self.starts.append(episode_start.tolist())
        self.states.append(state)
        self.deterministic.append(deterministic)
        return np.zeros((len(observation), 1), dtype=np.float32), (state or 0) + 1


def batch(family: Family, lanes: int, scenario: str, **options: Any) -> Any:
    return gym.make_vec(family.env_id, num_envs=lanes, scenario=scenario, autoreset_mode="SameStep", **options)


def test_agents_are_told_where_episodes_start_and_keep_their_state(toy: Family) -> None:
    watcher = Watcher()
    evaluate(watcher, make_env(toy, "near", {}), episodes=2)
    assert watcher.starts == [[True], [False], [False], [True], [False], [False]]
    assert watcher.states == [None, 1, 2, 3, 4, 5]
    assert all(watcher.deterministic)


def test_metrics_are_summarised_as_declared(toy: Family) -> None:
    env = make_env(toy, "noisy", {})
    found = evaluate(Exact(env), env, episodes=5, seed=3)
    env.reset(seed=3)
    targets = [float(env.unwrapped.dynamics.target[0])]
    for _ in range(4):
        env.reset()
        targets.append(float(env.unwrapped.dynamics.target[0]))
    assert found["cost_s"] == pytest.approx(1.0)
    assert found["moves"] == pytest.approx(STEPS * np.abs(targets).sum(), rel=1e-6)
    assert found["first_action"] == pytest.approx(targets[-1], rel=1e-6)
    assert np.isnan(found["regret_s"])


def test_a_vector_env_gives_the_mean_of_its_lanes(toy: Family) -> None:
    scalar = make_env(toy, "noisy", {})
    lanes = [evaluate(Fixed(scalar, action=0.3), scalar, 2, seed)["cost_s"] for seed in (7, 8, 9)]
    env = batch(toy, 3, "noisy")
    assert evaluate(Fixed(env, action=0.3), env, 6, 7)["cost_s"] == pytest.approx(np.mean(lanes), rel=1e-12)


def test_lanes_share_the_episodes_evenly(toy: Family) -> None:
    env = batch(toy, 4, "near")
    assert evaluate(Fixed(env, action=0.5), env, 6)["moves"] == pytest.approx(6 * STEPS * 0.5)


def test_a_vector_env_that_resets_later_is_refused(toy: Family) -> None:
    env = gym.make_vec(toy.env_id, num_envs=2, scenario="near")
    with pytest.raises(ValueError, match="SameStep"):
        evaluate(Fixed(env), env, 2)


@pytest.mark.parametrize(("scenario", "episodes"), [("near", 1), ("noisy", 8)])
def test_the_env_says_how_many_episodes_are_enough(toy: Family, scenario: str, episodes: int) -> None:
    env = make_env(toy, scenario, {})
    assert play(Exact(env), env).episodes == episodes


def test_the_plan_is_that_of_the_last_episode(toy: Family) -> None:
    env = make_env(toy, "near", {})
    plan = play(Fixed(env, action=0.25), env).plan
    assert plan == {"schema": 1, "kind": "toy", "actions": [0.25] * STEPS}


class Explainer:
    """Goes through the first ``points`` partition points of L2S and explains its step and its lane."""

    def __init__(self, points: int = 3) -> None:
        self.points = points

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        lanes = len(observation["round"])
        state = np.zeros(lanes, dtype=int) if state is None else state + 1
        return state % self.points, state

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        return {"step": state.copy(), "lane": np.arange(len(state))}


def test_the_trace_is_that_of_the_last_episode_with_what_the_agent_explains() -> None:
    family, rounds = get_family("l2s"), 5
    env = make_env(family, "alexnet-gpu-60", {"rounds": rounds, "noise": 0.0})
    played = play(Explainer(), env, episodes=3)
    assert played.trace is not None
    assert played.trace["step"].tolist() == [10, 11, 12, 13, 14]
    assert played.trace["lane"].tolist() == [0] * rounds
    assert (played.trace["point"] - 4).tolist() == [1, 2, 0, 1, 2]
    assert played.trace["delay_s"].shape == (rounds,)
    last = play(Explainer(), make_env(family, "alexnet-gpu-60", {"rounds": rounds, "record": False}), episodes=1)
    assert (last.trace or {}).keys() <= {"step", "lane"}


def test_without_explanations_the_trace_is_the_envs(toy: Family) -> None:
    env = make_env(get_family("l2s"), "alexnet-gpu-60", {"rounds": 4})
    played = play(make_agent("l2s", "pdt", env), env)
    assert played.trace is not None
    assert set(played.trace) == set(env.unwrapped.dynamics.trace)
    toy_env = make_env(toy, "near", {})
    assert play(Fixed(toy_env), toy_env).trace is None
    lanes = batch(get_family("l2s"), 2, "alexnet-gpu-60", rounds=4, record=True)
    assert play(Explainer(), lanes, episodes=2).trace is None


def test_explanations_are_told_apart_by_lane_and_by_episode() -> None:
    explanations, agent = Explanations(Explainer()), Explainer()
    observation, state = {"round": np.zeros((2, 1))}, None
    for starts in ([True, True], [False, False], [False, True], [False, False]):
        _, state = agent.predict(observation, state)
        explanations.add(state, np.array(starts))
    assert {name: values.tolist() for name, values in explanations.of(0).items()} == {
        "step": [0, 1, 2, 3],
        "lane": [0] * 4,
    }
    assert explanations.of(1)["step"].tolist() == [2, 3]
    assert explanations.of(1)["lane"].tolist() == [1, 1]
    silent = Explanations(object())  # type: ignore[arg-type]
    silent.add(None, np.array([True]))
    assert silent.of(0) == {}


def test_the_share_that_is_done_grows_to_one() -> None:
    shares: list[float] = []
    env = make_env(get_family("l2s"), "alexnet-gpu-60", {"rounds": 4})
    play(Explainer(), env, 2, 0, shares.append)
    assert shares == pytest.approx([(i + 1) / 8 for i in range(8)])


def test_an_agent_that_learns_online_does_the_same_in_every_lane_as_alone() -> None:
    """Its lanes learn apart and restart with their episodes."""
    family, options = get_family("l2s"), {"rounds": 40}
    for name in ("linucb-e", "l2s"):
        spec = get_spec("l2s", name)
        scalar = make_env(family, "resnet34-gpu-100", options_for(spec, options))
        alone = [evaluate(make_agent("l2s", name, scalar), scalar, 2, seed)["total_s"] for seed in (7, 8, 9)]
        env = batch(family, 3, "resnet34-gpu-100", **options_for(spec, options))
        found = evaluate(make_agent("l2s", name, env), env, 6, 7)["total_s"]
        assert found == pytest.approx(np.mean(alone), rel=1e-9)
        assert len(set(alone)) == 3


def test_a_learner_takes_the_users_options_and_a_planner_its_own() -> None:
    learner, planner = get_spec("distredge", "osds"), get_spec("distredge", "aofl")
    assert options_for(learner, {"observation": "full"})["observation"] == "full"
    options = options_for(planner, {"partition": [3], "eta": 0.9})
    assert options["partition"] == planner.env_kwargs["partition"]
    assert options["eta"] == 0.9


def test_distredge_planner_scores_what_its_env_says() -> None:
    family = get_family("distredge")
    result = assess(family, get_spec("distredge", "offload"), "DB-50", {})
    assert result.kind == "baseline"
    assert result.metrics["speedup"] == pytest.approx(1.0)
    assert result.metrics["ips"] == pytest.approx(1 / result.metrics["latency_s"])
    assert result.plan is not None
    assert result.plan["model"] == "vgg16"


def test_distredge_batch_and_scalar_agree_for_a_planner() -> None:
    family = get_family("distredge")
    spec = get_spec("distredge", "aofl")
    scalar = make_env(family, "dynamic-nano", options_for(spec, {}))
    env = batch(family, 2, "dynamic-nano", **spec.env_kwargs)
    lanes = [evaluate(make_agent("distredge", "aofl", scalar), scalar, 4, seed)["latency_s"] for seed in (5, 6)]
    found = evaluate(make_agent("distredge", "aofl", env), env, 8, 5)["latency_s"]
    assert found == pytest.approx(np.mean(lanes), rel=1e-9)


def test_unknown_scenario_and_option_are_one_line(toy: Family) -> None:
    for options, scenario, words in (({}, "nowhere", "unknown scenario"), ({"colour": 1}, "near", "unknown option")):
        with pytest.raises(InputError, match=words):
            make_env(toy, scenario, options)


def result(scenario: str, agent: str, seed: int, cost: float, regret: float = float("nan")) -> Result:
    return Result(scenario, agent, seed, {"cost_s": cost, "regret_s": regret})


def test_regret_falls_back_to_the_best_of_the_results(toy: Family) -> None:
    results = [result("near", "a", 0, 2.0), result("near", "b", 0, 1.5), result("far", "a", 0, 3.0, 0.25)]
    filled, used = fill_regret(results, toy)
    assert [r.metrics["regret_s"] for r in filled] == [0.5, 0.0, 0.25]
    assert used == {"near": 1.5}


def test_where_seeds_differ_regret_compares_equal_seeds_only(toy: Family) -> None:
    results = [result("noisy", "a", 0, 2.0), result("noisy", "a", 1, 5.0), result("noisy", "b", 1, 4.0)]
    filled, used = fill_regret(results, toy, {"noisy"})
    assert [r.metrics["regret_s"] for r in filled] == [0.0, 1.0, 0.0]
    assert used == {"noisy": 2.0}
