"""The run folder: whole files only, checkpoints that survive a crash, and clear words about what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from splitgym.agents.protocol import OnReport
from splitgym.agents.run_folder import Progress, RunConfig, RunFolder
from splitgym.experiments.jobs import check_hyperparams, check_settings
from splitgym.experiments.out_folders import claimed_out, claimed_run, file_stem, find_runs, plain
from splitgym.ui.errors import InputError
from splitgym.ui.files import replacing

CONFIG = RunConfig(
    env="toy",
    scenario="near",
    scenario_name="near",
    settings={"name": "near", "scale": 1.0},
    env_kwargs={},
    agent="climber",
    hyperparams={"spread": 0.3},
    seed=4,
    episodes=20,
    steps=None,
    track="off",
    track_id="00000000",
    versions={"python": "3"},
    command=["splitgym-train"],
    started="2026-01-01T00:00:00+00:00",
)


class Notebook:
    """A learner that is a number."""

    best_plan: Any = None

    lanes, not_restored = 1, ""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        return observation, state

    def learn(self, episodes: int | None, steps: int | None, on_report: OnReport) -> None:
        self.value += 1

    def save(self, folder: Path) -> None:
        (folder / "value.txt").write_text(str(self.value))
        if self.value < 0:
            raise RuntimeError("crashed half-way")

    def load(self, folder: Path) -> None:
        self.value = int((folder / "value.txt").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


def loaded(folder: RunFolder) -> tuple[int, Progress]:
    learner = Notebook()
    progress = folder.load_model(learner)
    return learner.value, progress


def test_config_comes_back_as_it_was(folder: RunFolder) -> None:
    assert asdict(RunFolder.open(folder.path).read_config()) == asdict(CONFIG)


def test_progress_and_model_belong_together(folder: RunFolder) -> None:
    for value in (1, 2):
        progress = Progress(value * 10, value * 30, value / 2, 0.5 / value, 1.5)
        folder.checkpoint(Notebook(value), progress, [{"episodes": value * 10}])
        assert loaded(folder) == (value, progress)
    assert sorted(p.name for p in folder.path.iterdir()) == ["config.json", "curve.csv", "model"]


def test_a_crash_while_saving_leaves_the_last_checkpoint(folder: RunFolder) -> None:
    folder.checkpoint(Notebook(7), Progress(episodes=7), [])
    with pytest.raises(RuntimeError):
        folder.checkpoint(Notebook(-1), Progress(episodes=8), [])
    assert loaded(folder) == (7, Progress(episodes=7))
    folder.recover()
    assert loaded(folder) == (7, Progress(episodes=7))
    assert not (folder.path / ".model.new").exists()


def test_a_crash_between_two_renames_loses_nothing(folder: RunFolder) -> None:
    folder.checkpoint(Notebook(7), Progress(episodes=7), [])
    (folder.path / "model").rename(folder.path / ".model.old")
    assert loaded(folder)[0] == 7
    folder.recover()
    assert loaded(folder)[0] == 7
    assert (folder.path / "model").is_dir()
    assert not (folder.path / ".model.old").exists()


def test_recover_clears_half_written_files(folder: RunFolder) -> None:
    (folder.path / ".plan.json.123.tmp").write_text("{")
    folder.recover()
    assert [p.name for p in folder.path.iterdir()] == ["config.json"]


def test_the_curve_is_cut_at_the_checkpoint(folder: RunFolder) -> None:
    curve = [{"episodes": 5, "best": 2.0}, {"episodes": 10, "best": 1.25, "loss": 0.5}, {"episodes": 15, "best": 1.0}]
    folder.write_curve(curve)
    assert (folder.path / "curve.csv").read_text().splitlines()[1] == "5,2.0,"
    assert folder.read_curve(10) == curve[:2]
    assert RunFolder(folder.path / "nowhere").read_curve(10) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.json", "{", "is not JSON"),
        ("config.json", "[]", "must hold a JSON object"),
        ("config.json", '{"schema": 2}', "schema is 2, allowed: 1"),
        ("config.json", '{"schema": 1, "env": "toy"}', "field scenario is missing"),
    ],
)
def test_a_damaged_config_is_named(folder: RunFolder, name: str, text: str, words: str) -> None:
    (folder.path / name).write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        folder.read_config()
    assert str(folder.path / name) in str(caught.value)


def test_a_field_of_the_wrong_kind_is_named(folder: RunFolder) -> None:
    data = json.loads((folder.path / "config.json").read_text())
    (folder.path / "config.json").write_text(json.dumps({**data, "agent": 3}))
    with pytest.raises(InputError, match="agent is 3, allowed: text"):
        folder.read_config()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", "x", "seed is 'x', allowed: a whole number, 0 or more"),
        ("seed", True, "seed is True, allowed: a whole number, 0 or more"),
        ("hyperparams", 3, "hyperparams is 3, allowed: a mapping"),
        ("track", "weird", "track is 'weird', allowed: off, offline, online, tensorboard"),
        ("episodes", "many", "episodes is 'many', allowed: null or a whole number, 1 or more"),
        ("track_id", 3, "track_id is 3, allowed: text"),
        ("command", [1], "command[0] is 1, allowed: text"),
    ],
)
def test_a_config_of_wrong_types_names_file_and_field(folder: RunFolder, field: str, value: object, said: str) -> None:
    path = folder.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(InputError) as caught:
        folder.read_config()
    assert str(caught.value) == f"{path}: {said}"


def test_an_older_config_has_no_fingerprint(folder: RunFolder) -> None:
    path = folder.path / "config.json"
    data = json.loads(path.read_text())
    del data["fingerprint"]
    path.write_text(json.dumps(data))
    assert folder.read_config() == CONFIG


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("model/progress.json", '{"episodes": 1}', "needs exactly the fields"),
        ("model/value.txt", "seven", "cannot be loaded"),
        ("curve.csv", "episodes\nmany\n", "is damaged"),
    ],
)
def test_a_damaged_checkpoint_is_named(folder: RunFolder, name: str, text: str, words: str) -> None:
    folder.checkpoint(Notebook(1), Progress(), [{"episodes": 1}])
    (folder.path / name).write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        folder.read_curve(loaded(folder)[1].episodes)
    assert str(caught.value).startswith(str(folder.path))
    assert "\n" not in str(caught.value)


def test_a_run_without_a_model_says_so(folder: RunFolder) -> None:
    with pytest.raises(InputError, match="holds no trained model"):
        loaded(folder)


def test_a_folder_is_taken_once(folder: RunFolder, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with claimed_out(other):
        (other / "notes.txt").write_text("mine")
    for path, named in (
        (folder.path, "already holds a run; go on with --resume"),
        (other, "is not empty"),
        (other / "notes.txt", "is a file"),
        (other / "notes.txt" / "run", r"cannot be written \(Not a directory\)"),
        (tmp_path / "new" / ("long" * 75), r"cannot be written \(File name too long\)"),
    ):
        with pytest.raises(InputError, match=f"^--out {path}: {named}"), claimed_out(path):
            pytest.fail("not refused")
    assert not (tmp_path / "new").exists()


def test_open_wants_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json is missing"):
        RunFolder.open(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        RunFolder.open(tmp_path / "nowhere")


def test_any_text_becomes_one_file_name() -> None:
    assert file_stem("toy-../../evil name-s0") == "toy-.._.._evil_name-s0"


def test_new_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with claimed_run("toy-near") as first, claimed_run("toy-near") as second, claimed_run("a/b c") as other:
        assert [first, second, other] == [Path(f"runs/{name}") for name in ("toy-near-1", "toy-near-2", "a_b_c-1")]
        (second / "result.json").touch()
    assert [str(path) for path in Path().rglob("*")] == ["runs", "runs/toy-near-2", "runs/toy-near-2/result.json"]


def test_runs_are_found_by_name_and_in_folders(folder: RunFolder, tmp_path: Path) -> None:
    second = RunFolder.create(tmp_path / "second", replace(CONFIG, seed=5))
    assert [(run.path, named) for run, named in find_runs([str(second.path)])] == [(second.path, True)]
    inside = [(run.path, named) for run, named in find_runs([str(tmp_path)])]
    assert inside == [(folder.path, False), (second.path, False)]
    for path, words in ((tmp_path / "run" / "config.json", "is not a folder"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(InputError, match=words):
            find_runs([str(path)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither is a run folder"):
        find_runs([str(tmp_path / "empty")])


def test_a_run_of_other_settings_names_the_field(folder: RunFolder) -> None:
    check_settings(folder, CONFIG, {"name": "near", "scale": 1.0})
    with pytest.raises(InputError, match=r"scale is 1\.0 there, 2\.0 is asked for"):
        check_settings(folder, CONFIG, {"name": "near", "scale": 2.0})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": "fast"}, "rate of a is 'fast', allowed: a number"),
        ({"rate": True}, "allowed: a number"),
        ({"sizes": 3}, "allowed: a list"),
        ({"on": 1}, "allowed: true or false"),
        ({"seed": 1}, "seed is not a hyperparameter"),
    ],
)
def test_hyperparameters_keep_their_kind(given: dict[str, Any], words: str) -> None:
    defaults = {"rate": 0.1, "sizes": [1, 2], "on": False}
    check_hyperparams("a", {"rate": 1, "sizes": [3], "on": True, "other": "anything"}, defaults)
    with pytest.raises(InputError, match=words):
        check_hyperparams("a", given, defaults)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "picture.png"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    with replacing(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_plain_data_is_what_json_gives_back() -> None:
    assert plain({"devices": ("a", "b"), "rates": [1.5, None]}) == {"devices": ["a", "b"], "rates": [1.5, None]}
