"""Pictures of trainings and evaluations: whole, with where their numbers come from and which episode they show."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from splitgym.envs import FAMILIES
from splitgym.experiments import eval_command, train_command, train_session

from ..envs.test_frames import assert_nothing_is_cut_off
from .brief import BRIEF, isolate, shorten_searches
from .pictures import unit

CHANGING = {  # what changes while it is played, or from one time to the next
    "distredge": "dynamic-nano",
    "l2s": "resnet34-dynamic",
    "edgemove": "vgg16-cifar10-city",
    "hiertrain": "lenet5-drift",
    "deprune": "vgg11-cifar10-dynamic",
}
SAME: Mapping[str, Any] = {"noise": 0.0}  # leaves nothing to luck
LUCK: list[Any] = [  # family, scenario, options: where a learner is trained
    pytest.param("distredge", "dynamic-nano", {}, marks=pytest.mark.slow),
    ("distredge", "DB-50", BRIEF["distredge"].options),
    ("edgemove", "vgg16-cifar10", {**BRIEF["edgemove"].options, "optimum": True}),
    *((name, BRIEF[name].random, BRIEF[name].options) for name in ("l2s", "hiertrain", "deprune")),
    ("l2s", BRIEF["l2s"].random, {**BRIEF["l2s"].options, **SAME}),
]
NEAR = 3.0  # pixels within which panels are in one row or column
AGENTS = {  # that show a family's pictures, and what to compare with
    "distredge": ("joint", "offload,modnn"),
    "l2s": ("l2s", "l2s,pdt"),
    "edgemove": ("edgemove", "edgemove,on-device"),
    "hiertrain": ("hiertrain", "exact,all-edge"),
    "deprune": ("deprune", "deprune,prune"),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, Any]:
    """The figures that are saved, by the name of their file; the working directory is empty."""
    figures: dict[str, Any] = {}

    def kept(save: Any) -> Any:
        def saved(figure: Any, path: Path) -> None:
            figures[path.stem] = figure
            save(figure, path)

        return saved

    for module in (train_session, eval_command):
        monkeypatch.setattr(module, "save_figure", kept(module.save_figure))
    shorten_searches(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return figures


def text_of(figure: Any) -> str:
    """All titles of a figure."""
    return " ".join(axes.get_title(loc="left") for axes in figure.axes)


def assert_whole(figures: Mapping[str, Any], folder: Path) -> None:
    """Every picture is on disk, not cut off, and says what its numbers are."""
    assert figures
    for name, figure in figures.items():
        assert_nothing_is_cut_off(matplotlib.image.imread(folder / f"{name}.png"))
        assert any(kind in figure.get_supxlabel() for kind in ("modelled", "measured", "imported"))
        assert_says_what_it_shows(figure)


def assert_says_what_it_shows(figure: Any) -> None:
    """Every axis is named, by itself, its panels' column or row, or what its ticks say; nothing lies on anything."""
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.axison]
    boxes = {axes: axes.get_window_extent() for axes in panels}
    for axes in panels:
        columns = [each for each in panels if abs(boxes[each].x0 - boxes[axes].x0) < NEAR]
        rows = [each for each in panels if abs(boxes[each].y0 - boxes[axes].y0) < NEAR]
        assert any(each.get_xlabel() or names(each.get_xticklabels()) for each in columns)
        assert any(each.get_ylabel() or names(each.get_yticklabels()) for each in rows)
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            shown = [label.get_window_extent() for label in labels if label.get_text() and not label.get_rotation()]
            assert not any(a.shrunk(0.9, 0.9).overlaps(b.shrunk(0.9, 0.9)) for a, b in pairwise(shown))
    for legend in [*figure.legends, *(axes.get_legend() for axes in panels if axes.get_legend())]:
        box = legend.get_window_extent()
        assert not any(box.padded(-2).overlaps(boxes[axes].padded(-2)) for axes in panels)
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1


def names(labels: Sequence[Any]) -> bool:
    """Whether ticks are names rather than numbers."""
    return any(any(letter.isalpha() for letter in label.get_text()) for label in labels)


def test_every_family_has_agents_here() -> None:
    assert set(AGENTS) == set(FAMILIES)


@pytest.mark.parametrize("family", AGENTS)
def test_pictures_of_a_run(family: str, drawn: Mapping[str, Any]) -> None:
    agent = AGENTS[family][0]
    assert train_command.main(["--env", family, "--agent", agent, "--track", "off", "--out", "run"]) == 0
    assert_whole(drawn, Path("run"))
    one = {"distredge": "timeline", "l2s": "rounds", "edgemove": "walk", "hiertrain": "timeline", "deprune": "training"}
    title = text_of(drawn[one[family]])
    assert title.startswith(agent)
    assert (", last of 10 episodes, on " in title) == (family in ("edgemove", "deprune"))


@pytest.mark.parametrize("family", AGENTS)
def test_pictures_of_an_evaluation(family: str, drawn: Mapping[str, Any]) -> None:
    scenarios = f"{FAMILIES[family].default_scenario},{CHANGING[family]}"
    options = ["--scenarios", scenarios, "--agents", AGENTS[family][1], "--workers", "1"]
    assert eval_command.main(["--env", family, *options, "--out", "eval"]) == 0
    assert_whole(drawn, Path("eval"))


@pytest.mark.parametrize(("family", "scenario", "options"), LUCK, ids=str)
def test_a_learning_curve_shows_no_luck(
    family: str, scenario: str, options: Mapping[str, Any], drawn: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where episodes differ, the best of many says little: regret is drawn, each against the optimum of its own."""
    isolate(monkeypatch)
    kwargs = [f"--env-kwargs={name}={value}" for name, value in options.items()]
    words = ["--scenario", scenario, *kwargs, "--hyperparams", *BRIEF[family].learners["ppo"], "--episodes", "4"]
    assert train_command.main(["--env", family, "--agent", "ppo", "--track", "off", "--out", "run", *words]) == 0
    (axes,) = drawn["learning_curve"].axes
    assert_says_what_it_shows(drawn["learning_curve"])
    rows = list(csv.DictReader(Path("run/curve.csv").read_text().splitlines()))
    alike = f"best_{FAMILIES[family].headline}" in rows[-1]
    assert alike == (scenario == "DB-50" or "noise" in options)
    label = axes.get_ylabel()
    assert label.startswith("regret") == (not alike)
    if not alike:
        shown = axes.get_lines()[0].get_ydata()
        regret = [float(row["recent_regret"]) for row in rows if row["recent_regret"]]
        np.testing.assert_allclose(shown[np.isfinite(shown)], np.array(regret) * unit(label))


def test_recordings_are_measured_and_their_fit_is_modelled(drawn: Mapping[str, Any]) -> None:
    train_command.main(["--env", "deprune", "--agent", "prune", "--track", "off", "--out", "run"])
    said = " ".join(drawn["recordings"].get_supxlabel().split())
    assert said.startswith("dots, their mean and spread: measured (cifar10, ")
    assert said.endswith("; fit: modelled")
    for name in ("training", "rewards"):
        assert drawn[name].get_supxlabel() == "numbers: modelled, inputs inferred from the paper"
