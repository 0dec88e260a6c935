"""The measured tables that ship: they load, fit their models, say where they come from, and drive environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import splitgym.envs  # noqa: F401
from splitgym.models.lookup import get_model
from splitgym.profiling import tables, training
from splitgym.profiling.link_file import load_link
from splitgym.profiling.network import fluctuating_traces, load_trace

EXAMPLES = Path(tables.__file__).parent / "examples"
TABLES = sorted(path for path in EXAMPLES.glob("*.csv") if not path.stem.endswith("-training"))
PROFILES = sorted(EXAMPLES.glob("*-training.csv"))


def test_both_kinds_ship() -> None:
    assert TABLES
    assert PROFILES


def test_a_link_and_a_trace_say_what_they_are() -> None:
    link = load_link(EXAMPLES / "link-emulated.json")
    assert "through a channel of 40 Mbit/s and 2 ms each way (emulated)" in link.label()
    assert link.goodput_mbps == pytest.approx(40.0, rel=0.01)
    assert link.t_msg_s == pytest.approx(2e-3, rel=0.2)
    path = EXAMPLES / "trace-drawn.txt"
    assert path.read_text(encoding="utf-8").startswith("# Not measured: drawn by ")
    drawn = fluctuating_traces(np.random.default_rng(0), 1, [100.0], duration_s=120)[0]
    np.testing.assert_allclose(load_trace(path).mbps, drawn, atol=0.006)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_is_measured_and_grows_with_the_rows(path: Path) -> None:
    model = get_model(path.stem.partition("-")[0])
    table = tables.load_table(path, model)
    about = table.provenance
    assert about.source == "measured"
    assert all((about.device, about.precision, about.software, about.date, about.note))
    for name, height, row in zip(table.kernels, table.heights, table.seconds, strict=True):
        assert (row[1 : height + 1] > 0).all(), name
        assert row[height] >= row[1] * 0.9, name


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_measured_and_grows_with_the_batch(path: Path) -> None:
    profile = training.load_profile(path, get_model(path.stem.partition("-")[0]))
    assert profile.provenance.source == "measured"
    both = (profile.forward_s + profile.backward_s).sum(axis=1)
    assert (np.diff(both) > 0).all()
    assert (profile.update_s[profile.params > 0] > 0).all()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_drives_distredge(path: Path) -> None:
    measured = gym.make("splitgym/DistrEdge-v0", scenario="DB-50", tables={"nano": str(path)})
    modelled = gym.make("splitgym/DistrEdge-v0", scenario="DB-50")
    assert any("measured" in line for line in measured.unwrapped.dynamics.provenance)  # pyright: ignore
    ends = []
    for env in (measured, modelled):
        env.reset(seed=0)
        action, info, done = np.zeros(env.action_space.shape or (), dtype=np.float32), dict[str, Any](), False
        while not done:
            _, _, done, _, info = env.step(action)
        ends.append(info["metrics"]["latency_s"])
    assert ends[0] != ends[1]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_drives_hiertrain(path: Path) -> None:
    env = gym.make("splitgym/HierTrain-v0", scenario="alexnet-3.5", profiles={"device": str(path)})
    assert any("measured" in line for line in env.unwrapped.dynamics.provenance)  # pyright: ignore
    env.reset(seed=0)
    info = env.step(env.action_space.sample())[4]
    assert all(np.isfinite(value) for value in info.get("metrics", {"none": 0.0}).values())
