"""Command lines in the test's own process: what they print and leave behind, and how they refuse bad input."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitgym.ui.files import replacing

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Called:
    """What a command printed."""

    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """Lines on stderr."""
        return self.err.splitlines()

    @property
    def written(self) -> set[str]:
        """The files that an evaluation says it has written."""
        (names,) = re.findall(r"^written to \S+: (.*)$", self.out, re.MULTILINE)
        return set(names.split(", "))


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        prog: what its messages begin with.
        main: its function.
        words: in front of all others.
    """

    prog: str
    main: Callable[[Sequence[str] | None], int]
    words: tuple[str, ...] = ()

    def of(self, *words: str) -> Command:
        """The same with words that every call begins with."""
        return replace(self, words=(*self.words, *words))

    def __call__(self, *words: str, code: int = 0) -> Called:
        """Run it; it must end with this exit code."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            found = self.main([*self.words, *words])
        assert found == code, f"{self.prog} {' '.join(words)} ends with {found}: {err.getvalue()}"
        return Called(out.getvalue(), err.getvalue())

    def refuses(self, words: str | Sequence[str], named: str, progress: str | None = None) -> str:
        """It ends with one line on stderr that holds ``named``, and leaves this folder as it was; returns the line.

        Args:
            words: of the call; a text is split as a shell would.
            named: what is wrong and what is allowed.
            progress: what lines begin with that may come before.
        """
        before = contents()
        called = self(*(shlex.split(words) if isinstance(words, str) else words), code=2)
        assert called.out == ""
        assert called.err.endswith("\n")
        (line,) = [line for line in called.told if progress is None or not line.startswith(progress)]
        assert line.startswith(f"{self.prog}: ")
        assert named in line
        assert contents() == before
        return line


def contents() -> dict[str, bytes | None]:
    """Everything below this folder; folders have no bytes."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def files(folder: str | Path = ".") -> set[str]:
    """Paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def names(folder: str | Path = ".") -> list[str]:
    """What lies in a folder, folders too."""
    return sorted(path.name for path in Path(folder).iterdir())


def read(path: str | Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(Path(path).read_text())


def edit(path: str | Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    Path(path).write_text(json.dumps({**read(path), **changes}))


def rows(path: str | Path) -> list[dict[str, str]]:
    """A CSV file."""
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def metrics(run: str | Path, agent: str) -> dict[str, float]:
    """Those of an agent in the table of a training."""
    return next(row["metrics"] for row in read(f"{run}/result.json")["results"] if row["agent"] == agent)


def values(out: str | Path, metric: str) -> dict[tuple[str, str, int], float]:
    """A metric in the results of an evaluation: (scenario, agent, seed) -> value."""
    found = [row for row in rows(f"{out}/results.csv") if row["metric"] == metric]
    return {(row["scenario"], row["agent"], int(row["seed"])): float(row["value"]) for row in found}


def by_agent(out: str | Path) -> dict[str, dict[str, float]]:
    """The results of an evaluation on one scenario with one seed: agent -> metric -> value."""
    found: dict[str, dict[str, float]] = {}
    for row in rows(f"{out}/results.csv"):
        assert row["metric"] not in found.setdefault(row["agent"], {})
        found[row["agent"]][row["metric"]] = float(row["value"])
    return found


def tracked(run: str | Path) -> list[dict[str, Any]]:
    """What W&B's own tool reads in the only offline run below a folder."""
    (log,) = Path(run).glob("wandb/offline-run-*/*.wandb")
    wandb = shutil.which("wandb", path=sysconfig.get_path("scripts"))
    assert wandb is not None
    command = [wandb, "leet", "inspect", "--json", str(log)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(line) for line in answer.splitlines()]


def interrupted(*_: Any) -> Any:
    """Ctrl-C, in place of any function."""
    raise KeyboardInterrupt


def sketch(_: Any, path: Path) -> None:
    """In place of ``save_figure``: the head of a PNG and nothing else, since to draw takes longer than all the rest."""
    with replacing(path) as temporary:
        temporary.write_bytes(PNG)
