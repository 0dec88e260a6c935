"""splitgym-train: what it leaves behind, being interrupted, going on, and one clear line for bad input."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitgym.envs import Family
from splitgym.experiments import training
from splitgym.experiments.train_command import main
from splitgym.models.lookup import get_model
from splitgym.models.plans import SpatialPlan, load_plan
from splitgym.ui.progress import Bar

from .. import ROOT
from ..envs.toy_family import Climber, registered

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Family]:
    monkeypatch.chdir(tmp_path)
    with registered() as family:
        yield family


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three episodes."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with registered():
        assert train("--episodes", "3", "--out", str(folder)) == 0
    return folder


def train(*words: str) -> int:
    return main(["--env", "toy", *words])


def names(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def read(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text())


def interrupt_at(monkeypatch: pytest.MonkeyPatch, episode: int, number: int = signal.SIGINT) -> None:
    def on_episode(episodes: int) -> None:
        if episodes == episode:
            signal.raise_signal(number)

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))


def test_a_training_leaves_everything_in_its_folder(capsys: Capture) -> None:
    assert train("--episodes", "40", "--seed", "3", "--out", "run", "--hyperparams", "spread=5e-1") == 0
    names = {p.name for p in Path("run").iterdir()}
    assert names == {"config.json", "model", "plan.json", "result.json", "curve.csv", "learning_curve.png"}
    config, result, plan = read("run/config.json"), read("run/result.json"), read("run/plan.json")
    assert (config["agent"], config["seed"], config["episodes"]) == ("climber", 3, 40)
    assert config["hyperparams"] == {"spread": 0.5}
    assert config["settings"] == {"name": "near", "scale": 1.0}
    assert config["command"][0] == "splitgym-train"
    assert {"python", "numpy", "splitgym"} <= set(config["versions"])
    assert result["finished"]
    assert (result["episodes"], result["steps"]) == (40, 120)
    assert result["provenance"] == ["targets: modelled (made up)"]
    rows = {row["agent"]: row for row in result["results"]}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "climber": "trained",
        "exact": "reference",
        "middle": "baseline",
        "edge": "baseline",
    }
    assert plan["notes"]["cost_s"] == rows["climber"]["metrics"]["cost_s"]
    assert plan["actions"] == rows["climber"]["plan"]["actions"]
    with Path("run/curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert [int(row["episodes"]) for row in curve] == list(range(1, 41))
    best = [float(row["best_cost_s"]) for row in curve]
    assert best == sorted(best, reverse=True)
    assert best[-1] == pytest.approx(rows["climber"]["metrics"]["cost_s"])
    printed = capsys.readouterr()
    assert "climber after 40 episodes, seed 3" in printed.out
    assert "numbers: targets: modelled (made up)" in printed.out
    assert "written to run" in printed.out


def test_the_table_ranks_by_the_headline_and_says_what_regret_means(capsys: Capture) -> None:
    assert train("--agent", "middle", "--scenario", "far") == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if "cost (ms)" in line]
    assert head.split()[:2] == ["agent", "cost"]
    assert "regret (ms)*" in head
    ranked = [line.replace("▸", " ").split()[:3] for line in lines[lines.index(head) + 1 :][:3]]
    assert ranked == [["exact", "1000.0", "0.0"], ["edge", "1120.0", "120.0"], ["middle", "2920.0", "1920.0"]]
    assert any("no best-known plan fits this scenario" in line for line in lines)
    assert read("runs/toy-far-middle-s0-1/result.json")["regret_against"] == "best of this table"


def test_where_a_best_plan_is_known_regret_is_against_it(capsys: Capture) -> None:
    assert train("--agent", "middle", "--env-kwargs", "known=true", "scale=2") == 0
    assert "regret is against the best-known plan, 2000 ms" in capsys.readouterr().out
    assert read("runs/toy-near-middle-s0-1/result.json")["regret_against"] == "best known"


def test_default_folders_are_numbered() -> None:
    for _ in range(2):
        assert train("--agent", "exact") == 0
    assert names("runs") == ["toy-near-exact-s0-1", "toy-near-exact-s0-2"]
    assert "model" not in names("runs/toy-near-exact-s0-1")


def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--episodes", "10", "--seed", seed, "--out", name) == 0
    a, b, c = (read(f"{name}/plan.json")["actions"] for name in "abc")
    assert a == b != c


def test_steps_are_a_budget_too() -> None:
    assert train("--steps", "30", "--out", "run") == 0
    assert read("run/result.json")["episodes"] == 10


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_the_best_and_can_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, number: int, code: int
) -> None:
    interrupt_at(monkeypatch, 20, number)
    assert train("--episodes", "50", "--seed", "1", "--out", "run") == code
    printed = capsys.readouterr()
    assert re.search(r"go on with: .* --resume run", printed.err)
    assert "exact" in printed.out  # the table is there
    result = read("run/result.json")
    assert result["interrupted"]
    assert not result["finished"]
    assert result["episodes"] == 21
    assert {"plan.json", "curve.csv", "model"} <= set(names("run"))

    monkeypatch.setattr(Climber, "on_episode", None)
    assert main(["--resume", "run"]) == 0
    assert train("--episodes", "50", "--seed", "1", "--out", "whole") == 0
    resumed = read("run/result.json")
    assert resumed["finished"]
    assert resumed["episodes"] == 50
    assert read("run/plan.json") == read("whole/plan.json")
    with Path("run/curve.csv").open() as a, Path("whole/curve.csv").open() as b:
        cut = [[row["episodes"], row["best_cost_s"]] for row in csv.DictReader(a)]
        assert cut == [[row["episodes"], row["best_cost_s"]] for row in csv.DictReader(b)]


def test_a_second_interrupt_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_episode(episodes: int) -> None:
        if episodes == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("still running")

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    assert train("--episodes", "50", "--out", "run") == 130
    assert read("run/result.json")["episodes"] == 5


def test_an_interrupt_in_the_comparison_leaves_the_rest_out(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.experiments import train_session as script

    def assess(family: Family, spec: Any, *rest: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "assess", assess)
    assert train("--agent", "middle", "--out", "run") == 130
    result = read("run/result.json")
    assert [row["agent"] for row in result["results"]] == ["middle"]
    assert result["interrupted"]
    err = capsys.readouterr().err
    assert "left out: exact, edge" in err
    assert "what is done is in run" in err


def test_an_interrupt_while_it_concludes_says_what_is_there(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.experiments import train_session as script

    def ranking(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(script.tables, "ranking", ranking)
    assert train("--episodes", "5", "--out", "run") == 130
    err = capsys.readouterr().err
    assert "nothing was written" not in err
    assert "the training, which is complete; what is done is in run" in err
    assert read("run/result.json")["interrupted"]


def test_a_second_interrupt_while_saving_names_the_folder(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.experiments import train_session as script

    def play(*_: Any) -> Any:
        signal.raise_signal(signal.SIGINT)

    interrupt_at(monkeypatch, 5)
    monkeypatch.setattr(script, "play", play)
    assert train("--episodes", "50", "--out", "run") == 130
    err = capsys.readouterr().err
    assert "nothing was written" not in err
    assert re.search(r"interrupted after 6 episodes; go on with: .* --resume run", err)
    result = read("run/result.json")
    assert (result["interrupted"], result["results"], result["episodes"]) == (True, [], 6)
    monkeypatch.undo()


def test_an_interrupt_before_the_folder_exists_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from splitgym.experiments import train_command as script

    monkeypatch.setattr(script, "new_job", lambda *_: signal.raise_signal(signal.SIGINT))
    assert train("--out", "run") == 130
    assert "interrupted, nothing was written" in capsys.readouterr().err
    assert names() == []


def test_a_training_that_fails_at_once_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_episode(episodes: int) -> None:
        if episodes == 3:
            raise RuntimeError("a bug")

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    with pytest.raises(RuntimeError, match="a bug"):
        train("--episodes", "5", "--out", "run")
    assert names() == []
    monkeypatch.setattr(training, "CHECKPOINT_S", 0.0)
    with pytest.raises(RuntimeError, match="a bug"):
        train("--episodes", "5", "--out", "run")
    assert read("run/model/progress.json")["episodes"] == 3


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for name in [n for n in sys.modules if n.startswith(("splitgym.agents.sb3", "splitgym.agents.distredge.osds"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    assert main(["--agent", "ppo", "--out", "run"]) == 2
    expected = 'splitgym-train: agent ppo needs stable_baselines3: pip install "splitgym[train]"\n'
    assert capsys.readouterr().err.endswith(expected)
    assert names() == []


def test_a_bar_at_its_end_has_nothing_left(capsys: Capture) -> None:
    with Bar("work") as bar:
        bar.show(0.5, "half")
        bar.show(1.0, "all")
    half, end = capsys.readouterr().err.splitlines()
    assert half.endswith("half  1 s left")
    assert end == "work 100 %  all"


def test_the_headline_says_what_the_scenario_is_now(capsys: Capture) -> None:
    assert train("--agent", "middle", "--env-kwargs", "scale=3") == 0
    assert "near (a target at 0.1, costs times 3): middle against" in capsys.readouterr().out


def test_plans_of_varying_episodes_carry_no_mean() -> None:
    for scenario, noted in (("near", True), ("noisy", False)):
        assert train("--agent", "middle", "--scenario", scenario, "--out", scenario) == 0
        notes = read(f"{scenario}/plan.json")["notes"]
        assert ("cost_s" in notes) is noted
        assert notes["numbers"] == ["targets: modelled (made up)"]


def test_a_changed_table_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert train("--episodes", "3", "--out", "run") == 0
    monkeypatch.setattr("tests.envs.toy_family.FINGERPRINT", "other")
    assert main(["--resume", "run", "--episodes", "9"]) == 2
    assert "run: a table, trace or model file of near has changed since the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"env": "nowhere"}, "unknown environment 'nowhere'"),
        ({"agent": "nobody"}, "unknown agent 'nobody'"),
        ({"hyperparams": {"spread": -1}}, "spread is -1, it must be positive"),
        ({"env_kwargs": {"colour": "red"}}, "unknown option 'colour'"),
    ],
)
def test_a_broken_config_is_named(change: dict[str, Any], named: str, trained: Path, capsys: Capture) -> None:
    shutil.copytree(trained, "run")
    Path("run/config.json").write_text(json.dumps({**read("run/config.json"), **change}))
    capsys.readouterr()
    assert main(["--resume", "run", "--episodes", "9"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("splitgym-train: run/config.json: ")
    assert named in line


def test_a_finished_run_goes_on_with_a_larger_budget(capsys: Capture) -> None:
    assert train("--episodes", "10", "--out", "run") == 0
    assert main(["--resume", "run"]) == 2
    assert "has spent its budget (10 episodes)" in capsys.readouterr().err
    assert main(["--resume", "run", "--episodes", "10"]) == 2
    assert "has done 10; name more" in capsys.readouterr().err
    assert main(["--resume", "run", "--episodes", "25"]) == 0
    assert read("run/result.json")["episodes"] == 25
    assert read("run/config.json")["episodes"] == 25
    with Path("run/curve.csv").open() as file:
        assert [int(row["episodes"]) for row in csv.DictReader(file)] == list(range(1, 26))


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.envs import toy_family
from splitgym.experiments import training
from splitgym.experiments.train_command import main
training.CHECKPOINT_S = 0.0
toy_family.Climber.on_episode = staticmethod(lambda episodes: time.sleep(0.002))
with toy_family.registered():
    main(["--env", "toy", "--episodes", "100000", "--out", "run"])
"""
    child = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    progress = tmp_path / "run" / "model" / "progress.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (progress.is_file() and json.loads(progress.read_text() or "{}")):
        time.sleep(0.02)
    time.sleep(0.2)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    model = next(p for p in (Path("run/model"), Path("run/.model.old")) if p.is_dir())
    done = read(f"{model}/progress.json")["episodes"]
    assert 0 < done < 100_000
    assert main(["--resume", "run", "--episodes", str(done + 5)]) == 0
    assert read("run/result.json")["episodes"] == done + 5
    assert [p.name for p in Path("run").iterdir() if p.name.startswith(".")] == []


def test_checkpoints_come_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_S", 0.0)
    seen: list[int] = []

    def on_episode(episodes: int) -> None:
        if episodes > 1:
            seen.append(read("run/model/progress.json")["episodes"])

    monkeypatch.setattr(Climber, "on_episode", staticmethod(on_episode))
    assert train("--episodes", "6", "--out", "run") == 0
    assert seen == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--env", "nowhere"], "unknown environment 'nowhere'; known: distredge, "),
        (["--scenario", "nowhere"], "unknown scenario 'nowhere'; known: near, far, noisy"),
        (["--agent", "nobody"], "unknown agent 'nobody' for toy; known: climber"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--epis", "3"], "unrecognized arguments: --epis 3"),
        (["--episodes", "-3"], "--episodes: is '-3', allowed: a whole number of at least 1"),
        (["--episodes", "many"], "--episodes: is 'many'"),
        (["--steps", "0"], "--steps: is '0'"),
        (["--episodes", "3", "--steps", "9"], "--episodes and --steps"),
        (["--seed", "-1"], "--seed: is '-1', allowed: a whole number, 0 or more"),
        (["--track", "sometimes"], "invalid choice: 'sometimes'"),
        (["--env-kwargs", "scale"], "'scale' is not of the form name=value"),
        (["--env-kwargs", "scale=[1,"], "the value of scale, '[1,', is neither"),
        (["--env-kwargs", "scale=.nan"], "the value of scale, '.nan', is neither a finite number"),
        (["--env-kwargs", "scale=1", "scale=2"], "scale is given twice"),
        (["--env-kwargs", "scale=wide"], "scale is 'wide', allowed: a number"),
        (["--env-kwargs", "colour=red"], "unknown option 'colour'; known: scale, known"),
        (["--env-kwargs", "scenario=far"], "scenario has its own option, --scenario"),
        (["--env-kwargs", "render_mode=human"], "render_mode is not an option"),
        (["--agent", "refuser", "--env-kwargs", "known=true"], "agent refuser needs known=False, not True"),
        (["--hyperparams", "speed=3"], "agent climber: unknown hyperparameter 'speed'"),
        (["--hyperparams", "seed=3"], "seed is not a hyperparameter"),
        (["--hyperparams", "spread=-1"], "spread is -1, it must be positive"),
        (["--hyperparams", "spread=13"], "agent climber: thirteen will not do"),
        (["--agent", "middle", "--episodes", "5"], "--episodes: agent middle is not trained beforehand"),
        (["--agent", "refuser"], "this scenario is not for me"),
        (["--env", "distredge", "--trace-factor", "2"], "--trace-factor scales the rates of --trace, which is missing"),
        (
            ["--env", "distredge", "--trace", "a.txt", "--trace-factor", "0"],
            "--trace-factor: is '0', allowed: a finite number above 0",
        ),
        (["--resume", "nowhere"], "nowhere: is not a folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words: list[str], named: str, capsys: Capture) -> None:
    assert train(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("splitgym-train: ")
    assert named in printed.err
    assert names() == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--scenario", "far"], "--resume run: is a run with scenario near, not far"),
        (["--env", "distredge"], "--resume run: is a run with env toy, not distredge"),
        (["--agent", "middle"], "--resume run: is a run with agent climber, not middle"),
        (["--seed", "9"], "--resume run: is a run with seed 0, not 9"),
        (["--out", "other"], "leave out --out"),
        (["--env-kwargs", "scale=2"], "leave out --env-kwargs"),
        (["--trace", "a.txt"], "leave out --trace"),
        (["--hyperparams", "spread=2"], "leave out --hyperparams"),
    ],
)
def test_a_run_is_resumed_as_what_it_is(words: list[str], named: str, trained: Path, capsys: Capture) -> None:
    shutil.copytree(trained, "run")
    before = {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()}
    capsys.readouterr()
    assert main(["--resume", "run", "--episodes", "9", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert named in printed.err
    assert {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()} == before


def test_a_run_whose_scenario_has_changed_is_refused(capsys: Capture) -> None:
    assert train("--episodes", "3", "--out", "run", "--env-kwargs", "scale=2") == 0
    config = read("run/config.json")
    config["settings"]["scale"] = 3.0
    Path("run/config.json").write_text(json.dumps(config))
    assert main(["--resume", "run", "--episodes", "9"]) == 2
    assert "scale is 3.0 there, 2 is asked for" in capsys.readouterr().err


def test_folders_that_are_taken_are_refused(capsys: Capture) -> None:
    assert train("--agent", "middle", "--out", "run") == 0
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    capsys.readouterr()
    for out, named in (("run", "already holds a run"), ("notes", "is not empty"), ("notes/mine.txt", "is a file")):
        assert train("--agent", "middle", "--out", out) == 2
        assert f"--out {out}: {named}" in capsys.readouterr().err
    assert names("notes") == ["mine.txt"]
    assert main(["--resume", "run"]) == 2
    assert "agent middle is not trained beforehand" in capsys.readouterr().err
    assert main(["--resume", "notes"]) == 2
    assert "notes: is not a run folder, config.json is missing" in capsys.readouterr().err


def test_help_teaches(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for words in ("environments (--env):", "toy", "DB-50-resnet50", "osds", "table1", "eta", "examples:", "--resume"):
        assert words in text
    assert train("--help") == 0
    text = capsys.readouterr().out
    for words in ("a target close by", "always the middle", "all-fixed", "scale"):
        assert words in text
    assert "osds" not in text


def test_an_offline_wandb_run_lies_in_the_folder(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert train("--episodes", "5", "--out", "run", "--track", "off") == 0
    assert len(list(Path("run/wandb").glob("offline-run-*/*.wandb"))) == 1
    printed = capsys.readouterr()
    assert "WANDB_MODE=offline wins over --track off" in printed.err
    assert "wandb leet run/wandb" in printed.out


def test_distredge_planner_writes_a_plan_that_loads(capsys: Capture) -> None:
    assert main(["--scenario", "DB-50", "--agent", "deepthings", "--env-kwargs", "eta=0.9", "--out", "run"]) == 0
    plan = load_plan("run/plan.json", get_model("vgg16"), SpatialPlan)
    assert plan.notes["scenario"] == "DB-50"
    result = read("run/result.json")
    rows = {row["agent"]: row["metrics"] for row in result["results"]}
    assert set(rows) >= {"joint", "coedge", "modnn", "mednn", "deepthings", "deeperthings", "aofl", "offload"}
    assert rows["deepthings"]["latency_s"] == plan.notes["latency_s"]
    assert read("run/config.json")["settings"]["eta"] == 0.9
    assert Path("run/timeline.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    for words in ("latency (ms)", "images/s", "speed-up over offload", "regret (ms)", "modelled"):
        assert words in out


def test_a_bad_trace_is_named(tmp_path: Path, capsys: Capture) -> None:
    words = ["--scenario", "NA-nano", "--agent", "offload", "--out", "run", "--trace", "link.txt"]
    assert main(words) == 2
    assert f"{tmp_path / 'link.txt'}: cannot be read (No such file or directory)" in capsys.readouterr().err
    (tmp_path / "link.txt").write_text("0 2.0\n20 4.0\n10 3.0\n")
    assert main(words) == 2
    assert "link.txt: line 3: time 10 s is not after 20 s" in capsys.readouterr().err
    assert names() == ["link.txt"]


@pytest.mark.slow
def test_distredge_default_agent_learns_and_goes_on(capsys: Capture) -> None:
    assert main(["--episodes", "4096", "--out", "run"]) == 0
    first = read("run/result.json")["results"][0]["metrics"]["latency_s"]
    assert main(["--resume", "run", "--episodes", "8192"]) == 0
    second = read("run/result.json")["results"][0]["metrics"]["latency_s"]
    assert second <= first
    plan = load_plan("run/plan.json", get_model("vgg16"), SpatialPlan)
    assert plan.notes["latency_s"] == second
    assert {"timeline.png", "learning_curve.png", "curve.csv"} <= set(names("run"))


def test_the_script_ends_with_one_line_and_code_2(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train_agent.py"), "--scenario", "DZ-1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"splitgym-train: unknown scenario 'DZ-1'; known: .*DB-50.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []
