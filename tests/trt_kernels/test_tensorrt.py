"""TensorRT networks compute what the torch modules compute: the very rows, from the very rows.

The networks are built in a stand-in for TensorRT that records and evaluates them (tensorrt_fake.py).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.models.activations import ACTIVATIONS
from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN, Join, Unit
from splitgym.models.channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle, WithConstant
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pointwise, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model
from splitgym.models.remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice
from splitgym.models.runnable.units import RowSlice, TorchModel, build, kernel_modules
from splitgym.trt_kernels.graph import Graph
from splitgym.trt_kernels.networks import (
    Ports,
    kernel_network,
    kernel_ports,
    middle_rows,
    part_network,
    part_ports,
)
from splitgym.trt_kernels.weights import check_weights, digest, torch_weights
from splitgym.ui.errors import InputError

from ..models.strategies import models, plans
from .tensorrt_fake import INetworkDefinition
from .tensorrt_fake_layers import GENERATIONS, DataType
from .tensorrt_fake_runtime import World

SIDE = Shape(3, 9, 7)


def new_graph(precision: str = "FP32", generation: str = "11") -> Graph:
    return Graph(World(generation).tensorrt(), INetworkDefinition(generation), precision)


def slices(model: Model, start: int, seed: int) -> dict[str, RowSlice]:
    """Whole maps of random numbers for every tensor that crosses a boundary."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: model.tensor_shape(name, start) for name in model.crossing(start)}
    return {
        name: RowSlice(torch.randn(1, s.folded_channels, s.height, s.width, generator=generator), 0)
        for name, s in shapes.items()
    }


def feed(ports: Ports, maps: dict[str, RowSlice]) -> dict[str, torch.Tensor]:
    return {port.name: maps[str(port.tensor)].crop(port.lo, port.hi).tensor for port in ports.inputs}


def assert_close(found: torch.Tensor, wanted: torch.Tensor, rtol: float = 1e-4) -> None:
    scale = max(1.0, float(wanted.abs().max()))
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=rtol * scale)


def check_kernel(torch_model: TorchModel, index: int, a: int, b: int, precision: str = "FP32", rtol=1e-4) -> None:
    kernel = torch_model.model.kernels[index]
    graph = new_graph(precision)
    ports = kernel_network(graph, kernel, torch_weights(torch_model)[index], a, b)
    assert ports == kernel_ports(kernel, a, b)
    shape, generator = kernel.in_shape, torch.Generator().manual_seed(index)
    x = torch.randn(1, shape.folded_channels, shape.height, shape.width, generator=generator)
    given_rows = [x[:, :, port.lo : port.hi] for port in ports.inputs]
    found = graph.network.evaluate({port.name: rows for port, rows in zip(ports.inputs, given_rows, strict=True)})
    whole = kernel_modules(torch_model)[index](*[x] * max(1, len(ports.inputs))).reshape(
        1, kernel.out_shape.folded_channels, kernel.out_shape.height, kernel.out_shape.width
    )
    assert found.keys() == {"out."}
    assert_close(found["out."], whole[:, :, a:b], rtol)


GATE = Block(((), (GlobalPool(), Conv(1, out_channels=2), Conv(1, out_channels=3, activation="sigmoid"))), "mul")


def alone(layer: Layer, shape: Shape) -> TorchModel:
    """A model of one layer; a map that no unit may cut lies in the tail."""
    tail = isinstance(layer, Linear | GlobalPool)
    units = (Unit("first", (Conv(1, out_channels=shape.channels),)),) if tail else (Unit("only", (layer,)),)
    return build(Model("one", shape, units, (layer,) if tail else ()), seed=3)


def check_every_part(layer: Layer, shape: Shape) -> None:
    torch_model = alone(layer, shape)
    index = len(torch_model.model.kernels) - 1
    height = torch_model.model.kernels[index].out_shape.height
    with torch.inference_mode():
        for a in range(height):
            for b in range(a + 1, height + 1):
                check_kernel(torch_model, index, a, b)


@pytest.mark.parametrize(
    "layer",
    [
        Conv(3, padding=1, out_channels=4, norm=True),
        Conv(3, 2, 1, out_channels=4, bias=False, norm=True, activation="none"),
        Conv((5, 3), (2, 1), (2, 1), (2, 1), out_channels=2, activation="leaky"),
        Conv(3, padding=1, out_channels=6, groups=3, bias=False),
        Conv(2, 3, (4, 1), out_channels=2, activation="leaky=0.3"),  # rows that see nothing but padding
        Conv(1, padding=(2, 1), out_channels=2, bias=False, activation="sigmoid"),
        ConvTranspose(2, 2, out_channels=2, norm=True),
        ConvTranspose(4, 2, 1, out_channels=3),
        ConvTranspose(3, 1, 1, out_channels=2, bias=False, activation="none"),
        ConvTranspose(1, 3, out_channels=2, activation="none"),  # rows between two windows
        ConvTranspose(2, 3, out_channels=2, bias=False, norm=True, activation="tanh"),
        Pool(2, 2),
        Pool(3, 2, 1),
        Pool(3, 2, ceil_mode=True),
        Pool(2, 2, 1, ceil_mode=True),
        Pool(3, 2, dilation=2),
        Pool(2, 1, dilation=(3, 1), ceil_mode=True),
        Pool(1, 3, ceil_mode=True),  # a window that torch drops, since it would start behind the map
        Reorg(3),
        Pad(2, 1, 0, 3, value=1.5),
        Pad(0, 2, 1, 0, value=float("-inf")),
        Pointwise(norm=True, activation="leaky"),
        Pointwise(activation="none"),
        Linear(5, activation="none"),
        Linear(4, bias=False),
        GlobalPool(),
        GlobalPool("max"),
        GlobalPool("l2"),
        ConvTranspose(3, 2, 1, out_channels=6, groups=3, extra=(1, 1)),
        ConvTranspose(2, 2, out_channels=3, extra=(1, 0), bias=False),
        Reorg(3, "patch"),
        DepthToSpace(2),
        DepthToSpace(3, "patch"),
        Slice(channels=(0, 2, 1), rows=(1, 2, 2), columns=(2, 2, -1)),
        Resize(12, 9, "linear", "half_pixel", (12 / 5, 9 / 4)),
        Resize(3, 7, "cubic", "align_corners", (3 / 5, 7 / 4)),
        Resize(10, 8, "nearest", "asymmetric", (2.0, 2.0)),
        Mirror(2, 1, 1, 0),
        Mirror(2, 3, 0, 1, "edge"),
        PRelu(),
        LocalNorm(3, 0.5, 0.75, 2.0),
        ChannelNorm(1e-3),
        ChannelReduce("mean"),
        ChannelReduce("l2"),
        Shuffle(3),
        WithConstant("mul", 1, 5, 4),
        WithConstant("sub", 3, 1, 4, first=True),
        MapNorm(3),
        GATE,
    ],
    ids=repr,
)
def test_a_kernel_computes_every_range_of_its_rows(layer: Layer) -> None:
    shapes = {Reorg: Shape(3, 9, 9), DepthToSpace: Shape(36, 3, 4), Slice: Shape(3, 5, 4), Resize: Shape(3, 5, 4)}
    shapes |= {WithConstant: Shape(3, 5, 4)}
    if isinstance(layer, Block):
        check_every_unit_part(layer, SIDE)
    else:
        check_every_part(layer, shapes.get(type(layer), SIDE))


def check_every_unit_part(layer: Layer, shape: Shape) -> None:
    """Of a model that is one unit."""
    torch_model = build(Model("one", shape, (Unit("only", (layer,)),)), seed=3)
    maps, height = slices(torch_model.model, 0, seed=0), torch_model.model.out_shape(0).height
    with torch.inference_mode():
        for a in range(height):
            for b in range(a + 1, height + 1):
                graph = new_graph()
                ports = part_network(graph, torch_model.model, torch_weights(torch_model), 0, 1, a, b)
                wanted = torch_model.run_part(0, 1, maps, a, b).tensors[MAIN].tensor
                assert_close(graph.network.evaluate(feed(ports, maps))["out."], wanted)


@pytest.mark.parametrize("kind", ["avg", "avg_valid"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 1), ((4, 2), (3, 2), (2, 0))])
def test_an_average_divides_by_what_torch_divides_by(size, stride, padding, ceil_mode: bool, kind) -> None:
    check_every_part(Pool(size, stride, padding, kind=kind, ceil_mode=ceil_mode), Shape(2, 8, 8))


def test_a_3d_convolution_keeps_depth_in_the_channels() -> None:
    layer = Conv3d(3, (2, 1), 1, out_channels=3, kernel_depth=3, stride_depth=2, padding_depth=1, norm=True)
    check_every_part(layer, Shape(2, 7, 4, depth=3))
    check_every_part(Conv3d(2, 1, 1, (2, 3), out_channels=2, kernel_depth=1, bias=False), Shape(2, 6, 5, depth=2))
    check_every_part(Conv3d(1, padding=2, out_channels=2, kernel_depth=2, activation="softmax"), Shape(1, 3, 3, 3))


@pytest.mark.parametrize(
    "layer", [Conv(3, out_channels=2, norm=True), ConvTranspose(2, out_channels=2, norm=True), Pointwise(norm=True)]
)
def test_a_norm_keeps_its_epsilon(layer: Layer) -> None:
    torch_model = alone(layer, SIDE)
    kernel_modules(torch_model)[0].norm.eps = 0.5  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    with torch.inference_mode():
        check_kernel(torch_model, 0, 1, 3)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "leaky=0.25", "clip=-1,2", "pow=3", "swish=1.7", "elu=0.5"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_activations(activation: str, generation: str) -> None:
    torch_model = alone(Pointwise(activation=activation), Shape(5, 3, 2))
    graph = new_graph(generation=generation)
    kernel_network(graph, torch_model.model.kernels[0], {}, 0, 3)
    x = torch.linspace(-8, 8, 30).reshape(1, 5, 3, 2)
    x = x.abs() if activation in ("log", "sqrt") else x
    with torch.inference_mode():
        assert_close(graph.network.evaluate({"in.": x})["out."], kernel_modules(torch_model)[0](x), rtol=1e-5)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_half_precision_reaches_every_tensor_and_weight(generation: str) -> None:
    chain = (
        Conv(3, padding=1, out_channels=4, norm=True, activation="gelu"),
        Pool(3, 2, 1, kind="avg", ceil_mode=True),
    )
    model = Model("half", SIDE, (Unit("a", chain), Unit("b", (Pointwise(norm=True, activation="log_softmax"),))))
    torch_model = build(model)
    graph = new_graph("FP16", generation)
    ports = part_network(graph, model, torch_weights(torch_model), 0, 2, 1, 4)
    tensors = [*graph.network.inputs.values(), *(layer.get_output(0) for layer in graph.network.layers)]
    assert {tensor.dtype for tensor in tensors} == {DataType.HALF}
    maps = slices(model, 0, seed=0)
    with torch.inference_mode():
        wanted = torch_model.run_part(0, 2, maps, 1, 4).tensors[MAIN].tensor
    assert_close(graph.network.evaluate(feed(ports, maps))["out."], wanted, rtol=5e-3)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "layer",
    [Conv(3, out_channels=2, bias=False), ConvTranspose(3, out_channels=2, bias=False), Pointwise(norm=True)],
    ids=repr,
)
def test_weights_that_are_left_out_are_of_the_layers_type(generation: str, layer: Layer) -> None:
    graph = new_graph("FP16", generation)
    torch_model = alone(layer, SIDE)
    kernel_network(graph, torch_model.model.kernels[0], torch_weights(torch_model)[0], 1, 4)
    graph.scaled(graph.network.inputs["in."], np.ones(SIDE.channels))  # a shift alone


def check_part(torch_model: TorchModel, start: int, stop: int, a: int, b: int, seed: int = 0) -> None:
    """A part's network against ``run_part``; what it hands on must be there row by row."""
    model, graph = torch_model.model, new_graph()
    ports = part_network(graph, model, torch_weights(torch_model), start, stop, a, b)
    assert ports == part_ports(model, start, stop, a, b)
    maps = slices(model, start, seed)
    with torch.inference_mode():
        wanted = torch_model.run_part(start, stop, maps, a, b)
        found = graph.network.evaluate(feed(ports, maps))
    rows = {**wanted.tensors, **wanted.heads}
    assert {port.tensor for port in ports.outputs} == {name for name, x in rows.items() if x.tensor.shape[2]}
    for port in ports.outputs:
        x = rows[port.tensor]  # pyright: ignore[reportArgumentType]
        assert (port.lo, port.hi) == (x.lo, x.hi)
        assert_close(found[port.name], x.tensor)


@settings(max_examples=50)
@given(st.data())
def test_parts_of_random_models_equal_run_part(data: st.DataObject) -> None:
    model = data.draw(models())
    torch_model = build(model, seed=1)
    cuts, posts = data.draw(plans(model))
    start = 0
    for stop, fence in zip(cuts, posts, strict=True):
        for a, b in pairwise(fence):
            if a < b:
                check_part(torch_model, start, stop, a, b)
        start = stop


@settings(max_examples=30)
@given(st.data())
def test_kernels_of_random_models_equal_their_modules(data: st.DataObject) -> None:
    model = data.draw(models())
    torch_model = build(model, seed=2)
    index = data.draw(st.integers(0, len(model.kernels) - 1))
    height = model.kernels[index].out_shape.height
    a = data.draw(st.integers(0, height - 1))
    with torch.inference_mode():
        check_kernel(torch_model, index, a, data.draw(st.integers(a + 1, height)))


def vgg_like() -> Model:
    convs = [Unit(f"conv{i}", (Conv(3, padding=1, out_channels=4 * i),)) for i in (1, 2)]
    return Model("small-vgg", Shape(3, 16, 12), (*convs, Unit("pool", (Pool(2, 2),)), Unit("conv3", convs[0].layers)))


def resnet_like() -> Model:
    def block(width: int, stride: int) -> Unit:
        main = (
            Conv(3, stride, 1, out_channels=width, bias=False, norm=True),
            Conv(3, 1, 1, out_channels=width, bias=False, norm=True, activation="none"),
        )
        shortcut = (Conv(1, stride, out_channels=width, norm=True, activation="none"),) if stride > 1 else ()
        return Unit(f"block{width}-{stride}", (Block((main, shortcut), "add", "relu"),))

    stem = Unit("stem", (Conv(7, 2, 3, out_channels=4, norm=True), Pool(3, 2, 1)))
    return Model("small-resnet", Shape(3, 40, 24), (stem, block(4, 1), block(6, 2), block(6, 1)))


def joined() -> Model:
    """A passthrough over two units, a join of the tensor at a cut, a split by channels, and side heads."""
    units = (
        Unit("a", (Conv(3, padding=1, out_channels=4),), save="early"),
        Unit("b", (Pool(2, 2),), save="half", head=(Conv(3, padding=1, out_channels=2, activation="none"),)),
        Unit("c", (Block(((Conv(3, padding=1, out_channels=3),), ()), split_channels=(1, 3)),)),
        Unit("d", (Conv(1, out_channels=5),), (Join("early", (Reorg(2),)), Join("half")), save="late"),
        Unit("e", (), head=(Pool(2, 2, ceil_mode=True),)),  # its output is a tensor that crosses, too
        Unit("f", (Pointwise(),), joins=(Join("late"),)),
    )
    return Model("joined", Shape(2, 20, 8), units)


@pytest.mark.parametrize("make", [vgg_like, resnet_like, joined])
def test_parts_of_small_networks_equal_run_part(make) -> None:
    torch_model = build(make(), seed=4)
    model = torch_model.model
    for start in range(len(model.units)):
        for stop in range(start + 1, len(model.units) + 1):
            height = model.out_shape(stop - 1).height
            for a, b in {(0, height), (0, 1), (height - 1, height), (height // 3, height // 3 + 2)}:
                check_part(torch_model, start, stop, a, b)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "resnet50", "inception_v3", "yolov2", "openpose", "voxelnet", "googlenet"])
def test_networks_of_the_zoo_are_built_with_the_shapes_of_their_models(name: str) -> None:
    model = get_model(name)
    torch_model = build(model)
    graph = new_graph("FP16")
    stop = len(model.units)
    height = model.out_shape(stop - 1).height
    a, b = height // 3, max(height // 3 + 1, height // 2)
    for port in part_network(graph, model, torch_weights(torch_model), 0, stop, a, b).outputs:
        assert graph.network.outputs[port.name].shape == port.sizes


def test_rows_that_are_not_read_are_no_input() -> None:
    kernel = alone(Conv(1, padding=(2, 0), out_channels=2), SIDE).model.kernels[0]
    assert kernel_ports(kernel, 0, 1).inputs == ()
    assert [(port.lo, port.hi) for port in kernel_ports(kernel, 1, 4).inputs] == [(0, 2)]


def test_middle_rows_lie_away_from_both_edges() -> None:
    kernel = alone(Conv(3, padding=1), SIDE).model.kernels[0]
    assert [middle_rows(kernel, rows) for rows in (1, 2, 8, 9)] == [(4, 5), (3, 5), (0, 8), (0, 9)]


def test_only_the_part_at_an_edge_pads() -> None:
    torch_model = alone(Conv(3, padding=1), SIDE)

    def padding(a: int, b: int) -> tuple[int, int]:
        graph = new_graph()
        kernel_network(graph, torch_model.model.kernels[0], torch_weights(torch_model)[0], a, b)
        conv = graph.network.layers[0]
        return conv.pre_padding[0], conv.post_padding[0]

    assert [padding(0, 9), padding(0, 3), padding(3, 6), padding(6, 9)] == [(1, 1), (1, 0), (0, 0), (0, 1)]


def test_what_tensorrt_refuses_is_named() -> None:
    torch_model = build(vgg_like())
    graph = new_graph()
    graph.network.add_pooling_nd = lambda **_: None
    with pytest.raises(InputError, match=r"^kernel pool: TensorRT refuses the layer$"):
        part_network(graph, torch_model.model, torch_weights(torch_model), 0, 3, 0, 2)


def test_weights_that_half_precision_cannot_hold_are_named() -> None:
    torch_model = build(vgg_like())
    weights = torch_weights(torch_model)
    weights[1]["conv.weight"] = weights[1]["conv.weight"] * np.float32(1e6)
    part_network(new_graph("FP32"), torch_model.model, weights, 0, 2, 0, 2)
    with pytest.raises(InputError, match=r"^kernel conv2: some of its weights are no finite numbers in FP16$"):
        part_network(new_graph("FP16"), torch_model.model, weights, 0, 2, 0, 2)


def test_weights_of_another_model_are_refused() -> None:
    torch_model, other = build(vgg_like()), build(resnet_like())
    weights = torch_weights(torch_model)
    check_weights(torch_model.model, weights)
    with pytest.raises(InputError, match=r"^weights are for 9 kernels, the model small-vgg has 4$"):
        check_weights(torch_model.model, torch_weights(other))
    del weights[0]["conv.bias"]
    with pytest.raises(InputError, match=r"^weights of kernel conv1 of small-vgg are 108 numbers, allowed: 112$"):
        check_weights(torch_model.model, weights)


def test_a_digest_knows_values_and_names() -> None:
    one = [{"conv.weight": np.arange(4.0)}]
    assert digest(one) == digest([{"conv.weight": np.arange(8.0)[:4]}])
    others = [[{"conv.weight": np.arange(4.0) + 1}], [{"conv.bias": np.arange(4.0)}], [{"conv.weight": np.eye(2)}], []]
    assert len({digest(other) for other in [one, *others]}) == 5


def test_a_part_of_no_rows_is_refused() -> None:
    model = vgg_like()
    for a, b in ((3, 3), (0, 17), (-1, 2)):
        with pytest.raises(ValueError, match=r"needs output rows within \[0, 16\)"):
            part_ports(model, 0, 1, a, b)
