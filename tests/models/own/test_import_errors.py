"""Bad input to the importers: one line that names the file or factory and the node, and never another exception."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from splitgym.models.layers import Shape
from splitgym.models.lookup import get_model
from splitgym.models.own.names import LARGEST, from_folder, is_own, with_input, without_size
from splitgym.models.own.read import import_model, import_module, import_onnx
from splitgym.models.zoo.catalogue import MODELS
from splitgym.ui.errors import InputError
from splitgym.ui.programs import install

from .nets import image, onnx_file
from .refusals import CONV, WEIGHTS, by_hand, changed, node, small_net, the_error

# Files.


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = small_net(tmp_path / "whole.onnx").read_bytes()
    import_onnx(tmp_path / "whole.onnx")
    path = tmp_path / "cut.onnx"
    ends = {*range(48), *range(48, len(whole), 13), *range(len(whole) - 48, len(whole))}
    assert len(whole) > 1000, "some ends lie inside a weight"
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        assert the_error(import_onnx, path).startswith(f"{path}: "), end


def test_a_weight_that_ends_too_early_is_named(tmp_path: Path) -> None:
    def shorten(proto: Any) -> None:
        proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-3]

    path = changed(small_net(tmp_path / "net.onnx"), shorten)
    assert the_error(import_onnx, path).startswith(f"{path}: is not a whole ONNX file (weight w: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a whole ONNX file (its graph has no nodes, inputs or outputs)"),
        (b"model: resnet50\nmbps: [1, 2]\n" * 20, "is not a whole ONNX file ("),
        (bytes(range(256)) * 4, "is not a whole ONNX file ("),
    ],
    ids=["empty", "text", "bytes"],
)
def test_what_is_no_onnx_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert the_error(import_model, str(path)).startswith(f"{path}: {words}")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for name in ("missing.onnx", "folder.onnx", "a/b.onnx", "a\0b.onnx"):
        assert the_error(get_model, f"{tmp_path}/{name}") == f"{tmp_path}/{name}: no such file"


@pytest.mark.parametrize("left", [None, 0, 100])
def test_weights_beside_the_file_that_are_not_all_there(left: int | None, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    import_onnx(path)
    data = tmp_path / "weights.bin"
    data.unlink() if left is None else data.write_bytes(data.read_bytes()[:left])
    message = the_error(import_onnx, path)
    assert message.startswith(f"{path}: is not a whole ONNX file (")
    assert ("weights.bin" if left is None else "'w'") in message


def test_without_the_package_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small_net(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert the_error(import_onnx, path) == f"{path}: reading ONNX files needs the package onnx ({install('onnx')})"


def mutants(proto: Any) -> Iterator[Any]:
    """The file with one thing changed each: attributes, inputs and outputs of nodes, sizes of weights."""

    def copied() -> Any:
        return copy.deepcopy(proto)

    for i, made in enumerate(proto.graph.node):
        for j, attribute in enumerate(made.attribute):
            for value in (None, "text", 3, [1], [1, 2, 3], [0, 0], -1, [-1, 0, 0, 0]):
                other = copied()
                if value is None:
                    del other.graph.node[i].attribute[j]
                else:
                    other.graph.node[i].attribute[j].CopyFrom(helper.make_attribute(attribute.name, value))
                yield other
        for j in range(len(made.input)):
            for name in ("nowhere", "", "x", "c", "w", "b"):
                other = copied()
                other.graph.node[i].input[j] = name
                yield other
            other = copied()
            del other.graph.node[i].input[j]
            yield other
        for part in ("input", "output"):
            other = copied()
            del getattr(other.graph.node[i], part)[:]
            yield other
        other = copied()
        del other.graph.node[i]
        yield other
    for i, tensor in enumerate(proto.graph.initializer):
        for size in ([], [1], [2, 2], list(tensor.dims)[::-1], [*tensor.dims, 1]):
            other = copied()
            zeros = onnx.numpy_helper.from_array(np.zeros(size, np.float32), tensor.name)
            other.graph.initializer[i].CopyFrom(zeros)
            yield other


def test_a_file_that_breaks_onnx_rules_is_refused_or_runs(tmp_path: Path) -> None:
    """Nothing checks a file against ONNX's rules when it is loaded: here is every kind of breach."""
    path, outcomes = tmp_path / "mutant.onnx", {"refused": 0, "runs": 0}
    for mutant in mutants(onnx.load(small_net(tmp_path / "net.onnx"))):
        path.write_bytes(mutant.SerializeToString())
        try:
            imported = import_onnx(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            outcomes["refused"] += 1
        else:
            with torch.inference_mode():
                imported.build()(image(imported.model.input))
            outcomes["runs"] += 1
    assert outcomes["refused"] > 100
    assert outcomes["runs"] > 5


# What a network's description may be.


@pytest.mark.parametrize("sizes", [(1, 2, None, None), ("N", 2, "h", "w"), ("N", None, "h", "w"), (0, 2, 0, 0)])
def test_open_sizes_are_given_with_the_name(sizes: tuple[Any, ...], tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", sizes)
    message = the_error(import_model, str(path))
    assert message.startswith(f"{path}: input x leaves sizes open (")
    assert message.endswith(f"give them with --input 3x224x224 (channels, height, width) or as {path}@3x224x224")
    assert ("(h, w)" in message) == (sizes == ("N", 2, "h", "w"))
    assert import_model(f"{path}@2x9x7").model.input == Shape(2, 9, 7)


def test_a_size_may_be_repeated_but_not_contradicted(tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", (1, 2, 6, "w"))
    assert import_model(f"{path}@2x6x7").model.input == Shape(2, 6, 7)
    for wrong in ("3x6x7", "2x7x7"):
        assert the_error(import_model, f"{path}@{wrong}") == f"{path}: input x is 2x6x?, not {wrong}"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((8, 2, 6, 5), "input x has a batch of 8, allowed: 1 or a free size"),
        ((1, 2, 6), "input x has 3 axes, allowed: 4 (batch, channels, height, width)"),
        ((1, 2, 3, 6, 5), "input x has 5 axes, allowed: 4 (batch, channels, height, width)"),
    ],
)
def test_the_input_is_one_image(sizes: tuple[int, ...], words: str, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", sizes)
    assert the_error(import_onnx, path) == f"{path}: {words}"


def test_a_file_has_one_input_and_any_outputs(tmp_path: Path) -> None:
    def second(kind: str) -> Callable[[Any], None]:
        value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 12, 6, 5])
        return lambda proto: getattr(proto.graph, kind).append(value)

    path = changed(small_net(tmp_path / "input.onnx"), second("input"))
    assert the_error(import_onnx, path) == f"{path}: the network has 2 inputs (x, c), allowed: one, the image"
    path = changed(small_net(tmp_path / "output.onnx"), second("output"))
    assert [output.name for output in import_onnx(path).outputs] == ["y", "c"]


def test_a_weight_that_is_listed_as_an_input_too_is_none(tmp_path: Path) -> None:
    """As files had it up to version 3 of the format."""

    def list_weights(proto: Any) -> None:
        for tensor in proto.graph.initializer:
            proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))

    import_onnx(changed(small_net(tmp_path / "net.onnx"), list_weights))


def test_what_lies_behind_the_output_is_not_read(tmp_path: Path) -> None:
    nodes = [CONV, node("Relu", "c", out="y"), node("ArgMax", "y", out="unused")]
    path = onnx_file(tmp_path / "net.onnx", nodes, (1, 2, 6, 5), WEIGHTS, 18)
    changed(path, lambda proto: setattr(proto.graph.output[0], "name", "y"))
    assert [unit.name for unit in import_onnx(path).model.units] == ["conv1"]


def test_an_opset_that_means_something_else_is_refused(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "old.onnx", CONV, node("Relu", "c"), opset=6)
    assert the_error(import_onnx, path) == f"{path}: is of opset 6, allowed: 7 or later"


def test_a_network_that_depends_on_every_row_from_the_start_is_refused(tmp_path: Path) -> None:
    path = by_hand(
        tmp_path / "mlp.onnx", node("Flatten", "x", out="f"), node("Gemm", "f", "m"), m=np.ones((60, 3), "f")
    )
    words = "its first layer reads every row, so nothing of it can be split by height"
    assert the_error(import_onnx, path) == f"{path}: {words}"
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    assert the_error(import_module, mlp, Shape(2, 6, 5), source="nets:mlp") == f"nets:mlp: {words}"


def test_a_network_without_layers_is_refused(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.onnx", node("Identity", "x"))
    assert the_error(import_onnx, path) == f"{path}: it has no layers, so nothing of it can be split by height"
    path = by_hand(tmp_path / "net.onnx", CONV, node("Relu", "b"))
    assert the_error(import_onnx, path) == f"{path}: output y does not depend on the input"


# Names and factories.


@pytest.mark.parametrize(
    "name", ["resnet51", "net", "net.ONNX", "net.onnx@3x224", "net.onnx@", "net.onnx@3x2x2x2", "net.onnx@-3x2x2", ""]
)
def test_what_names_no_network_is_refused(name: str) -> None:
    error = the_error(get_model, name)
    assert error.startswith(f"unknown model {name!r}; ")
    assert "splitgym-train --list models" in error
    assert "did you mean " in error or error.endswith("; or your own: path.onnx, module:factory")


@pytest.mark.parametrize("size", ["0x6x5", "2x0x5", "2x6x0", f"2x6x{LARGEST + 1}", "2x6x99999999999999999999999"])
def test_sizes_are_positive_and_sane(size: str, tmp_path: Path) -> None:
    path = small_net(tmp_path / "net.onnx", (1, None, None, None))
    words = f"{size!r} is no size, allowed: channels, height and width such as 3x224x224, each up to {LARGEST}"
    assert the_error(get_model, f"{path}@{size}") == f"{path}@{size}: {words}"
    assert the_error(with_input, str(path), size) == f"input size: {words}"


@pytest.mark.parametrize(
    "size", ["", "3", "3x4", "3x4x5x6", "x4x5", "3,4,5", "3x4x5 ", "3 x 4 x 5", "axbxc", "3X4X5", "3x4x5.0"]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    assert the_error(with_input, "net.onnx", size).startswith(f"input size: {size!r} is no size, allowed: ")


sides = st.integers(1, LARGEST)
own_names = st.sampled_from(
    ["net.onnx", "a b/c@d.onnx", "module:factory", "pkg.mod:Net", "/abs/net.onnx", "..\\net.onnx"]
)


@given(own_names, st.tuples(sides, sides, sides))
def test_a_size_is_taken_up_by_a_name_once(name: str, size: tuple[int, int, int]) -> None:
    text = "x".join(map(str, size))
    named = with_input(name, text)
    assert with_input(name, None) == name
    assert with_input(named, None) == named
    assert without_size(named) == name
    assert is_own(named)
    assert is_own(name)
    assert the_error(with_input, named, text) == f"model {named} names a size already, {text} is another"
    folder = Path("folder")
    expected = str(folder / named) if name.endswith(".onnx") else named
    assert from_folder(named, folder) == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_zoo_model_keeps_its_own_input(name: str) -> None:
    assert with_input(name, None) == name
    words = "has an input of its own; a size is for ONNX files and module:factory"
    assert the_error(with_input, name, "3x8x8") == f"model {name} {words}"
    assert from_folder(name, Path("folder")) == name


FACTORIES = """
import torch
from torch import nn

NUMBER = 3
net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

def fails():
    raise RuntimeError("first line\\n  second line")

def leaves():
    raise SystemExit(3)

def number():
    return 3

def no_size():
    return net

def one_number():
    return net, 32

def four_numbers():
    return net, (1, 3, 32, 32)

def three():
    return net, (3, 32, 32), "more"

def wants(argument):
    return net
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bad_nets.py").write_text(FACTORIES)
    (tmp_path / "syntax_nets.py").write_text("def net(:\n")
    (tmp_path / "raising_nets.py").write_text("raise AttributeError('two\\nlines')\n")
    (tmp_path / "exiting_nets.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "needy_nets.py").write_text("import surely_not_installed\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad_nets:fails", "the factory fails (RuntimeError: first line second line)"),
        ("bad_nets:leaves", "the factory fails (SystemExit: 3)"),
        ("bad_nets:wants", "the factory fails (TypeError: wants() missing 1 required positional argument: 'argument')"),
        ("bad_nets:NUMBER", "the factory fails (TypeError: 'int' object is not callable)"),
        ("bad_nets:net", "the factory fails (TypeError: "),
        ("bad_nets:number", "returns int, allowed: a torch module, or one and its input size"),
        ("bad_nets:three", "returns tuple, allowed: a torch module, or one and its input size"),
        (
            "bad_nets:no_size",
            "the size of its input is not known; give it with --input 3x224x224 or as bad_nets:no_size@3x224x224",
        ),
        ("bad_nets:one_number", "'32' is no size, allowed: channels, height and width such as 3x224x224"),
        ("bad_nets:four_numbers", "'1x3x32x32' is no size, allowed: channels, height and width such as 3x224x224"),
        ("bad_nets:missing", "module bad_nets has no missing"),
        ("no_such_nets:net", "no module 'no_such_nets' from {folder} or among installed packages"),
        ("bad_nets.deeper:net", "no module 'bad_nets.deeper' from {folder} or among installed packages"),
        ("needy_nets:net", "no module 'surely_not_installed' from {folder} or among installed packages"),
        ("syntax_nets:net", "module syntax_nets cannot be imported (SyntaxError: "),
        ("raising_nets:net", "module raising_nets cannot be imported (AttributeError: two lines)"),
        ("exiting_nets:net", "module exiting_nets cannot be imported (SystemExit: 0)"),
        (".bad_nets:net", "module .bad_nets cannot be imported (TypeError: "),
    ],
)
def test_a_factory_that_does_not_work_is_named(name: str, words: str, folder: Path) -> None:
    assert the_error(get_model, name).startswith(f"{name}: {words.format(folder=folder)}")


@pytest.mark.parametrize("name", [":net", "bad_nets:", "bad_nets:a-b", "bad_nets:1", "bad_nets:net@3x8", ":"])
def test_what_is_neither_file_nor_factory_is_refused(name: str, folder: Path) -> None:
    words = "allowed are a zoo model, a file that ends in .onnx, or module:factory"
    assert the_error(get_model, name) == f"model {name!r}: {words}"
