"""What README and the pages of docs/ print runs: their Python and YAML, and every command, in a folder like a clone."""

from __future__ import annotations

import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import pytest
import yaml

from splitgym.agents.registry import agents_module, get_spec
from splitgym.envs import FAMILIES
from splitgym.envs.distredge.scenarios import Scenario
from splitgym.experiments import dashboard_command, eval_command, study_command, train_command
from splitgym.experiments.claims import command as claims_command
from splitgym.experiments.hiertrain import measured
from splitgym.experiments.l2s import digits, privacy
from splitgym.experiments.live import cluster_command, run_command, testbed_command
from splitgym.experiments.live.training_families import TrainingCluster
from splitgym.experiments.options import family_from
from splitgym.models import __main__ as models_command
from splitgym.models.lookup import get_model
from splitgym.models.plans import KINDS
from splitgym.profiling.measure import command as profile_command
from splitgym.runtime import keys, keys_command, simulate, worker_command
from splitgym.ui.validation import validated

from . import ROOT, script
from .experiments.brief import ON_POLICY, shorten_searches

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BESIDE = tuple(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))  # whose links are checked, too
BLOCK = re.compile(r"^(?:<!-- not run here: ([^\n]+?) -->\n)?```([\w{}-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"boards", "TensorRT"}  # what a block may need that is not here
FILE_NAME = re.compile(r"# ([\w.-]+\.\w+)\n")  # what a block is to be saved as
PYTHON = ".venv/bin/python"


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    elsewhere: str  # what it needs that is not here, where it says so
    language: str
    text: str

    @property
    def file(self) -> str | None:
        match = FILE_NAME.match(self.text)
        return match[1] if match else None


ALL_BLOCKS = [Block(page, *found) for page in PAGES for found in BLOCK.findall(page.read_text(encoding="utf-8"))]
BLOCKS = [block for block in ALL_BLOCKS if not block.elsewhere and not block.language.startswith("{")]
FILES = {block.file: block for block in BLOCKS if block.file is not None}


def inline_commands(page: Path) -> list[list[str]]:
    """Commands that stand in a sentence."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    spans = re.findall(r"`([^`\n]+)`", prose)
    return [shlex.split(span) for span in spans if span.startswith((".venv/bin/", "make ", "pip ", "python "))]


def printed_commands() -> list[list[str]]:
    """Every command of the pages, without its comment; those that follow each other stay in order."""
    lines = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines]
    found += [command for page in PAGES for command in inline_commands(page)]
    return [list(words) for words in dict.fromkeys(tuple(words) for words in found if words)]


COMMANDS = printed_commands()
LIVE: dict[str, tuple[Any, Any, tuple[str, ...]]] = {  # program -> its module, and where its work begins
    "splitgym-run": (run_command, run_command, ("read_cluster", "family_of")),
    "splitgym-testbed": (testbed_command, testbed_command, ("get_scenario",)),
    "splitgym-cluster": (cluster_command, cluster_command, ("get_scenario",)),
    "splitgym-keys": (keys_command, keys, ("make_identity", "load_roster")),
    "splitgym-worker": (worker_command, keys, ("load_identity",)),
}
IMAGES = ("--data", "cifar10")  # which do not ship
NEXT_TO_NOTHING = ["--workers", "1", "--steps", "1", "--hyperparams", *ON_POLICY]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is, with the files that README says to save."""
    folder = tmp_path_factory.mktemp("clone")
    for entry in ROOT.iterdir():
        if entry.name not in ("runs", "results", "profiles", "wandb", ".venv", ".git"):
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").symlink_to(sys.prefix)  # as a whole: Python looks for its environment beside where it was called
    for name, block in FILES.items():
        (folder / str(name)).write_text(block.text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def families() -> Iterator[None]:
    """Families of one's own that a page registers are forgotten behind it."""
    known = set(FAMILIES)
    yield
    for name in set(FAMILIES) - known:
        del gym.registry[FAMILIES.pop(name).env_id]


@pytest.fixture
def here(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone as working directory, and what is run by hand found there."""
    monkeypatch.chdir(clone)
    monkeypatch.syspath_prepend(str(clone))
    return clone


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with runs/mine, trained as Quickstart says, but in one episode."""
    monkeypatch.chdir(tmp_path)
    words = "--scenario DB-50 --agent osds --episodes 1 --track off --out runs/mine"
    assert train_command.main(words.split()) == 0


@pytest.fixture
def network(here: Path) -> None:
    """net.onnx, made as README says."""
    if not (here / "net.onnx").exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own future
            runpy.run_path("nets.py", run_name="__main__")


def test_blocks_are_of_known_languages() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "yaml", "json", "bibtex"}
    assert {block.elsewhere for block in ALL_BLOCKS} <= {"", *ELSEWHERE}
    assert set(FILES) == {"nets.py", "boards.yaml"}
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=lambda b: f"{b.page.name} {b.file}"
)
def test_python_runs(block: Block, here: Path, request: pytest.FixtureRequest) -> None:
    if block.file is not None:
        request.getfixturevalue("network")
        assert (here / "net.onnx").stat().st_size
        return
    if "runs/mine" in block.text:
        request.getfixturevalue("trained")
    values: dict[str, Any] = {}
    exec(compile(block.text, block.page.name, "exec"), values)
    if (env := values.get("env")) is not None:
        env.reset(seed=0)
        env.step(env.action_space.sample())


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml" and b.file is None])
def test_yaml_for_other_machines_is_a_scenario(block: Block) -> None:
    data = yaml.safe_load(block.text)
    if "scenario" in data:
        assert validated(TrainingCluster, data, block.page.name).addresses
        return
    scenario = validated(Scenario, {"name": "cluster", **data}, block.page.name)
    assert set(scenario.addresses or {}) == set(scenario.device_names)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml" and b.file], ids=lambda b: b.file)
def test_yaml_is_a_scenario_that_plays(block: Block, here: Path) -> None:
    assert block.file is not None
    env = gym.make("splitgym/DistrEdge-v0", scenario=block.file, optimum=False)
    assert set(yaml.safe_load(block.text)) <= set(env.unwrapped.dynamics.settings)  # type: ignore[attr-defined]
    env.reset(seed=0)
    over = False
    while not over:
        over = env.step(env.action_space.sample())[2]
    told = " ".join(env.unwrapped.dynamics.provenance)  # type: ignore[attr-defined]
    assert "amd-epyc: measured" in told
    assert "emulated" in told


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"])
def test_json_is_a_plan(block: Block) -> None:
    data = json.loads(block.text)
    plan = KINDS[data["kind"]](data, block.page.name).validate(get_model(data["model"]))
    assert plan.to_json() == data


class Reached(Exception):
    """A command has understood what it was asked for."""


def reached(*_: object, **__: object) -> Any:
    raise Reached


def understood(main: Any, words: Sequence[str]) -> None:
    """Run a command up to where it would begin its work."""
    with suppress(Reached):
        assert main(list(words)) == 0


def check(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command, up to where it would begin its work."""
    match words:
        case ["make", *targets]:
            known = re.findall(r"^([\w-]+)(?::| \?=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert {target.partition("=")[0] for target in targets} <= set(known)
        case [".venv/bin/splitgym-profile", *options]:
            monkeypatch.setattr(profile_command, "_journaled", reached)
            understood(profile_command.main, [*options, *(["--overwrite"] if "--from" in options else [])])
        case [".venv/bin/python", "train_agent.py", *options]:
            monkeypatch.setattr(train_command.Session, "run", reached)
            shorten_searches(monkeypatch)  # a planner plans before it is played
            several = {"--seeds", "--tune"} & set(options)  # which are done: other commands take what they leave
            understood(train_command.main, [*options, "--track", "off", *(NEXT_TO_NOTHING if several else [])])
        case [".venv/bin/python", "eval.py", *options] if "--paper" in options:
            monkeypatch.setattr(claims_command, "run", reached)
            understood(eval_command.main, options)
        case [".venv/bin/python", "eval.py", *options]:
            monkeypatch.setattr(eval_command, "_evaluate", reached)
            monkeypatch.setattr(eval_command, "check_plan_files", lambda *_: None)  # the command before makes the plan
            understood(eval_command.main, options)
        case [".venv/bin/python", "-m", "splitgym.experiments.l2s.privacy", *options]:
            monkeypatch.setattr(digits, "train_digits", reached)
            understood(privacy.main, options)
        case [".venv/bin/python", "-m", "splitgym.experiments.hiertrain.measured", *options]:
            monkeypatch.setattr(measured, "measure", reached)
            understood(measured.main, options)
        case [".venv/bin/python", "-m", module, *options] if module.startswith("splitgym.experiments."):
            monkeypatch.setattr(study_command, "_train", reached)
            monkeypatch.setattr(study_command, "_show", reached)
            understood(importlib.import_module(module).main, [word for word in options if word not in IMAGES])
        case [".venv/bin/python", "-m", "splitgym.runtime.simulate", *options]:
            monkeypatch.setattr(simulate, "simulate", reached)
            understood(simulate.main, [*options, "--workers", "1"])
        case [".venv/bin/python", "-m", "splitgym.models", *options]:
            understood(models_command.main, options)
        case [".venv/bin/python", script, *options] if script.startswith(("benchmarks/", "examples/", "docs/")):
            source = (ROOT / script).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in options if option.startswith("--"))
            if "--only" in options:
                assert set(options[options.index("--only") + 1 :]) <= set(re.findall(r"[\w-]+", source))
        case [".venv/bin/python", script]:
            assert script in FILES
        case [".venv/bin/splitgym-dashboard", *options]:
            assert dashboard_command._parser().parse_args(options).env in FAMILIES
        case [program, *options] if Path(program).name in LIVE:
            module, begins, names = LIVE[Path(program).name]
            for name in names:
                monkeypatch.setattr(begins, name, reached)
            with pytest.raises(Reached):
                module.main(options)
        case ["python", "train_agent.py" | "eval.py" as script, *options] if "live" in options:
            assert (ROOT / script).exists()  # on a cluster that is not there
        case ["python3" | "pip" | ".venv/bin/pip", *_]:
            assert (ROOT / "setup.cfg").exists()
        case _:
            pytest.fail(f"no test knows {shlex.join(words)}")


def makers(words: Sequence[str]) -> Iterator[list[str]]:
    """The commands that leave what a command takes, where that is not there yet."""
    for maker in COMMANDS:
        out = dict(pairwise(maker)).get("--out")
        if out is None or maker == words or Path(out).exists():
            continue
        if any(Path(out) in (Path(word), *Path(word).parents) for word in words):
            yield maker


@pytest.mark.parametrize("words", COMMANDS, ids=shlex.join)
@pytest.mark.usefixtures("here", "network")
def test_a_command_is_understood(words: list[str]) -> None:
    for each in (*makers(words), words):
        with pytest.MonkeyPatch.context() as monkeypatch:
            check(each, monkeypatch)


@pytest.mark.parametrize(
    "words",
    [
        "train_agent.py --scenario none.yaml", "train_agent.py --episode 3", "train_agent.py --model other.onnx",
        "eval.py --agents nobody", "eval.py --env-kwargs alpha=much", "benchmarks/run.py --only l2s-nothing",
        "benchmarks/deprune_runs.py --pictures cifar10", "other.py",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("here")
def test_a_command_that_does_not_run_is_found(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check([PYTHON, *words.split()], monkeypatch)


def test_groups_of_figures_are_those_of_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [span for page in PAGES for span in re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text("utf-8")))]
    commands += [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
    named = [re.findall(r"--only ([a-z0-9 -]+)", command) for command in commands if "--paper" not in command]
    named = [names for found in named for names in found]
    groups = [group for names in named for group in names.split()]
    assert len(set(groups)) > 15
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    with pytest.raises(SystemExit) as ended:
        script("benchmarks/run.py").main(["--only", *groups, "--help"])
    assert ended.value.code == 0


def test_files_and_pages_that_are_named_are_there() -> None:
    made = {f"docs/results/{name}.md" for name in ("index", *FAMILIES)}  # by docs/make_results.py
    for page in (*PAGES, *BESIDE):
        text = page.read_text(encoding="utf-8")
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        paths = re.findall(r"(?<![\w/.])((?:profiling|docs|tests|benchmarks|examples)/[\w./-]+\.\w+)", text)
        for path in (*links, *paths):
            assert not path or path in made or (page.parent / path).exists() or (ROOT / path).exists(), path


SHORT = {  # what makes a command that takes minutes take seconds
    "train_agent.py": ["--track", "off"],
    "eval.py": ["--seeds", "1", "--train-episodes", "1", "--workers", "2"],
    "splitgym-profile": ["--repeats", "2", "--warmup", "1", "--overwrite"],  # README measures VGG-16 twice
}


def learns(words: Sequence[str]) -> bool:
    """Whether a command trains an agent that may be given a budget."""
    given = dict(pairwise(words))
    family = given.get("--env", "distredge")
    family = family_from(family).name if ":" in family else family
    agent = given.get("--agent") or agents_module(family).DEFAULT_AGENT
    return "train_agent.py" in words and get_spec(family, agent).learns


@pytest.mark.slow
@pytest.mark.usefixtures("network")
@pytest.mark.timeout(3000)
def test_commands_run(here: Path) -> None:
    """All but those that train images, are for several machines or print every figure; first whoever makes a run."""
    for words in sorted(COMMANDS, key=lambda words: "runs/mine" not in words):
        line, program = shlex.join(words), Path(words[1] if words[0] == PYTHON else words[0]).name
        others = ("make", "pip", "python", "python3")
        if (
            program in others
            or program in LIVE
            or line.startswith((f"{PYTHON} benchmarks/", f"{PYTHON} examples/"))
            or "backend=train" in line
            or "--paper" in words
            or IMAGES[0] in words
        ):
            continue
        short = [] if "--from" in words else SHORT.get(program, [])
        if learns(words) and "--steps" not in words:
            short = [*short, "--episodes", "1"]
        if "--model" in words and "vgg16" in words and "--from" not in words:
            short = [*short, "--every", "200"]
        ran = subprocess.run([*words, *short], cwd=here, capture_output=True, text=True)
        assert ran.returncode == 0, f"{line}: {ran.stderr}"
