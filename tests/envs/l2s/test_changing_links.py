"""L2S on links that follow a trace: what flows and when, against a plain walk through it; the clock, outages, lanes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.agents.l2s.baselines import Oracle
from splitgym.envs.l2s import viewer
from splitgym.envs.l2s.scenarios import get_scenario
from splitgym.envs.l2s.system import System
from splitgym.profiling.network import BandwidthTrace, Link

from ...profiling.reference import PlainTrace
from .reference import Copies, link_of, make, make_batch, plain_totals_s, play, random_actions


def write_trace(folder: Path, lengths_s: Any, mbps: Any) -> str:
    """A file of rates that hold for some times each; the last one as long as the median of the others."""
    file = folder / "wifi.csv"
    times = np.concatenate([[0.0], np.cumsum(lengths_s)[:-1]])
    file.write_text("".join(f"{t} {rate}\n" for t, rate in zip(times, mbps, strict=True)))
    return str(file)


def varying_trace(folder: Path) -> tuple[str, PlainTrace]:
    """A trace file whose rate changes every second and a half, down for a while, and the same twice as fast."""
    mbps = np.random.default_rng(3).uniform(5.0, 200.0, 37).round(1)
    mbps[20:24] = 0.0
    return write_trace(folder, [1.5] * 37, mbps), PlainTrace([1.5] * 37, np.maximum(2.0 * mbps, 0.1).tolist())


@pytest.mark.parametrize("name", ["alexnet-cpu-60", "resnet34-gpu-60", "vgg16-gpu-60-p0"])
@pytest.mark.parametrize("load", [1.0, 20.0])
def test_every_points_messages_flow_when_their_parts_are_done(name: str, load: float) -> None:
    scenario = get_scenario(name)
    rng = np.random.default_rng(1)
    lengths_s, mbps = rng.uniform(0.05, 2.0, 30), rng.uniform(0.5, 300.0, 30)
    lengths_s[-1] = np.median(lengths_s[:-1])  # as a trace takes it
    plain = PlainTrace(lengths_s.tolist(), mbps.tolist())
    trace = BandwidthTrace(np.concatenate([[0.0], np.cumsum(lengths_s)[:-1]]), mbps)
    start_s = np.array([0.0, 1.0, 7.7, 123.4])
    delays_s = System(scenario).changing_delay_s(trace.transfer_s, start_s, np.full(4, load))
    for i, t in enumerate(start_s):
        assert delays_s[:, i] == pytest.approx(plain_totals_s(scenario, plain, load, start_s=t), rel=1e-9)


@pytest.mark.parametrize("name", ["alexnet-gpu-60", "resnet34-cpu-100", "vgg16-gpu-5-p0"])
def test_a_trace_of_one_rate_is_a_constant_link(name: str) -> None:
    system = System(get_scenario(name))
    trace = BandwidthTrace(0.7 * np.arange(11), np.full(11, system.mbps))
    start_s, load = np.array([0.0, 3.3, 1e4]), np.array([1.0, 2.0, 9.0])
    expected_s = system.delay_s(np.full(3, system.mbps), load)
    for transfer_s in (trace.transfer_s, Link(system.mbps).transfer_s):
        assert system.changing_delay_s(transfer_s, start_s, load) == pytest.approx(expected_s, rel=1e-9)
    assert (system.changing_delay_s(trace.transfer_s, start_s, load)[-1] == system.pdt_s).all()


def test_an_env_on_a_trace_of_one_rate_is_that_on_the_constant_link(tmp_path: Path) -> None:
    path = write_trace(tmp_path, [0.7, 0.2, 5.0], [40.0, 40.0, 40.0])
    options: dict[str, Any] = {"rounds": 30, "sync": "ask", "sync_period": 7, "load_changes": [[9, 5.0]]}
    held, changing = make("resnet34-gpu-40", **options), make("resnet34-gpu-40", traces=[path], **options)
    actions = random_actions(held)
    for expected, told in zip(play(held, actions, 0)[0], play(changing, actions, 0)[0], strict=True):
        assert told == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
def test_the_clock_moves_by_the_rounds_delay_and_the_synchronisation(tmp_path: Path, sync: str) -> None:
    """Weights that are asked for flow in front of the round, the others behind it."""
    path, link = varying_trace(tmp_path)
    options: dict[str, Any] = {"load_changes": [[15, 4.0]], "edge_load": 2.0, "rounds": 30, "sync_period": 4}
    env = make("alexnet-gpu-60", sync=sync, traces=[path], trace_factor=2.0, noise=0.05, **options)
    scenario, points = get_scenario("alexnet-gpu-60", load_changes=[[15, 4.0]]), env.dynamics.system.n_points
    clock_s, seen = 0.0, set()
    for episode in range(3):  # reset() goes on with the trace, reset(seed) does not
        actions, copies = random_actions(env, episode), Copies(scenario)
        rounds, _, info = play(env, actions, seed=0 if episode in (0, 2) else None)
        clock_s = 0.0 if episode == 2 else clock_s
        assert sum(r["sync_s"] for r in rounds) > 1.0
        for t, told in enumerate(rounds):
            asked_s = copies.synchronise(link, clock_s) if actions[t] >= points else 0.0
            clock_s += asked_s
            totals = plain_totals_s(scenario, link, 2.0 if t < 15 else 4.0, start_s=clock_s)
            assert info["trace"]["mbps"][t] == np.float32(link.at(clock_s))
            assert told["oracle_delay_s"] == pytest.approx(min(totals), rel=1e-9)
            assert info["trace"]["expected_s"][t] == pytest.approx(totals[told["point"] - 4], rel=1e-6)
            assert told["delay_s"] == pytest.approx(totals[told["point"] - 4], rel=0.25)  # 5 of noise's deviations
            clock_s += told["delay_s"]
            copies.train(told["point"])
            due = any(copies.stale) if sync == "change" else (t + 1) % 4 == 0
            later_s = copies.synchronise(link, clock_s) if due else 0.0
            clock_s += later_s
            assert told["sync_s"] == pytest.approx(asked_s + later_s, rel=1e-9)
            seen.add(link.at(clock_s))
    assert len(seen) > 15


@pytest.mark.parametrize("down_mbps", [0.0, 0.1])
def test_a_round_that_begins_in_an_outage_ends_when_the_link_is_back(tmp_path: Path, down_mbps: float) -> None:
    """At the rate that it began with it would take hundreds of times as long."""
    down_s, mbps = 2.0, 100.0
    path = write_trace(tmp_path, [down_s, 1e4, 1e4], [down_mbps, mbps, mbps])
    env = make("resnet34-gpu-100", traces=[path], noise=0.0, rounds=2, inputs="devices")
    system = env.dynamics.system
    held_s = system.delay_s(np.array([mbps, 0.1]), np.ones(2))
    for choice in range(system.n_points - 1):
        (first, second), rewards, info = play(env, [choice, choice], seed=0)
        assert info["trace"]["mbps"].tolist() == [np.float32(0.1), np.float32(mbps)]
        assert held_s[choice, 0] < first["delay_s"] < held_s[choice, 0] + down_s
        assert second["delay_s"] == pytest.approx(held_s[choice, 0], rel=1e-9)
        assert rewards[0] > -(held_s[choice, 0] + down_s) / system.pdt_s > -4.0
        assert held_s[choice, 1] / system.pdt_s > 25.0
        assert first["oracle_delay_s"] == system.pdt_s  # which needs no link


@pytest.mark.parametrize("sync", ["period", "change", "ask"])
@pytest.mark.parametrize("dynamic", [True, False])
def test_the_oracle_has_no_regret_on_a_changing_link(tmp_path: Path, sync: str, dynamic: bool) -> None:
    link: dict[str, Any] = {"dynamic": True} if dynamic else {"traces": [varying_trace(tmp_path)[0]]}
    env = make("resnet34-gpu-100", sync=sync, rounds=60, noise=0.1, sync_period=9, load_changes=[[30, 3.0]], **link)
    oracle, (observation, _), points, done, info = Oracle(env), env.reset(seed=5), set(), False, {}
    while not done:
        batched = {name: values[None] for name, values in observation.items()}
        action = int(oracle.predict(batched)[0][0])
        observation, _, done, _, info = env.step(action)
        points.add(action)
    assert len(points) > 1
    assert info["regret_s"] == 0.0


@pytest.mark.parametrize("sync", ["change", "ask"])
@pytest.mark.parametrize("dynamic", [True, False])
def test_lanes_are_scalar_envs_bit_for_bit(tmp_path: Path, sync: str, dynamic: bool) -> None:
    link: dict[str, Any] = {"dynamic": True} if dynamic else {"traces": [varying_trace(tmp_path)[0]]}
    options: dict[str, Any] = {"sync": sync, "rounds": 40, "sync_period": 6, **link}
    batch, scalars = make_batch(5, "resnet34-gpu-60", **options), [make("resnet34-gpu-60", **options) for _ in range(5)]
    actions = np.stack([random_actions(env, seed) for seed, env in enumerate(scalars)])
    batch.reset(seed=[10, 11, 12, 13, 14])
    rewards = np.stack([batch.step(actions[:, t])[1] for t in range(40)], axis=1)
    best = batch.dynamics.best_choice(np.zeros(5, int))  # type: ignore[attr-defined]
    for lane, env in enumerate(scalars):
        assert rewards[lane].tolist() == play(env, actions[lane], 10 + lane)[1]
        assert best[lane] == env.dynamics.best_choice(np.zeros(1, int))[0]


def test_the_picture_of_a_round_shows_what_the_changing_link_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    env, figures, draw = make("resnet34-dynamic", render_mode="rgb_array", inputs="devices"), [], viewer.points_figure
    monkeypatch.setattr(
        viewer, "points_figure", lambda *args, **named: figures.append(draw(*args, **named)) or figures[-1]
    )
    env.reset(seed=2)
    env.step(3)
    env.render()
    bars = figures[0].axes[0].containers
    shown_s = [sum(parts) / 1e3 for parts in zip(*([bar.get_height() for bar in b] for b in bars), strict=True)]
    scenario = env.dynamics.system.scenario
    assert shown_s == pytest.approx(plain_totals_s(scenario, link_of(env)), rel=1e-6)  # as the round began


def test_the_trace_sets_the_nominal_rate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0 10\n10 40\n20 40\n")
    system = make("alexnet-gpu-60", traces=[str(tmp_path / "a.csv")], trace_factor=3.0).dynamics.system
    assert system.mbps == pytest.approx(3.0 * 30.0)
    assert any("imported" in line for line in make(traces=[str(tmp_path / "a.csv")]).dynamics.provenance)
