"""EdgeMove's cut moves (Alg. 2): as printed they never end, the sound ones settle; both stay in their valley."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.agents.edgemove.climbing import Climber, LiteralClimber, SoundClimber
from splitgym.agents.edgemove.edgemove import EdgeMove
from splitgym.agents.edgemove.lookahead import Lookahead
from splitgym.agents.registry import make_agent
from splitgym.envs.edgemove.planning import balanced_cut, cut_periods
from splitgym.experiments.play import play

from .observations import make, observed, server

TIE, NOISE = 0.03, 0.03


def climb(climber: Climber, landscape: np.ndarray, cycles: int, factors: Any = None) -> list[int]:
    """Cuts of some cycles, the first one included; cycles take ``landscape[cut - 1]`` times their factor."""
    cuts = [climber.cut]
    for cycle in range(cycles):
        factor = 1.0 if factors is None else factors[cycle]
        cuts.append(climber.next(landscape[cuts[-1] - 1] * factor))
    return cuts


def valley_of(landscape: np.ndarray, start: int) -> int:
    """The cut that a descent by single layers ends in, from a first cut."""
    cut = start
    while True:
        near = [c for c in (cut - 1, cut, cut + 1) if 1 <= c <= len(landscape)]
        best = min(near, key=lambda c: landscape[c - 1])
        if best == cut:
            return cut
        cut = best


@st.composite
def unimodal(draw: st.DrawFn, least: float) -> tuple[np.ndarray, int]:
    """(times of cuts 1..n, the best of them): every layer away from it costs ``least`` more at least."""
    n = draw(st.integers(2, 30))
    best = draw(st.integers(1, n))
    steps = draw(st.lists(st.floats(least, 1.0), min_size=n - 1, max_size=n - 1))
    times = np.ones(n)
    for cut in range(best + 1, n + 1):
        times[cut - 1] = times[cut - 2] * (1.0 + steps[cut - 2])
    for cut in range(best - 1, 0, -1):
        times[cut - 1] = times[cut] * (1.0 + steps[cut - 1])
    return draw(st.floats(0.01, 100.0)) * times, best


@given(unimodal(least=1e-3), st.data(), st.booleans())
def test_as_printed_it_moves_round_the_best_cut_for_ever(
    landscape: tuple[np.ndarray, int], data: st.DataObject, up: bool
) -> None:
    times, best = landscape
    n = len(times)
    cuts = climb(LiteralClimber(data.draw(st.integers(1, n)), 1, n, up), times, 400)
    assert all(abs(b - a) == 1 for a, b in pairwise(cuts))
    late = cuts[-100:]
    assert best in late
    assert len(set(late)) >= 2
    assert max(abs(cut - best) for cut in late) <= 2


def test_as_printed_it_still_moves_after_thousands_of_cycles() -> None:
    times = 1.0 + 0.2 * np.abs(np.arange(1, 20) - 7)
    cuts = climb(LiteralClimber(12, 1, 19, up=True), times, 6000)
    assert all(abs(b - a) == 1 for a, b in pairwise(cuts))
    late = np.array(cuts[-1000:])
    assert set(late) == {6, 7, 8}
    assert np.mean(times[late - 1]) > 1.09 * times.min()  # which is what it costs


@given(unimodal(least=1e-3), st.data(), st.booleans())
def test_the_sound_one_ends_at_the_best_cut(landscape: tuple[np.ndarray, int], data: st.DataObject, up: bool) -> None:
    times, best = landscape
    n = len(times)
    climber = SoundClimber(data.draw(st.integers(1, n)), 1, n, up, TIE)
    cuts = climb(climber, times, 4 * n + 4)
    assert climber.settled
    assert climber.cut == best
    assert set(cuts[-4:]) == {best}
    assert all(abs(b - a) <= 1 for a, b in pairwise(cuts))
    assert all(1 <= cut <= n for cut in cuts)


@given(unimodal(least=0.07), st.data(), st.booleans())
def test_noise_of_cycles_does_not_keep_it_from_settling(
    landscape: tuple[np.ndarray, int], data: st.DataObject, up: bool
) -> None:
    """Layers that differ by more than the noise: the best cut; and never a move once it has settled."""
    times, best = landscape
    n = len(times)
    climber = SoundClimber(data.draw(st.integers(1, n)), 1, n, up, TIE)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cuts = climb(climber, times, 4 * n + 40, 1.0 + rng.uniform(-NOISE, NOISE, 4 * n + 40))
    assert climber.settled
    assert set(cuts[-40:]) == {best}
    assert all(abs(b - a) <= 1 for a, b in pairwise(cuts))
    assert all(1 <= cut <= n for cut in cuts)


@given(
    st.lists(st.floats(0.5, 2.0), min_size=1, max_size=25),
    st.floats(0.0, 0.2),
    st.booleans(),
    st.data(),
)
def test_on_any_landscape_it_settles_in_time_at_the_best_that_it_has_seen(
    values: list[float], tie: float, up: bool, data: st.DataObject
) -> None:
    """Even where every cycle is noisy: every cut is measured at most once before it rests, plus the ways between."""
    n, times = len(values), np.array(values)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    climber = SoundClimber(data.draw(st.integers(1, n)), 1, n, up, tie)
    seen: dict[int, float] = {}
    for _ in range(n * n + n):
        if climber.settled:
            break
        seen[climber.cut] = times[climber.cut - 1] * (1.0 + rng.uniform(-NOISE, NOISE))
        before = climber.cut
        climber.next(seen[before])
        assert abs(climber.cut - before) <= 1
        assert 1 <= climber.cut <= n
    assert climber.settled
    assert climber.cut in seen
    assert times[climber.cut - 1] <= (1 + NOISE) / (1 - NOISE) * min(times[cut - 1] for cut in seen)
    for neighbour in (climber.cut - 1, climber.cut + 1):
        assert neighbour in seen or not 1 <= neighbour <= n


@given(st.integers(1, 12), st.booleans())
def test_a_plateau_is_crossed(start: int, up: bool) -> None:
    """Cuts within ``tie`` of the best one do not end the search."""
    times = np.array([1.0, 1.02, 1.01, 1.02, 1.0, 1.02, 0.5, 1.02, 1.01, 1.0, 1.02, 1.0])
    climber = SoundClimber(start, 1, 12, up, TIE)
    climb(climber, times, 60)
    assert climber.settled
    assert climber.cut == 7


# Two valleys ---------------------------------------------------------------------------------------------------------

TWO = np.array([8.0, 5.0, 2.0, 4.0, 7.0, 9.0, 7.0, 5.0, 4.0, 5.0, 6.0])  # the best cut is 3, a worse valley at 9


@pytest.mark.parametrize("start", range(1, 12))
@pytest.mark.parametrize("up", [False, True])
def test_single_layers_do_not_leave_a_valley(start: int, up: bool) -> None:
    climber = SoundClimber(start, 1, 11, up, TIE)
    climb(climber, TWO, 60)
    assert climber.settled
    expected = {3, 9} if start == 6 else {valley_of(TWO, start)}  # from the summit either side
    assert climber.cut in expected
    if start >= 8:
        late = climb(LiteralClimber(start, 1, 11, up), TWO, 2000)[-1000:]
        assert set(late) <= {7, 8, 9, 10, 11}
        assert 9 in late


@pytest.mark.parametrize(("task", "mbps", "better"), [("resnet50-cinic10", 300.0, 1), ("resnet50-speech", 200.0, 1)])
def test_a_first_cut_in_the_wrong_valley_is_a_trap_that_lookahead_leaves(task: str, mbps: float, better: int) -> None:
    """ResNet-50: the stem sends 64 maps, blocks behind it 256 and more; Alg. 1 starts among the deep cuts."""
    env = make(scenario=task)
    system = env.dynamics.system
    server_s, rtt_s = 1.5 * system.server_s[0], 0.02
    probed_s = float(server_s[0] + rtt_s)
    periods = cut_periods(system, server_s[1:-1], mbps * 1e6, rtt_s)
    assert 1 + int(periods.argmin()) == better
    start = int(balanced_cut(system, probed_s, mbps * 1e6, rtt_s)[0])
    for up in (False, True):
        climber = SoundClimber(start, 1, system.n_layers - 1, up, TIE)
        climb(climber, periods, 80)
        assert climber.settled
        assert climber.cut == valley_of(periods, start) != better
        assert periods[climber.cut - 1] > 1.5 * periods[better - 1]
        late = climb(LiteralClimber(start, 1, system.n_layers - 1, up), periods, 2000)[-1000:]
        assert better not in late
    observation = observed(system, [server(probed_s, mbps, rtt_s)])
    first, _ = EdgeMove(env).predict(observation, None, np.ones(1, dtype=bool))
    assert first[0, :2].tolist() == [start - 1, 1]
    ours, _ = Lookahead(env).predict(observation)
    assert ours[0, :2].tolist() == [better - 1, 1]


def test_on_the_env_lookahead_takes_the_other_valley() -> None:
    """A whole training: EdgeMove keeps to the deep cuts that its first ones lead to, lookahead to the stem's."""
    cuts: dict[str, np.ndarray] = {}
    elapsed_s: dict[str, float] = {}
    for name in ("edgemove", "lookahead"):
        env = make(scenario="resnet50-cinic10-city-300mbps", cloud_mbps=1.0)
        trainings = [play(make_agent("edgemove", name, env), env, 1, seed) for seed in range(4)]
        cuts[name] = np.concatenate([training.trace["cut"] for training in trainings if training.trace is not None])
        elapsed_s[name] = float(np.mean([training.metrics["elapsed_s"] for training in trainings]))
    shares = {name: np.mean(of < 8) for name, of in cuts.items()}
    assert shares["lookahead"] > 0.8
    assert shares["edgemove"] < 0.3
    assert elapsed_s["lookahead"] < 0.75 * elapsed_s["edgemove"]


# Drift ---------------------------------------------------------------------------------------------------------------


def settled(times: np.ndarray, start: int, drift: float = 0.15) -> SoundClimber:
    climber = SoundClimber(start, 1, len(times), True, TIE, drift)
    climb(climber, times, 4 * len(times))
    assert climber.settled
    return climber


V = 1.0 + 0.3 * np.abs(np.arange(1, 12) - 6)


@given(st.lists(st.floats(-0.149, 0.149), min_size=1, max_size=50))
def test_changes_within_drift_leave_it_where_it_is(changes: list[float]) -> None:
    climber = settled(V, 4)
    assert {climber.next(V[5] * (1.0 + change)) for change in changes} == {6}
    assert climber.settled


def test_a_change_beyond_drift_starts_another_search() -> None:
    climber = settled(V, 4)
    moved = 2.0 * (1.0 + 0.3 * np.abs(np.arange(1, 12) - 9))  # another optimum, and slower all over
    cuts = climb(climber, moved, 30)
    assert cuts[0] == 6
    assert cuts[-1] == 9
    assert climber.settled


def test_small_changes_add_up() -> None:
    """Drift counts from what the cut took when it was chosen, not from one cycle to the next."""
    climber = settled(V, 4)
    cuts = [climber.next(V[5] * factor) for factor in (1.05, 1.1, 1.14)]
    assert cuts == [6, 6, 6]
    climber = settled(1.0 + 0.05 * np.abs(np.arange(1, 12) - 6), 4)
    assert climber.next(1.14) == 6
    assert climber.next(1.2) != 6


@pytest.mark.parametrize(("change", "moves"), [(0.2, False), (0.29, False), (0.31, True), (1.0, True), (-0.2, False)])
def test_only_a_change_that_may_gain_more_than_moves_lost_makes_it_try_again(change: float, moves: bool) -> None:
    """Both neighbours were 0.3 worse; a change beyond drift, but smaller, cannot have made them better."""
    climber = settled(V, 4)
    before = climber.cut
    assert (climber.next(V[before - 1] + change) != before) == moves
    assert climber.settled != moves


def test_what_is_remembered_moves_along_with_a_change() -> None:
    """After +0.2 the neighbours count as 1.5: another +0.2 does not make them worth a try, back to 1.0 neither."""
    climber = settled(V, 4)
    assert climber.next(1.2) == 6
    assert climber.next(1.4) == 6
    assert climber.next(1.0) != 6  # 0.4 down: what lay 0.3 above may be better now


def test_another_worker_begins_where_the_last_one_was_best() -> None:
    climber = settled(V, 4)
    climber.next(2.0 * V[5])  # a search began ...
    assert climber.cut != 6
    assert climber.resume() == climber.cut == 6  # ... and its end is another worker's matter
    assert climber.settled


def test_another_worker_knows_what_moves_have_cost() -> None:
    climber = settled(V, 4)
    assert climber.resume() == 6
    assert climb(climber, V, 10) == [6] * 11
    assert climber.next(V[5] + 0.2) == 6  # less than moves have cost
    again = settled(V, 4)
    again.resume()
    assert again.next(V[5] + 0.5) != 6


def test_before_the_first_cycle_resuming_begins() -> None:
    climber = SoundClimber(5, 1, 11, True, TIE)
    assert climber.resume() == 5
    climb(climber, V, 40)
    assert climber.settled
    assert climber.cut == 6


# What is hopeless ----------------------------------------------------------------------------------------------------


@given(unimodal(least=0.05), st.data(), st.booleans())
def test_no_cut_is_tried_that_cannot_be_better(
    landscape: tuple[np.ndarray, int], data: st.DataObject, up: bool
) -> None:
    """With a bound that is exact, it walks down to the best cut and never past it."""
    times, best = landscape
    n = len(times)
    start = data.draw(st.integers(1, n))
    least_s = np.concatenate([[0.0], times])
    climber, cuts = SoundClimber(start, 1, n, up, TIE), [start]
    for _ in range(3 * n):
        cuts.append(climber.next(times[cuts[-1] - 1], least_s))
    assert climber.settled
    assert cuts[-1] == best
    assert set(cuts) == set(range(min(start, best), max(start, best) + 1))
    blind = SoundClimber(start, 1, n, up, TIE)
    assert set(climb(blind, times, 4 * n)) >= set(cuts)


def test_as_printed_it_looks_at_nothing_but_the_last_two_cycles() -> None:
    one, other = (LiteralClimber(5, 1, 11, True) for _ in range(2))
    hopeless = np.full(12, 1e9)
    assert [one.next(t) for t in V] == [other.next(t, hopeless) for t in V]
