"""What links carry over time, lane by lane."""

from __future__ import annotations

import numpy as np
import pytest

from splitgym.envs.links import LinkRates
from splitgym.profiling.network import BandwidthTrace, Link

BITS, START_S = np.geomspace(1e5, 2e10, 5)[:, None], np.array([0.0, 1234.5, 3599.9, 9000.0])


def seeded(seeds: tuple[int, ...]) -> LinkRates:
    links = LinkRates([50.0, 50.0], len(seeds), dynamic=True)
    links.seed(np.arange(len(seeds)), [np.random.default_rng(seed) for seed in seeds])
    return links


def traces_of(links: LinkRates, lanes: int) -> list[list[BandwidthTrace]]:
    """Every link's trace of every lane, read off second by second."""
    times = np.arange(links.period_s)
    mbps = np.stack([links.at(np.full(lanes, t)) for t in times], axis=-1)
    return [[BandwidthTrace(times, row) for row in link] for link in mbps]


def test_seeded_lanes_carry_bits_by_their_own_traces() -> None:
    links, lanes = seeded((3, 4, 5, 6)), np.array([2, 0, 3, 1])
    traces = traces_of(links, 4)
    for link in (0, 1):
        found_s = links.transfer_s(BITS, START_S, lanes, link)
        for i, lane in enumerate(lanes):
            expected_s = traces[link][lane].transfer_s(BITS[:, 0], START_S[i])
            assert found_s[:, i] == pytest.approx(expected_s, rel=1e-12)


def test_a_new_seed_carries_bits_by_its_new_trace() -> None:
    links, lanes = seeded((3, 4)), np.arange(2)
    before_s = links.transfer_s(BITS, START_S[:2], lanes)
    links.seed(np.array([1]), [np.random.default_rng(9)])
    after_s = links.transfer_s(BITS, START_S[:2], lanes)
    np.testing.assert_array_equal(before_s[:, 0], after_s[:, 0])
    assert (before_s[:, 1] != after_s[:, 1]).all()
    np.testing.assert_array_equal(after_s, seeded((3, 9)).transfer_s(BITS, START_S[:2], lanes))


def test_links_from_files_and_constant_ones_carry_alike_in_all_lanes() -> None:
    traces = [BandwidthTrace(np.array([0.0, 3.0, 4.0]), np.array(mbps)) for mbps in ([5.0, 0.0, 90.0], [7.0, 8.0, 9.0])]
    lanes = np.arange(4)
    for link, trace in enumerate(traces):
        expected_s = trace.transfer_s(BITS, START_S)
        found_s = LinkRates([], 4, traces).transfer_s(BITS, START_S, lanes, link)
        np.testing.assert_array_equal(found_s, expected_s)
    found_s = LinkRates([50.0, 20.0], 4).transfer_s(BITS, START_S, lanes, 1)
    np.testing.assert_array_equal(found_s, Link(20.0).transfer_s(BITS, START_S))
