"""The line through message times: what is recovered of a known one, and what disturbs it little."""

from __future__ import annotations

import pytest

from splitgym.profiling.measure.copy_rates import copy_rates
from splitgym.profiling.message_fit import LEAST_PASSES, PATIENCE, SIZES_BYTES, fit_messages, time_messages

from .. import refused


def test_the_fit_takes_half_a_round_trip_off_and_shares_one_overhead() -> None:
    up_s = {n: 0.004 + n * 1e-7 for n in (1000, 50_000, 1_000_000)}
    down_s = {n: 0.004 + n * 3e-7 for n in (1000, 50_000)}
    fit = fit_messages(0.004, up_s, down_s)
    assert fit.t_msg_s == pytest.approx(0.002, rel=1e-4)
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((80.0, 8 / 0.3), rel=1e-3)
    assert fit.samples_up[:2] == ((1, 0.002), (1000, pytest.approx(0.0021)))
    assert fit.residual(80.0, 8 / 0.3) == pytest.approx(0.0, abs=1e-4)
    assert fit.residual(40.0, 4 / 0.3) > 0.02


def test_a_size_that_was_disturbed_throughout_counts_little() -> None:
    up_s = {n: 0.002 + 8e-8 * n for n in (1024, 4096, 16384, 65536, 262144)}
    down_s = {**up_s, 16384: 3 * up_s[16384]}
    fit = fit_messages(0.002, up_s, down_s)
    assert fit.t_msg_s == pytest.approx(0.001, rel=0.02)
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((100.0, 100.0), rel=0.05)


def test_the_fit_is_never_negative() -> None:
    fit = fit_messages(2e-5, {1000: 1.5e-5, 100_000: 5e-3, 1_000_000: 0.1}, {1000: 1.5e-5, 100_000: 1.6e-5})
    assert 0 <= fit.t_msg_s < 1e-5
    assert fit.up_mbps > 0 < fit.down_mbps
    with refused("too unsteady"):
        fit_messages(0.01, {1000: 0.004}, {1000: 0.02})


class Line:
    """A channel of known latency and rate, in time of its own."""

    def __init__(self, s_per_byte: float) -> None:
        self.now_s, self.s_per_byte = 0.0, s_per_byte
        self.sent = [0]

    def up_s(self, n_bytes: int) -> float:
        self.sent.append(n_bytes)
        took_s = 0.002 + n_bytes * self.s_per_byte
        self.now_s += took_s
        return took_s

    down_s = up_s


@pytest.mark.parametrize(("mbps", "sizes"), [(1000.0, len(SIZES_BYTES)), (10.0, 5), (0.01, 3)])
def test_sizes_grow_as_long_as_there_is_time_for_them(mbps: float, sizes: int) -> None:
    line, shares = Line(8e-6 / mbps), list[float]()
    fit = time_messages(line, 5.0, shares.append, lambda: line.now_s)
    assert [n for n, _ in fit.samples_up] == [1, *SIZES_BYTES[:sizes]]
    assert (fit.up_mbps, fit.down_mbps) == pytest.approx((mbps, mbps), rel=1e-3)
    assert line.sent.count(SIZES_BYTES[0]) >= 2 * LEAST_PASSES
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert line.now_s < 10 or sizes == 3


class Disturbed(Line):
    """Tiny messages take long at first."""

    def __init__(self, until_s: float) -> None:
        super().__init__(8e-9)
        self.until_s = until_s

    def up_s(self, n_bytes: int) -> float:
        took_s = super().up_s(n_bytes)
        if n_bytes or self.now_s > self.until_s:
            return took_s
        self.now_s += 0.1
        return took_s + 0.1

    down_s = up_s


def test_a_link_that_was_disturbed_is_timed_until_it_can_be_fitted_but_not_for_ever() -> None:
    line = Disturbed(until_s=1.5)
    fit = time_messages(line, 1.0, clock=lambda: line.now_s)
    assert 1.5 < line.now_s < 1.0 + PATIENCE
    assert fit.t_msg_s < 0.06
    line = Disturbed(until_s=100.0)
    with refused("too unsteady"):
        time_messages(line, 1.0, clock=lambda: line.now_s)
    assert PATIENCE < line.now_s < 2 * PATIENCE


def test_copy_rates_are_payload_over_the_time_of_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = copy_rates(0.0)
    assert all(1e7 < rate < 1e13 for rate in real)
    now_s = [0.0]

    def tick() -> float:
        now_s[0] += 0.001
        return now_s[0]

    monkeypatch.setattr("splitgym.profiling.measure.copy_rates.time.perf_counter", tick)
    assert copy_rates(0.1) == pytest.approx((64 * 72 * 112 * 2 / 0.001,) * 2)
