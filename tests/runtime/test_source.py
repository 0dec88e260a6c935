"""What arrives is data: nothing in the runtime makes code, or objects of the sender's choice, out of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .. import ROOT

FILES = sorted((ROOT / "runtime").rglob("*.py"))
MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    "recv_pyobj", "send_pyobj", "recv_serialized", "send_serialized",
    "full_load", "full_load_all", "unsafe_load", "unsafe_load_all", "FullLoader", "UnsafeLoader",
}  # fmt: skip
LOADERS = {
    "yaml.load": ("Loader", "yaml.SafeLoader"),
    "yaml.load_all": ("Loader", "yaml.SafeLoader"),
    "torch.load": ("weights_only", "True"),
    "np.load": ("allow_pickle", "False"),
}


def banned(source: str) -> list[str]:
    """What a file names that no file of the runtime may."""
    return [name for node in ast.walk(ast.parse(source)) for name in _banned(node)]


def _banned(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES}
    if isinstance(node, ast.ImportFrom):
        module, names = node.module or "", {alias.name for alias in node.names}
        loaders = {name for name in names if f"{module}.{name}" in LOADERS}  # would be out of sight
        return (names & (METHODS | MODULES)) | loaders | ({module} if module.partition(".")[0] in MODULES else set())
    if isinstance(node, ast.Name):
        return {node.id} & BUILTINS
    if isinstance(node, ast.Attribute):
        return {node.attr} & METHODS
    if isinstance(node, ast.Call) and (loader := ast.unparse(node.func)) in LOADERS:
        name, value = LOADERS[loader]
        safe = any(keyword.arg == name and ast.unparse(keyword.value) == value for keyword in node.keywords)
        return set() if safe else {loader}
    return set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_that_makes_objects_of_bytes(path: Path) -> None:
    assert banned(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal as m",
        "from pickle import loads",
        "from concurrent import shelve",
        "from yaml import load",
        "import dill.session",
        "eval('1')",
        "f = exec",
        "compile('1', '', 'eval')",
        "socket.recv_pyobj()",
        "send = socket.send_pyobj",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.FullLoader)",
        "yaml.unsafe_load(text)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_it_would_be_found(source: str) -> None:
    assert banned(source)


def test_what_is_safe_is_not_found() -> None:
    assert not banned("yaml.safe_load(text); yaml.load(text, Loader=yaml.SafeLoader); re.compile('x'); model.eval()")
