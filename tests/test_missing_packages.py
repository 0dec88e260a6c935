"""Where only the base is installed, every command says in one line what to install for what it is asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN, LIVE = 'pip install "splitgym[train]"', 'pip install "splitgym[live]"'
PPO = f"agent ppo needs stable_baselines3: {TRAIN}"
COMMANDS = {
    ("profiling.measure.command", "--model lenet5"): f"splitgym-profile: needs torch: {TRAIN}",
    ("profiling.measure.command", "--model lenet5 --training"): f"splitgym-profile: needs torch: {TRAIN}",
    ("experiments.l2s.privacy", ""): f"python -m splitgym.experiments.l2s.privacy: needs torch: {TRAIN}",
    ("experiments.train_command", "--agent ppo"): f"splitgym-train: {PPO}",
    ("experiments.eval_command", "--agents ppo --workers 1"): f"splitgym-eval: {PPO}",
    (
        "experiments.train_command",
        "--env deprune --env-kwargs backend=train",
    ): f'splitgym-train: backend "train" needs torch: {TRAIN}',
    ("runtime.keys_command", "make controller"): f"splitgym-keys: needs zmq: {LIVE}",
    ("runtime.worker_command", "--key none.key"): f"splitgym-worker: needs torch: {TRAIN}",
    ("experiments.live.run_command", "offload --testbed DB-50"): f"splitgym-run: needs msgspec: {LIVE}",
    ("experiments.live.testbed_command", "DB-50"): f"splitgym-testbed: needs msgspec: {LIVE}",
    (
        "experiments.train_command",
        "--agent offload --backend live",
    ): f"splitgym-train: DistrEdge: backend=live needs msgspec: {LIVE}",
}
CHILD = """
import importlib, json, sys
for name in ("torch", "stable_baselines3", "sklearn", "wandb", "onnx", "zmq", "msgspec", "safetensors"):
    sys.modules[name] = None
for name, words in json.loads(sys.argv[1]):
    code = importlib.import_module(f"splitgym.{name}").main(words.split())
    print(code, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[str, str]]:
    """The last line of every command, and its exit code."""
    folder = tmp_path_factory.mktemp("base")
    words = [sys.executable, "-c", CHILD, json.dumps(list(COMMANDS))]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert list(Path(folder).iterdir()) == []
    lines = done.stderr.splitlines()
    ends = [number for number, line in enumerate(lines) if line.isdigit()]
    return {command: (lines[end - 1], lines[end]) for command, end in zip(COMMANDS, ends, strict=True)}


@pytest.mark.parametrize(("command", "line"), COMMANDS.items())
def test_what_to_install_is_one_line(
    command: tuple[str, str], line: str, told: dict[tuple[str, str], tuple[str, str]]
) -> None:
    found, code = told[command]
    assert (re.sub(r": \S*/pip", ": pip", found), code) == (line, "2")  # a path where pip is no shell's
