"""Pictures of trainings and evaluations: whole, with where their numbers come from and which episode they show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from splitgym.envs import FAMILIES
from splitgym.experiments import eval_command, train_command, train_session

from ..envs.test_frames import assert_nothing_is_cut_off

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
    options = ["--scenarios", FAMILIES[family].default_scenario, "--agents", AGENTS[family][1], "--workers", "1"]
    assert eval_command.main(["--env", family, *options, "--out", "eval"]) == 0
    assert_whole(drawn, Path("eval"))


def test_recordings_are_measured_and_their_fit_is_modelled(drawn: Mapping[str, Any]) -> None:
    train_command.main(["--env", "deprune", "--agent", "prune", "--track", "off", "--out", "run"])
    said = " ".join(drawn["recordings"].get_supxlabel().split())
    assert said.startswith("dots, their mean and spread: measured (cifar10, ")
    assert said.endswith("; fit: modelled")
    for name in ("training", "rewards"):
        assert drawn[name].get_supxlabel() == "numbers: modelled, inputs inferred from the paper"
