"""Transfers over changing rates, against a plain walk from step to step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from splitgym.profiling.network import MIN_RATE_MBPS, BandwidthTrace, Link
from splitgym.profiling.transfers import NEAR, Transfers

from .reference import PlainTrace

LENGTHS = st.one_of(
    st.lists(st.floats(1e-3, 50.0), min_size=1, max_size=40),
    st.integers(1, 90).map(lambda n: [1.0] * n),  # the grid of seeded traces, beyond what is searched first
    st.integers(1, 20).map(lambda n: [0.1] * n),
)


def edges_of(lengths_s: list[float]) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(lengths_s)])


@given(
    lengths_s=LENGTHS,
    n=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    starts=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=6),
    shares=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 20.0)), min_size=1, max_size=5),
)
def test_transfers_end_when_walking_the_steps_ends_them(
    lengths_s: list[float], n: int, seed: int, starts: list[float], shares: list[float]
) -> None:
    """Times and bits are in periods of the trace: many are crossed, and so are steps, all in one call."""
    mbps = 10.0 ** np.random.default_rng(seed).uniform(-1.0, 3.0, (n, len(lengths_s)))
    plain = [PlainTrace(lengths_s, row) for row in mbps.tolist()]
    period_s, trace = plain[0].period_s, np.arange(len(starts)) % n
    bits = 1e6 * period_s * mbps.mean() * np.array(shares)[:, None]
    start_s = period_s * np.array(starts)
    found_s = Transfers(edges_of(lengths_s), mbps).seconds(bits, start_s, trace)
    assert found_s.shape == (len(shares), len(starts))
    for i, size in enumerate(bits[:, 0]):
        expected_s = [plain[k].transfer_s(size, t) for k, t in zip(trace, start_s, strict=True)]
        assert found_s[i] == pytest.approx(expected_s, rel=1e-9, abs=1e-7)
        assert (found_s[i] >= 0).all()
        assert size > 0 or not found_s[i].any()


@given(lengths_s=LENGTHS, mbps=st.floats(0.1, 1000.0), start_s=st.floats(0.0, 1e4), bits=st.floats(0.0, 1e10))
@example(lengths_s=[0.1] * 7, mbps=60.0, start_s=0.3, bits=5e5)
def test_a_constant_trace_is_a_constant_link(lengths_s: list[float], mbps: float, start_s: float, bits: float) -> None:
    constant = Transfers(edges_of(lengths_s), np.full((1, len(lengths_s)), mbps))
    assert constant.seconds(bits, start_s) == pytest.approx(Link(mbps).transfer_s(bits, start_s), rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), start_s=st.floats(0.0, 500.0))
def test_what_follows_a_transfer_goes_on_where_it_ended(seed: int, start_s: float) -> None:
    rng = np.random.default_rng(seed)
    transfers = Transfers(np.arange(121.0), rng.uniform(0.1, 100.0, (1, 120)).astype(np.float32))
    first, second = rng.uniform(0.0, 2e10, 2)
    first_s = transfers.seconds(first, start_s)
    both_s = first_s + transfers.seconds(second, start_s + first_s)
    assert both_s == pytest.approx(transfers.seconds(first + second, start_s), rel=1e-9, abs=1e-6)


def test_periods_may_end_by_rounding_a_little_before_or_after_their_times() -> None:
    rng, bits = np.random.default_rng(0), 1e7
    for _ in range(20):
        transfers = Transfers(edges_of(rng.uniform(0.01, 3.0, 7).tolist()), rng.uniform(0.1, 100.0, (2, 7)))
        ends_s = transfers.period_s * np.arange(1, 3000)
        for start_s in (ends_s, np.nextafter(ends_s, 0.0), np.nextafter(ends_s, np.inf)):
            for trace in (0, 1):
                error_s = transfers.seconds(bits, start_s, trace) - transfers.seconds(bits, 0.0, trace)
                assert np.abs(error_s).max() < 1e-7


def test_a_transfer_by_hand() -> None:
    trace = BandwidthTrace(np.array([0.0, 1.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0]))  # 120 Mbit in 5 s
    bits, start_s = 1e6 * np.array([0.0, 5.0, 10.0, 60.0, 125.0, 1205.0]), np.array([0.0, 5.5])
    expected_s = [[0.0, 0.0], [0.5, 0.5], [1.0, 0.75], [10 / 3, 3.0], [5.5, 5.5], [50.5, 50.5]]
    assert trace.transfer_s(bits[:, None], start_s) == pytest.approx(np.array(expected_s), rel=1e-12)


def test_a_transfer_that_fits_into_a_step_takes_what_its_rate_says() -> None:
    """To the last bit, so that it does not matter to it that the rate changes later."""
    trace = BandwidthTrace(np.arange(50.0), np.linspace(3.0, 70.0, 50))
    for t in (0.0, 17.2, 149.9):
        assert trace.transfer_s(123456.0, t) == 123456.0 / 1e6 / trace.at(t)


def test_a_transfer_waits_for_a_link_that_is_down() -> None:
    mbps = np.zeros(3 * NEAR)
    mbps[-1] = 100.0
    trace = BandwidthTrace(np.arange(float(mbps.size)), mbps)
    down_s = mbps.size - 1
    expected_s = down_s + (50.0 - MIN_RATE_MBPS * down_s) / 100.0
    assert trace.transfer_s(50e6, [0.0, mbps.size]) == pytest.approx([expected_s] * 2, rel=1e-12)


def test_links_carry_bits_at_their_rate_or_their_traces() -> None:
    trace = BandwidthTrace(np.array([0.0, 2.0]), np.array([10.0, 40.0]))
    bits, start_s = np.array([[1e6], [30e6]]), np.array([0.0, 1.5, 2.0])
    np.testing.assert_array_equal(Link(trace).transfer_s(bits, start_s), trace.transfer_s(bits, start_s))
    assert Link(50.0).transfer_s(bits, start_s).tolist() == [[0.02] * 3, [0.6] * 3]
    assert Link(50.0).transfer_s(1e6, 3.0).shape == trace.transfer_s(1e6, 3.0).shape == ()
