"""What EdgeMove's agents decide on situations made by hand: Alg. 1 and 3, lanes, state and seeds."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest

from splitgym.agents.edgemove.edgemove import EdgeMove
from splitgym.agents.registry import make_agent
from splitgym.envs.edgemove.actions import STAY

from .observations import make, make_batch, observed, server
from .short import ALONE, ENV, FIRST, SHORT, SYSTEM, run


def balanced(system: Any, probed_s: float, bits: float, rtt_s: float) -> tuple[float, int]:
    """Alg. 1 by hand: (seconds of the longer side, cut), every layer taken to be as long as the mean one."""
    n = system.n_layers
    found = []
    for cut in range(1, n):
        client_s = cut * system.client_s[n] / n
        server_s = (n - cut) * max(probed_s - rtt_s, 0.0) / n
        found.append((max(client_s, server_s + 2 * system.link_bits[cut] / bits + rtt_s), cut))
    return min(found)


# Alg. 1 and 3 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["vgg16-cifar10", "resnet50-cinic10", "vgg16-cifar10-city-100mbps"])
def test_the_first_cut_and_worker_are_alg_1s(scenario: str) -> None:
    """Of all listed servers the one whose longer side is shortest, at its own balanced cut."""
    env = make(scenario=scenario)
    system, dynamics = env.dynamics.system, env.dynamics
    for seed in range(10):
        observation, _ = env.reset(seed=seed)
        lane, now = np.zeros(1, dtype=np.intp), np.zeros(1)
        found = []
        for place in np.flatnonzero(dynamics.listing.covers[0]):
            site = dynamics.listing.server[0, place]
            bits, rtt_s, _ = dynamics.world.conditions(np.array([site]), lane, now)
            probed_s = dynamics.listing.probed_s[site, 0]
            found.append((*balanced(system, probed_s, bits[0], rtt_s[0]), place))
        _, cut, place = min(found)
        batch = {key: value[None] for key, value in observation.items()}
        action, _ = EdgeMove(env).predict(batch, None, FIRST)
        assert action[0, :2].tolist() == [cut - 1, place + 1]


WORKER_S = 0.02


def pair(other_s: float | None, last_s: float = 0.06, cut: int = 6, **state: float) -> Any:
    """A worker and another server, alike but for what probes told."""
    servers = [server(WORKER_S + 0.02, worker=True), server(other_s and other_s + 0.02)]
    return observed(SYSTEM, servers, cut=cut, last_cycle=last_s, **state)


def start(agent: EdgeMove) -> tuple[int, Any]:
    """An agent with a worker of which it knows the first two cycles: (cut, state); no probe is under way."""
    action, state = agent.predict(observed(SYSTEM, [server(WORKER_S + 0.02)]), None, FIRST)
    assert action[0, 1] == 1
    for _ in range(2):
        action, state = agent.predict(pair(None), state)
    assert action[0, 2] == 0
    return int(action[0, 0]) + 1, state


def agent_of(**changes: Any) -> EdgeMove:
    agent = make_agent("edgemove", "edgemove", ENV, **changes)
    assert isinstance(agent, EdgeMove)
    return agent


@pytest.mark.parametrize(("factor", "asks"), [(0.5, 0), (1.0, 0), (1.09, 0), (1.11, 1), (3.0, 1)])
def test_a_cycle_worse_than_usual_asks_for_a_probe(factor: float, asks: int) -> None:
    agent = agent_of()
    _, state = start(agent)
    action, _ = agent.predict(pair(None, 0.06 * factor), state)
    assert action[0, 1:].tolist() == [STAY, asks]


def test_what_is_usual_follows_the_cycles() -> None:
    """A slow decline never passes the threshold, the same decline at once does."""
    agent = agent_of(memory=0.5)
    _, state = start(agent)
    for factor in (1.04, 1.08, 1.12, 1.16):
        action, state = agent.predict(pair(None, 0.06 * factor), state)
        assert action[0, 2] == 0
    _, state = start(agent)
    assert agent.predict(pair(None, 0.06 * 1.16), state)[0][0, 2] == 1


def test_a_notification_asks_for_a_probe() -> None:
    agent = agent_of()
    _, state = start(agent)
    servers = [server(WORKER_S + 0.02, worker=True), server(0.05, notified=True)]
    action, _ = agent.predict(observed(SYSTEM, servers, cut=6, last_cycle=0.06), state)
    assert action[0, 1:].tolist() == [STAY, 1]


def worth_s(probed_s: float) -> float:
    return balanced(SYSTEM, probed_s, 600e6, 0.02)[0]


@pytest.mark.parametrize(("share", "switches"), [(0.95, False), (0.92, False), (0.88, True), (0.7, True)])
def test_only_a_server_that_a_probe_shows_better_by_the_gain_is_taken(share: float, switches: bool) -> None:
    """``gain`` is 0.1; the worker's own probe is the measure."""
    slow = 0.2  # a worker so slow that its side is the longer one
    target = share * worth_s(slow)
    grid = np.linspace(0.02, slow, 20001)
    other_s = float(grid[np.searchsorted([worth_s(s) for s in grid[::20]], target) * 20])
    assert worth_s(other_s) == pytest.approx(target, rel=0.01)
    servers = [server(slow, worker=True), server(other_s)]
    agent = agent_of()
    _, state = start(agent)
    told = observed(SYSTEM, servers, cut=6, last_cycle=0.06)
    action, state = agent.predict(told, state)  # the list shows it, but no probe was asked for
    assert action[0, 1] == STAY
    action, state = agent.predict(observed(SYSTEM, servers, cut=6, last_cycle=0.09), state)
    assert action[0, 1:].tolist() == [STAY, 1]
    action, _ = agent.predict(told, state)
    assert action[0, 1] == (2 if switches else STAY)
    if switches:
        assert action[0, 0] + 1 == balanced(SYSTEM, other_s, 600e6, 0.02)[1]


def test_a_worker_out_of_reach_is_left_for_the_best_in_reach() -> None:
    agent = agent_of()
    _, state = start(agent)
    servers = [server(0.2), server(0.03), server(None), server(0.1)]
    gone = observed(SYSTEM, servers, cut=6, last_cycle=0.06, on_edge=1.0, in_reach=0.0, rate=1e8, rtt=0.02)
    action, _ = agent.predict(gone, state)
    assert action[0, :2].tolist() == [balanced(SYSTEM, 0.03, 600e6, 0.02)[1] - 1, 2]
    assert action[0, 2] == 1  # chosen by old probes, so others are asked again


@pytest.mark.parametrize("literal", [False, True])
def test_without_a_server_in_reach_the_client_trains_alone_until_there_is_one(literal: bool) -> None:
    agent = EdgeMove(ENV, literal=literal)
    actions = run(agent, [observed(SYSTEM), observed(SYSTEM, last_cycle=0.2), observed(SYSTEM, [server(0.05)])])
    assert actions[:2] == [[ALONE, STAY, 0]] * 2
    assert actions[2][0] < ALONE
    assert actions[2][1] == 1


def test_servers_that_were_never_probed_are_taken_where_none_was_and_probed_at_once() -> None:
    for literal in (False, True):
        action = run(EdgeMove(ENV, literal=literal), [observed(SYSTEM, [server(None), server(None)])])[0]
        assert action[1] in (1, 2)
        assert action[2] == 1


def test_as_printed_the_threshold_only_rises() -> None:
    """t_wst is the worst time with this worker: the same time never asks twice, and better ones do not lower it."""
    agent = EdgeMove(ENV, literal=True)
    first, second = observed(SYSTEM, [server(0.04)]), [server(0.04, worker=True)]
    lasts = [0.06, 0.08, 0.03, 0.07, 0.08, 0.09, 0.01, 0.09]
    told = [observed(SYSTEM, second, cut=6, last_cycle=last_s) for last_s in lasts]
    probes = [action[2] for action in run(agent, [first, *told])]
    assert probes == [0, 0, 1, 0, 0, 0, 1, 0, 0]
    sound = [action[2] for action in run(EdgeMove(ENV), [first, *told])]
    assert sum(sound) > sum(probes)


@pytest.mark.parametrize(("literal", "switches"), [(True, True), (False, False)])
def test_as_printed_any_better_probe_wins_the_worker(literal: bool, switches: bool) -> None:
    agent = EdgeMove(ENV, literal=literal)
    servers = [server(0.04, worker=True), server(0.0399)]
    told = [observed(SYSTEM, servers, cut=6, last_cycle=last_s) for last_s in (0.06, 0.06, 0.08, 0.08)]
    actions = run(agent, [observed(SYSTEM, [server(0.04)]), *told])
    assert actions[3][2] == 1
    assert actions[4][1] == (2 if switches else STAY)


# Lanes, state and seeds ----------------------------------------------------------------------------------------------


@cache
def short_batch(lanes: int) -> Any:
    """Begins anew with every seeded reset."""
    return make_batch(lanes, **SHORT)


def actions_of(agent: Any, env: Any, steps: int, seed: int = 3) -> np.ndarray:
    """(steps, lanes, 3) what an agent does in a batch."""
    observation, _ = env.reset(seed=seed)
    state, starts, taken = None, np.ones(env.num_envs, dtype=bool), []
    for _ in range(steps):
        actions, state = agent.predict(observation, state, starts, deterministic=True)
        observation, _, starts, _, _ = env.step(actions)
        taken.append(actions.copy())
    return np.array(taken)


MOVING = ("edgemove", "edgemove-literal", "lookahead", "device-cloud", "pipedream-e")


@pytest.mark.parametrize("name", MOVING)
def test_lanes_decide_for_themselves(name: str) -> None:
    """In any batch, past the ends of episodes; the first one as in the scalar env."""
    steps = 25
    five, two, one = (
        actions_of(make_agent("edgemove", name, ENV, 4), short_batch(lanes), steps) for lanes in (5, 2, 1)
    )
    assert np.array_equal(five[:, :2], two)
    assert np.array_equal(five[:, :1], one)
    if name != "device-cloud":  # its lanes rarely differ in a short training
        assert not np.array_equal(five[:, 0], five[:, 1])


@pytest.mark.parametrize("name", MOVING)
def test_same_seed_same_training(name: str) -> None:
    agents = [make_agent("edgemove", name, ENV, seed) for seed in (1, 1, 2)]
    first, again, other = (actions_of(agent, short_batch(3), 20) for agent in agents)
    assert np.array_equal(first, again)
    assert np.array_equal(first, actions_of(agents[0], short_batch(3), 20))  # nothing is left over in it
    drawn = name in ("edgemove-literal", "pipedream-e")
    assert np.array_equal(first, other) == (not drawn) or name == "edgemove"


@pytest.mark.parametrize("name", ["edgemove", "edgemove-literal", "pipedream-e"])
def test_memory_travels_in_the_state(name: str) -> None:
    """Another agent, made with another seed, goes on with it as the first one does."""
    batch = short_batch(3)
    agent, other = (make_agent("edgemove", name, ENV, seed) for seed in (0, 9))
    observation, _ = batch.reset(seed=0)
    state, starts = None, np.ones(3, dtype=bool)
    for _ in range(6):
        actions, state = agent.predict(observation, state, starts)
        observation, _, starts, _, _ = batch.step(actions)
    kept = copy.deepcopy(state)
    for _ in range(12):
        actions, state = agent.predict(observation, state, starts)
        same, kept = other.predict(observation, kept, starts)
        assert np.array_equal(actions, same)
        observation, _, starts, _, _ = batch.step(actions)


def test_a_new_episode_begins_from_nothing() -> None:
    """What moves have shown in the last one is forgotten: Alg. 1's cut again, not the one that was found."""
    agent = agent_of(foresight=False)
    single = observed(SYSTEM, [server(WORKER_S + 0.02)])
    cut, state = start(agent)
    action, state = agent.predict(pair(None, 1.0), state)
    assert action[0, 0] + 1 != cut
    _, state = agent.predict(pair(None, 0.001), state)
    fresh, _ = agent.predict(single, None, FIRST)
    kept, _ = agent.predict(single, copy.deepcopy(state))
    again, state = agent.predict(single, state, FIRST)
    assert np.array_equal(fresh, again)
    assert not np.array_equal(fresh, kept)
    assert len(state[0].climbers) == 1
