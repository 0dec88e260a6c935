"""Who imports whom: one way between the folders, no circle between files; late imports count as much as early ones."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from splitgym.envs import FAMILIES

from . import ROOT

# Each folder imports only itself and those before it; trt_kernels is asked for by whoever finds a GPU.
ORDER = ("ui", "models", "trt_kernels", "profiling", "runtime", "envs", "agents", "experiments")


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the suite."""
    found = {}
    for path in (p for folder in ORDER for p in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imported(name: str) -> set[str]:
    """The modules of the suite that a module imports, wherever in it."""
    path = MODULES[name]
    package = ["splitgym", *path.relative_to(ROOT).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            found.update(".".join([*base, alias.name]) for alias in node.names)
    own = {text.removeprefix("splitgym.") for text in found if text.startswith("splitgym.")}
    return {text if text in MODULES else text.rpartition(".")[0] for text in own} & set(MODULES)


def test_all_folders_of_the_suite_are_in_the_order() -> None:
    outside = {"tests", "docs", "benchmarks"}
    assert {path.parent.name for path in ROOT.glob("[!.]*/__init__.py")} - outside == set(ORDER)


@pytest.mark.parametrize("folder", ORDER)
def test_imports_point_one_way(folder: str) -> None:
    allowed = set(ORDER[: ORDER.index(folder) + 1])
    wrong = {
        name: bad
        for name in MODULES
        if name.split(".")[0] == folder and (bad := {i for i in imported(name) if i.split(".")[0] not in allowed})
    }
    assert wrong == {}


def test_no_files_import_each_other_in_a_circle() -> None:
    # A package's own file is imported with any module inside it, which is no import of what it says.
    graph = {name: imported(name) - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_families_of_a_folder_do_not_know_each_other() -> None:
    families = set(FAMILIES)
    for folder in ("envs", "agents", "experiments"):
        for name in (n for n in MODULES if n.startswith(f"{folder}.") and n.split(".")[1] in families):
            others = families - {name.split(".")[1]}
            assert not {i for i in imported(name) if i.count(".") and i.split(".")[1] in others}, name
