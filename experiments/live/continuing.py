"""What a live run writes while it goes on, so that one which was stopped goes on behind its last result."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ui.console import called
from ...ui.errors import InputError
from ...ui.files import write_text

if TYPE_CHECKING:
    from ...runtime.journal import Journal
    from ...runtime.requester import Item

PROG = "splitgym-run"
JOB, JOURNAL = "job.json", "journal.jsonl"
FINGERPRINTS = ("data", "model")  # of a training's record, which say nothing to a person


@contextmanager
def continued(folder: Path, job: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of a run.

    Args:
        folder: new and empty, or of a run that goes on.
        job: of the run; plain data.
    """
    from ...runtime.journal import open_journal

    if not (folder / JOB).exists():
        write_text(folder / JOB, json.dumps(job, indent=1) + "\n")
    with open_journal(folder / JOURNAL) as journal:
        try:
            yield journal
        finally:
            if not journal.next:  # nothing that could go on
                (folder / JOB).unlink()
                (folder / JOURNAL).unlink()


def check_folder(folder: Path | None) -> None:
    """See that there is a run's folder to go on in, where one is named.

    Raises:
        InputError: there is none.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"--resume {folder}: is not a folder; name that of a run that was stopped")


def check_same(folder: Path, job: Mapping[str, Any], images: int) -> None:
    """See that a run may go on.

    Args:
        folder: of the run that was stopped.
        job: what it must have in common with the one that goes on; plain data.
        images: of all.

    Raises:
        InputError: there is nothing to go on with, nothing left to do, or it was another job.
    """
    from ...runtime.journal import open_journal

    path, job = folder / JOB, json.loads(json.dumps(job))
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"--resume {folder}: holds no run that was begun ({JOB} is missing)") from None
    refuse_another(folder, known, job)
    with open_journal(folder / JOURNAL) as journal:
        done = journal.next
    if done >= images:
        raise InputError(f"--resume {folder}: all {done} images went through")


def refuse_another(folder: Path, known: Mapping[str, Any], job: Mapping[str, Any]) -> None:
    """A run goes on as it was begun.

    Raises:
        InputError: names what is asked for otherwise, with both values where they are short.
    """
    for name, value in job.items():
        before = known.get(name)
        if before != value:
            long = isinstance(before or value, (dict, list)) or name in FINGERPRINTS
            what = f"another {name}" if long else f"{name} {before}, not {value}"
            raise InputError(f"--resume {folder}: was begun with {what}; it goes on as it was begun")


def go_on(words: Sequence[str], folder: Path) -> str:
    """The command that goes on in a run's folder, from the words of the one that was stopped."""
    again = [re.sub(r"^--out(?=$|=)", "--resume", word) for word in words]
    if not any(re.match(r"--resume(?=$|=)", word) for word in again):
        again += ["--resume", str(folder)]
    return f"{called(PROG)} {shlex.join(again)}"


def delivery(item: Item, scale: float) -> dict[str, Any]:
    """A delivery as the journal holds it; the latency is the devices'."""
    digest = hashlib.sha256()
    for output in item.outputs:
        digest.update(output.tobytes())
    return {
        "latency_s": item.latency_s / scale,
        "valid": item.overrun_s <= 0,
        "overrun_s": item.overrun_s,
        "epoch": item.epoch,
        "attempts": item.attempts,
        "output_sha256": digest.hexdigest(),
    }
