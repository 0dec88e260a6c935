"""The committed results of claims: what full runs have kept, judged anew whenever it is read."""

from __future__ import annotations

import datetime
import json
from functools import cache
from pathlib import Path
from typing import Any

import benchmarked

from splitgym.experiments.claims.findings import Entry, needed, papers
from splitgym.experiments.claims.ledger import Ledger, name_of, unique
from splitgym.experiments.claims.report import Section, section
from splitgym.experiments.claims.statement import Setting
from splitgym.experiments.claims.words import summary, told
from splitgym.ui.files import write_text
from splitgym.ui.validation import read_json

RESULTS = Path(__file__).resolve().parent / "results"
JOBS = RESULTS / "jobs"
SETTINGS = (Setting("paper"), Setting("devices"))
SCHEMA = 1
BENCHMARKS = "bench"  # what their figures are quoted by
PROVENANCE = "provenance"  # many jobs have the same lines: a file has each once, and jobs their numbers


def families() -> list[str]:
    """Papers of which results are committed."""
    names = [paper.family.name for paper in papers(["all"])]
    return [name for name in names if (JOBS / f"{name}.json").is_file()]


def take_over(run: Path) -> None:
    """Commit what a full run has kept, of the papers that it was about."""
    ledger = Ledger(run / "jobs", any_code=True)
    report = read_json(run / "findings.json", schema=SCHEMA)
    for name in dict.fromkeys(entry["family"] for entry in report["findings"]):
        (paper,) = papers([name])
        records = {}
        for job in unique(needed(paper, SETTINGS)):
            record = ledger.find(job)
            if record is None:
                raise SystemExit(f"{run}: {name_of(job)} is missing; let splitgym-eval --paper {name} go on there")
            records[name_of(job)] = {what: record[what] for what in ("code", "seconds", "error", "result")}
        write(name, report["about"], datetime.date.today().isoformat(), records)


def write(name: str, about: dict[str, str], date: str, records: dict[str, dict[str, Any]]) -> None:
    """One paper's results, a line a job."""
    sources: dict[str, int] = {}
    lines = []
    for job, record in records.items():
        result = record["result"]
        if isinstance(result, dict) and PROVENANCE in result:
            numbers = [sources.setdefault(line, len(sources)) for line in result[PROVENANCE]]
            record = {**record, "result": {**result, PROVENANCE: numbers}}
        lines.append(f" {json.dumps(job)}: {json.dumps(record)}")
    head = json.dumps({"schema": SCHEMA, "about": about, "date": date, PROVENANCE: list(sources)})
    inner = ",\n".join(lines)
    write_text(JOBS / f"{name}.json", f'{head[:-1]}, "records": {{\n{inner}\n}}}}\n')


def read(name: str) -> dict[str, Any]:
    """One paper's results: about (what was run), date, records by job."""
    data = read_json(JOBS / f"{name}.json", schema=SCHEMA)
    for record in data["records"].values():
        result = record["result"]
        if isinstance(result, dict) and PROVENANCE in result:
            result[PROVENANCE] = [data[PROVENANCE][number] for number in result[PROVENANCE]]
    return data


def ledger_of(data: dict[str, Any]) -> Ledger:
    """Results as those of jobs that were run."""
    return Ledger(None, any_code=True, records=data["records"])


@cache
def committed(name: str) -> tuple[Section, dict[str, Any]]:
    """A paper's section as the committed results have it, without pictures, and the results."""
    data = read(name)
    (paper,) = papers([name])
    return section(paper, SETTINGS, ledger_of(data), True, draw=False), data


def entries_of(found: Section) -> list[Entry]:
    """All claims of a paper beside what came of them."""
    return [entry for shown in found.shown for entry in shown.entries]


def look_up(key: str) -> str:
    """A number for prose: FAMILY:CLAIM[:QUANTITY][ .2f] or bench:FIGURE[:ratio][ .2f], as :mod:`.quotes` explains.

    Raises:
        KeyError: nothing has such a key.
    """
    path, _, digits = key.rpartition(" ") if key.rpartition(" ")[2].startswith(".") else (key, "", "")
    family, _, rest = path.partition(":")
    if family == BENCHMARKS:
        return benchmarked.look_up(rest, digits)
    if family not in families():
        raise KeyError(key)
    claim, _, what = rest.partition(":")
    found = {entry.key: entry.findings[0] for entry in entries_of(committed(family)[0])}[claim]
    if what == "verdict":
        return found.verdict
    if not what and len(found.quantities) != 1:
        return summary(found)
    quantity = found.quantities[0] if not what else {q.name: q for q in found.quantities}[what]
    return format(quantity.mean, digits) if digits else told(quantity)
