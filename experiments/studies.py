"""Studies: many small trainings, kept one by one, so that a study that was stopped goes on with the next of them.

A *trial* is one training: what comes of it follows from its settings, the images and nothing else. It is a file of its
own as soon as it is done; which worker process did it, and in which order, has no say.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.validation import read_json, shown
from .executors import processes
from .executors.work import Executor, OnShare, Work
from .out_folders import plain

if TYPE_CHECKING:
    from ..models.layers import Shape
    from ..runtime.training.data import Dataset

SCHEMA = 1
TEST_IMAGES = 1000  # of a folder, to test on

Settings = Mapping[str, Any]
Result = dict[str, Any]
Train = Callable[[Settings, "Dataset", OnShare], Result]
Timed = tuple[Result, float]  # with CPU seconds
Record = Mapping[str, Any]  # a trial's settings, its result, its data and its seconds


@dataclass(frozen=True)
class Trial:
    """One training of a study.

    Attributes:
        name: of its file, unique in the study.
        settings: all that its result depends on but the images; plain data.
        work: how long it takes, beside the others.
    """

    name: str
    settings: Settings
    work: float = 1.0


@dataclass(frozen=True)
class Images:
    """Where the images of a study are.

    Attributes:
        folder: as :func:`...runtime.training.data.load_images` takes it; None for the digits.
        shape: of the networks' input.
        test: how many at most to test on; None for all.
    """

    folder: str | None
    shape: Shape
    test: int | None = TEST_IMAGES

    def load(self) -> Dataset:
        """The images, in memory until others are asked for.

        Raises:
            InputError: they cannot be read.
        """
        return _load(self)


@lru_cache(maxsize=1)
def _load(images: Images) -> Dataset:
    from ..runtime.training.data import load_images

    return load_images(images.folder, images.shape, test_limit=images.test)


@dataclass(frozen=True)
class Place:
    """A folder with the files of trials on some images.

    Attributes:
        folder: is there.
        data: name and fingerprint of the images, and how many there are.
    """

    folder: Path
    data: Mapping[str, Any]

    def file(self, trial: Trial) -> Path:
        """Where a trial's record lies."""
        return self.folder / f"{trial.name}.json"

    def find(self, trial: Trial) -> Record | None:
        """The record of a trial that is done.

        Raises:
            InputError: its file holds something else.
        """
        path = self.file(trial)
        if not path.exists():
            return None
        record = read_json(path, schema=SCHEMA)
        for what, mine in (("data", self.data), ("settings", trial.settings)):
            theirs, mine = record.get(what), plain(mine)
            if not isinstance(theirs, dict) or "result" not in record:
                raise InputError(f"{path}: is not the record of a training; remove it or choose another --out")
            for name in sorted({*theirs, *mine}):
                if theirs.get(name) != mine.get(name):
                    raise InputError(
                        f"{path}: is a training with other {what}: {name} is {shown(theirs.get(name))} there, "
                        f"{shown(mine.get(name))} is asked for; choose another --out"
                    )
        return record

    def keep(self, trial: Trial, result: Result, seconds: float) -> Record:
        """Write a trial's record, whole or not at all."""
        record = {
            "schema": SCHEMA, "settings": trial.settings, "data": self.data, "machine": machine(),
            "seconds": round(seconds, 2), "result": result,
        }  # fmt: skip
        write_text(self.file(trial), json.dumps(record) + "\n")
        return {name: value for name, value in plain(record).items() if name != "schema"}


def described(data: Dataset) -> dict[str, Any]:
    """What a record says of its images."""
    counts = {"train_images": len(data.train_labels), "test_images": len(data.test_labels)}
    return {"name": data.name, "fingerprint": data.fingerprint, "classes": len(data.classes), **counts}


def machine() -> str:
    """Where a training ran: the last bits of its numbers may depend on it."""
    return f"{platform.machine()}, one thread, torch {version('torch')}"


def provenance(command: str, records: Sequence[Record]) -> dict[str, Any]:
    """Where numbers that ship come from."""
    data = records[0]["data"]
    images = f"{data['name']}, {data['train_images']} training and {data['test_images']} test images"
    return {
        "data": images,
        "fingerprint": data["fingerprint"],
        "machine": ", ".join(sorted({record["machine"] for record in records})),
        "command": command,
        "date": datetime.date.today().isoformat(),
        "trainings": len(records),
        "cpu_s": round(sum(record["seconds"] for record in records)),
    }


def carry_out(
    trials: Sequence[Trial],
    train: Train,
    images: Images,
    place: Place,
    workers: int,
    on_progress: Callable[[float, str], None],
) -> list[Record]:
    """Do the trials that are not done yet.

    Args:
        trials: in the order in which they are begun.
        train: does one; importable by name where there are several workers.
        place: where they are kept.
        workers: processes; 1 works in this one.
        on_progress: called with the share of all work that is done, and a text.

    Returns:
        All records, in the order of the trials.

    Raises:
        InputError: a file is in the way, or a training refuses its settings.
        KeyboardInterrupt: with a text that says what is kept.
    """
    records = {trial.name: record for trial in trials if (record := place.find(trial)) is not None}
    missing = [trial for trial in trials if trial.name not in records]
    whole = sum(trial.work for trial in trials)
    done = sum(trial.work for trial in trials if trial.name in records)

    shares: dict[str, float] = {}

    def show(work: Work[Timed], share: float) -> None:
        shares[work.name] = share * work.weight
        text = f"training {len(records) + 1} of {len(trials)}: {work.name}"
        on_progress((done + sum(shares.values())) / whole, text)

    works = [Work(trial.name, _timed, (train, trial.settings, images), trial.work) for trial in missing]
    by_name = {trial.name: trial for trial in missing}
    try:
        with closing(processes.carry_out(works, Executor(workers), show)) as results:
            for work, (result, seconds) in results:
                records[work.name] = place.keep(by_name[work.name], result, seconds)
                shares[work.name] = work.weight
                on_progress((done + sum(shares.values())) / whole, f"{len(records)} of {len(trials)} trainings")
    except KeyboardInterrupt:
        kept = f"{len(records)} of {len(trials)} trainings are kept in {place.folder}, the same command goes on there"
        raise KeyboardInterrupt(f"interrupted; {kept}") from None
    return [records[trial.name] for trial in trials]


def _timed(train: Train, settings: Settings, images: Images, on_share: OnShare) -> Timed:
    """(result, CPU seconds) of a trial, on one thread."""
    from ..runtime.training.half import numerics

    data = images.load()
    begun = os.times()
    with numerics(1):
        result = train(settings, data, on_share)
    ended = os.times()
    return result, ended.user + ended.system - begun.user - begun.system


def by_settings(records: Sequence[Record], *names: str) -> dict[tuple[Any, ...], list[Record]]:
    """Records that agree on some settings, in the order in which such first come."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        found.setdefault(tuple(record["settings"][name] for name in names), []).append(record)
    return found
