"""Online DistrEdge: who serves when, what a fine-tuning starts from and trains at, and that results repeat."""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from splitgym.agents.distredge import online
from splitgym.agents.distredge.online import Online, Strategy
from splitgym.agents.distredge.osds import Osds
from splitgym.agents.distredge.plan_agent import ENV_KWARGS
from splitgym.agents.registry import make_agent
from splitgym.envs import FAMILIES
from splitgym.experiments.play import make_env, play
from splitgym.models.plans import SpatialPlan

DISTREDGE = FAMILIES["distredge"]
TINY: dict[str, Any] = {
    "actor_net": [16], "critic_net": [16], "batch_size": 8, "episodes": 6, "finetune_episodes": 4,
    "actor_rate": 1e-2, "delta_eps": 0.5,
}  # fmt: skip
EVERY_LOOK = {"period_s": 0.0, "slack": 0.0, "threshold": 0.0}  # every image finds its links changed
GAP_S = 100.0


def make(seed: int = 0, scenario: str = "dynamic-nano", **hyperparams: Any) -> tuple[Online, Any]:
    env = make_env(DISTREDGE, scenario, {**ENV_KWARGS, "gap_s": GAP_S})
    agent = make_agent("distredge", "online", env, seed, **{**TINY, **EVERY_LOOK, **hyperparams})
    assert isinstance(agent, Online)
    return agent, env


@pytest.fixture
def partitions(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Every strategy has a partition of its own, so that plans tell who decided; the rates that they are for."""
    numbers, asked = count(), []

    def partition_of(system: Any, alpha: Any, mbps: np.ndarray) -> tuple[int, ...]:
        asked.append(mbps)
        return (3 + next(numbers), system.n_units)

    monkeypatch.setattr(online, "partition_of", partition_of)
    return asked


def served(agent: Online, env: Any, images: int, seed: int = 3) -> tuple[list[int], dict[str, Any], list[SpatialPlan]]:
    """(number of the strategy that served each image, their series, their plans) with :func:`partitions`."""
    plans: list[SpatialPlan] = []
    details = env.unwrapped.dynamics.details
    env.unwrapped.dynamics.details = lambda lane: (plans.append(env.unwrapped.dynamics.plan(lane)), details(lane))[1]
    played = play(agent, env, images, seed)
    assert played.series is not None
    return [plan.cuts[0] - 3 for plan in plans], dict(played.series), plans


def test_the_old_strategy_serves_until_the_new_one_is_ready(partitions: list[np.ndarray]) -> None:
    """Images 100 s apart and 250 s for a strategy: asked for at image 1, it serves from image 4; again at image 5."""
    agent, env = make(replan_delay_s=250.0)
    numbers, series, _ = served(agent, env, 9)
    assert numbers == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert series["strategies"].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert series["replanning"].tolist() == [False, True, True, True, False, True, True, True, False]
    assert series["clock_s"] == pytest.approx(np.concatenate([[0.0], np.cumsum(series["latency_s"] + GAP_S)[:-1]]))
    assert partitions[0] == pytest.approx(series["mbps"][0], rel=1e-5)
    assert partitions[1] == pytest.approx(series["mbps"][1], rel=1e-5)
    assert len(partitions) == 3


def test_without_delay_the_new_strategy_serves_the_image_that_asked_for_it(partitions: list[np.ndarray]) -> None:
    agent, env = make(replan_delay_s=0.0)
    assert served(agent, env, 3)[0] == [0, 1, 2]


@pytest.mark.usefixtures("partitions")
def test_time_may_be_counted_as_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy that took this machine 150 s is there two images later, whatever the paper's delay is."""
    agent, env = make(replan_delay_s=1e6, delay="measured")
    strategy = agent._strategy

    def slow(number: int, mbps: np.ndarray, before: Strategy | None) -> Strategy:
        found = strategy(number, mbps, before)
        assert 0.0 < found.seconds <= agent.planning_s
        return Strategy(found.stops, found.policy, found.plan_actions, 150.0)

    monkeypatch.setattr(agent, "_strategy", slow)
    assert served(agent, env, 6)[0] == [0, 0, 0, 1, 1, 1]


def test_steady_links_never_ask_for_another_strategy(tmp_path: Any) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("0 80\n1800 80\n")
    env = make_env(DISTREDGE, "NA-nano", {**ENV_KWARGS, "gap_s": GAP_S, "traces": [str(trace)]})
    agent = make_agent("distredge", "online", env, 0, **{**TINY, **EVERY_LOOK})
    series = play(agent, env, 6).series
    assert series is not None
    assert series["strategies"].tolist() == [1] * 6
    assert not series["replanning"].any()


def weights_of(policy: Any) -> list[torch.Tensor]:
    return [value.clone() for value in policy.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_fine_tuning_goes_on_from_the_actor_and_critic_that_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the monitored rates, held: the best plan's latency is that of the plan at them."""
    begun: list[list[torch.Tensor]] = []
    ended: list[list[torch.Tensor]] = []
    learn = Osds.learn

    def spy(self: Osds, episodes: Any, steps: Any, on_report: Any) -> None:
        begun.append(weights_of(self.model.policy))
        learn(self, episodes, steps, on_report)
        ended.append(weights_of(self.deciding))
        assert self.vec.episodes == self.episodes == (TINY["episodes"] if len(ended) == 1 else 4)
        dynamics: Any = self.vec.env.dynamics
        expected = dynamics.system.evaluate([self.best_plan], mbps=dynamics.mbps[:, :1])[0]
        assert self.vec.best == pytest.approx(expected, rel=1e-12)
        trained_at.append(dynamics.mbps[:, 0])

    trained_at: list[np.ndarray] = []
    monkeypatch.setattr(Osds, "learn", spy)
    agent, env = make(replan_delay_s=0.0)
    series = play(agent, env, 3, 3).series
    assert series is not None
    assert len(begun) == 3
    for before, after in pairwise(range(3)):
        assert same(begun[after], ended[before])
        assert not same(ended[after], begun[after])
    assert np.array(trained_at) == pytest.approx(series["mbps"], rel=1e-5)


def test_same_seed_same_images_other_seed_others() -> None:
    runs = [play(*make(seed, replan_delay_s=150.0), 5, 3).series for seed in (1, 1, 2)]
    latencies = [run["latency_s"].tolist() for run in runs if run is not None]
    assert latencies[0] == latencies[1] != latencies[2]


def test_lanes_decide_as_they_would_alone() -> None:
    images = 3
    agent, _ = make(replan_delay_s=150.0)
    options: dict[str, Any] = {"scenario": "dynamic-nano", "gap_s": GAP_S, **ENV_KWARGS}
    batch: Any = gym.make_vec(DISTREDGE.env_id, num_envs=2, autoreset_mode="SameStep", **options)
    observation, _ = batch.reset(seed=20)
    state, starts = None, np.ones(2, dtype=bool)
    found: list[list[float]] = [[], []]
    while len(found[0]) < images:
        actions, state = agent.predict(observation, state, starts, deterministic=True)
        observation, _, starts, _, info = batch.step(actions)
        for lane in np.flatnonzero(starts):
            found[lane].append(info["final_info"]["latency_s"][lane])
    for lane in range(2):
        series = play(*make(replan_delay_s=150.0), images, 20 + lane).series
        assert series is not None
        assert series["latency_s"].tolist() == found[lane]
    assert found[0] != found[1]


def test_the_actor_sees_what_it_was_trained_on() -> None:
    """Eq. 7 in the env where the partition may change is, at the ends of volumes, that of the env with this one."""
    stops = [5, 12]
    fixed = make_env(DISTREDGE, "DA-50", {"partition": stops, "observation": "paper"})
    free = make_env(DISTREDGE, "DA-50", ENV_KWARGS)
    observer, rng = free.unwrapped.dynamics.observer, np.random.default_rng(0)
    seen, _ = fixed.reset(seed=0)
    full, _ = free.reset(seed=0)
    for unit in range(1, free.unwrapped.dynamics.episode_steps + 1):
        split = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
        ends = unit in (*stops, free.unwrapped.dynamics.episode_steps)
        if ends:
            assert np.array_equal(observer.eq_7(full[None])[0], seen)
            seen = fixed.step(split)[0]
        full = free.step(np.append(split, np.float32(1.0 if ends else -1.0)))[0]


def test_on_constant_links_the_best_plan_is_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Osds] = []
    learn = Osds.learn
    monkeypatch.setattr(Osds, "learn", lambda self, *budget: (trained.append(self), learn(self, *budget))[1])
    agent, env = make(scenario="NA-nano", episodes=12)
    played = play(agent, env, 3)
    assert len(trained) == 1
    assert played.plan == trained[0].best_plan.to_json()
    assert played.metrics["latency_s"] == pytest.approx(trained[0].vec.best, rel=1e-12)


@pytest.mark.parametrize("serves", ["better", "actor"])
def test_where_links_vary_the_actor_decides_or_the_plan_that_took_less(
    serves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an exploring episode found serves where no episode that the actor played alone was as fast."""
    explored: list[float] = []
    alone: list[float] = []
    trained: list[Osds] = []
    episode_ended, learn = Osds.episode_ended, Osds.learn

    def note(self: Osds, metrics: dict[str, float]) -> None:
        noise: Any = self.model.action_noise
        (explored if noise.explored else alone).append(metrics["latency_s"])
        episode_ended(self, metrics)

    monkeypatch.setattr(Osds, "episode_ended", note)
    monkeypatch.setattr(Osds, "learn", lambda self, *budget: (trained.append(self), learn(self, *budget))[1])
    for seed in range(3):
        del explored[:], alone[:]
        agent, env = make(seed, serves=serves, episodes=8)
        played = play(agent, env, 1, 3)
        plan_serves = serves == "better" and min(explored, default=np.inf) < min(alone, default=np.inf)
        assert (played.plan == trained[seed].best_plan.to_json()) >= plan_serves
        assert agent._plan_serves(trained[seed]) == plan_serves
