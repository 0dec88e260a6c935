"""What the claims of every paper must be: found by key, measured by jobs that processes can run, drawn with labels."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitgym.envs import get_family
from splitgym.experiments.claims.findings import Finding, Paper, find, needed, paper
from splitgym.experiments.claims.ledger import Ledger, run, unique
from splitgym.experiments.claims.statement import Claim, Exhibit, Job, Setting, answer, jobs_of
from splitgym.experiments.executors.work import Executor

SETTINGS = tuple(Setting(inputs, quick) for inputs in ("paper", "devices") for quick in (True, False))
RESULT_BYTES = 50_000


class Judged:
    """A paper's claims, measured one by one in this process.

    Args:
        family: whose.
    """

    def __init__(self, family: str) -> None:
        self.paper: Paper = paper(get_family(family))
        self.exhibits: Mapping[str, Exhibit] = {e.key: e for e in self.paper.exhibits}
        self.claims: Mapping[str, Claim] = {c.key: c for e in self.paper.exhibits for c in e.claims}
        self.ledger = Ledger(None)

    def results(self, jobs: list[Job]) -> None:
        """Run jobs."""
        assert run(jobs, self.ledger, Executor(), lambda share, text: None) == []

    def find(self, key: str, setting: Setting = SETTINGS[0]) -> Finding:
        """What comes of a claim."""
        self.results(jobs_of(self.claims[key].measure, setting))
        return find(self.claims[key], setting, self.ledger)

    def quantities(self, key: str, setting: Setting = SETTINGS[0]) -> dict[str, float]:
        """Means of a claim's parts by name."""
        return {quantity.name: quantity.mean for quantity in self.find(key, setting).quantities}

    def draw(self, key: str, setting: Setting = SETTINGS[0]) -> Any:
        """An exhibit's figure."""
        draw = self.exhibits[key].draw
        assert draw is not None
        self.results(jobs_of(draw, setting))
        return answer(draw, setting, self.ledger.result)

    def check_form(self) -> None:
        """Keys are unique, also of exhibits beside claims; jobs can be sent to processes, and are told apart."""
        keys = [e.key for e in self.paper.exhibits] + list(self.claims)
        assert len(keys) == len(set(keys)) == len(self.paper.exhibits) + sum(len(e.claims) for e in self.paper.exhibits)
        jobs = needed(self.paper, SETTINGS)
        assert pickle.loads(pickle.dumps([job.function for job in jobs]))
        for job in jobs:
            assert json.loads(json.dumps(dict(job.arguments))) is not None
        files = {file_of(job) for job in unique(jobs)}
        assert len(files) == len(unique(jobs))

    def check_results(self) -> None:
        """What has been run so far is small, and says where its numbers come from."""
        for record in self.ledger.records.values():
            assert len(json.dumps(record["result"])) < RESULT_BYTES, record["job"]
            assert record["result"]["provenance"], record["job"]


def file_of(job: Job) -> str:
    """Where a ledger keeps a job's result."""
    return Ledger(Path("ledger")).file(job).name


def check_picture(figure: Any) -> None:
    """Who has not read the paper can read it: labels at all axes, all lines in sight, a legend, a page's width."""
    assert figure.get_size_inches()[0] <= 7.5
    shared = [axes for axes in figure.axes if not axes.get_ylabel()]
    assert len(shared) < len(figure.axes)
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or axes in shared
        assert axes.has_data()
        low, high = axes.get_ylim()
        for line in axes.get_lines():
            heights = np.asarray(line.get_ydata(), dtype=float)
            assert ((low <= heights) & (heights <= high)).all()
        assert axes.get_yscale() == "linear" or high > 1.2 * low > 0
    assert figure.legends
