"""Planners play the plans that they name, and plan again as the links change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.distredge.baselines import PLANNERS
from splitgym.agents.distredge.linear import LinearModel, fence_posts
from splitgym.agents.distredge.monitor import Detection, LinkMonitor
from splitgym.agents.distredge.plan_agent import ENV_KWARGS, PlanAgent
from splitgym.agents.protocol import Agent
from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import FAMILIES
from splitgym.envs.distredge.dynamics import DistrEdgeDynamics
from splitgym.experiments.play import make_env, play
from splitgym.models.plans import volume_ranges

from ... import slow
from ..quick import make_batch, quick_agent

DISTREDGE = FAMILIES["distredge"]


@pytest.mark.parametrize("name", [*PLANNERS, "joint"])
@pytest.mark.parametrize("scenario", ["DB-50", "LB", "NA-nano-resnet50", *slow("DC-300", "DB-50-ssd_vgg16")])
def test_what_a_planner_plays_is_its_plan(scenario: str, name: str) -> None:
    env = make_env(DISTREDGE, scenario, get_spec("distredge", name).env_kwargs)
    agent: Any = quick_agent("distredge", name, env)
    played = play(agent, env)
    system = env.unwrapped.dynamics.system
    assert played.metrics["latency_s"] == system.evaluate([agent.best_plan])[0]
    assert played.metrics["volumes"] == len(agent.best_plan.cuts)
    assert played.plan == agent.best_plan.to_json()
    batch = make_batch("distredge", 3, scenario=scenario, **ENV_KWARGS)
    assert play(agent, batch, episodes=3).metrics["latency_s"] == pytest.approx(played.metrics["latency_s"], rel=1e-15)


class Session:
    """Images one after another on a dynamic network, with the rates and the clock at the start of each."""

    def __init__(self, seed: int = 3, **options: Any) -> None:
        self.env = make_env(DISTREDGE, options.pop("scenario", "dynamic-nano"), {**ENV_KWARGS, **options})
        self.dynamics: DistrEdgeDynamics = self.env.unwrapped.dynamics
        self.seed = seed
        self.mbps: list[np.ndarray] = []
        self.plans: list[tuple[Any, Any]] = []

    def play(self, agent: Agent, images: int) -> None:
        state = None
        for image in range(images):
            observation, _ = self.env.reset(seed=self.seed if image == 0 else None)
            self.mbps.append(self.dynamics.observer.rates_mbps(observation[None])[0].astype(float))
            assert self.mbps[-1] == pytest.approx(self.dynamics.mbps[:, 0], rel=1e-5)
            done, starts = False, np.ones(1, dtype=bool)
            while not done:
                actions, state = agent.predict(observation[None], state, starts, deterministic=True)
                observation, _, done, _, _ = self.env.step(actions[0])
                starts = np.zeros(1, dtype=bool)
            self.plans.append(key(self.dynamics.plan(0)))

    def planned(self, name: str, image: int) -> tuple[Any, Any]:
        """What a planner says to the rates of an image."""
        return key(PLANNERS[name](self.dynamics.system, self.mbps[image]))


def key(plan: Any) -> tuple[Any, Any]:
    return plan.cuts, plan.splits


EVERY_LOOK: dict[str, Any] = {"period_s": 0.0, "slack": 0.0, "threshold": 0.0}  # every image finds its links changed


def test_replanning_keeps_the_old_plan_until_the_new_one_is_ready() -> None:
    """Images 100 s apart and 250 s for a plan: asked for at image 1, there at image 4, asked for again at image 5.

    The rates that are asked for at image 5 are those of the images since a link changed from those of image 1.
    """
    session = Session(gap_s=100.0)
    session.play(make_agent("distredge", "coedge", session.env, replan_delay_s=250.0), 9)
    monitor = LinkMonitor(session.mbps[0], Detection(**EVERY_LOOK))
    for image in range(1, 6):
        monitor.look(session.mbps[image], 100.0 * image)
        if image == 1:
            assert monitor.settle() == pytest.approx(session.mbps[1])
    again = key(PLANNERS["coedge"](session.dynamics.system, monitor.settle()))
    expected = [session.planned("coedge", image) for image in (0, 0, 0, 0, 1, 1, 1, 1)]
    assert session.plans == [*expected, again]
    assert len({expected[0], expected[4], again}) == 3


@pytest.mark.parametrize("name", ["aofl", "coedge"])
def test_replanning_without_delay_follows_every_image(name: str) -> None:
    session = Session(gap_s=200.0)
    session.play(make_agent("distredge", name, session.env, replan_delay_s=0.0, **EVERY_LOOK), 5)
    assert session.plans == [session.planned(name, image) for image in range(5)]
    assert len(set(session.plans)) > 2


def test_aofl_splits_every_image_by_its_rates_while_it_searches_for_cuts() -> None:
    """Sec. V-F: split decisions follow the monitored throughput, partition locations take ten minutes."""
    session = Session(gap_s=100.0)
    session.play(make_agent("distredge", "aofl", session.env, replan_delay_s=250.0, **EVERY_LOOK), 6)
    system, linear = session.dynamics.system, [LinearModel(session.dynamics.system, mbps) for mbps in session.mbps]
    cuts = [cuts for cuts, _ in session.plans]
    assert cuts == [session.planned("aofl", image)[0] for image in (0, 0, 0, 0, 1, 1)]
    for (stops, splits), model in zip(session.plans, linear, strict=True):
        ends = [fence_posts(model.ratio(a, b), system.heights[b - 1])[1:-1] for a, b in volume_ranges(stops)]
        assert [list(split) for split in splits] == [list(end) for end in ends]
    assert len({splits for _, splits in session.plans[:4]}) > 1


def test_replanning_goes_on_when_the_trace_starts_over() -> None:
    """Images 1000 s apart, 2600 s for a plan: asked for at 1000 s, it is there at 4000 s, in the trace's next hour."""
    session = Session(gap_s=1000.0)
    session.play(make_agent("distredge", "coedge", session.env, replan_delay_s=2600.0), 5)
    assert session.plans == [session.planned("coedge", image) for image in (0, 0, 0, 0, 1)]


def test_a_plan_may_take_longer_than_the_trace(tmp_path: Path) -> None:
    """A trace of a minute, over and over: a plan that takes 200 s is ready after three rounds of it."""
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(f"{t} {rate}" for t, rate in [(0, 30), (10, 300), (20, 10), (30, 100), (50, 5)]))
    session = Session(scenario="NA-nano", traces=[str(trace)], gap_s=25.0, inputs="devices")
    assert session.dynamics.links.period_s == pytest.approx(60.0)
    session.play(make_agent("distredge", "aofl", session.env, replan_delay_s=200.0, **EVERY_LOOK), 10)
    cuts = [cuts for cuts, _ in session.plans]
    assert cuts == [session.planned("aofl", image)[0] for image in (0,) * 9 + (1,)]
    assert cuts[9] != cuts[0]


def test_small_changes_of_the_rates_ask_for_no_plan() -> None:
    """Without a threshold any rate beyond the slack asks for one, at an infinite one none does."""
    session = Session(gap_s=100.0)
    session.play(make_agent("distredge", "coedge", session.env, slack=0.5), 12)
    used, expected = 0, []
    for image, mbps in enumerate(session.mbps):
        if np.any(np.abs(np.log(mbps / session.mbps[used])) > 0.5):
            used = image
        expected.append(used)
    changed = [a != b for a, b in pairwise(session.plans)]
    assert changed == [a != b for a, b in pairwise(expected)]
    assert 2 < sum(changed) < 11
    assert session.plans[0] == session.planned("coedge", 0)
    steady = Session(gap_s=100.0)
    steady.play(make_agent("distredge", "coedge", steady.env, threshold=1e9), 4)
    assert steady.plans == [steady.planned("coedge", 0)] * 4


@pytest.mark.parametrize("name", ["modnn", "mednn", "deepthings", "deeperthings", "offload"])
def test_only_coedge_and_aofl_look_at_the_rates(name: str) -> None:
    session = Session(gap_s=300.0)
    agent: Any = make_agent("distredge", name, session.env)
    session.play(agent, 4)
    assert set(session.plans) == {key(agent.best_plan)}


def test_nothing_is_planned_again_on_constant_links(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env(DISTREDGE, "DB-50", ENV_KWARGS)
    calls: list[Any] = []

    def planner(system: Any, mbps: Any) -> Any:
        calls.append(mbps)
        return PLANNERS["aofl"](system, mbps)

    play(PlanAgent(env, planner, replans=True), env, episodes=4)
    assert calls == [None]


def test_lanes_plan_for_themselves() -> None:
    """Two lanes on networks of their own decide as they would alone."""
    images, options = 4, {"gap_s": 150.0}
    batch = make_batch("distredge", 2, scenario="dynamic-nano", **ENV_KWARGS, **options)
    env = make_env(DISTREDGE, "dynamic-nano", {**ENV_KWARGS, **options})
    agent = make_agent("distredge", "aofl", env, replan_delay_s=200.0, **EVERY_LOOK)
    plans: list[list[tuple[Any, Any]]] = [[], []]
    observation, _ = batch.reset(seed=20)
    state, starts = None, np.ones(2, dtype=bool)
    while len(plans[0]) < images:
        actions, state = agent.predict(observation, state, starts, deterministic=True)
        observation, _, starts, _, _ = batch.step(actions)
        for lane in np.flatnonzero(starts):
            plans[lane].append(key(batch.dynamics.plan(int(lane))))
    for lane in range(2):
        alone = Session(seed=20 + lane, **options)
        alone.play(make_agent("distredge", "aofl", alone.env, replan_delay_s=200.0, **EVERY_LOOK), images)
        assert alone.plans == plans[lane]
    assert plans[0] != plans[1]
