"""What came of every claim: quantities with their spread, verdicts, reasons, where the numbers come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ...envs import FAMILIES, Family
from ...envs.scenarios import Inputs
from ...ui.errors import InputError
from ..intervals import interval
from .leaderboard import Leaderboard
from .ledger import JobFailed, Ledger, lines_of, name_of
from .statement import Claim, Exhibit, Job, Setting, answer, jobs_of
from .verdict import Verdict, judge, judge_part


@dataclass(frozen=True)
class Paper:
    """A family whose paper's claims are known."""

    family: Family
    exhibits: tuple[Exhibit, ...]
    leaderboard: Leaderboard

    @property
    def short(self) -> str:
        """The system's name."""
        return self.family.title.partition(":")[0]


@dataclass(frozen=True)
class Quantity:
    """A part of a claim, measured: mean and interval over so many seeds, the paper's range, and whether they agree."""

    name: str
    mean: float
    lower: float
    upper: float
    seeds: int
    low: float
    high: float
    unit: str
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """What came of a claim under some inputs.

    Attributes:
        error: what went wrong where it could not be judged.
        jobs: what was run for it.
        provenance: of the tables and traces behind it.
    """

    inputs: Inputs
    verdict: Verdict
    quantities: list[Quantity]
    error: str
    jobs: list[str]
    provenance: list[str]


@dataclass(frozen=True)
class Entry:
    """A claim beside what came of it, by inputs; plain data, as reports and pages take it."""

    family: str
    exhibit: str
    key: str
    where: str
    says: str
    published: str
    basis: str
    fitted: bool
    reason: str
    command: str
    findings: list[Finding]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def papers(names: Sequence[str]) -> list[Paper]:
    """The papers that are asked for, by family; ``all`` is every one that is known.

    Raises:
        InputError: an unknown name.
    """
    known = {name: family for name, family in FAMILIES.items() if _module(family)}
    for name in names:
        if name != "all" and name not in known:
            raise InputError(f"--paper: unknown paper {name!r}; known: {', '.join(known)}, all")
    asked = list(known) if "all" in names else list(dict.fromkeys(names))
    return [paper(known[name]) for name in asked]


def paper(family: Family) -> Paper:
    """The claims of one family's paper."""
    module = import_module(_module(family))
    return Paper(family, module.EXHIBITS, module.LEADERBOARD)


def _module(family: Family) -> str:
    """Where a family's claims are; empty where it has none."""
    name = f"{family.experiments}.claims"
    return name if family.experiments and find_spec(name) else ""


def select(paper: Paper, only: Sequence[str]) -> Paper:
    """Of a paper, what is named: keys of exhibits or claims; everything where nothing is."""
    if not only:
        return paper
    kept = [
        Exhibit(e.key, e.where, e.title, tuple(c for c in e.claims if {e.key, c.key} & {*only}), e.draw, e.untested)
        for e in paper.exhibits
        if {e.key, *(c.key for c in e.claims)} & {*only}
    ]
    return Paper(paper.family, tuple(kept), paper.leaderboard)


def settings_of(claim: Claim, settings: Sequence[Setting]) -> list[Setting]:
    """Under what a claim is judged: where its inputs make no difference, once."""
    return list(settings[:1]) if claim.alike else list(settings)


def needed(paper: Paper, settings: Sequence[Setting], leaderboard: bool = True) -> list[Job]:
    """All jobs that judging and drawing a paper's claims takes."""
    jobs: list[Job] = []
    for exhibit in paper.exhibits:
        for claim in exhibit.claims:
            jobs += [job for setting in settings_of(claim, settings) for job in jobs_of(claim.measure, setting)]
        if exhibit.draw is not None:
            jobs += jobs_of(exhibit.draw, settings[0])
    return jobs + (jobs_of(paper.leaderboard.scores, settings[0]) if leaderboard else [])


def entries(paper: Paper, settings: Sequence[Setting], ledger: Ledger) -> Iterator[Entry]:
    """Every claim beside what came of it; figures of which nothing can be tested are entries, too."""
    for exhibit in paper.exhibits:
        for claim in exhibit.claims:
            found = [find(claim, setting, ledger) for setting in settings_of(claim, settings)]
            yield Entry(
                paper.family.name, exhibit.key, claim.key, exhibit.where, claim.says, claim.published, claim.basis,
                claim.fitted, claim.reason, command_of(paper.family.name, claim.key, settings), found,
            )  # fmt: skip
        if exhibit.untested and not exhibit.claims:
            untested = Finding(settings[0].inputs, "cannot be tested here", [], "", [], [])
            yield Entry(
                paper.family.name, exhibit.key, exhibit.key, exhibit.where, exhibit.title, "", "", False,
                exhibit.untested, "", [untested],
            )  # fmt: skip


def find(claim: Claim, setting: Setting, ledger: Ledger) -> Finding:
    """Judge a claim by the results in a ledger."""
    jobs = jobs_of(claim.measure, setting)
    names = [name_of(job) for job in jobs]
    records = [record for job in jobs if (record := ledger.find(job)) is not None]
    provenance = list(dict.fromkeys(line for record in records for line in lines_of(record)))
    try:
        parts = answer(claim.measure, setting, ledger.result)
    except JobFailed as error:
        return Finding(setting.inputs, "not resolved", [], str(error), names, provenance)
    quantities = [
        Quantity(p.name, *interval(p.samples), len(p.samples), p.low, p.high, p.unit, judge_part(p)) for p in parts
    ]
    return Finding(setting.inputs, judge(parts), quantities, "", names, provenance)


def command_of(family: str, key: str, settings: Sequence[Setting]) -> str:
    """What makes a row again."""
    quick = " --quick" if settings[0].quick else ""
    return f"splitgym-eval --paper {family} --only {key}{quick}"
