"""splitgym-dashboard: what it would show of every family, and that a workspace and a report are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from splitgym.envs import FAMILIES, get_family
from splitgym.experiments import dashboard_command
from splitgym.experiments.dashboard import lines_of, parts_of

from ..command_line import Command, rows
from .brief import BRIEF, TRAIN

DASHBOARD = Command(dashboard_command.PROG, dashboard_command.main)
pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of W&B anywhere, and no network asked for one."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("logged_out")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_without_a_login_it_says_what_it_would_build(family: str) -> None:
    pytest.importorskip("wandb_workspaces")
    called = DASHBOARD("--env", family)
    assert all(line in called.out for line in lines_of(get_family(family)))
    assert "not saved: log in with" in called.err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_all_parts_become_sections_of_the_workspace_and_headings_of_the_report(family: str) -> None:
    pytest.importorskip("wandb_workspaces")
    from splitgym.experiments.dashboard import report, workspace

    found, parts = get_family(family), parts_of(get_family(family))
    space = workspace(found, "me")
    assert [(s.name, len(s.panels)) for s in space.sections] == [(p.name, len(p.charts)) for p in parts]
    blocks = report(found, "me").blocks
    assert [block.text for block in blocks if type(block).__name__ == "H2"] == [part.name for part in parts]


@pytest.mark.usefixtures("undrawn", "alone")
def test_what_is_charted_is_what_trainings_track() -> None:
    TRAIN(*BRIEF["l2s"].learn("ppo").words, "--steps", "200", "--track", "off", "--out", "run")
    tracked = set(rows("run/curve.csv")[-1])
    parts = {part.name: {c for chart in part.charts for c in chart.columns} for part in parts_of(get_family("l2s"))}
    assert {"recent_delay_s", "recent_regret"} <= parts["Learning"] & tracked
    assert {"episode/edge_delay_s", "episode/sync_s", "episode/accuracy_cost"} == parts["Reward"]
    assert parts["Reward"] <= tracked
    assert {"train/loss", "train/value_loss", "train/entropy_loss"} <= parts["Network"] & tracked


@pytest.mark.parametrize("family", FAMILIES)
def test_terms_of_the_reward_are_metrics_of_episodes(family: str) -> None:
    found = get_family(family)
    env: Any = gym.make(found.env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    ended, info = False, {}
    while not ended:
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        ended = terminated or truncated
    assert {found.headline, *found.terms} <= set(info["metrics"])


def test_an_unknown_family_is_one_line() -> None:
    DASHBOARD.refuses("--env nowhere", "nowhere")
