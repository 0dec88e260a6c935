"""What all commands tell: on any terminal, of what the system refuses, and which words can be copied."""

import argparse
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from splitgym.ui.console import MOST_SEED, called, entry, seed_number, stdout, whole
from splitgym.ui.programs import install, needs, program

PIP = program("pip")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_shows_something(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))

    def body(argv: object) -> int:
        stdout().print("▸ α ≤ 3 … 漢")
        return 0

    assert entry("test", body, None) == 0
    sys.stdout.flush()
    shown = raw.getvalue().decode(encoding).strip()
    assert shown == {"utf-8": "▸ α ≤ 3 … 漢", "cp1252": "> a <= 3 … ?"}.get(encoding, "> a <= 3 ... ?")


def fails(error: BaseException) -> Any:
    def body(argv: object) -> NoReturn:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a.csv"), "prog: a.csv: No space left on device\n"),
        (OSError(28, "No space left on device"), "prog: standard output: No space left on device\n"),
        (ModuleNotFoundError(name="torch"), f'prog: needs torch: {PIP} install "splitgym[train]"\n'),
        (ModuleNotFoundError(name="sklearn.datasets"), f'prog: needs sklearn: {PIP} install "splitgym[train]"\n'),
        (ModuleNotFoundError(name="zmq"), f'prog: needs zmq: {PIP} install "splitgym[live]"\n'),
        (ModuleNotFoundError(name="rare"), "prog: needs the package rare, which is not installed\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry("prog", fails(error), None) == 2
    assert capsys.readouterr().err == line


PRINTS = "import sys; from splitgym.ui.console import entry; sys.exit(entry('prog', lambda _: print('x' * 99999), []))"


def test_ctrl_c_that_comes_twice_says_what_the_first_had_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_: object) -> int:
        try:
            raise KeyboardInterrupt("interrupted; half is kept")
        finally:
            raise KeyboardInterrupt

    assert entry("prog", body, []) == 130
    assert capsys.readouterr().err == "prog: interrupted; half is kept\n"


@pytest.mark.parametrize("text", ["-1", "4294967296", "1" + "0" * 5000, "x", "²"])
def test_seeds_have_a_limit(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"allowed: a whole number from 0 to 4294967295$"):
        seed_number(text)
    assert seed_number("4294967295") == MOST_SEED


@pytest.mark.parametrize("text", ["1000000001", "9" * 21])
def test_counts_have_a_limit(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"is '{text}', allowed: at most 1000000000$"):
        whole(text)


def test_output_without_room_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", PRINTS], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "prog: standard output: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{shlex.join([sys.executable, '-c', PRINTS])} | head -c 9"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("x" * 9, "")


def test_programs_are_named_as_a_shell_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "an env" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "tool"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    assert program("tool") == shlex.quote(str(folder / "tool"))
    monkeypatch.chdir(tmp_path)
    assert program("tool") == "'an env/bin/tool'"
    monkeypatch.setattr(sys, "argv", ["train_agent.py"])
    assert called("tool") == "'an env/bin/python' train_agent.py"
    monkeypatch.setattr(sys, "argv", [str(folder / "tool")])
    assert called("tool") == "'an env/bin/tool'"
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert program("tool") == called("tool") == "tool"
    assert program("nowhere") == "nowhere"


def test_packages_are_installed_by_the_python_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("python", "pip"):
        (tmp_path / ".venv/bin" / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    assert needs("optuna") == 'needs optuna: .venv/bin/pip install "splitgym[tune]"'
    assert needs("ray") == 'needs ray: .venv/bin/pip install "splitgym[ray]"'
    assert needs("wandb_workspaces") == 'needs wandb_workspaces: .venv/bin/pip install "splitgym[dashboard]"'
    assert install("onnx", "onnxscript") == ".venv/bin/pip install onnx onnxscript"
