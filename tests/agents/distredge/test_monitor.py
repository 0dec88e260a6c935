"""The change detector of agents that plan again: what it promises about constant links, steps and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.distredge.monitor import Detection, LinkMonitor
from splitgym.agents.registry import hyperparams_of
from splitgym.envs.links import DURATION_S
from splitgym.profiling.network import fluctuating_traces

DEFAULTS = hyperparams_of("distredge", "online", "dynamic-nano")
DETECTION = Detection(DEFAULTS["period_s"], DEFAULTS["slack"], DEFAULTS["threshold"])
ROUNDING = 1e-6
GAP_S = 18.0  # between two images of dynamic-nano

detections = st.builds(Detection, st.just(1.0), st.floats(0.01, 1.0), st.floats(0.1, 8.0))
rates = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=5).map(np.array)


def looks_until_changed(monitor: LinkMonitor, mbps: np.ndarray, most: int, begun_s: float = 0.0) -> int | None:
    """How many looks at constant rates it takes until a link has changed; None where ``most`` are too few."""
    for look in range(1, most + 1):
        monitor.look(mbps, begun_s + look * monitor.detection.period_s)
        if monitor.changed.any():
            return look
    return None


@settings(max_examples=40)
@given(detection=detections, mbps=rates)
def test_constant_rates_never_fire_and_are_what_is_monitored(detection: Detection, mbps: np.ndarray) -> None:
    monitor = LinkMonitor(mbps, detection)
    assert looks_until_changed(monitor, mbps, 60) is None
    assert monitor.mbps == pytest.approx(mbps)


@settings(max_examples=40)
@given(
    detection=detections, mbps=rates, before=st.integers(0, 20), beyond=st.floats(0.1, 2.0), up=st.booleans(),
    data=st.data(),
)  # fmt: skip
def test_a_step_beyond_the_slack_fires_within_the_window_that_is_told(
    detection: Detection, mbps: np.ndarray, before: int, beyond: float, up: bool, data: st.DataObject
) -> None:
    monitor = LinkMonitor(mbps, detection)
    looks_until_changed(monitor, mbps, before)
    link = data.draw(st.integers(0, len(mbps) - 1))
    size = detection.slack + beyond
    after = mbps.copy()
    after[link] *= math.exp(size if up else -size)
    looks = detection.threshold / beyond
    took = looks_until_changed(monitor, after, math.floor(looks + ROUNDING) + 1, float(before))
    assert took is not None
    assert took >= looks - ROUNDING
    assert monitor.changed.tolist() == [d == link for d in range(len(mbps))]
    assert monitor.settle() == pytest.approx(after)  # counted from the step on, without what was before
    assert looks_until_changed(monitor, after, 30, before + 100.0) is None


@settings(max_examples=40)
@given(detection=detections, mbps=rates, within=st.floats(-0.99, 0.99))
def test_a_step_within_the_slack_never_fires(detection: Detection, mbps: np.ndarray, within: float) -> None:
    monitor = LinkMonitor(mbps, detection)
    assert looks_until_changed(monitor, mbps * math.exp(within * detection.slack), 60) is None


def test_a_change_is_told_until_it_is_settled() -> None:
    monitor = LinkMonitor(np.array([100.0]), Detection(1.0, 0.5, 1.0))
    assert looks_until_changed(monitor, np.array([400.0]), 5) == 2
    monitor.look(np.array([400.0]), 9.0)
    assert monitor.changed.all()
    assert monitor.settle() == pytest.approx([400.0])
    assert not monitor.changed.any()


def test_images_within_a_period_are_one_look() -> None:
    """Their mean logarithm counts: eight fast images at 100 and 400 in turn are two looks at 200."""
    monitor = LinkMonitor(np.array([200.0]), Detection(4.0, 0.3, 0.3))
    for image in range(8):
        monitor.look(np.array([100.0 if image % 2 else 400.0]), 1.0 + image)
    assert not monitor.changed.any()
    assert monitor.mbps == pytest.approx([200.0])
    single = LinkMonitor(np.array([200.0]), Detection(1.0, 0.3, 0.3))
    assert looks_until_changed(single, np.array([400.0]), 1) == 1


def test_without_slack_and_threshold_every_new_rate_asks_for_a_plan() -> None:
    monitor = LinkMonitor(np.array([100.0, 50.0]), Detection(0.0, 0.0, 0.0))
    rng, now_s = np.random.default_rng(0), 0.0
    for _ in range(20):
        mbps, now_s = rng.uniform(10, 300, 2), now_s + 0.1
        monitor.look(mbps, now_s)
        assert monitor.changed.all()
        assert monitor.settle() == pytest.approx(mbps)


def fires(means: np.ndarray, seed: int) -> list[float]:
    """When the defaults ask for a new strategy, each settled at once, on links that fluctuate as dynamic-nano's."""
    trace = fluctuating_traces(np.random.default_rng(seed), len(means), means, DURATION_S)
    monitor, found = LinkMonitor(trace[:, 0].astype(float), DETECTION), []
    for now_s in np.arange(GAP_S, DURATION_S, GAP_S):
        monitor.look(trace[:, int(now_s)].astype(float), float(now_s))
        if monitor.changed.any():
            monitor.settle()
            found.append(float(now_s))
    return found


def test_noise_around_a_mean_seldom_fires_and_shifts_of_the_mean_do() -> None:
    """Four links for an hour, 40 seeds: the first rates are one look, so early on they turn out to be wrong."""
    steady = [fires(np.full((4, 1), 100.0), seed) for seed in range(40)]
    assert np.mean([len(found) for found in steady]) < 3.0
    assert np.mean([sum(t > 1200.0 for t in found) for found in steady]) < 1.0
    shifting = [fires(np.array([[100.0, 30.0, 100.0]] * 4), seed) for seed in range(40)]
    for begin_s in (1200.0, 2400.0):
        noticed = [any(begin_s < t <= begin_s + 300.0 for t in found) for found in shifting]
        assert np.mean(noticed) > 0.95
