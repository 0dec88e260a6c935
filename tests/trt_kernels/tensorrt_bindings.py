"""What the published bindings of TensorRT offer, read from them without a GPU and without TensorRT's libraries.

The bindings (wheels ``tensorrt_bindings``, unpacked below .venv/tensorrt-bindings/<version>) need a few symbols of
those libraries when they are imported. A library of functions that do nothing has them, so the import succeeds, in a
process of its own, and classes, enumerations and signatures can be read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import ROOT

FOLDER = ROOT / ".venv" / "tensorrt-bindings"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers")
# The last ones are C++ names that release 8 imports; as names of C functions they are as good.
SYMBOLS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getBuilderPluginRegistry",
    "getPluginRegistry", "getNvOnnxParserVersion", "initLibNvInferPlugins",
    "_ZN14nvcaffeparser117createCaffeParserEv", "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
    "_ZN11nvuffparser15createUffParserEv", "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
)  # fmt: skip

# Printed as JSON by the process that imports the bindings: for every class the signatures of its methods, whether its
# properties can be set and what they are, the values of its members, and its inner classes.
_READ = """
import json, re, tensorrt_bindings as trt

def signatures(name, documentation):
    lines = [line.strip() for line in (documentation or "").splitlines()]
    numbered = [line.partition(". ")[2] for line in lines if re.match(r"[0-9]+[.] " + name + r"[(]", line)]
    return numbered or [line for line in lines[:1] if line.startswith(name + "(")]

def about(found):
    result = {"methods": {}, "properties": {}, "members": {}, "classes": {}}
    members = getattr(found, "__members__", {})
    for name in dir(found):
        value = getattr(found, name)
        if name in members:
            result["members"][name] = int(value)
        elif isinstance(value, type) and not name.startswith("__"):
            result["classes"][name] = value.__qualname__
        elif isinstance(value, property):
            result["properties"][name] = [value.fset is not None, (value.fget.__doc__ or "") if value.fget else ""]
        elif callable(value) and (name == "__init__" or not name.startswith("__")):
            result["methods"][name] = signatures(name, value.__doc__)
    return result

classes = {}
def add(found):
    if found.__qualname__ not in classes and found.__module__.startswith("tensorrt_bindings"):
        classes[found.__qualname__] = about(found)
        for name in classes[found.__qualname__]["classes"]:
            add(getattr(found, name))
for name in dir(trt):
    if isinstance(getattr(trt, name), type):
        add(getattr(trt, name))
names = {name: getattr(getattr(trt, name), "__qualname__", "") for name in dir(trt)}
print(json.dumps({"version": trt.__version__, "names": names, "classes": classes}))
"""


@dataclass(frozen=True)
class Signature:
    """One way to call a method: names of arguments in order, those that must be given, the class that it returns."""

    names: tuple[str, ...]
    needed: frozenset[str]
    returns: str

    def refusal(self, positional: int, keywords: set[str], open_ended: bool) -> str:
        """Why a call does not fit, empty where it does; an open-ended one has further arguments, nobody knows which."""
        if unknown := keywords - set(self.names[positional:]):
            return f"has no argument {', '.join(sorted(unknown))}"
        if positional > len(self.names):
            return f"takes {len(self.names)} arguments"
        missing = self.needed - set(self.names[:positional]) - keywords
        return f"needs {', '.join(sorted(missing))}" if missing and not open_ended else ""


@dataclass(frozen=True)
class Class:
    """A class of the bindings; the second entry of a property is the class of its value."""

    methods: dict[str, tuple[Signature, ...]]
    properties: dict[str, tuple[bool, str]]
    members: dict[str, int]
    classes: dict[str, str]

    @property
    def names(self) -> set[str]:
        return {*self.methods, *self.properties, *self.members, *self.classes}


@dataclass(frozen=True)
class Api:
    """What one release offers.

    Attributes:
        names: of the module, with the class's own name for a class: some have two.
        classes: by their own names.
    """

    version: str
    names: dict[str, str]
    classes: dict[str, Class]


def available() -> list[Path]:
    """Folders of unpacked bindings that this interpreter can import."""
    return sorted(path for path in FOLDER.glob("*") if list(path.glob("tensorrt_bindings/tensorrt*.so")))


def missing() -> str:
    """Why nothing can be compared here, empty where it can."""
    if not available():
        return f"no bindings of TensorRT below {FOLDER.relative_to(ROOT)}"
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux" or os.uname().machine != "x86_64":
        return "the bindings that are compared are those of CPython 3.11 on Linux x86-64"
    return "" if shutil.which("gcc") else "no gcc to build the stand-in for TensorRT's libraries"


def read_api(folder: Path, workplace: Path) -> Api:
    """Import the bindings in a folder, with stand-in libraries that are built in another one."""
    major = folder.name.partition(".")[0]
    source = workplace / "symbols.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    first = workplace / f"lib{LIBRARIES[0]}.so.{major}"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", first, source], check=True)
    for library in LIBRARIES[1:]:
        shutil.copy(first, workplace / f"lib{library}.so.{major}")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(workplace), "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", _READ], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    classes = {name: _class(entry) for name, entry in found["classes"].items()}
    return Api(found["version"], found["names"], classes)


def _class(entry: dict[str, Any]) -> Class:
    methods = {name: tuple(map(_signature, texts)) for name, texts in entry["methods"].items()}
    properties = {
        name: (settable, _short(text.partition("->")[2])) for name, (settable, text) in entry["properties"].items()
    }
    return Class(methods, properties, entry["members"], entry["classes"])


def _signature(text: str) -> Signature:
    inside, _, returns = text[text.index("(") + 1 :].rpartition(")")
    arguments = [part for part in _parts(inside) if part != "/"]
    names = [re.split(r"[:=]", part)[0].strip() for part in arguments]
    needed = {name for name, part in zip(names, arguments, strict=True) if not _default(part)}
    if names[:1] == ["self"]:
        names, needed = names[1:], needed - {"self"}
    return Signature(tuple(names), frozenset(needed), _short(returns.partition("->")[2]))


def _default(argument: str) -> bool:
    return " = " in argument


def _parts(text: str) -> list[str]:
    """Arguments, separated by commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([<") - (letter in ")]>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _short(annotation: str) -> str:
    """A class's name without its module."""
    return re.sub(r"^(tensorrt_bindings\.tensorrt\.|nvinfer1::)", "", annotation.strip())
