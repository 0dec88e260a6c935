"""Hypothesis strategies: random layers, random models and random plans on small maps."""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import strategies as st

from splitgym.models.activations import Activation
from splitgym.models.blocks import Block
from splitgym.models.chain import MAIN, Join, Unit
from splitgym.models.channels import ChannelNorm, ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle, WithConstant
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pointwise, Pool, Shape
from splitgym.models.model import Model
from splitgym.models.remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice

MAX_ROWS, MAX_CHANNELS = 40, 24
Plan = tuple[list[int], list[list[int]]]  # stop units, fence posts of each volume

channels = st.integers(1, 4)
ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky", "none")
POOLS: tuple[Literal["max", "avg", "avg_valid"], ...] = ("max", "avg", "avg_valid")
activations, pool_kinds = st.sampled_from(ACTIVATIONS), st.sampled_from(POOLS)


@st.composite
def convs(draw: st.DrawFn, shape: Shape) -> Layer:
    kernel, dilation = (draw(st.integers(1, 5)), draw(st.integers(1, 3))), (draw(st.integers(1, 2)), 1)
    padding = (
        draw(st.integers(0, dilation[0] * kernel[0])),
        draw(st.integers(0, kernel[1] - 1)),
    )  # wider than the kernel
    groups = draw(st.sampled_from([1, shape.folded_channels]))
    return Conv(
        kernel,
        (draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        padding,
        dilation,
        out_channels=groups * draw(st.integers(1, 2)) if groups > 1 else draw(channels),
        groups=groups,
        bias=draw(st.booleans()),
        norm=draw(st.booleans()),
        activation=draw(activations),
    )


@st.composite
def pools(draw: st.DrawFn, shape: Shape) -> Layer:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    kind = draw(pool_kinds)
    dilation = draw(st.integers(1, 2)) if kind == "max" and padding == (0, 0) else 1
    return Pool(kernel, stride, padding, dilation, kind=kind, ceil_mode=draw(st.booleans()))


@st.composite
def transposed(draw: st.DrawFn, shape: Shape) -> Layer:
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))  # a stride above the kernel leaves gaps
    padding = draw(st.integers(0, (kernel - 1) // 2))
    return ConvTranspose(
        kernel, stride, padding, out_channels=draw(channels), bias=draw(st.booleans()), norm=draw(st.booleans())
    )


@st.composite
def convs_3d(draw: st.DrawFn, shape: Shape) -> Layer:
    kernel = draw(st.integers(1, 3))
    return Conv3d(
        kernel,
        draw(st.integers(1, 2)),
        draw(st.integers(0, kernel - 1)),
        out_channels=draw(channels),
        kernel_depth=draw(st.integers(1, 2)),
        stride_depth=draw(st.integers(1, 2)),
        padding_depth=draw(st.integers(0, 1)),
        norm=draw(st.booleans()),
    )


@st.composite
def residuals(draw: st.DrawFn, shape: Shape) -> Layer:
    stride, kernel = draw(st.integers(1, 2)), draw(st.sampled_from([1, 3, 5]))
    project = stride > 1 or draw(st.booleans())
    out = draw(channels) if project else shape.folded_channels
    branch = (
        Conv(1, out_channels=2),
        Conv(kernel, stride, kernel // 2, out_channels=out, norm=True, activation="none"),
    )
    shortcut = (Conv(1, stride, out_channels=out, activation="none"),) if project else ()
    return Block((branch, shortcut), "add", draw(activations))


@st.composite
def inceptions(draw: st.DrawFn, shape: Shape) -> Layer:
    stride = draw(st.integers(1, 2))
    fork = Block(((Conv((1, 3), padding=(0, 1), out_channels=1),), (Conv((3, 1), padding=(1, 0), out_channels=2),), ()))
    branches: list[tuple[Layer, ...]] = [
        (Conv(1, stride, out_channels=draw(channels)),),
        (Conv(3, 1, 1, out_channels=2), fork, Conv(3, stride, 1, out_channels=draw(channels))),
        (Conv(3, stride, 2, 2, out_channels=1),),
        (Pool(3, stride, 1, kind=draw(pool_kinds)), Conv(1, out_channels=1)),
    ]
    return Block(tuple(draw(st.permutations(branches))[: draw(st.integers(2, 4))]), activation=draw(activations))


@st.composite
def side_by_side(draw: st.DrawFn, shape: Shape) -> Layer:
    if shape.folded_channels == 1:
        return Conv(out_channels=2)
    first = draw(st.integers(1, shape.folded_channels - 1))
    branches = tuple((Conv(k, 1, k // 2, out_channels=draw(channels)),) for k in (1, 3))
    return Block(branches, split_channels=(first, shape.folded_channels - first))


@st.composite
def pointwise(draw: st.DrawFn, shape: Shape) -> Layer:
    return Pointwise(draw(st.booleans()), draw(st.sampled_from(["relu6", "leaky=0.3", "hardswish", "softmax", "none"])))


@st.composite
def pads(draw: st.DrawFn, shape: Shape) -> Layer:
    """A border, wider than a part of the map may be high."""
    sides = st.integers(0, 4)
    return Pad(draw(sides), draw(sides), draw(sides), draw(sides), draw(st.sampled_from([0.0, -3.5])))


@st.composite
def remaps(draw: st.DrawFn, shape: Shape) -> Layer:
    """Slices, resizes, depth to space."""
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 10))
    scales = (height / shape.height, width / shape.width)
    coordinates: Any = draw(st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]))
    rounding: Any = draw(st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    mode: Any = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    first, apart = draw(st.integers(0, shape.height - 1)), draw(st.integers(1, 3))
    rows = (first, draw(st.integers(1, (shape.height - 1 - first) // apart + 1)), apart)
    return draw(
        st.sampled_from(
            [
                Resize(height, width, mode, coordinates, scales, rounding),
                Slice(rows=rows),
                Mirror(first % 3, apart, 1, 0, draw(st.sampled_from(["edge", "reflect"]))),
                Slice(rows=rows, columns=(shape.width - 1, shape.width, -1), channels=(0, 1, 1)),
                DepthToSpace(draw(st.integers(2, 3)), draw(st.sampled_from(["channel", "patch"]))),
            ]
        )
    )


@st.composite
def channel_layers(draw: st.DrawFn, shape: Shape) -> Layer:
    """What works on every row by itself, and norms over a whole map."""
    constant = (draw(st.sampled_from([1, shape.folded_channels])), draw(st.sampled_from([1, shape.height])), 1)
    options = [
        PRelu(draw(st.booleans())),
        LocalNorm(draw(st.integers(1, 4))),
        ChannelNorm(),
        ChannelReduce(draw(st.sampled_from(["mean", "sum", "max", "min", "l2"]))),
        Shuffle(2),
        WithConstant(draw(st.sampled_from(["add", "sub", "mul", "max"])), *constant, draw(st.booleans())),
        MapNorm(draw(st.sampled_from([1, shape.folded_channels]))),
    ]
    return draw(st.sampled_from(options))


@st.composite
def gates(draw: st.DrawFn, shape: Shape) -> Layer:
    """A product with what a global pool leads to, or another merge whose one branch has a single row or channel."""
    out = shape.folded_channels
    gate = (GlobalPool(draw(st.sampled_from(["avg", "max"]))), Conv(1, out_channels=out, activation="sigmoid"))
    branches = [(), draw(st.sampled_from([gate, (ChannelReduce(),), (Conv(3, 1, 1, out_channels=out),)]))]
    return Block(tuple(draw(st.permutations(branches))), draw(st.sampled_from(["mul", "add", "sub", "max"])))


def _fits(layer: Layer, shape: Shape) -> bool:
    try:
        out = layer.out_shape(shape)
    except ValueError:
        return False
    return 0 < out.height <= MAX_ROWS and 0 < out.width <= MAX_ROWS and out.folded_channels <= MAX_CHANNELS


KINDS = (
    convs, pools, transposed, convs_3d, pointwise, pads, residuals, inceptions, side_by_side, remaps, channel_layers,
    gates,
)  # fmt: skip


@st.composite
def layers(draw: st.DrawFn, shape: Shape) -> Layer:
    """A layer that fits ``shape``, its output not too large."""
    kind = draw(st.sampled_from([*KINDS, None]))
    layer = Reorg(2) if kind is None else draw(kind(shape))
    return layer if _fits(layer, shape) else Conv(1, out_channels=draw(channels))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    return Shape(draw(channels), draw(st.integers(2, 20)), draw(st.integers(3, 8)), draw(st.sampled_from([1, 1, 3])))


def _join(source: str, saved: Shape, main: Shape) -> Join | None:
    """A join that brings ``saved`` to the size of ``main``, where one layer can."""
    options: list[tuple[Layer, ...]] = [
        (),
        (Conv(1, out_channels=2, activation="leaky"), Reorg(2)),
        (Pool(2, 2, ceil_mode=True),),
        (ConvTranspose(2, 2, out_channels=2),),
        (ConvTranspose(4, 4, out_channels=1, norm=True),),
    ]
    for option in options:
        out = saved
        for layer in option:
            if not _fits(layer, out):
                break
            out = layer.out_shape(out)
        else:
            if (out.height, out.width) == (main.height, main.width):
                return Join(source, option)
    return None


def _combined(draw: st.DrawFn, saved: dict[str, Shape], main: Shape) -> tuple[Join, ...]:
    """The main tensor and others of its shape, some through layers, in any order."""
    conv = (Conv(3, 1, 1, out_channels=main.folded_channels),)
    fit = [Join(name) for name, shape in saved.items() if shape == main]
    joins = [Join(MAIN, draw(st.sampled_from([(), conv]))), *fit[:1]]
    return tuple(draw(st.permutations(joins if len(joins) > 1 else [*joins, Join(MAIN, conv)])))


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A chain of up to seven units with saved tensors and joins, then a tail or side heads."""
    shape = image = draw(shapes())
    with_heads = draw(st.booleans())
    saved: dict[str, Shape] = {}
    units: list[Unit] = []
    for i in range(draw(st.integers(1, 7))):
        possible = [join for name, s in saved.items() if (join := _join(name, s, shape))]
        joins = tuple(join for join in possible if draw(st.booleans()))
        extra = sum(Model("", saved[j.source], (Unit("", j.layers),)).out_shape(0).folded_channels for j in joins)
        if joins:
            shape = Shape(shape.folded_channels + extra, shape.height, shape.width)
        combine: Any = None
        if not joins and shape.depth == 1 and draw(st.integers(0, 3)) == 0:
            combine, joins = draw(st.sampled_from(["add", "mul", "concat"])), _combined(draw, saved, shape)
            if combine == "concat":
                shape = Shape(shape.folded_channels * len(joins), shape.height, shape.width)
        chain: list[Layer] = []
        for _ in range(draw(st.integers(1, 2))):
            chain.append(draw(layers(shape)))
            shape = chain[-1].out_shape(shape)
        save = f"saved{i}" if draw(st.booleans()) else None
        if save:
            saved[save] = shape
        head: list[Layer] = []
        if with_heads and draw(st.booleans()):
            head.append(draw(layers(shape)))
        units.append(Unit(f"unit{i}", tuple(chain), joins, save, tuple(head), combine))
    tail = () if with_heads else draw(st.sampled_from([(), (GlobalPool(), Linear(3, activation="none"))]))
    if with_heads and draw(st.booleans()):
        tail = (Linear(3, activation="none"),)  # of the last map and the heads
    return Model("random", image, tuple(units), tail)


@st.composite
def plans(draw: st.DrawFn, model: Model) -> Plan:
    """A random partition into volumes and random parts of each, empty ones among them."""
    count = len(model.units)
    cuts = [*(i for i in range(1, count) if draw(st.booleans())), count]
    devices = draw(st.integers(1, 4))
    posts = []
    for cut in cuts:
        height = model.out_shape(cut - 1).height
        inner = draw(st.lists(st.integers(0, height), min_size=devices - 1, max_size=devices - 1))
        posts.append([0, *sorted(inner), height])
    return cuts, posts
