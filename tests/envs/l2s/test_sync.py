"""What L2S's weight synchronisation costs, against copies moved by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.l2s.env import L2SEnv

from .reference import Copies, make, play

ROUNDS, SLOWER = 24, 11


@cache
def sync_env(name: str, sync: str, period: int, privacy_point: int) -> L2SEnv:
    changes = [[SLOWER, 10.0]]
    options: dict[str, Any] = {"sync_period": period, "privacy_point": privacy_point, "mbps_changes": changes}
    device = "pi3" if name.startswith("alexnet") else "tx2-pytorch"  # the one's messages cost more than the edge's
    return make(name, sync=sync, rounds=ROUNDS, device=device, **options)


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
@given(data=st.data())
@settings(max_examples=60)
def test_the_ledger_books_what_moving_copies_by_hand_costs(sync: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["alexnet-gpu-60", "resnet34-gpu-60", "vgg16-gpu-60"]))
    period, first = data.draw(st.sampled_from([1, 2, 5, 7, 100])), data.draw(st.sampled_from([0, 4]))
    env = sync_env(name, sync, period, first)
    points = env.dynamics.system.n_points
    narrow = data.draw(st.integers(1, points))  # a few points, so that some rounds stay where they are
    choices = data.draw(st.lists(st.integers(0, narrow - 1), min_size=2, max_size=ROUNDS))
    asked = [sync == "ask" and data.draw(st.booleans()) for _ in choices]
    copies = Copies(env.dynamics.system.scenario)
    env.reset(seed=0)
    for t, (choice, asks) in enumerate(zip(choices, asked, strict=True)):
        mbps, spent_s = 60.0 if t < SLOWER else 10.0, 0.0
        if asks:
            spent_s += copies.synchronise(mbps)
        copies.train(first + choice)
        if any(copies.stale) if sync == "change" else (t + 1) % period == 0:
            spent_s += copies.synchronise(mbps)
        observation, *_, info = env.step(choice + points * asks)
        assert info["round"]["sync_s"] == pytest.approx(spent_s, rel=1e-12)
        assert observation["stale_layers"].tolist() == copies.stale


@given(choices=st.lists(st.integers(0, 7), min_size=8, max_size=8), stay=st.integers(1, 3))
@settings(max_examples=40)
def test_at_a_constant_rate_waiting_never_costs_more(choices: list[int], stay: int) -> None:
    played = {}
    for sync in ("period", "change"):
        rounds, _, _ = play(_steady(sync), np.repeat(choices, stay)[:ROUNDS], seed=0)
        played[sync] = sum(r["sync_s"] for r in rounds)
    assert played["period"] <= played["change"] * (1 + 1e-12)
    assert (played["change"] == 0) == _weightless(choices)


@cache
def _steady(sync: str) -> L2SEnv:
    return make("alexnet-gpu-60", sync=sync, rounds=ROUNDS, sync_period=6)


def _weightless(choices: list[int]) -> bool:
    """Whether no layer with weights ever changes sides."""
    weights = _steady("period").dynamics.system.weight_bytes[4:]
    return len({weights[choice] for choice in choices}) == 1


def test_without_a_move_nothing_is_sent() -> None:
    for sync in ("period", "change", "ask"):
        env = make("resnet34-gpu-60", sync=sync, rounds=30, sync_period=4)
        points = env.dynamics.system.n_points
        rounds, _, _ = play(env, [6 + points * (sync == "ask" and t % 3 == 0) for t in range(30)], seed=0)
        assert {r["sync_s"] for r in rounds} == {0.0}


def test_an_episode_begins_with_equal_copies() -> None:
    env = make("alexnet-gpu-60", sync_period=100, rounds=20)
    env.reset(seed=0)
    for choice in (0, 7):
        observation, *_ = env.step(choice)
    assert observation["stale_layers"].tolist() == [0.0] * 4 + [1.0] * 7
    observation, _ = env.reset()
    assert not observation["stale_layers"].any()
    assert not env.step(7)[0]["stale_layers"].any()


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
def test_rounds_on_old_copies_are_counted_and_cost_what_the_scenario_says(sync: str) -> None:
    """A layer that changed sides is trained on an old copy until weights are synchronised; with L2S-FWS never."""
    options: dict[str, Any] = {"sync": sync, "rounds": 12, "sync_period": 6, "noise": 0.0}
    choices = [0, 0, 3, 3, 0, 0, 0, 0, 5, 5, 5, 5]
    stale = [0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1] if sync != "change" else [0] * 12
    free, free_rewards, free_info = play(make("alexnet-gpu-60", **options), choices)
    assert [told["stale"] for told in free] == stale
    assert (free_info["stale_rounds"], free_info["accuracy_cost"]) == (sum(stale), 0.0)
    dear = make("alexnet-gpu-60", stale_cost=1e-3, accuracy_worth=50.0, **options)
    _, rewards, info = play(dear, choices)
    assert info["accuracy_cost"] == pytest.approx(1e-3 * sum(stale))
    assert np.array(free_rewards) - np.array(rewards) == pytest.approx(0.05 * np.array(stale), abs=1e-12)
