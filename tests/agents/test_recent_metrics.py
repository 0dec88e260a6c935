"""Metrics of the newest episodes: means, what is left out, and that they can be kept."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.agents.recent_metrics import RecentMetrics

BATCHES = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), min_size=1, max_size=8)


@given(BATCHES, st.integers(1, 12))
def test_means_are_those_of_the_newest_episodes(batches: list[list[float]], most: int) -> None:
    recent, told = RecentMetrics(most), [value for batch in batches for value in batch]
    for batch in batches:
        values = np.array(batch)
        recent.extend({"delay_s": values, "saved": -values, "_delay_s": np.ones(len(batch), dtype=bool)})
    assert recent["delay_s"] == told[-most:]
    assert recent.mean("saved") == pytest.approx(-np.mean(told[-most:]))
    assert recent.curves(without=("delay_s", None)) == {"episode/saved": recent.mean("saved")}
    again = RecentMetrics(most)
    again.restore(json.loads(json.dumps(recent.to_json())))
    assert again.curves(without=()) == recent.curves(without=())


@pytest.mark.parametrize("name", ["delay_s", None])
def test_without_episodes_there_is_no_mean(name: str | None) -> None:
    recent = RecentMetrics(3)
    assert math.isnan(recent.mean(name))
    assert recent.curves(without=()) == {}
