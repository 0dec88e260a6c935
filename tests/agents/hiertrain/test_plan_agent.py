"""HierTrain's planners and plan files as agents that play."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from splitgym.agents.hiertrain import AGENTS, plan_spec
from splitgym.agents.hiertrain.plan_agent import PlanAgent
from splitgym.agents.hiertrain.planners import PLANNERS
from splitgym.envs.hiertrain.actions import decode
from splitgym.envs.hiertrain.cost import iteration_s
from splitgym.envs.hiertrain.schedule import alone
from splitgym.models.lookup import get_model
from splitgym.models.plans import HybridPlan, load_plan, save_plan
from splitgym.ui.errors import InputError

from ... import refused
from ...envs.hiertrain.episodes import make, make_batch, play, random_actions, rates_of
from ...envs.hiertrain.reference import (
    Plan,
    hand_out_loop_s,
    layers_loop_s,
    paper_loop_s,
    plain_of,
    scored,
    to_plan,
)

SPECS = {spec.name: spec for spec in AGENTS}


def agent_for(env: Any, name: str, **options: Any) -> Any:
    return SPECS[name].make(env, 0, **options)


@pytest.mark.parametrize("name", ["lenet5-drift", "alexnet-drift", "alexnet-1.5"])
def test_the_exact_agent_has_no_gap(name: str) -> None:
    env = make(name, blocks=25)
    blocks, _, info = play(env, agent_for(env, "exact"), seed=1)
    assert all(abs(b["gap"]) < 1e-12 for b in blocks)
    assert info["metrics"]["gap"] == pytest.approx(0.0, abs=1e-12)
    assert info["metrics"]["regret_s"] == pytest.approx(
        info["metrics"]["iteration_s"] - info["metrics"]["optimal_s"], abs=1e-9
    )


@pytest.mark.parametrize("name", ["all-device", "all-edge", "all-cloud"])
def test_all_on_one_worker_is_never_replanned(name: str) -> None:
    env = make("alexnet-drift", blocks=15)
    worker = ["all-device", "all-edge", "all-cloud"].index(name)
    blocks, _, info = play(env, agent_for(env, name), seed=1)
    system = env.dynamics.system
    for t, told in enumerate(blocks):
        rates = rates_of(info["trace"])[:, t] * 1e6
        expected = iteration_s(system, alone(worker, 128), *rates)[0]
        assert told["iteration_s"] == pytest.approx(expected, rel=1e-6)
        assert (told["replan_s"], told["gap"] >= -1e-12) == (0.0, True)
    assert (name != "all-edge") or make("alexnet-3").dynamics.reference_s == env.dynamics.reference_s


def test_a_planner_is_asked_once_for_each_rates() -> None:
    env = make("alexnet-drift", blocks=60, optimum=False)
    asked: list[tuple[float, float]] = []
    exact = PLANNERS["exact"](env.dynamics.system)

    def plan(device_edge: float, edge_cloud: float) -> Any:
        asked.append((device_edge, edge_cloud))
        return exact(device_edge, edge_cloud)

    agent, seen = PlanAgent(env, plan), set()
    for seed in (1, None):
        trace = play(env, agent, seed)[2]["trace"]
        seen |= {tuple(pair) for pair in rates_of(trace).T.tolist()}
    assert len(asked) == len(set(asked)) == len(seen)
    grid = env.dynamics.rates.grid
    assert all(device_edge in grid[0] and edge_cloud in grid[1] for device_edge, edge_cloud in asked)


def test_planners_play_every_lane_of_a_batch() -> None:
    lanes = 6
    batch = make_batch(lanes, "lenet5-drift", blocks=12, optimum=True, autoreset_mode="Disabled")
    agent: Any = agent_for(make("lenet5-drift", blocks=12), "exact")
    observations, _ = batch.reset(seed=0)
    over, info, state = np.zeros(lanes, dtype=bool), {}, None
    while not over.all():
        actions, state = agent.predict(observations, state, np.zeros(lanes, dtype=bool))
        observations, _, over, _, info = batch.step(actions)
    assert info["gap"] == pytest.approx(np.zeros(lanes), abs=1e-9)


HOLDS = [(10, {"inputs": "devices", "edge_cores": 4, "device_edge_mbps": 50.0, "edge_cloud_mbps": 50.0}), (500, {})]


@pytest.mark.parametrize(("iterations", "changes"), HOLDS, ids=str)
def test_hold_replans_only_where_it_pays_within_the_block(iterations: int, changes: dict[str, Any]) -> None:
    """Every single decision is justified; whether an episode gains depends on the rates to come."""
    env = make("alexnet-drift", blocks=80, iterations=iterations, optimum=False, **changes)
    system = env.dynamics.system
    plain, exact = plain_of(system), PLANNERS["exact"](system)
    agent: Any = agent_for(env, "exact", hold=True)
    observation, _ = env.reset(seed=0)
    state, old, kept, changed, start = None, None, 0, 0, True
    for _ in range(80):
        rates = [float(r[0]) for r in env.dynamics.rates.now()]
        actions, state = agent.predict(observation[None], state, np.array([start]))
        plan = to_plan(decode(actions, system.n_layers, system.batch).canonical())
        new = to_plan(exact(*rates))
        if old is None:
            assert plan == scored(new)
        else:
            costs = hand_out_loop_s(plain, old, new, rates)
            saves = iterations * (paper_loop_s(plain, old, rates) - paper_loop_s(plain, new, rates))
            assert plan == (scored(old) if costs >= saves else scored(new)) or costs == pytest.approx(saves)
            kept += plan == scored(old) != scored(new)
            changed += plan != scored(old)
        observation, *_, start, _, _ = env.step(actions[0])
        old = plan
    assert start  # the episode has ended
    assert kept > 0
    assert changed > 0
    actions, _ = agent.predict(env.reset()[0][None], state, np.array([True]))  # a new one begins with what is best now
    first = to_plan(decode(actions, system.n_layers, system.batch).canonical())
    assert first == scored(to_plan(exact(*(float(r[0]) for r in env.dynamics.rates.now()))))


@pytest.mark.parametrize(("name", "bits"), [("jointdnn", 32), ("jointdnn+", 32), ("jalad", 8)])
def test_layer_agents_play_with_their_bits(name: str, bits: int) -> None:
    spec = SPECS[name]
    assert spec.env_kwargs == {"plans": "layers", "activation_bits": bits}
    env = make("alexnet-drift", blocks=8, **spec.env_kwargs)
    blocks, _, info = play(env, agent_for(env, name), seed=0)
    plain, system = plain_of(env.dynamics.system), env.dynamics.system
    workers = {"jointdnn": (0, 2), "jointdnn+": (0, 1, 2), "jalad": (1, 2)}[name]
    for t, told in enumerate(blocks):
        rates = (rates_of(info["trace"])[:, t] * 1e6).tolist()
        alone_s = min(sum(layers_loop_s(plain, [w] * system.n_layers, rates, bits)) for w in workers)
        assert told["iteration_s"] <= alone_s * (1 + 1e-6) + max(sum(row) for row in plain.update)


# Plan files.

TYPES = {"device": "pi3", "edge": "i3-7100u", "cloud": "gtx1080ti"}
NO_EDGE = {"device": "pi3", "cloud": "gtx1080ti"}


def test_a_plan_file_is_followed(tmp_path: Any) -> None:
    env = make("alexnet-drift", blocks=6)
    plan = HybridPlan("alexnet_64", ("cloud", "device", "edge"), 2, 8, (28, 40, 60), types=TYPES)
    save_plan(plan, tmp_path / "plan.json")
    agent = plan_spec(str(tmp_path / "plan.json")).make(env, 0)
    blocks, _, info = play(env, agent, seed=0)
    assert HybridPlan.from_json(info["plan"], "info") == plan
    plain = plain_of(env.dynamics.system)
    for t, told in enumerate(blocks):
        rates = (rates_of(info["trace"])[:, t] * 1e6).tolist()
        expected = paper_loop_s(plain, Plan((2, 0, 1), 2, 8, (28, 40, 60)), rates)
        assert told["iteration_s"] == pytest.approx(expected, rel=1e-6)
    assert {b["replan_s"] for b in blocks} == {0.0}
    by_actions, _, _ = play(env, env.dynamics.plan_actions(plan), seed=0)
    assert by_actions == blocks


@pytest.mark.parametrize("name", ["lenet5-1.5", "resnet34-3.5"])
def test_an_episodes_plan_is_carried_out_again(name: str, tmp_path: Any) -> None:
    env = make(name, blocks=3, optimum=False)
    for seed in range(5):
        _, _, info = play(env, random_actions(env, seed), seed=0)
        plan = env.dynamics.plan(0)
        assert plan is not None
        assert plan.to_json() == info["plan"] == json.loads(json.dumps(info["plan"]))
        assert plan.validate(get_model(plan.model)) is plan
        actions = env.dynamics.plan_actions(plan)
        assert actions.shape == (3, 8)
        _, _, again = play(env, actions)
        assert again["plan"] == info["plan"]
        save_plan(plan, tmp_path / "plan.json")
        assert load_plan(tmp_path / "plan.json", get_model(plan.model), HybridPlan) == plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": (28, 40, 61)}, ["b sums to 129", "alexnet-3.5 is 128"]),
        ({"b": (1, 0, 0)}, ["b sums to 1,", "128"]),
        ({"m_s": 9}, ["m_s is 9, m_l 8", "m_s <= m_l <= 11"]),
        ({"m_l": 12}, ["m_l 12", "11"]),
        ({"m_s": -1}, ["m_s is -1"]),
        ({"m_s": 0}, ["b gives worker s 40 samples, but m_s is 0"]),
        ({"b": (28, 140, -40)}, ["b is [28, 140, -40]"]),
        ({"b": (64, 64)}, ["b is [64, 64]", "3 numbers"]),
        (
            {"roles": ("cloud", "device", "nuc"), "types": {**NO_EDGE, "nuc": "i3-7100u"}},
            ["types: nuc (i3-7100u) is not in scenario alexnet-3.5, which has device (pi3), edge (i3-7100u)"],
        ),
        ({"types": {**TYPES, "edge": "tx2"}}, ["types: edge is 'tx2', in scenario alexnet-3.5 it is 'i3-7100u'"]),
        ({"types": NO_EDGE}, ["types is of device, cloud, expected cloud, device, edge"]),
        ({"roles": ("cloud", "device")}, ["roles has 2 names"]),
        ({"roles": ("cloud", "edge", "edge")}, ["'edge' is named twice"]),
        ({"model": "alexnet"}, ["model is 'alexnet'", "'alexnet_64'"]),
    ],
    ids=str,
)
def test_a_plan_file_that_does_not_fit_is_one_line(tmp_path: Any, changes: dict[str, Any], words: list[str]) -> None:
    cuts = {"m_s": 2, "m_l": 8, "b": (28, 40, 60)}
    fields = {"model": "alexnet_64", "types": TYPES, "roles": ("cloud", "device", "edge"), **cuts}
    path = tmp_path / "plan.json"
    save_plan(HybridPlan(**{**fields, **changes}), path)  # type: ignore[arg-type]
    env = make("alexnet-3.5", optimum=False)
    with refused(*words, start=f"{path}: "):
        plan_spec(str(path)).make(env, 0)


def test_a_plan_that_cuts_a_block_is_one_line() -> None:
    env = make("resnet34-3.5", optimum=False)
    plan = HybridPlan("resnet34", ("edge", "device", "cloud"), 1, 3, (100, 14, 14), types=TYPES)
    with pytest.raises(InputError, match=r"^m_s is 1, resnet34 can be cut behind 0, 2, 3.*18, 20 steps$"):
        env.dynamics.plan_actions(plan)
