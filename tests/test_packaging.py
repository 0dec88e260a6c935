"""What is installed: the packages, the data files, the console scripts, and how heavy an import is."""

import configparser
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from . import ROOT

PACKAGING_FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
TOP = "ui/root"  # where the package above all others lies


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def package_dirs() -> dict[str, str]:
    """Dotted package name -> folder below the root, as setup.cfg maps them."""
    pairs = (line.split("=") for line in lines(setup_cfg()["options"]["package_dir"]))
    return {name.strip(): folder.strip() for name, folder in pairs}


def top_folders() -> list[str]:
    return sorted({folder.split("/")[0] for folder in package_dirs().values()})


def installed(name: str) -> str:
    """Where a file of the tree lies in what is installed; the package above all others is in ui/root."""
    return f"splitgym/{name.removeprefix(f'{TOP}/')}"


def package_files(folder: str) -> set[str]:
    """Every file below a package's folder that belongs to it, as paths below the root."""
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in found
        if not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    }


def copy_tree(target: Path) -> Path:
    """A copy of what is packaged: a build leaves build/ behind, whose stale files would end up in the next wheel."""
    target.mkdir()
    for name in PACKAGING_FILES:
        shutil.copy(ROOT / name, target / name)
    for name in top_folders():
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return target


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)


def run_ok(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_tree(folder / "tree")
    run_ok(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, tree, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel; it borrows the dependencies, never the tree."""
    folder = tmp_path_factory.mktemp("clean") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python3*/site-packages")
    # A folder named in a .pth file comes after the environment's own packages, and .pth files inside it
    # (the editable install among them) are not read.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    run_ok(*command, cwd=folder)
    return python


def test_folders_with_init_are_the_listed_packages() -> None:
    others = {"tests", "build", "dist", *(path.parent.name for path in ROOT.glob("*/pyvenv.cfg"))}
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for path in ROOT.glob("[!.]*/**/__init__.py")
        if path.relative_to(ROOT).parts[0] not in others
    }
    mapped = package_dirs()
    assert set(mapped.values()) == folders
    assert set(lines(setup_cfg()["options"]["packages"])) == set(mapped)
    named = {"splitgym." + folder.replace("/", "."): folder for folder in folders - {TOP}}
    assert mapped == {"splitgym": TOP, **named}


def test_every_python_file_lies_in_a_listed_package() -> None:
    packaged = set(package_dirs().values())
    stray = {
        name
        for folder in top_folders()
        for name in package_files(folder)
        if name.endswith(".py") and Path(name).parent.as_posix() not in packaged
    }
    assert stray == set()


def test_type_checker_links_lead_to_the_packages() -> None:
    links = {path.name: path.resolve() for path in (ROOT / ".ci" / "links" / "splitgym").iterdir()}
    assert links == {**{name: ROOT / name for name in top_folders()}, "__init__.py": ROOT / TOP / "__init__.py"}


def test_wheel_holds_every_package_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {installed(name) for folder in top_folders() for name in package_files(folder)}


def test_wheel_states_licence_python_and_scripts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert re.search(r"^License(-Expression)?: MIT$", texts["METADATA"], re.MULTILINE)
    assert "LICENSE" in texts
    assert re.search(r"^Requires-Python: <3\.15,>=3\.10$", texts["METADATA"], re.MULTILINE)
    assert "splitgym-train" in texts["entry_points.txt"]
    assert "splitgym-eval" in texts["entry_points.txt"]


def test_every_package_imports_from_the_wheel(clean_python: Path, tmp_path: Path) -> None:
    script = """
import importlib, json, sys
import splitgym
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""
    files = json.loads(run_ok(clean_python, "-I", "-c", script, *package_dirs(), cwd=tmp_path))
    environment = clean_python.parents[1].resolve()
    assert all(environment in Path(file).resolve().parents for file in files.values()), files


def test_the_environment_is_made_from_the_wheel(clean_python: Path, tmp_path: Path) -> None:
    script = """
import gymnasium
env = gymnasium.make("splitgym.envs:splitgym/DistrEdge-v0")
observation, _ = env.reset(seed=0)
assert env.observation_space.contains(observation)
ended = False
for _ in range(1000):
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    ended = terminated or truncated
    if ended:
        break
assert ended
print(info["metrics"]["latency_s"])
"""
    assert float(run_ok(clean_python, "-I", "-W", "error", "-c", script, cwd=tmp_path)) > 0


@pytest.mark.parametrize("script", ["splitgym-train", "splitgym-eval"])
def test_console_scripts_answer_for_help(clean_python: Path, script: str, tmp_path: Path) -> None:
    answer = run_ok(clean_python.parent / script, "--help", cwd=tmp_path)
    assert "--env" in answer
    assert "--out" in answer


def test_importing_the_environments_stays_light(tmp_path: Path) -> None:
    script = """
import sys
import splitgym.models, splitgym.profiling, splitgym.runtime, splitgym.envs, splitgym.agents, splitgym.experiments
print(sorted({"torch", "stable_baselines3", "wandb", "matplotlib", "zmq"} & set(sys.modules)))
"""
    assert run_ok(sys.executable, "-c", script, cwd=tmp_path).strip() == "[]"


def constraints() -> dict[str, list[Requirement]]:
    pins: dict[str, list[Requirement]] = {}
    for line in lines((ROOT / "constraints.txt").read_text(encoding="utf-8")):
        if not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def requirements(*extras: str) -> list[Requirement]:
    parser = setup_cfg()
    texts = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in extras)]
    return [Requirement(line) for text in texts for line in lines(text) if not line.startswith("splitgym[")]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_constraints_pin_every_dependency_once_within_its_bounds(python: str) -> None:
    pins = constraints()
    for requirement in requirements("live", "train", "test", "docs", "dev"):
        name = canonicalize_name(requirement.name)
        held = [pin for pin in pins[name] if pin.marker is None or pin.marker.evaluate({"python_version": python})]
        assert len(held) == 1, f"{name}: {len(held)} pins for Python {python}"
        version = str(held[0].specifier).removeprefix("==")
        assert Version(version).local is None, f"{name}: a pin with a local version takes only that build"
        assert requirement.specifier.contains(version), f"{name}: {version} is not within {requirement.specifier}"


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    for requirement in requirements("live", "train", "test", "docs", "dev"):
        assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}, str(requirement)


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright comes with the extra dev")
def test_the_type_checker_sees_through_the_import_name(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    shutil.copytree(ROOT / ".ci" / "links", tree / ".ci" / "links", symlinks=True)
    planted = "from splitgym.models.layers import Conv\n\nwrong: int = Conv\n"
    (tree / "planted.py").write_text(planted, encoding="utf-8")
    (tree / "sound.py").write_text(planted.replace("int", "type[Conv]"), encoding="utf-8")
    command = (sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable)
    done = run(*command, "planted.py", "sound.py", cwd=tree)
    findings = json.loads(done.stdout)["generalDiagnostics"]
    assert done.returncode == 1
    assert [(Path(found["file"]).name, found["range"]["start"]["line"], found["severity"]) for found in findings] == [
        ("planted.py", 2, "error")
    ]


def test_the_version_is_that_of_the_installed_package() -> None:
    import splitgym

    assert splitgym.__version__ == setup_cfg()["metadata"]["version"]
    assert not hasattr(splitgym, "nothing")
