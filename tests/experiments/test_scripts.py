"""The scripts in the repository's root end as the commands do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .. import ROOT


@pytest.mark.parametrize(
    ("script", "words", "told"),
    [
        (
            "train_agent.py",
            ["--scenario", "DB50"],
            r"splitgym-train: unknown scenario 'DB50'; did you mean DB-50, .* --list\n",
        ),
        pytest.param(
            "eval.py",
            ["--agents", "aofl,best"],
            r"splitgym-eval: --agents: unknown agent 'best' for distredge; known: those of --list, or a plan.json\n",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_input_ends_a_script_with_one_line_and_code_2(
    script: str, words: list[str], told: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / script), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(told, done.stderr)
    assert list(tmp_path.iterdir()) == []
