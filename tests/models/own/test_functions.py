"""Operators that work value by value are read as such, whatever they are called; functions by what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, defs, helper
from onnx.reference import ReferenceEvaluator

from splitgym.models.layers import Shape
from splitgym.models.own.read import import_onnx
from splitgym.models.programs import Elementwise, Program
from splitgym.models.report import rows_of

from .nets import assert_all_outputs, image, run_onnxruntime
from .refusals import CONV, by_hand, node

SIDE = Shape(2, 6, 5)
SMALL = (1, 2, 3, 4)
RANGES = ((0.1, 0.9), (1.1, 3.0))  # Atanh is for the first, Acosh for the second
NO_MATHS = ("OptionalGetElement", "TensorScatter")  # they give back one of their inputs


def evaluated(operator: str, inputs: list[np.ndarray]) -> np.ndarray | None:
    """What ONNX's reference evaluator gives, None where it fails."""
    names = [f"x{i}" for i in range(len(inputs))]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SMALL) for name in names]
    made = helper.make_node(operator, names, ["y"])
    graph = helper.make_graph([made], "one", values, [helper.make_empty_tensor_value_info("y")])
    try:
        (found,) = ReferenceEvaluator(helper.make_model(graph)).run(None, dict(zip(names, inputs, strict=True)))
    except Exception:  # each operator fails in its own way without its attributes
        return None
    return found if isinstance(found, np.ndarray) and found.dtype.kind in "fb" else None


def value_by_value(operator: str, count: int, low: float, high: float) -> bool:
    """Whether a value of the output depends on those at its place alone, whichever it is, and is a finite number."""
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(low, high, SMALL).astype(np.float32) for _ in range(count)]
    first, again = evaluated(operator, inputs), evaluated(operator, inputs)
    if first is None or again is None or first.shape != SMALL or not np.array_equal(first, again):
        return False
    turned = evaluated(operator, [np.flip(value) for value in inputs])
    if turned is None or not np.allclose(np.flip(turned), first):
        return False
    for place in ((0, 0, 0, 0), (0, 1, 2, 3), (0, 1, 0, 2)):
        others = [rng.uniform(low, high, SMALL).astype(np.float32) for _ in range(count)]
        for own, other in zip(inputs, others, strict=True):
            other[place] = own[place]
        found = evaluated(operator, others)
        if found is None or not np.allclose(found[place], first[place]):
            return False
    return bool(np.isfinite(first).all())


def elementwise_operators() -> Iterator[tuple[str, int, float, float]]:
    """Every operator of ONNX that works value by value on float maps: its name, inputs, and values for them."""
    for schema in defs.get_all_schemas():
        if schema.domain or schema.deprecated or schema.name in NO_MATHS:
            continue
        if schema.max_output > 1 or not all(
            "tensor(float)" in given.types for given in schema.inputs[: max(1, schema.min_input)]
        ):
            continue
        for count in range(max(1, schema.min_input), 4):
            fits = [limits for limits in RANGES if value_by_value(schema.name, count, *limits)]
            if fits:
                yield schema.name, count, *fits[0]
                break


def read_rows(operator: str, count: int, low: float, high: float, path: Path) -> set[str]:
    """How the rows depend on each other of a network that has the operator in its middle."""
    limited = [helper.make_node("Clip", ["c" if i == 0 else "n", "low", "high"], [f"x{i}"]) for i in range(count)]
    nodes = [
        CONV, node("Neg", "c", out="n"), *limited, node(operator, *(f"x{i}" for i in range(count)), out="o"),
        node("Cast", "o", out="f", to=TensorProto.FLOAT), node("Add", "f", "n", out="s"),
        helper.make_node("Conv", ["s", "v"], ["y"], name="last"),
    ]  # fmt: skip
    weights = dict(low=np.array(low, "f"), high=np.array(high, "f"), v=np.ones((2, 12, 1, 1), "f"))
    by_hand(path, *nodes, opset=defs.onnx_opset_version(), **weights)
    imported, x = import_onnx(path), image(SIDE)
    expected: Any = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x.numpy()})
    assert_all_outputs(imported, x, [torch.tensor(np.asarray(expected[0]))])
    return {row.rows for row in rows_of(imported.model)}


def test_whatever_works_value_by_value_is_read_row_by_row(tmp_path: Path) -> None:
    """By what they do, not by a list: an operator that a later ONNX adds is asked for here."""
    found = list(elementwise_operators())
    names = {name for name, *_ in found}
    assert {"Celu", "ThresholdedRelu", "Shrink", "Mean", "Tan", "Acosh", "IsInf", "Less", "Mul", "PRelu"} <= names
    for case in found:
        rows = read_rows(*case, tmp_path / f"{case[0]}.onnx")
        assert rows <= {"windowed", "pointwise"}, case[0]


FUNCTIONS: dict[str, dict[str, Any]] = {
    "Celu": dict(alpha=2.0),
    "ThresholdedRelu": dict(alpha=0.3),
    "Shrink": dict(lambd=0.2, bias=0.1),
    "Selu": dict(alpha=1.2, gamma=0.9),
    "MeanVarianceNormalization": dict(axes=[2, 3]),
}


@pytest.mark.parametrize("opset", [12, 18, 22])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("operator", FUNCTIONS)
def test_a_function_is_read_as_what_it_stands_for(operator: str, stated: bool, opset: int, tmp_path: Path) -> None:
    """Whether its attributes are stated or left out, and though its body is written in a later opset."""
    attributes = FUNCTIONS[operator] if stated else {}
    nodes = [CONV, node(operator, "c", out="f", **attributes), node("Relu", "f", out="r"), node("Add", "r", "c")]
    path, x = by_hand(tmp_path / "net.onnx", *nodes, opset=opset), image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    made = {name for row in rows_of(imported.model, imported.nodes) for name in row.nodes}
    assert made <= {"the Conv", f"the {operator}", "the Relu", "the Add"}, "a user's names"


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_pool_by_powers_is_windowed(power: int, pads: list[int], tmp_path: Path) -> None:
    pool = node("LpPool", "c", kernel_shape=[3, 3], strides=[2, 2], pads=pads, p=power)
    path, x = by_hand(tmp_path / "net.onnx", CONV, pool), image(SIDE)
    imported = import_onnx(path)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    assert {row.rows for row in rows_of(imported.model)} <= {"windowed", "pointwise"}


def kinds(path: Path) -> list[type]:
    """Layers of operators that a network has, and whether they run as the file does."""
    imported, x = import_onnx(path), image(SIDE)
    assert_all_outputs(imported, x, run_onnxruntime(path, x))
    layers = (kernel.layer for kernel in imported.model.kernels)
    return [type(layer) for layer in layers if isinstance(layer, Elementwise | Program)]


def chosen(path: Path, other: np.ndarray) -> Path:
    """A network that takes another value where a map is below a limit."""
    nodes = [CONV, node("Less", "c", "k", out="l"), node("Where", "l", "o", "c", out="t"), node("Add", "t", "c")]
    return by_hand(path, *nodes, k=np.array(0.1, "f"), o=other.astype("f"))


def test_a_choice_by_value_is_a_layer_of_its_own(tmp_path: Path) -> None:
    assert kinds(chosen(tmp_path / "net.onnx", np.array(-2))) == [Elementwise]
    assert kinds(chosen(tmp_path / "net.onnx", np.arange(12).reshape(12, 1, 1))) == [Elementwise]


def test_a_constant_of_every_row_is_not_split_by_rows(tmp_path: Path) -> None:
    rows = np.arange(6).reshape(6, 1)
    assert kinds(chosen(tmp_path / "net.onnx", rows)) == [Program]


def test_a_layer_of_values_takes_batches(tmp_path: Path) -> None:
    imported = import_onnx(chosen(tmp_path / "net.onnx", np.array(-2)))
    x = torch.cat([image(SIDE, seed) for seed in range(3)])
    net = imported.build()
    with torch.inference_mode():
        whole, _ = net(x)
        each = torch.cat([net(one)[0] for one in x.split(1)])
    assert torch.allclose(whole, each, atol=1e-6)
