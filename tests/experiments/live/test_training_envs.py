"""The envs of plans that train, on real workers: the same MDPs, their times measured while a network learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from splitgym.envs import get_family
from splitgym.envs.edgemove.live_dynamics import SPARE
from splitgym.envs.training_cluster import close_benches
from splitgym.experiments import eval_command
from splitgym.ui.errors import InputError

from ...command_line import Command, read, sketch
from .trainers import SCENARIOS

EVAL = Command(eval_command.PROG, eval_command.main)
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {  # family -> scenario, fields
    "l2s": ("lenet5-pi3-50-p0", {**SCENARIOS["cut"], "rounds": 3, "sync_period": 2}),
    "hiertrain": ("lenet5-3", {**SCENARIOS["hybrid"], "inputs": "devices", "blocks": 2}),
    "edgemove": ("vgg16-cifar10", {**SCENARIOS["pipeline"], "inputs": "devices", "cycle": 20, "on_device_s": 0.6}),
}
FAMILIES = tuple(SETTINGS)


@pytest.fixture(scope="module", autouse=True)
def _workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("live")))
        yield
    close_benches()


def make(name: str, backend: str = "live", **fields: Any) -> Any:
    scenario, own = SETTINGS[name]
    live = {"time_scale": 2.0} if backend == "live" else {}
    options = {**own, **live, **fields}
    return gym.make(get_family(name).env_id, scenario=scenario, backend=backend, disable_env_checker=True, **options)


@pytest.mark.parametrize("name", FAMILIES)
def test_gymnasiums_checker_accepts_them(name: str) -> None:
    env = make(name).unwrapped
    env.spec.nondeterministic = True  # what is measured is never the same twice
    check_env(env, skip_render_check=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_episode_is_that_on_tables_but_for_its_times(name: str) -> None:
    live, tables = make(name), make(name, "tables")
    assert live.observation_space == tables.observation_space
    assert live.action_space == tables.action_space
    infos = []
    for env in (live, tables):
        env.reset(seed=3)
        env.action_space.seed(3)
        terminated = False
        while not terminated:
            observation, _, terminated, _, info = env.step(env.action_space.sample())
            assert env.observation_space.contains(observation)
        infos.append(info)
    mine, theirs = infos
    assert mine["plan"] == theirs["plan"]
    assert set(mine["metrics"]) == set(theirs["metrics"])
    assert mine["learnt"]["loss"] > 0
    assert 0 <= mine["learnt"]["accuracy"] <= 1
    assert any("measured (live workers" in line for line in live.unwrapped.dynamics.provenance)


def test_what_is_measured_is_no_shorter_than_what_workers_stand_for() -> None:
    env = make("l2s")
    env.reset(seed=0)
    system = env.unwrapped.dynamics.system
    _, _, _, _, info = env.step(system.n_points - 1)
    assert info["round"]["delay_s"] >= system.pdt_s * 0.999
    assert info["round"]["edge_delay_s"] == 0.0
    _, _, _, _, info = env.step(2)
    edge_s = float(system.edge_delay_s(system.mbps, 1.0, np.array(2))) - float(system.edge.update_s.sum())
    assert info["round"]["edge_delay_s"] >= edge_s * 0.999
    assert info["round"]["sync_s"] > 0  # the point has moved, and the period is over


def test_links_follow_the_scenario_from_round_to_round() -> None:
    env = make("l2s", mbps_changes=[[1, 1.0]])
    env.reset(seed=0)
    before, after = (env.step(2)[4]["round"]["edge_delay_s"] for _ in range(2))
    system = env.unwrapped.dynamics.system
    expected = [float(system.edge_delay_s(mbps, 1.0, np.array(2))) for mbps in (50.0, 1.0)]
    assert after - before > 0.5 * (expected[1] - expected[0])


def test_layers_move_and_workers_are_switched() -> None:
    env = make("edgemove")
    dynamics = env.unwrapped.dynamics
    env.reset(seed=0)
    cloud, layers = 17, dynamics.system.n_layers
    _, _, _, _, info = env.step(np.array([1, cloud, 0]))
    assert info["cycle"]["worker"] == "cloud"
    _, _, _, _, info = env.step(np.array([3, 0, 0]))
    assert (info["cycle"]["cut"], info["cycle"]["cut_moves"]) == (4, 1)
    assert info["cycle"]["adaptation_s"] > 0
    worker = dynamics._worker
    dynamics._switch()
    assert dynamics._worker == SPARE if worker != SPARE else "server"
    _, _, _, _, info = env.step(np.array([layers - 1, 0, 0]))
    assert (info["cycle"]["worker"], info["cycle"]["cut"]) == ("none", layers)
    assert info["learnt"]["loss"] > 0


def test_agents_are_judged_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_command, "save_figure", sketch)
    scenario, fields = SETTINGS["l2s"]
    pairs = [f"{name}={value}" for name, value in {**fields, "rounds": 6, "time_scale": 2.0}.items()]
    words = ["--env", "l2s", "--scenarios", scenario, "--agents", "l2s,pdt", "--backend", "live", "--out", "out"]
    EVAL(*words, "--env-kwargs", *pairs)
    told = read("out/eval.json")["provenance"]
    assert any("measured (live workers" in line for line in told)


def test_one_env_of_a_process_trains_at_a_time() -> None:
    first, second = make("l2s"), make("l2s")
    first.reset(seed=0)
    second.reset(seed=0)
    with pytest.raises(InputError, match="another env of this process trains on its workers now"):
        first.step(2)
    second.step(2)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"backend": "dreams"}, "backend='dreams' is not one of tables, live"),
        ({"backend": "tables", "learning_rate": 0.1}, "learning_rate is for backend=live"),
        ({"time_scale": 0.0}, "time_scale is 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"data": "nowhere"}, "nowhere: is not a folder"),
    ],
)
def test_bad_options_are_refused(name: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make(name, **fields)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_one_lane_is_live(name: str) -> None:
    scenario, fields = SETTINGS[name]
    with pytest.raises(InputError, match="num_envs must be 1"):
        gym.make_vec(get_family(name).env_id, num_envs=2, scenario=scenario, backend="live", time_scale=2.0, **fields)


def test_what_cannot_be_carried_out_is_refused() -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("hiertrain", {"plans": "layers"}, "plans='layers', allowed for backend=live: hybrid"),
        ("hiertrain", {"share_links": True}, "share_links is true"),
        ("edgemove", {"action": "oracle"}, "action='oracle', allowed for backend=live"),
        ("edgemove", {"half_duplex": True}, "half_duplex is true"),
    )
    for name, fields, named in cases:
        with pytest.raises(InputError, match=named):
            make(name, **fields)
