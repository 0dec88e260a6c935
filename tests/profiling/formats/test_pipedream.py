"""Graphs of PipeDream's profiler: real ones, any chain's, and every kind of bad file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from splitgym.models.blocks import Block
from splitgym.models.chain import Unit
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Linear, Pointwise, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.profiling.formats.read import detect, training_profile
from splitgym.profiling.training import load_profile, modelled_profile
from splitgym.ui.errors import InputError

from ... import refused
from ...models.strategies import models
from .foreign_profiles import (
    DATA,
    LENET,
    PipeDreamGraph,
    one_line,
    written,
)


def test_a_real_graph_is_added_up_by_steps(tmp_path: Path) -> None:
    path = DATA / "lenet5_graph.txt"
    assert detect(path) == "pipedream"
    profile = training_profile(path, LENET, "titan-x")
    assert profile.steps == ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3")
    assert profile.batches == (32,)  # from the activations
    forward = np.array([[0.412 + 0.061, 0.058, 0.233 + 0.049, 0.044, 0.121 + 0.039, 0.092 + 0.038, 0.085]])
    backward = np.array([[0.535 + 0.042, 0.091, 0.481 + 0.03, 0.052, 0.188 + 0.021, 0.114 + 0.02, 0.107]])
    np.testing.assert_allclose(profile.forward_s, forward / 1e3, rtol=1e-12)
    np.testing.assert_allclose(profile.backward_s, backward / 1e3, rtol=1e-12)
    modelled = modelled_profile(LENET, "nano")
    for name in ("activation_bytes", "gradient_bytes", "params"):
        np.testing.assert_array_equal(getattr(profile, name), getattr(modelled, name))
    assert not profile.update_s.any()
    one_line(profile.label(), "imported", "FP32", "PipeDream", "lenet5_graph.txt", "batch 32", "counts 0 s")
    profile.save(tmp_path / "profile.csv")
    assert load_profile(tmp_path / "profile.csv", LENET).label() == profile.label()


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "resnet34", "resnet50", "googlenet", "inception_v3"])
def test_a_graph_of_a_zoo_model_gives_every_step_its_time(tmp_path: Path, name: str) -> None:
    model = get_model(name)
    graph = PipeDreamGraph(model, 64, Random(name), shuffle_branches=True)
    profile = training_profile(written(tmp_path, graph.text()), model, "titan-x")
    assert profile.batches == (64,)
    np.testing.assert_allclose(profile.forward_s[0], np.array(graph.forward_us) / 1e6, rtol=1e-12)
    np.testing.assert_allclose(profile.backward_s[0], np.array(graph.backward_us) / 1e6, rtol=1e-12)


KNOWN = (Conv, Conv3d, ConvTranspose, Linear, Pool, GlobalPool)


def knows(layer: object) -> bool:
    """Whether a profile has a line of a layer, or of one inside it."""
    inside = [part for branch in layer.branches for part in branch] if isinstance(layer, Block) else []
    return isinstance(layer, KNOWN) or any(map(knows, inside))


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(models(), st.integers(1, 128), st.randoms(use_true_random=False))
def test_a_graph_of_any_chain_gives_every_step_its_time(
    tmp_path_factory: pytest.TempPathFactory, model: Model, batch: int, random: Random
) -> None:
    assume(not any(unit.joins or unit.head for unit in model.units))
    # A block of nothing that a profile knows (a product of a map and its mean, say) counts for what it follows.
    assume(all(knows(layer) for unit in model.units for layer in unit.layers if isinstance(layer, Block)))
    graph = PipeDreamGraph(model, batch, random, shuffle_branches=True)
    assume(sum("parameter_size" in line for line in graph.lines) > 1)
    path = written(tmp_path_factory.getbasetemp(), graph.text(), "any.txt")
    profile = training_profile(path, model, "titan-x", batch=batch)
    np.testing.assert_allclose(profile.forward_s[0], np.array(graph.forward_us) / 1e6, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(profile.backward_s[0], np.array(graph.backward_us) / 1e6, rtol=1e-9, atol=1e-15)


def test_an_auxiliary_classifier_is_left_out(tmp_path: Path) -> None:
    model = get_model("googlenet")
    graph = PipeDreamGraph(model, 8, Random(0))
    middle = next(line.split()[0] for line in graph.lines if "Concat" in line)
    pool = graph.node(None, "AvgPool2d(kernel_size=5, stride=3)", 4 * 4 * 512, [middle])
    graph.node(None, "Linear(in_features=8192, out_features=1000, bias=True)", 1000, [pool], 8193 * 1000)
    text = re.sub(rf"\b{graph.last}\b", "node100000", graph.text())  # the output is what ran last
    text = re.sub(rf"\b{pool}\b", "node99999", text)
    profile = training_profile(written(tmp_path, text), model, "titan-x")
    np.testing.assert_allclose(profile.forward_s[0], np.array(graph.forward_us) / 1e6, rtol=1e-12)
    assert "2 nodes beside the way to the output left out" in profile.label()


def test_an_adaptive_pool_to_the_same_size_is_no_kernel(tmp_path: Path) -> None:
    model = get_model("vgg16")
    graph = PipeDreamGraph(model, 4, Random(0))
    text = graph.text(shuffled=False)
    view = next(line for line in graph.lines if "View" in line)
    text = text.replace(view, view.replace("View(-1)", "AdaptiveAvgPool2d(output_size=(7, 7))"))
    profile = training_profile(written(tmp_path, text), model, "titan-x")
    np.testing.assert_allclose(profile.forward_s[0], np.array(graph.forward_us) / 1e6, rtol=1e-12)


def test_a_norm_in_a_unit_of_its_own_is_that_units(tmp_path: Path) -> None:
    units = (
        Unit("a", (Conv(3, 1, 1, out_channels=4, activation="none"),)),
        Unit("n", (Pointwise(norm=True),)),
        Unit("b", (Conv(3, 1, 1, out_channels=4, norm=True),)),
    )
    model = Model("preact", Shape(3, 8, 8), units)
    graph = PipeDreamGraph(model, 2, Random(5))
    profile = training_profile(written(tmp_path, graph.text()), model, "titan-x")
    np.testing.assert_allclose(profile.forward_s[0], np.array(graph.forward_us) / 1e6, rtol=1e-12)


def test_lists_of_activations_stages_and_response_norms(tmp_path: Path) -> None:
    text = (DATA / "lenet5_graph.txt").read_text()
    text = text.replace("activation_size=4.000", "activation_size=[4.000; 8.000]")
    text = text.replace("parameter_size=0.000", "parameter_size=0.000 -- stage_id=0")
    text = text.replace("node3 -- ReLU(inplace)", "node3 -- LocalResponseNorm(5, alpha=0.0001)")
    profile = training_profile(written(tmp_path, text), LENET, "titan-x")
    assert profile.forward_s[0, 0] == pytest.approx(0.473e-3)


def test_graphs_at_several_batch_sizes_make_one_profile(tmp_path: Path) -> None:
    graphs = {size: PipeDreamGraph(LENET, size, Random(size)) for size in (16, 4, 64)}
    paths = [written(tmp_path, graph.text(), f"{size}.txt") for size, graph in graphs.items()]
    profile = training_profile(paths, LENET, "titan-x", update_from="tx2-pytorch")
    assert profile.batches == (4, 16, 64)
    for b, size in enumerate(profile.batches):
        np.testing.assert_allclose(profile.forward_s[b], np.array(graphs[size].forward_us) / 1e6, rtol=1e-12)
    np.testing.assert_array_equal(profile.update_s, modelled_profile(LENET, "tx2-pytorch", (1,), "momentum").update_s)
    one_line(profile.label(), "imported", "update (momentum) as modelled for tx2-pytorch")
    with pytest.raises(InputError, match=r"16\.txt: batch 16 is in another file too"):
        training_profile([*paths, paths[0]], LENET, "titan-x")


def _swap(*pairs: tuple[str, str]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        for old, new in pairs:
            assert re.search(old, text)
            text = re.sub(old, new, text)
        return text

    return edit


BAD_GRAPHS: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "cut in an edge": (lambda text: text[: text.rindex("node") + 3], ("nod", "no line of its own", "whole")),
    "cut in a node": (lambda text: text[: text.index("node12") + 100], ("line 4", "neither a node", "nor an edge")),
    "edges lost": (lambda text: text[: text.index("\t")], ("conv1",)),
    "negative": (_swap(("time=0.412", "time=-0.412")), ("forward_compute_time is '-0.412'", "line")),
    "nan": (_swap(("time=0.535", "time=nan")), ("backward_compute_time is 'nan'", "finite")),
    "no number": (_swap(("size=192480.000", "size=many")), ("parameter_size is 'many'", "line 1")),
    "bad list": (_swap(("size=4.000", "size=[4.0; x]")), ("activation_size is 'x'", "line")),
    "second node": (_swap(("node11 --", "node10 --")), ("line 2", "second node10")),
    "circle": (lambda text: text + "\n\tnode6 -- node5", ("node6", "depends on itself")),
    "parameters": (_swap(("=192480.000", "=192484.000")), ("node10", "48121 parameters", "fc1", "and 48120")),
    "activations": (_swap(("=15360.000", "=15364.000")), ("node10", "step fc1", "120 values")),
    "other layer": (_swap(("node12 -- Linear", "node12 -- Conv2d")), ("node12", "fc2", "a linear")),
    "unknown layer": (_swap(("node4 -- MaxPool2d", "node4 -- LSTM")), ("node5", "step pool1", "a pool")),
    "weights elsewhere": (
        _swap((r"(node9 -- )View.*parameter_size=", r"\1Embedding(3) -- forward_compute_time=0.0, "
               "backward_compute_time=0.0, activation_size=4.0, parameter_size=36")),
        ("node9", "Embedding", "has parameters"),
    ),
    "last layer lost": (_swap((r"\n.*node14.*", "")), ("fc3", "not whole")),
    "last layers lost": (
        _swap((r"\n.*node1[234].*", "")), ("step fc2 of lenet5 is not whole", "step fc3 of lenet5 is not whole")
    ),
    "one more layer": (
        lambda text: text + "\n" + text[: text.index("\n")].replace("node10", "node15") + "\n\tnode14 -- node15",
        ("node15", "no further layer"),
    ),
    "another first activation": (_swap(("602112.000", "606816.000")), ("conv1", "no multiple")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_a_bad_graph_is_one_clear_line(tmp_path: Path, case: str) -> None:
    edit, parts = BAD_GRAPHS[case]
    good = (DATA / "lenet5_graph.txt").read_text()
    assert edit(good) != good
    path = written(tmp_path, edit(good))
    with refused(str(path), *parts):
        training_profile(path, LENET, "titan-x")


def test_a_graph_of_another_model_or_batch_is_named() -> None:
    path = DATA / "lenet5_graph.txt"
    with pytest.raises(InputError, match=r"lenet5_graph\.txt: line \d+: node2 \(Conv2d\) .* conv1_1 of vgg11_32"):
        training_profile(path, get_model("vgg11_32"), "titan-x")
    with pytest.raises(InputError, match=r"node2 \(Conv2d: 9408 values .* step conv1 of lenet5: a conv with 4704"):
        training_profile(path, LENET, "titan-x", batch=16)
    wider = replace(LENET, tail=(Linear(120), Linear(85), Linear(10)))
    with pytest.raises(InputError, match=r"node12 .* step fc2 of lenet5: a linear with 85 values"):
        training_profile(path, wider, "titan-x")


def test_the_same_convolutions_with_norms_are_another_model(tmp_path: Path) -> None:
    model = Model("plain", Shape(3, 8, 8), (Unit("a", (Conv(3, 1, 1, out_channels=4), Pool(2, 2))),))
    normed = replace(model, units=(Unit("a", (Conv(3, 1, 1, out_channels=4, norm=True), Pool(2, 2))),))
    with pytest.raises(InputError, match="BatchNorm2d"):
        training_profile(written(tmp_path, PipeDreamGraph(normed, 2, Random(0)).text()), model, "d")
    with pytest.raises(InputError, match=r"step a of plain .* a norm with 256 values"):
        training_profile(written(tmp_path, PipeDreamGraph(model, 2, Random(0)).text()), normed, "d")
