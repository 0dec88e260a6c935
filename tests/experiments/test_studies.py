"""Studies of trainings: kept one by one, the same again, whoever does them; their commands, tables and pictures."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments import study_command
from splitgym.experiments.studies import Images, OnShare, Place, Result, Settings, Trial, carry_out, described
from splitgym.experiments.study_command import Study
from splitgym.models.layers import Shape
from splitgym.runtime.training.data import Dataset

from ..command_line import PNG, Command, edit, names, read
from . import works

NAMES = (
    "l2s.staleness", "l2s.privacy_networks", "edgemove.staleness", "hiertrain.eight_bits", "deprune.filters",
)  # fmt: skip
STUDIES: dict[str, Study] = {name: importlib.import_module(f"splitgym.experiments.{name}").STUDY for name in NAMES}
SOME = 3  # trials of a toy study
TESTED = 40  # images of a real one


def toy_trials(seeds: int, quick: bool) -> list[Trial]:
    return [Trial(f"toy-seed{seed}", {"quick": quick, "seed": seed}) for seed in range(seeds)]


def toy_table(summary: Any) -> Any:
    return study_command.new_table("sum"), [f"sums: {summary['sums']}"]


def toy_figure(summaries: Any) -> Any:
    from splitgym.ui.canvas import new_figure

    return new_figure(1.0, 1.0)


@pytest.fixture
def toy(scratch: Path) -> Study:
    return Study(
        prog="python -m splitgym.experiments.toys.study", about="toys", shipped=scratch / "shipped.json",
        shape=Shape(1, 8, 8), seeds=SOME, trials=toy_trials, train=works.sums,
        summarise=lambda records: {"sums": [record["result"]["sum"] for record in records]},
        table=toy_table, draw=toy_figure,
    )  # fmt: skip


def command_of(study: Study) -> Command:
    return Command(study.prog, study.main)


def results(out: Path) -> dict[str, Any]:
    """What the trainings in a folder found, without how long they took."""
    found = {path.name: read(path) for path in out.glob("*-seed*.json")}
    return {name: (record["settings"], record["result"]) for name, record in found.items()}


# --- keeping


def test_what_is_there_is_not_trained_again_and_more_seeds_are_added(toy: Study, scratch: Path) -> None:
    trained: list[int] = []

    def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
        trained.append(settings["seed"])
        return works.sums(settings, data, on_share)

    command = command_of(replace(toy, train=train))
    first = command("--out", "here", "--seeds", "2").out
    assert command("--out", "here", "--seeds", "2").out == first
    command("--out", "here", "--seeds", "4")
    assert trained == [0, 1, 2, 3]
    assert names("here") == ["picture.png", "summary.json", *(f"toy-seed{seed}.json" for seed in range(4))]


def test_ctrl_c_keeps_whole_trainings_and_the_same_command_goes_on(toy: Study, scratch: Path) -> None:
    def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
        if settings["seed"] == 1:
            raise KeyboardInterrupt
        return works.sums(settings, data, on_share)

    told = command_of(replace(toy, train=train))("--out", "here", code=130).told[-1]
    assert told == (
        f"{toy.prog}: interrupted; 1 of {SOME} trainings are kept in here, the same command goes on there"
    )  # fmt: skip
    assert names("here") == ["toy-seed0.json"]
    command_of(toy)("--out", "here")
    command_of(toy)("--out", "whole")
    assert results(Path("here")) == results(Path("whole"))
    assert read("here/summary.json")["data"]["digits"]["sums"] == read("whole/summary.json")["data"]["digits"]["sums"]


def test_workers_have_no_say(scratch: Path) -> None:
    images = Images(None, Shape(1, 8, 8))
    found, told = [], []
    for workers in (1, 2):
        folder = scratch / str(workers)
        folder.mkdir()
        place = Place(folder, described(images.load()))
        records = carry_out(toy_trials(SOME, False), works.sums, images, place, workers, lambda s, t: told.append(s))
        found.append([(record["settings"], record["result"]) for record in records])
        assert told[-1] == 1.0
        assert results(folder).keys() == {f"toy-seed{seed}.json" for seed in range(SOME)}
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--data nowhere", "nowhere: is not a folder; it must hold train/<class>/ and test/<class>/ with images"),
        ("--seeds 0", "argument --seeds: is '0', allowed: a whole number of at least 1"),
        ("--workers two", "argument --workers: is 'two', allowed: a whole number"),
        ("--recorded --seeds 3", "--recorded: shows what ships; leave --data, --seeds, --quick and --ship out"),
        ("--quick --ship", "--ship: a quick study says nothing; leave --quick out"),
        ("--out file", "argument --out: is 'file', allowed: a folder, which may be new"),
        ("--recorded", "shipped.json: cannot be read"),
    ],
)
def test_bad_words_are_one_line(toy: Study, words: str, named: str) -> None:
    Path("file").write_text("")
    command_of(toy).refuses(words, named)


def test_a_file_of_other_settings_or_images_is_in_the_way(toy: Study) -> None:
    command = command_of(toy)
    command("--out", "here")
    file = Path("here/toy-seed1.json")
    whole = file.read_text()
    edit(file, settings={"quick": True, "seed": 1})
    command.refuses("--out here", f"{file}: is a training with other settings: quick is True there, False is asked for")
    file.write_text(whole)
    edit(file, data={**read(file)["data"], "fingerprint": "another"})
    command.refuses("--out here", f"{file}: is a training with other data: fingerprint is 'another' there")
    file.write_text('{"schema": 1}')
    command.refuses("--out here", f"{file}: is not the record of a training; remove it or choose another --out")


def test_what_ships_is_shown_without_training(toy: Study) -> None:
    command_of(toy)("--out", "here", "--ship")
    summary = read("here/summary.json")
    assert read("shipped.json") == summary
    assert summary["data"]["digits"]["provenance"]["command"] == "python -m splitgym.experiments.toys.study --seeds 3"

    def train(*_: Any) -> Result:
        raise AssertionError

    shown = command_of(replace(toy, train=train))("--recorded", "--out", "there").out
    assert f"sums: {summary['data']['digits']['sums']}" in shown
    assert names("there") == ["picture.png"]


# --- the real ones


@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_study_trains_draws_and_is_the_same_again(
    name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = STUDIES[name]
    monkeypatch.setattr(study_command, "Images", partial(Images, test=TESTED))
    command = command_of(study)
    out = command("--quick").out
    folder = Path("runs") / f"{name.replace('.', '-')}-digits-quick"
    assert f"written to {folder}: picture.png" in out
    assert (folder / "picture.png").read_bytes().startswith(PNG)
    first, *_ = study.trials(1, True)
    data = Images(None, study.shape, TESTED).load()
    again = study.train(first.settings, data, lambda share: None)
    assert json.loads(json.dumps(again)) == read(folder / f"{first.name}.json")["result"]
    other = study.train({**first.settings, "seed": 1}, data, lambda share: None)
    assert other != again


@pytest.mark.parametrize("name", STUDIES)
def test_trials_of_more_seeds_begin_with_those_of_fewer(name: str) -> None:
    study = STUDIES[name]
    for quick in (False, True):
        more = study.trials(3, quick)
        assert more[: len(study.trials(2, quick))] == study.trials(2, quick)
        assert len({trial.name for trial in more}) == len(more)


@pytest.mark.parametrize("name", STUDIES)
def test_recordings_ship_with_their_provenance_and_are_drawn(name: str, scratch: Path) -> None:
    out = command_of(STUDIES[name])("--recorded", "--out", "there").out
    assert Path("there/picture.png").read_bytes().startswith(PNG)
    for images, summary in study_command.shipped(STUDIES[name]).items():
        told = summary["provenance"]
        assert told["data"].startswith(f"{images}, ")
        assert told["trainings"] == len(summary["runs"]) == len(STUDIES[name].trials(_seeds(summary), False))
        assert f"{told['data']}: {told['trainings']} trainings" in out


def _seeds(summary: Any) -> int:
    return len({run["seed"] for run in summary["runs"]})
