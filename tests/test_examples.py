"""What lies in examples/ does what it says, at budgets of seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import pytest
import yaml
from gymnasium.utils.env_checker import check_env

from splitgym.agents.registry import agents_of, make_agent
from splitgym.envs import FAMILIES, Family
from splitgym.envs.distredge.scenarios import Scenario
from splitgym.experiments import eval_command, train_command
from splitgym.experiments.options import family_from
from splitgym.experiments.play import evaluate
from splitgym.ui.validation import validated

from . import ROOT, refused, script, slow
from .command_line import by_agent

EXAMPLES = ROOT / "examples"
PLACE = "examples.fading:FAMILY"


@pytest.fixture
def fading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """The example's family among the known ones."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    family = family_from(PLACE)
    yield family
    del FAMILIES[family.name]
    del gym.registry[family.env_id]


def test_every_file_is_named_on_the_page() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name.startswith("__") or path.name in page, path.name


def test_the_environment_is_short(fading: Family) -> None:
    assert len((EXAMPLES / "fading.py").read_text(encoding="utf-8").splitlines()) < 100


@pytest.mark.filterwarnings("ignore:.*render:UserWarning")
def test_the_environment_is_one_for_gymnasium(fading: Family) -> None:
    for scenario in fading.scenarios:
        check_env(gym.make(fading.env_id, scenario=scenario).unwrapped, skip_render_check=True)


def test_lanes_of_the_environment_are_scalar_environments(fading: Family) -> None:
    lanes: Any = gym.make_vec(fading.env_id, num_envs=3, scenario="alexnet")
    scalars = [gym.make(fading.env_id, scenario="alexnet") for _ in range(3)]
    np.testing.assert_array_equal(lanes.reset(seed=5)[0], [env.reset(seed=5 + i)[0] for i, env in enumerate(scalars)])
    rng = np.random.default_rng(0)
    for _ in range(50):
        actions = rng.integers(lanes.single_action_space.n, size=3)
        observation, reward, terminated, _, info = lanes.step(actions)
        told = [env.step(action) for env, action in zip(scalars, actions, strict=True)]
        np.testing.assert_array_equal(observation, [t[0] for t in told])
        np.testing.assert_allclose(reward, [float(t[1]) for t in told])
        assert terminated.tolist() == [t[2] for t in told]
    np.testing.assert_allclose(info["latency_s"], [t[4]["latency_s"] for t in told])


@pytest.mark.parametrize("scenario", ["vgg16", "alexnet"])
def test_the_reference_is_the_optimum_of_the_environment(fading: Family, scenario: str) -> None:
    env = gym.make(fading.env_id, scenario=scenario)
    found = {name: evaluate(make_agent("fading", name, env), env, 3) for name in ("greedy", "device", "server")}
    assert found["greedy"]["regret_s"] == 0
    for name in ("device", "server"):
        assert found[name]["regret_s"] > 0
        gap_s = found[name]["latency_s"] - found["greedy"]["latency_s"]
        assert found[name]["regret_s"] == pytest.approx(gap_s)


@pytest.mark.parametrize("workers", ["1", *slow("2")])
def test_the_commands_take_the_environment(workers: str, fading: Family, tmp_path: Path) -> None:
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    assert train_command.main(["--env", PLACE, "--episodes", "16", "--track", "off", "--out", run]) == 0
    assert train_command.main(["--env", PLACE, "--resume", run, "--episodes", "32"]) == 0
    words = ["--env", PLACE, "--agents", "ppo,greedy,device", "--runs", run, "--episodes", "2", "--seeds", "1"]
    assert eval_command.main([*words, "--workers", workers, "--out", out]) == 0
    found = by_agent(out)
    assert set(found) == {"ppo", "greedy", "device"}
    assert found["greedy"]["regret_s"] == 0


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("examples.nothing:FAMILY", ("examples.nothing",)),
        ("examples.fading:NOTHING", ("examples.fading", "'NOTHING'")),
        ("examples.fading:FadingEnv", ("no Family",)),
        (":FAMILY", ("no module",)),
    ],
)
def test_an_environment_that_is_not_there_is_refused(place: str, words: tuple[str, ...], fading: Family) -> None:
    with refused(*words, start=f"--env {place}: "):
        family_from(place)


def test_an_environment_that_takes_another_ones_name_is_refused(fading: Family) -> None:
    FAMILIES[fading.name] = FAMILIES["l2s"]  # until the fixture forgets it
    with refused("'fading'"):
        family_from(PLACE)


def test_the_network_is_what_its_script_writes(tmp_path: Path) -> None:
    made = tmp_path / "net.onnx"
    script("examples/make_net.py").main(made)
    kept = EXAMPLES / "net.onnx"
    assert kept.stat().st_size < 100_000
    graphs = [onnx.load(path).graph for path in (made, kept)]
    assert [node.op_type for node in graphs[0].node] == [node.op_type for node in graphs[1].node]
    for one, other in zip(graphs[0].initializer, graphs[1].initializer, strict=True):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other))


def test_boards_play_with_their_measured_files() -> None:
    env: Any = gym.make("splitgym/DistrEdge-v0", scenario=str(EXAMPLES / "boards.yaml"), optimum=False)
    env.reset(seed=0)
    told = " ".join(env.unwrapped.dynamics.provenance)
    assert "amd-epyc: measured" in told
    assert "emulated" in told


def test_the_cluster_has_an_address_for_every_board() -> None:
    data = yaml.safe_load((EXAMPLES / "cluster.yaml").read_text(encoding="utf-8"))
    scenario = validated(Scenario, {"name": "cluster", **data}, "cluster.yaml")
    assert set(scenario.addresses or {}) == set(scenario.device_names)


def test_training_and_comparing_names_every_baseline() -> None:
    found = script("examples/train_and_compare.py").main(["--train-episodes", "16", "--episodes", "1"])
    baselines = {name for name, spec in agents_of("l2s").items() if spec.baseline or spec.reference}
    assert set(found) == {"ppo", *baselines}
    assert found["oracle"] == min(found.values())


def test_a_network_is_read_and_split(tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    found = script("examples/own_network.py").main(["--agents", "offload,aofl", "--out", str(out)])
    assert found["aofl"] < found["offload"]
    assert '"spatial"' in out.read_text(encoding="utf-8")


def test_sb3_learns_on_the_lanes() -> None:
    found = script("examples/sb3_ppo.py").main(["--steps", "1", "--lanes", "2"])
    assert 0 < found["optimal_s"] <= found["iteration_s"]


def test_ppo_in_one_file_learns() -> None:
    curve = script("examples/cleanrl_ppo.py").main(["--steps", "20000"])
    assert curve[-1] > curve[0] + 0.005  # means of 128 and 200 episodes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TorchRL's, about its next versions
def test_torchrl_learns() -> None:
    pytest.importorskip("torchrl")
    curve = script("examples/torchrl_ppo.py").main(["--steps", "18000"])
    assert curve[-1] > curve[0]


@pytest.mark.slow
def test_a_plan_runs_on_processes_of_this_machine(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "live_testbed.py"), "--images", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "2 outputs checked" in done.stdout
    assert list(tmp_path.iterdir()) == []
