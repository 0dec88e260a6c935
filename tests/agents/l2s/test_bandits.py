"""L2S's bandits: decisions against Alg. 1, forced rounds, the trap, baselines, the paper's claims."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.agents.l2s import EVAL_AGENTS
from splitgym.agents.l2s.bandits import forcing
from splitgym.agents.registry import get_spec, hyperparams_of, make_agent
from splitgym.envs import get_family
from splitgym.envs.l2s.scenarios import GROUPS, HIGH_MBPS, LOW_MBPS, SCENARIOS
from splitgym.experiments.play import assess, make_env, options_for, play
from splitgym.ui.errors import InputError

from ... import slow
from ...envs.l2s.reference import make
from .reference import PlainLinUCB, play_lanes, replay

L2S = get_family("l2s")
BANDITS = ("linucb", "linucb-e", "d-linucb", "lints")
SWITCHING = ("l2s", "l2s-probe")
NO_CHANCE = {"random_rate": 0.0, "adapt_rounds": 30, "agree_rounds": 8}  # L2S without anything random, soon in regular


def quiet(name: str) -> dict[str, Any]:
    return NO_CHANCE if name in SWITCHING else {}


# Decisions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *slow(1)])
@pytest.mark.parametrize("scenario", ["alexnet-gpu-60", "vgg16-gpu-100", "resnet34-gpu-60", "resnet34-gpu-100"])
@pytest.mark.parametrize("name", ["linucb", "linucb-e"])
def test_decisions_are_those_of_algorithm_1(name: str, scenario: str, seed: int) -> None:
    rounds = 200
    hp: dict[str, Any] = {"alpha": 0.4, "ridge": 0.05}
    env = make(scenario, rounds=rounds, inputs="devices")  # where the device alone is best at 60 Mbps
    agent: Any = make_agent("l2s", name, env, **hp)
    observation, _ = env.reset(seed=seed)
    period = ceil(rounds ** hyperparams_of("l2s", name, scenario)["mu"]) if name == "linucb-e" else None
    plain, state, forced = PlainLinUCB(observation, **hp, period=period), None, 0
    for t in range(1, rounds + 1):
        batch = {key: value[None] for key, value in observation.items()}
        action, state = agent.predict(batch, state)
        expected, changed = plain.best(t)
        told = agent.explain(state)
        assert (action[0], told["forced"][0]) == (expected, changed), t
        pdt_s = env.dynamics.system.pdt_s
        assert told["predicted_edge_s"][0] == pytest.approx(plain.predicted(expected) * pdt_s, rel=1e-6, abs=1e-6)
        assert not (changed and expected == plain.last)
        forced += changed
        observation, *_ = env.step(action[0])
        plain.learn(expected, float(observation["last_edge_delay"][0]))
    if name == "linucb-e" and scenario.endswith("-60"):
        assert forced >= 10


@pytest.mark.parametrize("name", ["linucb", "linucb-e", "d-linucb", *SWITCHING])
def test_lanes_decide_as_they_would_alone(name: str) -> None:
    seed, lanes = 11, 3
    changes = {"rounds": 200, "mbps_changes": ((60, 60.0), (130, 100.0))}
    together = play_lanes("resnet34-switch", name, lanes, seed, quiet(name), **changes)
    for lane in range(lanes):
        alone = play_lanes("resnet34-switch", name, 1, seed + lane, quiet(name), **changes)
        assert np.array_equal(alone.action[:, 0], together.action[:, lane])
        assert alone.metrics["total_s"][0] == pytest.approx(together.metrics["total_s"][lane], rel=1e-9)
        edge_s = together.explained["predicted_edge_s"][:, lane]
        assert alone.explained["predicted_edge_s"][:, 0] == pytest.approx(edge_s, rel=1e-9, abs=1e-9)
    assert len(np.unique(together.action, axis=1).T) > 1


def test_lanes_sample_for_themselves_and_by_seed() -> None:
    found = [play_lanes("resnet34-gpu-100", "lints", 2, seed, noise=0.0, rounds=300).choice for seed in (0, 0, 1)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0][:, 0], found[0][:, 1])


@pytest.mark.parametrize("name", [*BANDITS, *SWITCHING])
def test_an_episodes_start_restarts_its_lanes_only(name: str) -> None:
    at, lanes = 70, 3
    played = play_lanes("resnet34-gpu-100", name, lanes, 5, quiet(name), rounds=140)
    seen = played.observations[:-1]
    starts = {at: np.array([False, True, False])}
    env = make("resnet34-gpu-100", **get_spec("l2s", name).env_kwargs)
    restarted = replay(make_agent("l2s", name, env, 5, **quiet(name)), seen, starts)
    assert np.array_equal(restarted[:, [0, 2]], played.choice[:, [0, 2]])
    assert np.array_equal(restarted[:at, 1], played.choice[:at, 1])
    if name != "lints":  # its draws go on
        alone = [{key: value[1:2] for key, value in observation.items()} for observation in seen[at:]]
        env = make("resnet34-gpu-100", rounds=140, **get_spec("l2s", name).env_kwargs)
        fresh = replay(make_agent("l2s", name, env, 5, **quiet(name)), alone)
        if name == "linucb-e":  # T is the env's
            assert np.array_equal(restarted[at : at + 4, 1], fresh[:4, 0])
        else:
            assert np.array_equal(restarted[at:, 1], fresh[:, 0])


@pytest.mark.parametrize("name", [*BANDITS, *SWITCHING])
def test_agents_know_what_they_observe_and_no_more(name: str) -> None:
    """Made for an env with another rate, load and noise, they do the same with the same observations."""
    options = dict(get_spec("l2s", name).env_kwargs)
    changes = ((50, 60.0), (100, 100.0))
    played = play_lanes("resnet34-gpu-100", name, 2, 3, quiet(name), rounds=150, mbps_changes=changes)
    other = make("resnet34-gpu-100", rounds=150, mbps=7.0, edge_load=9.0, noise=0.15, **options)
    again = replay(make_agent("l2s", name, other, 3, **quiet(name)), played.observations[:-1])
    assert np.array_equal(again, played.action)


@pytest.mark.parametrize("name", [*BANDITS, *SWITCHING, "l2s-fws"])
def test_where_only_the_device_is_left_it_is_chosen(name: str) -> None:
    played = play_lanes("alexnet-gpu-60", name, 2, 0, privacy_point=11, rounds=300)
    assert not played.choice.any()
    assert not played.explained["forced"].any()
    assert np.all(played.metrics["regret_s"] == 0.0)
    assert np.all(played.explained["predicted_edge_s"] == 0.0)


# Forced sampling -----------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 0.99), st.integers(1, 30_000), st.integers(1, 3000))
def test_forced_rounds_come_every_t_to_the_mu(mu: float, horizon: int, rounds: int) -> None:
    period = ceil(horizon**mu)
    found = forcing(mu, horizon, rounds)
    assert found.shape == (rounds + 1,)
    assert np.flatnonzero(found).tolist() == [t for t in range(1, rounds + 1) if t % period == 0]
    assert found.sum() == rounds // period


def test_forced_rounds_of_the_papers_mu() -> None:
    for horizon, period in ((16, 2), (100, 4), (500, 5), (1000, 6), (6000, 9), (10_000, 10), (20_000, 12)):
        assert np.flatnonzero(forcing(0.25, horizon, horizon))[0] == period


def test_doubling_forces_as_if_the_horizon_were_the_next_power_of_two() -> None:
    found, expected = forcing(0.25, 0, 5000), []
    for t in range(1, 5001):
        horizon = 2
        while horizon <= t:
            horizon *= 2
        if t % ceil(horizon**0.25) == 0:
            expected.append(t)
    assert np.flatnonzero(found).tolist() == expected
    assert found[4096:5001].sum() < found[1:906].sum() / 2


@pytest.mark.parametrize("horizon", [None, 0, 81])
def test_forced_rounds_go_on_beyond_the_sequence_first_made(horizon: int | None) -> None:
    """At 5 Mbps the device alone is best by far: every forced round leaves it, and no other."""
    hp = {} if horizon is None else {"horizon": horizon}
    played = play_lanes("resnet34-gpu-5", "linucb-e", 1, 0, hp, rounds=1200)
    expected = forcing(0.25, 1200 if horizon is None else horizon, 1200)[1:]
    settled = 10
    assert np.array_equal(~played.on_device[settled:, 0], expected[settled:])
    assert np.array_equal(played.explained["forced"][settled:, 0], expected[settled:])


# The trap ------------------------------------------------------------------------------------------------------------


def regret_slopes(played: Any) -> tuple[np.ndarray, np.ndarray]:
    """(regret a round over the last quarter, over the last half), in units of the gap between P and the optimum."""
    rounds = len(played.regret_s)
    gap_s = played.dynamics.system.pdt_s - played.oracle_s[-1]
    return tuple(played.regret_s[-rounds // part :].mean(axis=0) / gap_s for part in (4, 2))  # type: ignore[return-value]


@pytest.mark.parametrize(("mbps", "leaves"), [(5.0, False), (26.0, True), *slow((40.0, False), (60.0, True))])
def test_linucb_stays_trapped_where_linucb_e_leaves_from_some_rates(mbps: float, leaves: bool) -> None:
    """The device alone is best at first; from round 200 on the link has 200 Mbps. A model that forgets leaves."""
    linucb, escaping, forgetting = (
        play_lanes("resnet34-recovery", n, 20, mbps=mbps, inputs="devices") for n in ("linucb", "linucb-e", "d-linucb")
    )
    assert linucb.best[100:200].all(), "P was not found before"
    assert not linucb.best[200:].any()
    assert linucb.on_device[20:].all()
    for slope in regret_slopes(linucb):
        assert slope == pytest.approx(1.0, rel=1e-5)
    assert escaping.on_device[100:200][escaping.free[100:200]].all()
    stays = escaping.on_device & escaping.free
    if leaves:
        assert not stays[-100:].any()
        assert np.all(escaping.metrics["regret_s"] < linucb.metrics["regret_s"])
    else:
        assert escaping.on_device[200:][escaping.free[200:]].all()
        assert regret_slopes(escaping)[0].min() > 0.9, "forced rounds gain next to nothing"
    assert not forgetting.on_device[-500:].any()
    assert regret_slopes(forgetting)[0].max() < 0.2


def test_linucb_e_soon_leaves_the_recovery_of_the_scenario() -> None:
    trapped, escaping = (play_lanes("resnet34-recovery", name, 20) for name in ("linucb", "linucb-e"))
    assert trapped.on_device[-500:].all()
    assert not (escaping.on_device & escaping.free)[-250:].any()
    assert regret_slopes(escaping)[0].max() < 0.35


def test_forced_samples_of_one_point_may_not_be_enough() -> None:
    """From 5 Mbps, every forced round tries the same point, which is bad at 200 Mbps too: the others, tried once at
    5 Mbps, still look hopeless."""
    escaping = play_lanes("resnet34-recovery", "linucb-e", 8, mbps=5.0, inputs="devices")
    forced = escaping.explained["forced"]
    assert len(np.unique(escaping.choice[200:][forced[200:]])) == 1
    assert escaping.expected_s[200:][forced[200:]].min() > escaping.dynamics.system.pdt_s


# Baselines -----------------------------------------------------------------------------------------------------------

# Fewer rounds, with all the changes.
CHANGING: dict[str, dict[str, Any]] = {
    "resnet34-switch": {"rounds": 300, "mbps_changes": ((100, LOW_MBPS), (200, HIGH_MBPS))},
    "resnet34-recovery": {"rounds": 300},
    "resnet34-dynamic": {"rounds": 300},
}


@pytest.mark.parametrize(("name", "point"), [("fpt", lambda s: 4), ("pdt", lambda s: s.last), ("ppt", lambda s: 1)])
@pytest.mark.parametrize("scenario", ["alexnet-gpu-60", "vgg16-cpu-60", "resnet34-gpu-100"])
def test_fixed_baselines_stay_at_their_points(scenario: str, name: str, point: Any) -> None:
    result = assess(L2S, get_spec("l2s", name), scenario, {"rounds": 30, "noise": 0.0})
    env = make(scenario)
    assert result.trace is not None
    assert np.all(result.trace["point"] == point(env.dynamics.system))
    if name == "pdt":
        assert result.metrics["delay_s"] == pytest.approx(env.dynamics.system.pdt_s)
        assert result.metrics["saved"] == pytest.approx(0.0, abs=1e-12)


def test_neurosurgeon_is_right_until_the_link_changes() -> None:
    for scenario in GROUPS["constant"]:
        assert assess(L2S, get_spec("l2s", "neurosurgeon"), scenario, {"rounds": 10}).metrics["regret_s"] == 0.0
    trace = assess(L2S, get_spec("l2s", "neurosurgeon"), "resnet34-switch", CHANGING["resnet34-switch"]).trace
    assert trace is not None
    assert len(np.unique(trace["point"])) == 1
    assert make("resnet34-switch").dynamics.best_choice(np.zeros(1, int))[0] + 4 == trace["point"][0]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_oracle_has_no_regret(scenario: str) -> None:
    played = play_lanes(scenario, "oracle", 3, 4, **CHANGING.get(scenario, {"rounds": 20}))
    assert played.best.all()
    assert np.all(played.metrics["regret_s"] == 0.0)


@pytest.mark.parametrize("scenario", GROUPS["changing"])
def test_the_oracle_follows_the_link(scenario: str) -> None:
    env = make_env(L2S, scenario, {**CHANGING[scenario], "inputs": "devices"})
    played = play(make_agent("l2s", "oracle", env), env, 1, seed=4)
    assert played.metrics["regret_s"] == 0.0
    assert played.trace is not None
    assert len(np.unique(played.trace["point"])) > 1


def test_nobody_beats_the_oracle() -> None:
    for name in EVAL_AGENTS:
        result = assess(L2S, get_spec("l2s", name), "vgg16-gpu-100", {"rounds": 120}, seed=1)
        assert result.metrics["regret_s"] >= 0.0, name
        if name in ("l2s", "linucb", "linucb-e", "d-linucb", "lints", "fpt", "pdt"):
            assert result.metrics["regret_s"] > 0.0, name


@pytest.mark.parametrize("name", EVAL_AGENTS)
def test_every_agent_is_judged_by_the_loop(name: str) -> None:
    spec = get_spec("l2s", name)
    result = assess(L2S, spec, "alexnet-gpu-60", {"rounds": 60}, seed=2, episodes=2)
    env = make_env(L2S, "alexnet-gpu-60", options_for(spec, {"rounds": 60}))
    assert result.kind == ("baseline" if spec.baseline else "reference" if spec.reference else "agent")
    assert set(result.metrics) == set(env.unwrapped.dynamics.metric_kinds)
    assert all(np.isfinite(value) for value in result.metrics.values())
    assert result.trace is not None
    names = {"point", "delay_s", "expected_s", "edge_delay_s", "oracle_delay_s", "sync_s", "mbps"}
    if name in BANDITS or name in (*SWITCHING, "l2s-fws"):
        names |= {"predicted_edge_s", "forced"}
    if name in (*SWITCHING, "l2s-fws"):
        names.add("adapting")
    assert set(result.trace) == names
    assert all(len(values) == 60 for values in result.trace.values())


NOT_ALLOWED: list[tuple[str, str, Any, str]] = [
    ("linucb", "alpha", -0.1, "0..1e6"),
    ("linucb", "ridge", 0, "1e-6..1e6"),
    ("lints", "alpha", float("inf"), "a finite number, 0..1e6"),
    ("linucb-e", "mu", 0, "a finite number above 0, below 1"),
    ("linucb-e", "mu", 1, "a finite number above 0, below 1"),
    ("linucb-e", "horizon", -5, "null or a whole number, 0 or more"),
    ("linucb-e", "horizon", 2.5, "null or a whole number, 0 or more"),
    ("d-linucb", "discount", 1.0, "a finite number above 0, below 1"),
    ("d-linucb", "discount", 0, "a finite number above 0, below 1"),
    ("l2s", "adapt_rounds", 0, "1 or more"),
    ("l2s", "agree_rounds", 0, "1 or more"),
    ("l2s", "monitor_rounds", -1, "1 or more"),
    ("l2s-fws", "drift", 0, "a finite number above 0"),
    ("l2s-probe", "random_rate", 1.5, "0..1"),
    ("l2s-probe", "probe_period", -1, "0 or more"),
    ("l2s", "alpha", "much", "a finite number, 0..1e6"),
    ("ppo", "gamma", 1.2, "0..1"),
    ("dqn", "buffer_size", 0, "1 or more"),
]


@pytest.mark.parametrize(("name", "hyperparam", "value", "allowed"), NOT_ALLOWED)
def test_hyperparameter_out_of_range_is_one_line(name: str, hyperparam: str, value: Any, allowed: str) -> None:
    spec = get_spec("l2s", name)
    with pytest.raises(InputError) as caught:
        assess(L2S, spec, "alexnet-gpu-60", {"rounds": 2}, hyperparams={hyperparam: value})
    assert str(caught.value) == f"agent {name}: {hyperparam} is {value!r}, allowed: {allowed}"


@pytest.mark.parametrize(("name", "hyperparam"), [("oracle", "alpha"), ("fpt", "point"), ("linucb", "mu")])
def test_what_an_agent_has_not_is_unknown(name: str, hyperparam: str) -> None:
    with pytest.raises(InputError) as caught:
        assess(L2S, get_spec("l2s", name), "alexnet-gpu-60", {"rounds": 2}, hyperparams={hyperparam: 1})
    assert str(caught.value).startswith(f"agent {name}: unknown hyperparameter {hyperparam!r}")


# Claims --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scenario", GROUPS["constant"])
def test_linucb_e_converges_within_100_rounds(scenario: str) -> None:
    """Delay of the unforced rounds 51-100 within 5 % of the optimum, d^e predicted after 40 rounds; 20 seeds."""
    played = play_lanes(scenario, "linucb-e", 20, rounds=500)
    late = slice(50, 100)
    unforced = np.where(played.free[late], played.expected_s[late], np.nan)
    assert np.nanmean(unforced) < 1.05 * played.oracle_s[late].mean()
    seen, edge_s = slice(40, 100), played.expected_s - played.dynamics.system.front_s[played.choice]
    on_edge = ~played.on_device[seen]
    missed_s = np.abs(played.explained["predicted_edge_s"] - edge_s)[seen][on_edge]
    assert on_edge.any(axis=0).all()
    assert (missed_s / edge_s[seen][on_edge]).mean() < 0.10


def fitted_exponent(scenario: str, **hyperparams: Any) -> float:
    horizons = (500, 1000, 2000, 5000, 10_000, 20_000)
    regrets_s = [
        play_lanes(scenario, "linucb-e", 4, 0, hyperparams, rounds=rounds).metrics["regret_s"].mean()
        for rounds in horizons
    ]
    return float(np.polyfit(np.log(horizons), np.log(regrets_s), 1)[0])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["resnet34-gpu-60", "resnet34-gpu-100"])
def test_regret_grows_sublinearly(scenario: str) -> None:
    assert hyperparams_of("l2s", "linucb-e", scenario)["mu"] == 0.25
    assert fitted_exponent(scenario) < 0.8


@pytest.mark.slow
def test_regret_of_an_open_ended_run_grows_sublinearly() -> None:
    """One run by the doubling trick: each doubling of the rounds adds less than a doubling of the regret."""
    played = play_lanes("resnet34-gpu-60", "linucb-e", 4, 0, {"horizon": 0}, rounds=20_000)
    at = np.array([500, 1000, 2000, 5000, 10_000, 20_000])
    regrets_s = np.cumsum(played.regret_s, axis=0)[at - 1].mean(axis=1)
    assert np.polyfit(np.log(at), np.log(regrets_s), 1)[0] < 0.8
