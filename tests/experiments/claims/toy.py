"""A paper that claims little, with jobs that take no time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from splitgym.envs import get_family
from splitgym.experiments.claims.findings import Paper
from splitgym.experiments.claims.leaderboard import Leaderboard
from splitgym.experiments.claims.ledger import Ledger, run
from splitgym.experiments.claims.report import section, write_report
from splitgym.experiments.claims.statement import Asking, Claim, Exhibit, Job, Part, Setting, near
from splitgym.experiments.executors.work import Executor
from splitgym.ui.canvas import new_figure

SETTINGS = (Setting("paper"), Setting("devices"))


def twice(number: float, inputs: str = "paper") -> dict[str, Any]:
    return {"twice": 2 * number, "provenance": [f"numbers: inferred, {inputs}"]}


def broken() -> float:
    raise ValueError("no such luck")


def doubles(setting: Setting) -> Asking[list[Part]]:
    jobs = [Job(twice, {"number": 2.0 + 0.01 * seed, "inputs": setting.inputs}) for seed in setting.seeds(3)]
    found = yield jobs
    return [near("", [result["twice"] for result in found], 4.0, "m")]


def rises(setting: Setting) -> Asking[list[Part]]:
    small, large = yield [Job(twice, {"number": 1.0}), Job(twice, {"number": 2.0})]
    return [
        Part("larger over smaller", [large["twice"] / small["twice"]], 1.0, inf),
        Part("smaller over larger", [small["twice"] / large["twice"]], 1.0, inf),
    ]


def fails(setting: Setting) -> Asking[list[Part]]:
    yield [Job(broken)]
    return []


def line(setting: Setting) -> Asking[Any]:
    found = yield [Job(twice, {"number": float(n)}) for n in range(3)]
    figure = new_figure(7.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([result["twice"] for result in found])
    axes.set_xlabel("number")
    axes.set_ylabel("its double")
    return figure


EXHIBITS = (
    Exhibit("fig1", "Fig. 1", "Doubles", (Claim("doubles", "Two doubled is four.", "4 m", doubles, reason="?"),), line),
    Exhibit(
        "table1", "Table 1", "Order & <b>sign</b>",
        (Claim("rises", "Doubling keeps order.", "yes", rises, "arithmetic", True, "upside down", alike=True),),
    ),
    Exhibit("fig2", "Fig. 2", "A rocket", untested="there is none here"),
)  # fmt: skip
LEADERBOARD = Leaderboard("l2s", ("resnet34-gpu-60",), ("pdt", "fpt"), "oracle", seeds=2)


def paper(exhibits: Sequence[Exhibit] = EXHIBITS) -> Paper:
    return Paper(get_family("l2s"), tuple(exhibits), LEADERBOARD)


def written(folder: Path) -> Path:
    """The page of the toy paper, with its leaderboard."""
    from splitgym.experiments.claims.findings import needed

    ledger = Ledger(folder / "jobs")
    assert run(needed(paper(), SETTINGS), ledger, Executor(), lambda share, text: None) == []
    page = folder / "report.html"
    write_report([section(paper(), SETTINGS, ledger, True)], {"command": "c", "took": "1 s", "versions": "v 1"}, page)
    return page
