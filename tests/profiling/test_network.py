"""Links, traces and their files, and generated traces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.profiling import network
from splitgym.profiling.network import (
    MIN_RATE_MBPS,
    PAYLOAD_FRACTION,
    BandwidthTrace,
    Link,
    Network,
    fluctuating_traces,
    load_trace,
)
from splitgym.ui.errors import InputError

from .. import ROOT, refused

TRACES = Path(os.environ.get("SPLITGYM_TRACES", ROOT.parent / "shared" / "data" / "traces"))
STEPS = BandwidthTrace(np.array([0.0, 1.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0]))


def test_a_trace_is_constant_between_samples() -> None:
    assert STEPS.at([0.0, 0.5, 1.0, 2.999, 3.0, 3.5, 4.0, 4.9]).tolist() == [10, 10, 20, 20, 30, 30, 40, 40]


def test_a_trace_starts_over_after_its_last_step() -> None:
    assert STEPS.period_s == 5.0  # the last sample holds for the median of the steps 1, 2, 1
    t = np.linspace(0, 4.99, 50)
    np.testing.assert_array_equal(STEPS.at(t + 3 * 5.0), STEPS.at(t))
    assert STEPS.at(5.0) == 10
    assert STEPS.at(-0.5) == 40


def test_only_differences_of_times_count() -> None:
    late = BandwidthTrace(STEPS.times_s + 7.25, STEPS.mbps)
    t = np.linspace(0, 20, 81)
    np.testing.assert_array_equal(late.at(t), STEPS.at(t))


def test_lookup_keeps_the_shape_of_the_times() -> None:
    t = np.array([[0.0, 1.5], [3.2, 9.0]])
    assert STEPS.at(t).tolist() == [[10, 20], [30, 40]]
    assert STEPS.at(0.0).shape == ()


def test_one_sample_is_a_constant_rate() -> None:
    assert BandwidthTrace(np.array([3.0]), np.array([7.0])).at([0.0, 0.1, 99.9]).tolist() == [7, 7, 7]


def test_a_stalled_trace_keeps_a_small_rate() -> None:
    trace = BandwidthTrace(np.array([0.0, 1.0]), np.array([0.0, 5.0]))
    assert trace.at([0.0, 1.0]).tolist() == [MIN_RATE_MBPS, 5]


@pytest.mark.parametrize(
    ("times", "mbps", "match"),
    [
        ([0.0, 1.0], [1.0], "as many times as rates"),
        ([], [], "at least one"),
        ([0.0, 0.0], [1.0, 1.0], "increase"),
        ([1.0, 0.0], [1.0, 1.0], "increase"),
        ([0.0, np.nan], [1.0, 1.0], "increase"),
        ([0.0, 1.0], [1.0, -1.0], "not negative"),
        ([0.0, 1.0], [1.0, np.inf], "finite"),
    ],
)
def test_a_trace_of_bad_arrays_is_refused(times: list[float], mbps: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BandwidthTrace(np.array(times), np.array(mbps))


def test_a_trace_does_not_follow_changes_of_its_arrays() -> None:
    times, mbps = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    trace = BandwidthTrace(times, mbps)
    mbps[:] = 99
    assert trace.at([0.0, 1.0]).tolist() == [1, 2]


def test_rates_of_a_network_are_the_devices_then_the_requester() -> None:
    network = Network((Link(50.0), Link(STEPS)), requester=Link(300.0))
    assert network.eta == PAYLOAD_FRACTION
    assert network.rates_mbps(3.5).tolist() == [50, 30, 300]
    assert network.rates_mbps([0.0, 1.0, 8.0]).tolist() == [[50] * 3, [10, 20, 30], [300] * 3]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_link_needs_a_positive_rate(rate: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        Link(rate)


@pytest.mark.parametrize("eta", [0.0, 1.5, float("nan")])
def test_a_network_needs_a_payload_share(eta: float) -> None:
    with pytest.raises(InputError, match="eta"):
        Network((), Link(1.0), eta)


# --- files ---


@pytest.mark.parametrize(
    "text",
    [
        "0\t10\n1\t20\n3\t30\n4\t40\n",
        "0 10\n1  20\n3 30\n4 40",
        "0,10\n1, 20\n3 ,30\n4,40\n",
        "time_s,mbps\n0,10\n1,20\n3,30\n4,40\n",
        "# a comment\nseconds Mbit/s\n\n0 10\n1 20\n\n3 30\n4 40\n",
        "5.5 10\n6.5 20\n8.5 30\n9.5 40\n",
        "seconds;Mbit/s\n5,5;10\n6,5;20\n8,5;30\n9,5;40\n",
        "0,5\t10,0\n1,5\t20,0\n3,5\t30,0\n4,5\t40,0\n",
        "0,5 10\n1,5 20\n3,5 30\n4,5 40\n",
        "1.000,5; 10\n1.001,5; 20\n1.003,5; 30\n1.004,5; 40\n",
    ],
)
def test_a_trace_file_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text)
    trace = load_trace(path)
    np.testing.assert_array_equal(trace.times_s, STEPS.times_s)
    np.testing.assert_array_equal(trace.mbps, STEPS.mbps)


def test_a_long_file_as_programs_write_it_is_read_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.txt"
    times = np.arange(-2.0, 30_000)
    path.write_text("".join(f"{time} {time % 7 + 1:.3f}\n" for time in times))
    usual = load_trace(path)
    monkeypatch.setattr(network, "_usual", lambda lines: None)
    careful = load_trace(path)
    np.testing.assert_array_equal(usual.times_s, careful.times_s)
    np.testing.assert_array_equal(usual.mbps, careful.mbps)
    monkeypatch.undo()
    monkeypatch.delattr(network, "_careful")
    assert len(load_trace(path).mbps) == len(times)


def test_the_factor_scales_rates_and_the_floor_comes_after_it(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("0 0\n1 0.05\n2 2\n")
    assert load_trace(path).mbps.tolist() == [MIN_RATE_MBPS, MIN_RATE_MBPS, 2]
    assert load_trace(path, factor=20).mbps.tolist() == [MIN_RATE_MBPS, 1, 40]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0 10\n2 20\n1 30\n", ("line 3", "1 s is not after 2 s", "increase")),
        ("0 10\n1 20\n1 30\n", ("line 3", "increase")),
        ("0 10\n1 -5\n", ("line 2", "-5", "0 or more")),
        ("0 10\n1 nan\n", ("line 2", "nan", "finite")),
        ("0 inf\n", ("line 1", "inf", "finite")),
        ("nan 10\n", ("line 1", "time is nan", "finite")),
        ("0 10\n1 fast\n", ("line 2", "1 fast", "two numbers")),
        ("0 10\nseconds rate\n", ("line 2", "seconds rate", "two numbers")),
        ("0 10\n1\n", ("line 2", "two numbers")),
        ("0 10 20\n", ("line 1", "two numbers")),
        ("0 0\n1 0\n", ("every rate is 0", "above 0")),
        ("0 10\n1 fast\n2 -5\n3\n2 7\n1 8\n", ("line 2", "line 4", "line 3: rate is -5", "line 6: time 1 s")),
        ("0;1,234\n1;2,345\n", ("line 1: holds '1,234', line 2: holds '2,345'", "write 1.234 or 1234")),
        ("0;1.5\n1;2,5\n", ("writes '1.5' and '2,5'", "one decimal mark")),
        ("", ("no samples",)),
        ("time,mbps\n", ("no samples",)),
        ("\n  \n# nothing\n", ("no samples",)),
    ],
)
def test_a_bad_trace_file_is_one_clear_line(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with refused(str(path), *parts):
        load_trace(path)


def test_a_missing_trace_and_a_bad_factor_are_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    with pytest.raises(InputError, match=r"trace\.txt: cannot be read"):
        load_trace(path)
    path.write_text("0 1\n")
    for factor in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="factor"):
            load_trace(path, factor)


@pytest.mark.skipif(not TRACES.is_dir(), reason=f"no measured traces in {TRACES} (set SPLITGYM_TRACES)")
def test_measured_traces_load() -> None:
    paths = sorted(TRACES.glob("*.txt"))
    if not paths:
        pytest.skip(f"{TRACES} holds no .txt files")
    for path in paths:
        raw = np.loadtxt(path)
        trace = load_trace(path, factor=40)
        np.testing.assert_allclose(trace.mbps, np.maximum(raw[:, 1] * 40, MIN_RATE_MBPS))
        middle = (raw[:-1, 0] + raw[1:, 0]) / 2 - raw[0, 0]
        np.testing.assert_array_equal(trace.at(middle), trace.mbps[:-1])
        np.testing.assert_array_equal(trace.at(middle + trace.period_s), trace.mbps[:-1])


# --- generated traces ---

MEANS = np.array([[200.0, 60.0, 150.0], [80.0, 250.0, 100.0]])


def test_a_seed_is_a_trace() -> None:
    first, again, other = (
        fluctuating_traces(np.random.default_rng(seed), 4, [100.0, 50.0, 200.0]) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert (first[0] != first[1]).mean() > 0.9


def test_traces_leave_the_global_generator_alone() -> None:
    before, after = [], []
    for states in (before, after):
        state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
        states += [*state["state"]["key"], state["state"]["pos"]]
        fluctuating_traces(np.random.default_rng(0), 2, [100.0])
    assert before == after


def test_means_shift_at_20_and_40_minutes() -> None:
    traces = fluctuating_traces(np.random.default_rng(0), 2, MEANS)
    assert traces.shape == (2, 3600)
    assert traces.dtype == np.float32
    thirds = traces.reshape(2, 3, 1200)
    # 1200 s hold about 60 independent samples at a correlation time of 10 s: 6.5 % standard error.
    np.testing.assert_allclose(thirds.mean(axis=2), MEANS, rtol=0.2)
    many = fluctuating_traces(np.random.default_rng(0), 400, MEANS[0]).reshape(400, 3, 1200)
    np.testing.assert_allclose(many.mean(axis=(0, 2)), MEANS[0], rtol=0.02)


def test_fluctuations_are_high_bounded_and_correlated_in_time() -> None:
    rates = fluctuating_traces(np.random.default_rng(1), 300, [100.0], bounds=(0.1, 2.5))
    assert rates.min() >= 10
    assert rates.max() <= 250
    assert 0.35 < rates.std() / rates.mean() < 0.6
    logs = np.log(rates) - np.log(rates).mean()

    def correlation(lag: int) -> float:
        return float((logs[:, lag:] * logs[:, :-lag]).mean() / logs.var())

    assert correlation(1) == pytest.approx(np.exp(-0.1), abs=0.03)
    assert correlation(10) == pytest.approx(np.exp(-1.0), abs=0.03)
    assert logs[:, :5].std() == pytest.approx(logs.std(), rel=0.15)  # stationary from the first sample


def test_length_step_and_number_of_means_are_free() -> None:
    traces = fluctuating_traces(np.random.default_rng(0), 3, [10.0, 1000.0], duration_s=60, step_s=0.1)
    assert traces.shape == (3, 600)
    assert traces[:, :300].max() <= 25
    assert traces[:, 300:].min() >= 100
    trace = BandwidthTrace(np.arange(600) * 0.1, traces[0])
    assert trace.period_s == pytest.approx(60)
