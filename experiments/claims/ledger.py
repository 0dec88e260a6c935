"""Results of jobs, each kept as soon as it is there, so that a report that was stopped goes on with the next."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ... import agents, envs, models, profiling, runtime
from ...ui.files import write_text, writing
from ...ui.validation import read_json
from ..executors.processes import carry_out
from ..executors.work import Executor, Work
from ..out_folders import file_stem, plain, versions
from .statement import Job

SCHEMA = 1
DECIDING = (agents, envs, models, profiling, runtime)  # packages whose code decides what a job gives
OnProgress = Callable[[float, str], None]


class JobFailed(Exception):
    """A job ended with an error; the text names it."""


def name_of(job: Job) -> str:
    """A job as people write it: function and arguments."""
    module = job.function.__module__.removeprefix("splitgym.experiments.")
    told = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(job.arguments.items()))
    return f"{module}.{job.function.__qualname__}({told})"


def unique(jobs: Iterable[Job]) -> list[Job]:
    """Jobs, each once, in order."""
    return list({name_of(job): job for job in jobs}.values())


@dataclass
class Ledger:
    """A folder of results, one file a job; or results that were read from elsewhere.

    Attributes:
        folder: where they are; None keeps nothing.
        any_code: whether results count that other code has computed.
        records: by name of the job, of those that are known.
    """

    folder: Path | None
    any_code: bool = False
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def file(self, job: Job) -> Path:
        """Where a job's result lies."""
        assert self.folder is not None
        name = name_of(job)
        stem = file_stem(name.partition("(")[0])
        return self.folder / f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"

    def find(self, job: Job) -> dict[str, Any] | None:
        """The record of a job that was done, by this code."""
        name = name_of(job)
        if name not in self.records and self.folder is not None and self.file(job).is_file():
            self.records[name] = read_json(self.file(job), schema=SCHEMA)
        record = self.records.get(name)
        if record is None or not (self.any_code or record["code"] == code_of(job.function)):
            return None
        return record

    def result(self, job: Job) -> Any:
        """What a job gave.

        Raises:
            JobFailed: it ended with an error, or was not done.
        """
        record = self.find(job)
        if record is None:
            raise JobFailed(f"{name_of(job)} has not been run")
        if record["error"]:
            raise JobFailed(f"{name_of(job)}: {record['error']}")
        return record["result"]

    def keep(self, job: Job, outcome: Outcome) -> None:
        """Keep what came of a job; an error for now only, so that the next time tries again."""
        record = {
            "schema": SCHEMA, "job": name_of(job), "code": code_of(job.function), "versions": versions(),
            "seconds": round(outcome.seconds, 3), "error": outcome.error, "result": outcome.result,
        }  # fmt: skip
        self.records[name_of(job)] = plain(record)
        if self.folder is not None and not outcome.error:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.file(job), json.dumps(record) + "\n")


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its result, or what went wrong."""

    result: Any
    seconds: float
    error: str = ""


@cache
def code_of(function: Callable[..., Any]) -> str:
    """A digest of what decides a job's result: the suite's code and data, the function's module, its family's data."""
    module = Path(inspect.getfile(function))
    digest = hashlib.sha256(module.read_bytes())
    for path in sorted(path for folder in module.parents[:2] for path in folder.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(_code_of_packages().encode())
    return digest.hexdigest()[:16]


@cache
def _code_of_packages() -> str:
    digest = hashlib.sha256()
    for package in DECIDING:
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".json", ".yaml", ".csv"):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def share_done(jobs: Sequence[Job], ledger: Ledger) -> float:
    """How much of the work of some jobs needs not be done again, 0..1."""
    seconds = {name_of(job): (job.seconds, ledger.find(job) is not None) for job in jobs}.values()
    return sum(s for s, done in seconds if done) / (sum(s for s, _ in seconds) or 1.0)


def run(jobs: Sequence[Job], ledger: Ledger, executor: Executor, on_progress: OnProgress) -> list[str]:
    """Do the jobs that are not done yet, the long ones first; those that tolerate nothing beside them last.

    Args:
        executor: where; results do not depend on it.
        on_progress: called with the share of all work that is done, and a text.

    Returns:
        What went wrong, a line for every job that failed.
    """
    jobs = unique(jobs)
    whole = sum(job.seconds for job in jobs) or 1.0
    missing = [job for job in jobs if ledger.find(job) is None]
    done_s = whole - sum(job.seconds for job in missing)
    count, failed = len(jobs) - len(missing), []
    shares: dict[str, float] = {}

    def show(work: Work[Outcome], share: float) -> None:
        shares[work.name] = share * work.weight
        on_progress((done_s + sum(shares.values())) / whole, f"{count} of {len(jobs)} jobs  {work.name}")

    together = sorted((job for job in missing if not job.exclusive), key=lambda job: -job.seconds)
    for batch, where in ((together, executor), ([job for job in missing if job.exclusive], Executor())):
        by_name = {name_of(job): job for job in batch}
        works = [Work(name, attempt, (job.function, dict(job.arguments)), job.seconds) for name, job in by_name.items()]
        for work, outcome in carry_out(works, where, show):
            ledger.keep(by_name[work.name], outcome)
            count += 1
            if outcome.error:
                failed.append(f"{work.name}: {outcome.error}")
            show(work, 1.0)
    return failed


def attempt(function: Callable[..., Any], arguments: dict[str, Any], on_share: Callable[[float], None]) -> Outcome:
    """Call a job's function; what it raises is told, since one job's error must not end the others."""
    begun = time.perf_counter()
    try:
        result = plain(function(**arguments))
    except Exception as error:
        return Outcome(None, time.perf_counter() - begun, f"{type(error).__name__}: {error}")
    return Outcome(result, time.perf_counter() - begun)


def lines_of(record: dict[str, Any]) -> list[str]:
    """Where a result's numbers come from, as the job tells."""
    result = record["result"]
    return list(result.get("provenance", ())) if isinstance(result, dict) else []
