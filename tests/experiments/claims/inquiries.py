"""What tests of papers' claims have in common: papers in order, inquiries answered by jobs or by made-up results."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from splitgym.envs import get_family
from splitgym.experiments.claims.findings import Paper, needed, paper
from splitgym.experiments.claims.ledger import Ledger, name_of, run, unique
from splitgym.experiments.claims.statement import Inquiry, Job, Part, Setting, answer, jobs_of
from splitgym.experiments.executors.work import Executor

SETTINGS = [Setting(inputs, quick) for inputs in ("paper", "devices") for quick in (True, False)]


def of(family: str) -> Paper:
    return paper(get_family(family))


def check_keys(found: Paper, places: Sequence[str]) -> None:
    """Keys are unique, and every place that the paper numbers has an exhibit."""
    keys = [key for e in found.exhibits for key in dict.fromkeys((e.key, *(c.key for c in e.claims)))]
    assert len(keys) == len(set(keys))
    wheres = " ".join(f"{e.where}," for e in found.exhibits)
    assert [place for place in places if f"{place}," not in wheres and f"{place} and" not in wheres] == []


def check_jobs(found: Paper) -> None:
    """What has to run is data: functions of modules, with arguments that a file can hold."""
    for setting in SETTINGS:
        jobs = unique(needed(found, [setting]))
        assert jobs
        for job in jobs:
            module = import_module(job.function.__module__)
            assert getattr(module, job.function.__name__) is job.function
            assert json.loads(json.dumps(dict(job.arguments))) == dict(job.arguments), name_of(job)
            assert job.seconds > 0.0
    assert len(unique(needed(found, SETTINGS[:1]))) <= len(unique(needed(found, SETTINGS[1:2])))


def answered(inquiry: Inquiry[Any], setting: Setting = SETTINGS[0]) -> Any:
    """What comes of an inquiry whose jobs are run here; a job's result says where its numbers come from."""
    ledger = Ledger(None)
    jobs = jobs_of(inquiry, setting)
    assert run(jobs, ledger, Executor(), lambda share, text: None) == []
    assert all(ledger.result(job)["provenance"] for job in jobs)
    return answer(inquiry, setting, ledger.result)


def imagined(inquiry: Inquiry[list[Part]], result_of: Callable[[Job], Any]) -> dict[str, list[float]]:
    """Quantities by name, of results that are made up."""
    return {part.name: list(part.samples) for part in answer(inquiry, SETTINGS[0], result_of)}


def check_picture(figure: Any, published: bool = True) -> None:
    """Axes are named, bars begin at zero, what is published is told, and the figure fits a page."""
    width_in, _ = figure.get_size_inches()
    assert width_in <= 7.5
    assert figure.axes
    for axes in figure.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or all(tick.get_text() for tick in axes.get_xticklabels())
        if axes.patches and axes.get_yscale() == "linear":
            assert axes.get_ylim()[0] <= 0.0
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any("published" in text for text in legends) == published
    figure.canvas.draw()
    right = figure.get_size_inches()[0] * figure.dpi
    assert all(legend.get_window_extent().x1 <= right + 1.0 for legend in figure.legends)
