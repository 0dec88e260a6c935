"""The run folder: everything about one training, each file whole or not there.

| file | what |
| --- | --- |
| config.json | what was asked, resolved: scenario, options, hyperparameters, seed, budget, versions, command |
| model/ | what the learner saved, with progress.json: how far it had come |
| curve.csv, learning_curve.png | the learning curve |
| plan.json, timeline.png | the plan that the agent plays |
| result.json | the final table |
| wandb/, tensorboard/ | where it was tracked |
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..ui.errors import InputError
from ..ui.files import write_text, writing
from ..ui.validation import Count, Whole, read_json, validated
from .protocol import Learner

SCHEMA = 1
CONFIG = "config.json"
Tracked = Literal["off", "offline", "online", "tensorboard"]


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked to do, with everything resolved.

    Attributes:
        env: family name.
        scenario: name or path that makes the env; ``scenario_name`` is what it calls itself.
        settings: every field of the scenario.
        env_kwargs: options that the agent's env was made with.
        agent, hyperparams, seed: the agent.
        episodes, steps: the budget; both None for the agent's own.
        track: how it is tracked; ``track_id`` names the run there.
        versions, command, started: where it comes from.
        fingerprint: of all inputs of the env, tables and traces included; empty where it has none.
    """

    env: str
    scenario: str
    scenario_name: str
    settings: Mapping[str, Any]
    env_kwargs: Mapping[str, Any]
    agent: str
    hyperparams: Mapping[str, Any]
    seed: Whole
    episodes: Count | None
    steps: Count | None
    track: Tracked
    track_id: str
    versions: Mapping[str, str]
    command: Sequence[str]
    started: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        episodes, steps, share: as in :class:`splitgym.agents.protocol.Report`.
        best: best headline value so far.
        seconds: time spent on training.
    """

    episodes: int = 0
    steps: int = 0
    share: float = 0.0
    best: float | None = None
    seconds: float = 0.0


class RunFolder:
    """A run on disk. Reading never changes it, except :meth:`recover`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunFolder:
        """A new run in a folder that is new or empty.

        Raises:
            InputError: the folder cannot be made or written.
        """
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        folder.write_config(config)
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            InputError: the folder is no run.
        """
        if not path.is_dir():
            raise InputError(f"{path}: is not a folder; a run folder has {CONFIG} and model/")
        if not (path / CONFIG).is_file():
            raise InputError(f"{path}: is not a run folder, {CONFIG} is missing")
        return cls(path)

    def clear(self) -> None:
        """Take everything away again but the folder, which whoever claimed it takes away."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

    def write_config(self, config: RunConfig) -> None:
        self.write_json(CONFIG, {"schema": SCHEMA, **asdict(config)})

    def read_config(self) -> RunConfig:
        """The config.

        Raises:
            InputError: names the file and the field that is wrong.
        """
        path = self.path / CONFIG
        return validated(RunConfig, read_json(path, schema=SCHEMA), str(path), exact=True)

    def checkpoint(self, learner: Learner, progress: Progress, curve: Sequence[Mapping[str, float]]) -> None:
        """Save the learner and how far it has come; a crash in between leaves the last checkpoint.

        Raises:
            InputError: it cannot be written; the last checkpoint stays.
        """
        new, old, model = self.path / ".model.new", self.path / ".model.old", self.path / "model"
        shutil.rmtree(new, ignore_errors=True)
        try:
            with writing(model):
                new.mkdir()
                learner.save(new)
                write_text(new / "progress.json", json.dumps(asdict(progress), indent=1) + "\n")
                self.write_curve(curve)
                shutil.rmtree(old, ignore_errors=True)
                if model.exists():
                    model.rename(old)
                new.rename(model)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

    def recover(self) -> None:
        """Clear away what a killed run left behind: half-written files, a model that was about to be replaced."""
        model, old = self.path / "model", self.path / ".model.old"
        if not model.exists() and old.exists():
            old.rename(model)
        for leftover in (old, self.path / ".model.new"):
            shutil.rmtree(leftover, ignore_errors=True)
        for temporary in self.path.glob(".*.tmp"):
            temporary.unlink()

    @property
    def _model(self) -> Path:
        """The last checkpoint; a killed run may have left it under the name it has while it is replaced."""
        model = self.path / "model"
        return model if model.is_dir() else self.path / ".model.old"

    @property
    def has_model(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self._model / "progress.json").is_file()

    def read_progress(self) -> Progress:
        """How far the last checkpoint is.

        Raises:
            InputError: there is none, or it is broken.
        """
        model = self._model
        if not (model / "progress.json").is_file():
            raise InputError(f"{self.path}: holds no trained model (model/progress.json is missing)")
        path = model / "progress.json"
        data, known = read_json(path), [field.name for field in fields(Progress)]
        if set(data) != set(known):
            raise InputError(f"{path}: needs exactly the fields {', '.join(known)}")
        return validated(Progress, data, str(path), exact=True)

    def load_model(self, learner: Learner) -> Progress:
        """Load the last checkpoint into a learner.

        Raises:
            InputError: there is none, or it is broken.
        """
        model, progress = self._model, self.read_progress()
        try:
            learner.load(model)
        except InputError:
            raise
        except Exception as error:  # whatever a library says about a damaged file
            raise InputError(f"{model}: cannot be loaded ({type(error).__name__}: {_first_line(error)})") from None
        return progress

    def write_curve(self, curve: Sequence[Mapping[str, float]]) -> None:
        """Write curve.csv, one line a report; columns that came later are empty before."""
        columns = list(dict.fromkeys(name for row in curve for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(curve)
        write_text(self.path / "curve.csv", text.getvalue())

    def read_curve(self, episodes: int) -> list[dict[str, float]]:
        """The learning curve up to the checkpoint at ``episodes``."""
        path = self.path / "curve.csv"
        if not path.is_file():
            return []
        try:
            with path.open(newline="") as file:
                rows = [
                    {k: int(v) if v.isdigit() else float(v) for k, v in row.items() if v}
                    for row in csv.DictReader(file)
                ]
        except (ValueError, AttributeError, TypeError):
            raise InputError(f"{path}: is damaged; allowed: a header and lines of numbers") from None
        return [row for row in rows if row.get("episodes", 0) <= episodes]

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(data, indent=1, allow_nan=False) + "\n")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
