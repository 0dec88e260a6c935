"""Train the agents that the suite ships, one a family, on its default scenario.

    python benchmarks/pretrain.py [FAMILY ...]

Each becomes agents/pretrained/<family>: what it was asked, its model, and the results at its end, which a test holds
it to. The trainings take some minutes on one core.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from splitgym.agents.run_folder import RunFolder
from splitgym.agents.saved import PRETRAINED
from splitgym.experiments.train_command import PROG, main

KEPT = ("config.json", "result.json", "model")
TRAININGS = {
    "distredge": ("--agent", "risk-seeking"),
    "l2s": ("--agent", "ppo", "--hyperparams", "policy_kwargs={net_arch: [24, 24]}"),
    "edgemove": ("--agent", "ppo", "--episodes", "6400", "--hyperparams", "policy_kwargs={net_arch: [32, 32]}"),
    "hiertrain": ("--agent", "ppo"),
    "deprune": ("--agent", "ppo"),
}


def pretrain(family: str) -> None:
    """Train one of them and keep what is needed to play it and to train it again."""
    words = ["--env", family, *TRAININGS[family], "--seed", "0", "--track", "off"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        assert main([*words, "--out", str(run)]) == 0
        found = RunFolder(run)
        found.write_config(replace(found.read_config(), command=[PROG, *words]))
        target = PRETRAINED / family
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in KEPT:
            shutil.move(str(run / name), target / name)


if __name__ == "__main__":
    for name in sys.argv[1:] or TRAININGS:
        pretrain(name)
