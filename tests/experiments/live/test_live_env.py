"""DistrEdge's env on real workers: the same MDP as on tables, its latencies measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from splitgym.envs.distredge.live_dynamics import close_clusters
from splitgym.experiments import eval_command, train_command
from splitgym.ui.errors import InputError

from ...command_line import Command, read, sketch
from .cluster import boards

EVAL = Command(eval_command.PROG, eval_command.main)
TRAIN = Command(train_command.PROG, train_command.main)
ENV_ID = "splitgym/DistrEdge-v0"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("live")
    with boards(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            yield str(folder / "cluster.yaml")
        close_clusters()


def make(cluster: str, **options: Any) -> Any:
    return gym.make(ENV_ID, scenario=cluster, partition=[1], disable_env_checker=True, **options)


def episode(env: Any, actions: np.ndarray) -> tuple[list[np.ndarray], dict[str, Any]]:
    observations = [env.reset(seed=0)[0]]
    for action in actions:
        observation, _, terminated, _, info = env.step(action)
        observations.append(observation)
    assert terminated
    return observations, info


def test_the_same_actions_are_the_same_plan(cluster: str) -> None:
    live, tables = make(cluster, backend="live"), make(cluster)
    assert live.observation_space == tables.observation_space
    actions = np.array([[0.2], [-0.4]], dtype=np.float32)
    mine, info = episode(live, actions)
    theirs, due = episode(tables, actions)
    assert info["plan"] == due["plan"]
    assert set(info["metrics"]) == set(due["metrics"])
    assert len(mine) == len(theirs)
    assert all(live.observation_space.contains(o) for o in mine)
    assert mine[0] == pytest.approx(theirs[0])
    assert info["latency_s"] > 0
    assert (mine[1][:2] > 0).all()  # both devices have done something
    assert any("measured (live workers" in line for line in live.unwrapped.dynamics.provenance)


def test_gymnasiums_checker_accepts_it(cluster: str) -> None:
    env = make(cluster, backend="live").unwrapped
    env.spec.nondeterministic = True  # what is measured is never the same twice
    check_env(env, skip_render_check=True)


def test_only_one_lane_is_live(cluster: str) -> None:
    with pytest.raises(InputError, match="one image at a time"):
        gym.make_vec(ENV_ID, num_envs=2, scenario=cluster, backend="live")


def test_unknown_backends_are_refused(cluster: str) -> None:
    with pytest.raises(InputError, match="backend='dreams' is not one of tables, live"):
        make(cluster, backend="dreams")


def test_agents_are_judged_and_trained_live(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_command, "save_figure", sketch)
    words = ("--backend", "live", "--env-kwargs", "partition=[1]")
    EVAL("--scenarios", cluster, "--agents", "offload,coedge", *words, "--workers", "4", "--out", "out")
    told = read("out/eval.json")["provenance"]
    assert any("measured (live workers" in line for line in told)
    TRAIN("--scenario", cluster, "--agent", "osds", "--episodes", "4", *words, "--track", "off", "--out", "run")
    assert read("run/plan.json")["types"] == {"pi3-1": "pi3", "pi3-2": "pi3"}


def test_workers_serve_one_scenario_at_a_time(cluster: str) -> None:
    make(cluster, backend="live")
    with pytest.raises(InputError, match="its workers serve scenario boards in this very process"):
        make(cluster, backend="live", mbps=[40.0, 40.0])
