"""Where runs and results go, and what they say of the software that made them."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..agents.run_folder import CONFIG, RunFolder
from ..models.own.names import model_title, without_size
from ..ui.claims import claimed, claimed_new
from ..ui.errors import InputError
from ..ui.files import writing

PACKAGES = ("splitgym", "numpy", "gymnasium", "torch", "stable-baselines3", "wandb")


@contextmanager
def claimed_out(path: Path, holds: str = CONFIG) -> Iterator[None]:
    """A folder to write into, new or empty, for this process alone.

    Raises:
        InputError: it is neither, or another process is writing there.
    """
    where = f"--out {path}"
    with writing(where):
        _check_free(path, holds)
    with claimed(path, where):
        _check_free(path, holds)  # another process may have been faster
        yield


def _check_free(path: Path, holds: str) -> None:
    if (path / holds).exists():
        what = "a run; go on with --resume, or" if holds == CONFIG else "results;"
        raise InputError(f"--out {path}: already holds {what} name another folder")
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: is a file, allowed: a new or empty folder")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"--out {path}: is not empty, allowed: a new or empty folder")


def file_stem(text: str) -> str:
    """A text as a plain file name."""
    return re.sub(r"[^\w.+-]+", "_", text)


def run_name(scenario: str, options: Mapping[str, Any]) -> str:
    """What a scenario is called in names of runs: with the network that was put into it, if any."""
    model = options.get("model")
    if not isinstance(model, str):  # none, or an option of one's own environment
        return scenario
    return f"{scenario}-{model_title(without_size(model)).removesuffix('.onnx')}"


def claimed_run(stem: str) -> AbstractContextManager[Path]:
    """The first of runs/<stem>-1, runs/<stem>-2, ... that is new, for this process alone."""
    return claimed_new(Path("runs") / file_stem(stem))


def find_runs(paths: Sequence[str]) -> list[tuple[RunFolder, bool]]:
    """Run folders named directly, or lying in a named folder.

    Returns:
        (run, whether it was named directly), in order.

    Raises:
        InputError: a folder that neither is a run nor holds any.
    """
    found: list[tuple[RunFolder, bool]] = []
    for text in paths:
        path = Path(text)
        if not path.is_dir():
            raise InputError(f"--runs {path}: is not a folder; allowed: run folders, or folders that hold some")
        inside = [RunFolder(p) for p in sorted(path.iterdir()) if (p / CONFIG).is_file()]
        if (path / CONFIG).is_file():
            found.append((RunFolder(path), True))
        elif inside:
            found += [(run, False) for run in inside]
        else:
            raise InputError(f"--runs {path}: neither is a run folder ({CONFIG} is missing) nor holds any")
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what comes out; absent ones are left out."""
    return {"python": sys.version.split()[0], **_packages()}


@functools.cache
def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))
