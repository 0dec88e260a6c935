"""Layer profiles of trtexec: real names, fused layers, other heights, and every kind of bad file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Shape
from splitgym.models.model import Model
from splitgym.models.remaps import Reorg
from splitgym.profiling.formats.read import latency_table
from splitgym.profiling.tables import load_table, modelled_table
from splitgym.ui.errors import InputError

from ... import refused
from .foreign_profiles import ABOUT, DATA, LENET, one_line, trtexec_json, whole_kernels, written

SOURCES = {
    "conv1": ("/features/0/Conv", "/features/1/Relu"),
    "pool1": ("/features/2/MaxPool",),
    "conv2": ("/features/3/Conv", "/features/4/Relu"),
    "pool2": ("/features/5/MaxPool",),
    "tail.0": ("/classifier/0/Gemm", "/classifier/1/Relu"),
    "tail.1": ("/classifier/2/Gemm", "/classifier/3/Relu"),
    "tail.2": ("/classifier/4/Gemm",),
}


def lower(model: Model, rows: int) -> list[int]:
    """Output rows of the kernels of a model whose input has fewer rows."""
    return [k.out_shape.height for k in replace(model, input=replace(model.input, height=rows)).kernels]


def test_a_real_profile_finds_its_kernels_by_onnx_nodes(tmp_path: Path) -> None:
    table = latency_table(DATA / "lenet5_trtexec.json", LENET, *ABOUT, sources=SOURCES, shape_from="nano")
    whole = [table.kernel_s(k, h) * 1e3 for k, h in enumerate(table.heights)]
    # the medians, with a copy to what it feeds, an output's copy to its layer, the last one to what came before
    expected = [0.0225 + 0.0075, 0.0069, 0.0191, 0.006 + 0.0021, 0.0102 + 0.0011, 0.0091, 0.0082 + 0.0019 + 0.0004]
    np.testing.assert_allclose(whole, expected, rtol=1e-12)
    label = table.label()
    one_line(label, "imported", "FP16", "2026-01-31", "lenet5_trtexec.json", "median of 2094 runs", "nano", "5 data")
    assert "measured" not in label
    table.save(tmp_path / "table.csv")
    np.testing.assert_array_equal(load_table(tmp_path / "table.csv", LENET).seconds, table.seconds)


def test_older_releases_have_means_only(tmp_path: Path) -> None:
    entries = json.loads((DATA / "lenet5_trtexec.json").read_text())
    for entry in entries[1:]:
        del entry["medianMs"]
    path = written(tmp_path, json.dumps(entries))
    table = latency_table(path, LENET, *ABOUT, sources=SOURCES, shape_from="nano")
    assert table.kernel_s("pool1", 14) == pytest.approx(0.0067e-3)
    assert table.total_s() == pytest.approx(sum(entry["averageMs"] for entry in entries[1:]) / 1e3)
    assert "average of 2094 runs" in table.label()


def test_a_median_that_some_layers_lack_is_not_mixed_with_means(tmp_path: Path) -> None:
    entries = json.loads((DATA / "lenet5_trtexec.json").read_text())
    del entries[-1]["medianMs"]
    table = latency_table(written(tmp_path, json.dumps(entries)), LENET, *ABOUT, sources=SOURCES, shape_from="nano")
    assert table.total_s() == pytest.approx(sum(entry["averageMs"] for entry in entries[1:]) / 1e3)


def test_profiles_at_every_height_give_the_table_back(tmp_path: Path) -> None:
    original = modelled_table(LENET, "tx2")
    files: dict[int, str | os.PathLike[str]] = {}
    for rows in range(16, 33):
        seconds = [float(original.kernel_s(k, h)) for k, h in enumerate(lower(LENET, rows))]
        files[rows] = written(tmp_path, whole_kernels(LENET, seconds), f"{rows}.json")
    table = latency_table(files, LENET, *ABOUT)
    for k, (low, high) in enumerate(zip(lower(LENET, 16), lower(LENET, 32), strict=True)):
        expected = original.kernel_s(k, np.arange(low, high + 1))
        np.testing.assert_allclose(table.kernel_s(k, np.arange(low, high + 1)), expected, rtol=1e-14)
        np.testing.assert_allclose(table.kernel_s(k, np.arange(1, low)), float(expected[0]), rtol=1e-14)


def test_where_heights_agree_the_taller_profile_counts(tmp_path: Path) -> None:
    files = {rows: written(tmp_path, whole_kernels(LENET, [rows * 1e-6] * 7), f"{rows}.json") for rows in (32, 31, 16)}
    table = latency_table(files, LENET, *ABOUT)
    assert lower(LENET, 31)[4:] == lower(LENET, 32)[4:] == [1, 1, 1]
    np.testing.assert_allclose(table.kernel_s("tail.0", 1), 32e-6, rtol=1e-14)
    np.testing.assert_allclose(table.kernel_s("conv1", [12, 27, 28]), [16e-6, 31e-6, 32e-6], rtol=1e-14)


def test_one_height_alone_needs_a_shape(tmp_path: Path) -> None:
    path = written(tmp_path, whole_kernels(LENET, [1e-3] * 7))
    with refused(str(path), "conv1", "28 rows", "ROWS=FILE", "shape"):
        latency_table(path, LENET, *ABOUT)
    table = latency_table(path, LENET, *ABOUT, shape_from="xavier")
    modelled = modelled_table(LENET, "xavier")
    scale = 1e-3 / np.array([modelled.kernel_s(k, h) for k, h in enumerate(modelled.heights)])
    np.testing.assert_allclose(table.seconds, modelled.seconds * scale[:, None], rtol=1e-12)
    one_line(table.label(), "imported", "modelled for xavier")


@pytest.mark.parametrize(
    ("names", "kernels"),
    [
        (("conv1 + relu1", "pool1", "conv2 + relu2 + pool2"), ((0,), (1,), (2, 3))),
        (("conv1 || conv2", "pool1", "pool2"), ((0, 2), (1,), (3,))),
        (("conv1 + PWN(relu)", "PWN(pool1)", "PWN(PWN(conv2, pool2), sum)"), ((0,), (1,), (2, 3))),
        (("{ForeignNode[conv1,pool1]}", "conv2_myl3_7", "PWN(pool2)"), ((0, 1), (2,), (3,))),
        (("pool1 + pool2", "conv1", "conv2"), ((1, 3), (0,), (2,))),
        (("{conv1,pool1}", "{conv2, pool2}"), ((0, 1), (2, 3))),
        (("conv1.weight + QuantizeLinear_7 + Conv_9", "pool1", "conv2", "pool2"), ((0,), (1,), (2,), (3,))),
    ],
)
def test_fused_layers_are_shared_by_macs(
    tmp_path: Path, names: tuple[str, ...], kernels: tuple[tuple[int, ...], ...]
) -> None:
    times = [0.25 + i for i in range(len(names))]
    layers = [*zip(names, times, strict=True), ("fc1", 0.1), ("tail.1", 0.2), ("tail.2", 0.3)]
    table = latency_table(written(tmp_path, trtexec_json(layers)), LENET, *ABOUT, shape_from="nano")
    macs = [k.layer.macs(k.in_shape) for k in LENET.kernels]
    expected = [0.0] * 4
    for own, time in zip(kernels, times, strict=True):
        total = sum(macs[k] for k in own)
        for k in own:
            expected[k] += time * (macs[k] / total if total else 1 / len(own))
    found = [float(table.kernel_s(k, table.heights[k])) * 1e3 for k in range(7)]
    np.testing.assert_allclose(found, [*expected, 0.1, 0.2, 0.3], rtol=1e-12)


def test_data_movements_count_for_what_they_feed(tmp_path: Path) -> None:
    layers = [
        ("Reformatting CopyNode for Network Input image", 1.0),
        ("conv1", 2.0),
        ("Reformatting CopyNode for Input Tensor 0 to pool1 + PWN(x)", 4.0),
        ("pool1", 8.0),
        ("conv2 input reformatter 0", 16.0),
        ("conv2", 32.0),
        ("conv2 copy", 64.0),
        ("(Unnamed Layer* 4) [Shuffle]", 128.0),
        ("pool2", 256.0),
        ("/Flatten", 512.0),
        *((f"fc{i}", 0.0) for i in (1, 2, 3)),
        ("reshape_after_fc3", 1024.0),
        ("Transpose_12", 2048.0),
    ]
    table = latency_table(written(tmp_path, trtexec_json(layers)), LENET, *ABOUT, shape_from="nano")
    found = [float(table.kernel_s(k, table.heights[k])) * 1e3 for k in range(7)]
    np.testing.assert_allclose(found, [1 + 2, 4 + 8, 16 + 32 + 64, 128 + 256, 512, 0, 1024 + 2048], rtol=1e-12)
    assert "8 data movements" in table.label()


def test_a_kernel_that_is_a_reshape_is_not_a_data_movement(tmp_path: Path) -> None:
    model = Model("m", Shape(1, 4, 4), (Unit("a", (Conv(1, out_channels=1),)), Unit("b", (Reorg(2),))))
    path = written(tmp_path, trtexec_json([("/c/Conv", 1.0), ("/d/Transpose", 2.0)]))
    sources = {"a": ["/c/Conv"], "b": ["/d/Reshape", "/d/Transpose"]}
    table = latency_table(path, model, *ABOUT, sources=sources, shape_from="nano")
    np.testing.assert_allclose([table.kernel_s("a", 4), table.kernel_s("b", 2)], [1e-3, 2e-3])


def test_a_map_says_whose_a_layer_is_and_leaves_layers_out(tmp_path: Path) -> None:
    layers = [("__myl_a", 1.0), ("__myl_b", 2.0), ("pro\nb", 4.0), ("fc1", 8.0), ("fc2", 16.0), ("__myl_c", 32.0)]
    path = written(tmp_path, trtexec_json([*layers, ("Reformatting CopyNode for Output Tensor 0 to pro\nb", 0.5)]))
    whose = {"__myl_a": "conv1 + pool1", "__myl_b": "conv2 + pool2", "__myl_c": "fc3", "pro\nb": "-"}
    table = latency_table(path, LENET, *ABOUT, layers=whose, shape_from="nano")
    found = [float(table.kernel_s(k, table.heights[k])) * 1e3 for k in range(7)]
    np.testing.assert_allclose(found, [1, 0, 2, 0, 8, 16, 32])
    one_line(table.label(), "left out: pro b", "2 layers of several kernels")
    with pytest.raises(InputError, match="unknown kernel 'conv7'"):
        latency_table(path, LENET, *ABOUT, layers=whose | {"pro\nb": "conv7"}, shape_from="nano")


def test_a_map_can_call_a_copy_a_kernel(tmp_path: Path) -> None:
    layers = [(k.name, 1.0) for k in LENET.kernels if k.name != "pool1"] + [("conv1 copy", 2.0)]
    path = written(tmp_path, trtexec_json(layers))
    table = latency_table(path, LENET, *ABOUT, layers={"conv1 copy": "pool1"}, shape_from="nano")
    np.testing.assert_allclose([table.kernel_s("conv1", 28), table.kernel_s("pool1", 14)], [1e-3, 2e-3])


@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_no_time_is_lost_or_made(tmp_path_factory: pytest.TempPathFactory, random: Random, extra: int) -> None:
    names = [k.name for k in LENET.kernels]
    layers = [(name, random.random()) for name in names]
    for _ in range(extra):
        own = " + ".join(random.sample(names, random.randint(1, 3)))
        name = random.choice([own, f"Reformatting CopyNode for Input Tensor 1 to {own}", "Identity_3"])
        layers.insert(random.randrange(len(layers)), (name, random.random()))
    path = written(tmp_path_factory.getbasetemp(), trtexec_json(layers, median=random.random() < 0.5), "any.json")
    table = latency_table(path, LENET, *ABOUT, shape_from="nano")
    assert table.total_s() == pytest.approx(sum(time for _, time in layers) / 1e3, rel=1e-12)


BAD_TRTEXEC: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "cut off": (lambda text: text[:-200], ("is not JSON", "whole", "line 1")),
    "an object": (lambda text: '{"Layers": []}', ("count",)),
    "no count": (lambda text: text.replace('{ "count" : 2094 }', '{ "runs" : 3 }'), ("count",)),
    "count of no runs": (lambda text: text.replace("2094", "0", 1), ("count is 0", "1 or more")),
    "no layers": (lambda text: '[{"count": 3}]', ("no layers",)),
    "no name": (lambda text: text.replace('"name" : "/features/2', '"title" : "/features/2'), ("entry 3", '"name"')),
    "no time": (lambda text: text.replace('"averageMs"', '"meanMs"', 1), ("entry 1", '"averageMs"')),
    "negative": (lambda text: text.replace("0.0225", "-0.0225"), ("entry 2", "medianMs is -0.0225", "0 or more")),
    "nan": (lambda text: text.replace("0.0225", "NaN"), ("entry 2", "medianMs is nan", "finite")),
    "text": (lambda text: text.replace("0.0225", '"fast"'), ("entry 2", "'fast'")),
    "boolean": (lambda text: text.replace("0.0225", "true"), ("entry 2", "medianMs is True")),
    "huge integer": (lambda text: text.replace("0.0225", "9" * 400), ("entry 2", "finite")),
    "endless integer": (lambda text: text.replace("0.0225", "9" * 5000), ("too long",)),
    "too deep": (lambda text: "[" * 100_000, ("not JSON",)),
    "unknown layer": (lambda text: text.replace("/features/2/MaxPool", "/prob\\n"), ("1 of 12", r"'/prob'", "map")),
    "range of layers": (
        lambda text: text.replace("/features/2/MaxPool", "{ForeignNode[/features/2/MaxPool.../features/3/Conv]}"),
        ("ForeignNode", "map"),
    ),
    "range of fused layers": (
        lambda text: text.replace(
            "/features/2/MaxPool", "{ForeignNode[/features/2/MaxPool + /x.../features/3/Conv + /features/4/Relu]}"
        ),
        ("ForeignNode", "map"),
    ),
    "unknown layer and kernel without one": (
        lambda text: text.replace("/features/2/MaxPool", "/prob"),
        ("1 of 12 layers", "'/prob'", "1 of 7 kernels", "pool1"),
    ),
    "kernel without layer": (lambda text: text.replace("/features/2/MaxPool", "/features/0/Conv"), ("pool1", "map")),
    "copies only": (
        lambda text: text.replace('"/features/2', '"Reformatting CopyNode for Input Tensor 0 to /features/2'),
        ("pool1", "no layer"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TRTEXEC)
def test_a_bad_trtexec_profile_is_one_clear_line(tmp_path: Path, case: str) -> None:
    edit, parts = BAD_TRTEXEC[case]
    good = (DATA / "lenet5_trtexec.json").read_text()
    assert edit(good) != good
    path = written(tmp_path, edit(good))
    with refused(str(path), *parts):
        latency_table(path, LENET, *ABOUT, sources=SOURCES, shape_from="nano")


def test_heights_that_cannot_be_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, whole_kernels(LENET, [1e-3] * 7))
    for files, parts in (
        ({32: path, 33: path}, (str(path), "33 input rows", "1 to 32")),
        ({32: path, 4: path}, (str(path), "cannot run at 4 input rows")),
        ({20: path}, ("full height", "32 input rows")),
    ):
        with refused(*parts):
            latency_table(files, LENET, *ABOUT)


def test_what_moves_data_around_a_dla_is_no_layer(tmp_path: Path) -> None:
    names = ["{conv1,pool1,conv2,pool2,tail.0,tail.1,tail.2}", "data to nvm", "output from nvm", "input copy finish"]
    names += ["finish", "QuantizeLinear_3", "conv1/DequantizeLinear_2"]
    path = written(tmp_path, trtexec_json([(name, 1.0) for name in names]))
    table = latency_table(path, LENET, *ABOUT, shape_from="nano")
    assert table.total_s() == pytest.approx(7e-3)
    assert "6 data movements" in table.label()


def test_a_layers_name_has_an_alias(tmp_path: Path) -> None:
    entries = json.loads((DATA / "lenet5_trtexec.json").read_text())
    for entry in entries[1:]:
        entry["layer_name"] = entry.pop("name")
    table = latency_table(written(tmp_path, json.dumps(entries)), LENET, *ABOUT, sources=SOURCES, shape_from="nano")
    same = latency_table(DATA / "lenet5_trtexec.json", LENET, *ABOUT, sources=SOURCES, shape_from="nano")
    np.testing.assert_array_equal(table.seconds, same.seconds)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"traceEvents": []}', "it is a trace of events; known are JSON of trtexec --exportProfile"),
        ('{"nodes": [], "edges": []}', "it is a graph or a list of layers without times; known are JSON of trtexec"),
        ("digraph net {\n conv1 -> pool1\n}\n", "is a graph in the DOT language; known are JSON of trtexec"),
        ("some text\nof no kind\n", "is none of the known profiles; known are JSON of trtexec"),
    ],
)
def test_another_kind_of_file_is_told_what_is_known(tmp_path: Path, content: str, words: str) -> None:
    path = written(tmp_path, content)
    with refused(str(path), words):
        latency_table(path, LENET, *ABOUT)
