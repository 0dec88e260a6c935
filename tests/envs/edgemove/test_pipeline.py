"""EdgeMove's pipeline: the closed form, the event-driven simulation and a recurrence agree; cuts of Alg. 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.envs.edgemove.pipeline import path_s, period_s
from splitgym.envs.edgemove.planning import balanced_cut, cut_periods, literal_cut
from splitgym.envs.edgemove.scenarios import get_scenario
from splitgym.envs.edgemove.simulator import Stages, simulate
from splitgym.envs.edgemove.system import System

SECONDS = st.floats(1e-3, 1.0)
Five = tuple[Any, Any, Any, Any, Any]


@dataclass(frozen=True)
class Pipes:
    """Stage times of many pipelines, (n,) each."""

    forward: np.ndarray
    up: np.ndarray
    server: np.ndarray
    down: np.ndarray
    backward: np.ndarray
    up_latency: np.ndarray
    down_latency: np.ndarray

    def stages(self, i: int) -> Stages:
        return Stages(*(float(values[i]) for values in vars(self).values()))

    @property
    def closed(self) -> Five:
        """Arguments of :func:`path_s` and :func:`period_s`."""
        return self.forward + self.backward, self.server, self.up, self.down, self.up_latency + self.down_latency


def random_pipes(n: int, seed: int) -> Pipes:
    """Stages from a millisecond to a second; some take no time, and some links have no latency."""
    rng = np.random.default_rng(seed)
    times = 10.0 ** rng.uniform(-3.0, 0.0, (7, n))
    nothing = rng.random((7, n)) < 0.1
    nothing[[0, 4]] = False
    return Pipes(*np.where(nothing, 0.0, times))


def recurrence(pipes: Pipes, minibatches: int, in_flight: int) -> np.ndarray:
    """(minibatches, n) ends of backward passes: the (max, +) recurrence of strict 1F1B, written down from its order.

    The client runs F(0)..F(K-1), B(0), F(K), B(1), F(K+1)...; links and the server are first in, first out.
    """
    k = in_flight
    forward, done = np.zeros((2, minibatches, len(pipes.server)))
    up_free = server_free = down_free = np.zeros(len(pipes.server))
    back = []  # when gradients are with the client
    for i in range(minibatches + k):
        if i >= k:
            j = i - k
            client_free = forward[i - 1] if i - 1 < minibatches else done[j - 1]
            done[j] = np.maximum(client_free, back[j]) + pipes.backward
        if i < minibatches:
            client_free = done[i - k] if i >= k else forward[i - 1] if i else np.zeros(len(pipes.server))
            forward[i] = client_free + pipes.forward
            up_free = np.maximum(forward[i], up_free) + pipes.up
            server_free = np.maximum(up_free + pipes.up_latency, server_free) + pipes.server
            down_free = np.maximum(server_free, down_free) + pipes.down
            back.append(down_free + pipes.down_latency)
    return done


def transient(done: np.ndarray, in_flight: int, period: np.ndarray) -> np.ndarray:
    """(n,) first minibatch from which on every K more take K periods, up to rounding."""
    k = in_flight
    steady = np.isclose((done[k:] - done[:-k]) / k, period, rtol=1e-9, atol=0.0)
    return len(steady) - np.argmin(np.append(steady[::-1], np.zeros((1, steady.shape[1]), bool), axis=0), axis=0)


def steady_s(done: np.ndarray, window: int) -> float:
    """Mean seconds between the last minibatches; the window is a multiple of K, after which all repeats itself."""
    return float(done[-1] - done[-1 - window]) / window


# The closed form.


@pytest.mark.parametrize("in_flight", [1, 2, 3, 4])
def test_the_closed_form_is_the_simulations_and_the_recurrences_steady_state(in_flight: int) -> None:
    """250 random pipelines for every K: the three implementations agree to 1e-9 once the beginning is over."""
    pipes = random_pipes(250, in_flight)
    period = period_s(*pipes.closed, in_flight)
    done = recurrence(pipes, 4000, in_flight)
    begins = transient(done[:-in_flight], in_flight, period)  # at the end no forward passes come between
    assert (begins < 3500).all()  # from there to the end of a long run nothing changes any more
    for i, begin in enumerate(begins.tolist()):
        finished = simulate(pipes.stages(i), begin + 6 * in_flight, in_flight)[:-in_flight]
        assert steady_s(finished, 4 * in_flight) == pytest.approx(period[i], rel=1e-9)
        assert finished == pytest.approx(done[: len(finished), i], rel=1e-12)


@pytest.mark.parametrize("in_flight", [1, 2, 3, 4, 7])
def test_the_simulation_is_the_recurrence_to_the_last_minibatch(in_flight: int) -> None:
    """Runs that end too, with fewer minibatches than may be in flight among them."""
    pipes = random_pipes(40, 100 + in_flight)
    for minibatches in (1, 2, 3, 5, 20):
        done = recurrence(pipes, minibatches, min(in_flight, minibatches))
        for i in range(40):
            assert simulate(pipes.stages(i), minibatches, in_flight) == pytest.approx(done[:, i], rel=1e-12)


@pytest.mark.parametrize(
    ("client", "server", "up", "down", "rtt", "in_flight", "period"),
    [
        (3.0, 1.0, 1.0, 1.0, 0.0, 4, 3.0),  # the client is busy all the time
        (1.0, 5.0, 1.0, 1.0, 0.0, 4, 5.0),  # the server
        (1.0, 1.0, 6.0, 2.0, 0.0, 4, 6.0),  # the uplink
        (1.0, 1.0, 2.0, 7.0, 0.0, 4, 7.0),  # the downlink
        (1.0, 1.0, 1.0, 1.0, 12.0, 4, 4.0),  # latency occupies nothing, yet only K are on their way
        (1.0, 2.0, 3.0, 4.0, 5.0, 1, 15.0),  # no pipeline: one after another
        (1.0, 2.0, 3.0, 4.0, 5.0, 2, 7.5),
    ],
)
def test_periods_by_hand(
    client: float, server: float, up: float, down: float, rtt: float, in_flight: int, period: float
) -> None:
    assert period_s(client, server, up, down, rtt, in_flight) == period
    stages = Stages(client / 3, up, server, down, client - client / 3, rtt / 4, rtt - rtt / 4)
    done = simulate(stages, 200, in_flight)[:-in_flight]
    assert steady_s(done, 20 * in_flight) == pytest.approx(period, rel=1e-12)


def test_one_half_duplex_link_adds_both_ways() -> None:
    assert period_s(1.0, 2.0, 3.0, 4.0, 0.0, 9, half_duplex=True) == 7.0
    assert period_s(1.0, 2.0, 3.0, 4.0, 0.0, 9, half_duplex=False) == 4.0
    assert period_s(1.0, 9.0, 3.0, 4.0, 0.0, 9, half_duplex=True) == 9.0


@given(parts=st.tuples(*[SECONDS] * 3), rtt=st.floats(0.0, 1.0), in_flight=st.integers(1, 6), half=st.booleans())
def test_more_in_flight_is_never_slower_and_never_faster_than_the_busiest_part(
    parts: tuple[float, float, float], rtt: float, in_flight: int, half: bool
) -> None:
    client, server, link = parts
    stages = (client, server, link, link, rtt)
    periods = [period_s(*stages, k, half) for k in range(in_flight, in_flight + 4)]
    assert periods == sorted(periods, reverse=True)
    assert min(periods) >= max(client, server, link)
    assert period_s(*stages, 1, half) == pytest.approx(path_s(*stages))


def test_half_duplex_is_never_faster_than_the_closed_form() -> None:
    """Both ways get into each other's way at times, so there the closed form is a bound that is not always met."""
    pipes, ratios = random_pipes(100, 9), []
    for in_flight in (1, 2, 3, 4):
        period = period_s(*pipes.closed, in_flight, half_duplex=True)
        for i in range(100):
            done = simulate(pipes.stages(i), 40 + 40 * in_flight, in_flight, half_duplex=True)[:-in_flight]
            spent = done[-1] - done[0]
            # The K - 1 minibatches behind the first one may leave a pipeline that was empty together with it.
            assert spent >= period[i] * (len(done) - in_flight) * (1 - 1e-9)
            ratios.append(steady_s(done, 24) / period[i])
    assert np.mean(np.isclose(ratios, 1.0, rtol=1e-9)) > 0.5
    assert max(ratios) > 1.05


def test_a_half_duplex_pipeline_slower_than_its_bound() -> None:
    """Gradients that are ready wait behind the next minibatch's upload."""
    assert period_s(2.0, 1.0, 1.0, 2.0, 0.0, 2, half_duplex=True) == 3.0
    done = simulate(Stages(1.0, 1.0, 1.0, 2.0, 1.0), 400, 2, half_duplex=True)[:-2]
    assert steady_s(done, 200) == pytest.approx(3.5, rel=1e-12)


# The order of the client.


def test_a_client_that_prefers_ready_gradients_may_have_another_period() -> None:
    """It keeps the other parts waiting for the forward pass that strict 1F1B had started before."""
    stages = Stages(1.0, 1.0, 1.0, 1.0, 2.0)
    assert period_s(3.0, 1.0, 1.0, 1.0, 0.0, 2) == 3.0
    assert steady_s(simulate(stages, 200, 2)[:-2], 100) == 3.0
    assert steady_s(simulate(stages, 200, 2, order="ready-backward")[:-2], 100) == 4.0


def test_the_order_of_the_client_mostly_makes_no_difference() -> None:
    pipes, ratios = random_pipes(100, 12), []
    for in_flight in (2, 3, 4):
        period = period_s(*pipes.closed, in_flight)
        for i in range(100):
            done = simulate(pipes.stages(i), 120 + 24 * in_flight, in_flight, order="ready-backward")[:-in_flight]
            ratios.append(steady_s(done, 24) / period[i])
    assert np.mean(np.isclose(ratios, 1.0, rtol=1e-6)) > 0.5
    assert max(ratios) > 1.01


def test_orders_are_known_by_name() -> None:
    with pytest.raises(ValueError, match="strict or ready-backward"):
        simulate(Stages(1, 1, 1, 1, 1), 3, 2, order="random")


# From empty.


@given(
    times=st.tuples(*[SECONDS] * 5), latency=st.floats(0.0, 0.5), in_flight=st.integers(1, 5), half=st.booleans()
)  # fmt: skip
def test_the_first_minibatch_takes_its_path(times: Five, latency: float, in_flight: int, half: bool) -> None:
    """Unless the client is still busy with the forward passes of the K - 1 behind it."""
    forward, up, server, down, backward = times
    done = simulate(Stages(*times, latency, latency), in_flight + 3, in_flight, order="strict")
    path = path_s(forward + backward, server, up, down, 2 * latency)
    assert done[0] == pytest.approx(max(path, in_flight * forward + backward), rel=1e-12)
    alone = simulate(Stages(*times, latency, latency), 1, in_flight, half)
    assert alone[0] == pytest.approx(path, rel=1e-12)


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_a_run_from_empty_takes_its_filling_and_its_periods(in_flight: int) -> None:
    """R minibatches take R periods and what the first one's path is longer than a period, up to K - 1 periods."""
    pipes, minibatches = random_pipes(60, 5), 200
    period, path = period_s(*pipes.closed, in_flight), path_s(*pipes.closed)
    expected = (path - period) + minibatches * period
    for i in range(60):
        took = simulate(pipes.stages(i), minibatches, in_flight)[-1]
        assert abs(took - expected[i]) <= (in_flight - 1) * period[i] + 1e-9 * took


def test_times_may_change_from_minibatch_to_minibatch() -> None:
    """Without a pipeline a run is the sum of all that its minibatches take."""
    rng = np.random.default_rng(0)
    times = rng.random((7, 30))
    done = simulate(Stages(*times), 30, 1)
    assert done == pytest.approx(times.sum(axis=0).cumsum())
    assert (np.diff(simulate(Stages(*times), 30, 3)) > 0).all()
    assert simulate(Stages(*times), 30, 3)[-1] < done[-1]


# Cuts.


@cache
def system(scenario: str = "vgg16-cifar10") -> System:
    return System(get_scenario(scenario))


def balanced_by_hand(of: System, probed_s: float, rate_bits: float, rtt_s: float) -> tuple[int, float]:
    n = of.n_layers
    device, edge = of.on_device_iteration_s / n, (probed_s - rtt_s) / n
    sides = {}
    for cut in range(1, n):
        sample_bits = of.link_bits[cut]
        sides[cut] = max(cut * device, (n - cut) * edge + sample_bits / rate_bits + rtt_s + sample_bits / rate_bits)
    best = min(sides, key=lambda cut: (sides[cut], cut))
    return best, sides[best]


@pytest.mark.parametrize("scenario", ["vgg16-cifar10", "resnet50-speech"])
def test_the_balanced_cut_is_its_definitions(scenario: str) -> None:
    """Alg. 1 with the transfer time of the very cut, the round trip once, among 1..L-1."""
    of, rng, seen = system(scenario), np.random.default_rng(1), set()
    rtt = rng.uniform(0.005, 0.17, 300)
    probed, rate = rtt + 10.0 ** rng.uniform(-3, 1, 300), 10.0 ** rng.uniform(5, 9.5, 300)
    cuts, longer = balanced_cut(of, probed, rate, rtt)
    for i in range(300):
        cut, seconds = balanced_by_hand(of, probed[i], rate[i], rtt[i])
        assert longer[i] == pytest.approx(seconds, rel=1e-12)
        assert cuts[i] == cut
        seen.add(cut)
    assert min(cuts) >= 1
    assert max(cuts) <= of.n_layers - 1
    assert len(seen) > 5
    assert balanced_cut(of, 0.05, 1e8, 0.02)[0] == balanced_cut(of, np.array([0.05]), 1e8, 0.02)[0][0]


def test_the_literal_cut_is_as_printed() -> None:
    """l_d = (l t_e + RTT) / (t_d + t_e), rounded, with the layers' mean times."""
    of = system()
    n, device_s = of.n_layers, of.on_device_iteration_s
    for probed, rtt in ((device_s / 4, 0.0), (device_s, 0.0), (device_s / 3, 0.03), (device_s / 20, 0.015)):
        t_d, t_e = device_s / n, probed / n
        assert literal_cut(of, probed, rtt) == round((n * t_e + rtt) / (t_d + t_e))
    assert literal_cut(of, device_s, 0.0) == n // 2  # equal machines share equally
    assert literal_cut(of, 1e-9, 0.0) == 1
    assert literal_cut(of, 1e6, 0.0) == n - 1
    assert literal_cut(of, 0.01, 100.0) == n - 1
    probed = np.array([1e-9, device_s, 1e6])
    assert literal_cut(of, probed, np.zeros(3)).tolist() == [1, n // 2, n - 1]


@pytest.mark.parametrize("change", [{}, {"half_duplex": True}, {"in_flight": 1}, {"in_flight": 4}], ids=str)
def test_periods_of_all_cuts(change: dict[str, Any]) -> None:
    of = System(get_scenario("vgg16-cifar10", **change))
    setting, load = of.scenario, 1.7
    periods = cut_periods(of, load * of.server_s[0, 1:-1], 2e8, 0.02)
    for cut in range(1, of.n_layers):
        link = of.link_bits[cut] / 2e8
        parts = (of.client_s[cut], load * of.server_s[0, cut], link, link, 0.02)
        expected = max(
            parts[0], parts[1], 2 * link if setting.half_duplex else link, sum(parts) / setting.in_flight
        )  # fmt: skip
        assert periods[cut - 1] == pytest.approx(expected, rel=1e-12)
    rates, rtts = np.array([1e7, 2e8]), np.array([0.1, 0.02])
    several = cut_periods(of, load * of.server_s[0, 1:-1, None], rates, rtts)
    assert several.shape == (of.n_layers - 1, 2)
    assert several[:, 1] == pytest.approx(periods)


@settings(max_examples=30)
@given(probed=st.floats(1e-6, 1e3), rate=st.floats(1e3, 1e12), rtt=st.floats(0.0, 10.0))
def test_both_cuts_leave_something_to_either_side(probed: float, rate: float, rtt: float) -> None:
    of = system()
    assert 1 <= literal_cut(of, probed, rtt) <= of.n_layers - 1
    assert 1 <= balanced_cut(of, probed, rate, rtt)[0] <= of.n_layers - 1
