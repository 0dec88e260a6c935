"""Layers as data: shapes and costs agree with torch, rows with what an output really depends on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from splitgym.models.blocks import Block, leaves, trace_rows
from splitgym.models.chain import Join, Unit
from splitgym.models.channels import ChannelReduce, LocalNorm, MapNorm, PRelu, Shuffle
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, GlobalPool, Layer, Linear, Pool, Shape
from splitgym.models.model import Model
from splitgym.models.remaps import DepthToSpace, Mirror, Reorg, Resize, Slice
from splitgym.models.runnable.units import layer_module

from .strategies import convs, convs_3d, layers, pools, shapes, transposed

NONE = "none"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_shapes_and_parameters_are_those_of_torch(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    layer = data.draw(layers(shape))
    module = layer_module(layer, shape).to("meta").eval()
    out = layer.out_shape(shape)
    y = module(torch.empty(1, shape.folded_channels, shape.height, shape.width, device="meta"))
    assert tuple(y.shape) == (1, out.folded_channels, out.height, out.width)
    assert layer.params(shape) == sum(p.numel() for p in module.parameters())


@torch.no_grad()
def depends_on(layer: Layer, shape: Shape) -> np.ndarray:
    """depends[o, i]: does output row o change when input row i does? Found by changing one row after another."""
    module = layer_module(layer, shape).double().eval()
    for m in module.modules():
        if isinstance(m, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            nn.init.uniform_(m.weight, 0.5, 1.0)  # no change cancels, and a larger input stays larger
    x = torch.rand(1, shape.folded_channels, shape.height, shape.width, dtype=torch.float64)
    changed = x.repeat(shape.height, 1, 1, 1)
    for i in range(shape.height):
        changed[i, :, i] += 100.0
    return ((module(changed) - module(x)).abs() > 1e-6).any(3).any(1).T.numpy()


def assert_rows_cover(layer: Layer, shape: Shape, exact: bool) -> None:
    depends = depends_on(layer, shape)
    out = layer.out_shape(shape)
    assert depends.shape == (out.height, shape.height)
    for a in range(out.height):
        for b in range(a + 1, out.height + 1):
            lo, hi, _ = trace_rows((layer,), shape, a, b)
            assert 0 <= lo <= hi <= shape.height
            read = np.flatnonzero(depends[a:b].any(0))
            if exact and len(read):
                assert (lo, hi) == (read[0], read[-1] + 1), f"rows [{a}, {b}) of {layer}"
            elif len(read):
                assert lo <= read[0], f"rows [{a}, {b}) of {layer}"
                assert hi > read[-1], f"rows [{a}, {b}) of {layer}"
            else:
                assert lo == hi or not exact, f"rows [{a}, {b}) of {layer}"


DENSE = {
    "conv": Conv(3, 1, 1, out_channels=2, activation=NONE),
    "conv-valid": Conv(5, 1, 0, out_channels=2, activation=NONE),
    "conv-strided": Conv(3, 2, 1, out_channels=2, activation=NONE),
    "conv-7x7-s2": Conv(7, 2, 3, out_channels=2, activation=NONE),
    "conv-sparse": Conv(1, 3, 0, out_channels=2, activation=NONE),
    "conv-wide-padding": Conv(3, 1, 4, out_channels=2, activation=NONE),
    "conv-asymmetric": Conv((1, 3), (2, 1), (0, 1), out_channels=2, activation=NONE),
    "conv-grouped": Conv(3, 1, 1, out_channels=4, groups=2, norm=True, activation=NONE),
    "conv3d": Conv3d(3, 2, 1, out_channels=2, kernel_depth=2, padding_depth=1, activation=NONE),
    "max": Pool(2, 2),
    "max-padded": Pool(3, 2, 1),
    "max-ceil": Pool(3, 2, ceil_mode=True),
    "max-ceil-padded": Pool(4, 3, 1, ceil_mode=True),
    "avg": Pool(3, 1, 1, kind="avg"),
    "avg-ceil": Pool(3, 3, 1, kind="avg", ceil_mode=True),
    "transposed-k2s2": ConvTranspose(2, 2, out_channels=2, activation=NONE),
    "transposed-k4s4": ConvTranspose(4, 4, out_channels=2, activation=NONE),
    "transposed-k3s1p1": ConvTranspose(3, 1, 1, out_channels=2, activation=NONE),
    "transposed-k4s2p1": ConvTranspose(4, 2, 1, out_channels=2, activation=NONE),
    "transposed-k5s3p2": ConvTranspose(5, 3, 2, out_channels=2, activation=NONE),
    "reorg": Reorg(2),
    "global": GlobalPool(),
    "global-max": GlobalPool("max"),
    "map-norm": MapNorm(2),
    "depth-to-space": DepthToSpace(2),
    "depth-to-space-3": DepthToSpace(2, "patch"),
    "slice": Slice(channels=(0, 2, 1), rows=(1, 2, 2), columns=(0, 3, 2)),
    "nearest": Resize(24, 12, "nearest", "asymmetric", (2.0, 2.0)),
    "nearest-half": Resize(5, 7, "nearest", "half_pixel", (0.6, 1.1), "round_prefer_ceil"),
    "linear": Resize(24, 12, "linear", "half_pixel", (2.0, 2.0)),
    "linear-corners": Resize(15, 7, "linear", "align_corners", (2.0, 2.0)),
    "linear-down": Resize(3, 3, "linear", "asymmetric", (0.5, 0.5)),
    "edges": Mirror(3, 2, 1, 0, "edge"),
    "cubic": Resize(16, 12, "cubic", "half_pixel", (2.0, 2.0)),
    "channel-mean": ChannelReduce(),
    "shuffle": Shuffle(2),
    "local-norm": LocalNorm(3, 0.5),
    "prelu": PRelu(),
    "gate": Block(((), (GlobalPool(), Conv(1, out_channels=4, activation="sigmoid"))), "mul"),
    "identity": Block(((), (Conv(1, out_channels=4, activation=NONE),)), "add"),
    "residual": Block(
        ((Conv(3, 2, 1, out_channels=2), Conv(3, 1, 1, out_channels=2)), (Conv(1, 2, out_channels=2),)), "add"
    ),
    "inception": Block(
        ((Conv(1, out_channels=1),), (Conv((7, 1), 1, (3, 0), out_channels=2),), (Pool(3, 1, 1, kind="avg"),))
    ),
}


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("height", [6, 8, 12])
@pytest.mark.parametrize("name", DENSE)
def test_rows_are_exactly_those_the_output_depends_on(name: str, height: int, depth: int) -> None:
    assert_rows_cover(DENSE[name], Shape(4 // depth, height, 6, depth), exact=True)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_rows_cover_what_any_window_depends_on(data: st.DataObject) -> None:
    """With dilation the clipped interval [max(0, aS - P), ...) may hold rows between two taps, never too few."""
    shape = data.draw(shapes())
    kind = data.draw(st.sampled_from([convs, convs_3d, pools, transposed]))
    layer = data.draw(kind(shape))
    try:
        out = layer.out_shape(shape)
    except ValueError:
        return
    if out.height > 0 and out.width > 0:
        assert_rows_cover(layer, shape, exact=False)


@pytest.mark.parametrize("height", [6, 9])
def test_reflected_rows_are_covered(height: int) -> None:
    """They run against the others: a few more are read at the edges, none is missing."""
    assert_rows_cover(Mirror(3, 2, 1, 1), Shape(4, height, 6), exact=False)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_rows_of_arrays_are_rows_of_their_elements_and_never_decrease(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    layer = data.draw(layers(shape))
    posts = np.arange(layer.out_shape(shape).height + 1)
    lo, hi, kernels = trace_rows((layer,), shape, posts, posts)
    lo, hi = np.broadcast_to(lo, posts.shape), np.broadcast_to(hi, posts.shape)
    assert (np.diff(lo) >= 0).all()
    assert (np.diff(hi) >= 0).all()
    for i, post in enumerate(posts.tolist()):
        one_lo, one_hi, one_kernels = trace_rows((layer,), shape, post, post)
        assert (lo[i], hi[i]) == (one_lo, one_hi)
        assert len(kernels) == len(one_kernels) == len(list(leaves((layer,), shape)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_layers_kind_says_what_rows_it_reads(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    layer = data.draw(layers(shape))
    if isinstance(layer, Block):
        return
    height = layer.out_shape(shape).height
    for a in range(height):
        rows = int(layer.input_lo(a, shape.height)), int(layer.input_hi(a + 1, shape.height))
        if layer.kind_of_rows == "global":
            assert rows == (0, shape.height)
        elif layer.kind_of_rows in ("pointwise", "channels"):
            assert rows == (a, a + 1)
            assert height == shape.height
        assert int(layer.most_rows(np.array(1), shape.height)) >= rows[1] - rows[0]


def test_rows_of_a_chain_by_hand() -> None:
    """Two 3x3 convolutions and a pool, DistrEdge Eq. 1-2 with the padding rows clipped away."""
    chain = (Conv(3, 1, 1, out_channels=8), Conv(3, 1, 1, out_channels=8), Pool(2, 2))
    shape = Shape(3, 20, 20)
    assert trace_rows(chain, shape, 2, 5)[:2] == (2, 12)
    assert trace_rows(chain, shape, 0, 3)[:2] == (0, 8)
    assert trace_rows(chain, shape, 7, 10)[:2] == (12, 20)
    assert trace_rows(chain, shape, 2, 5)[2] == [(3, 11), (4, 10), (2, 5)]


def test_kernels_of_a_block_come_branch_by_branch() -> None:
    block = Block(((Conv(1, out_channels=2), Conv(3, 1, 1, out_channels=3)), (), (Pool(3, 1, 1),)))
    found = [(leaf.path, leaf.in_shape.channels, leaf.out_shape.channels) for leaf in leaves((block,), Shape(4, 8, 8))]
    assert found == [("0.b0.0", 4, 2), ("0.b0.1", 2, 3), ("0.b2.0", 4, 4)]
    assert block.out_shape(Shape(4, 8, 8)) == Shape(11, 8, 8)


def test_macs_by_hand() -> None:
    shape = Shape(4, 10, 6)
    assert Conv(3, 1, 1, out_channels=8).macs(shape) == 8 * 60 * 4 * 9
    assert Conv(3, 1, 1, out_channels=8, groups=4).macs(shape) == 8 * 60 * 9
    assert ConvTranspose(2, 2, out_channels=8).macs(shape) == 60 * 4 * 8 * 4
    assert Linear(7).macs(shape) == 7 * 240
    assert Conv3d(3, 1, 1, out_channels=8, padding_depth=1).macs(Shape(2, 10, 6, 5)) == 8 * 300 * 2 * 27
    assert Pool(2, 2).macs(shape) == Reorg(2).macs(shape) == GlobalPool().macs(shape) == 0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Conv(9, out_channels=1), "does not fit 7 rows"),
        (Reorg(2), "divisible"),
        (Block(((), (Conv(3, out_channels=4),)), "add"), "do not fit together"),
        (Block(((), (Conv(1, out_channels=3),)), "add"), "do not fit together"),
        (Block(((), ()), split_channels=(1, 2)), "split_channels"),
        (Block(((), ()), split_channels=(4,)), "split_channels"),
    ],
)
def test_layers_that_do_not_fit_say_so(layer: Layer, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer.out_shape(Shape(4, 7, 7))


CONV = (Conv(3, 1, 1, out_channels=4),)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ((Unit("a", CONV), Unit("b", CONV, (Join("x"),))), "unit b joins 'x', saved by no earlier unit"),
        ((Unit("a", CONV, (Join("a"),), save="a"),), "unit a joins 'a', saved by no earlier unit"),
        ((Unit("a", CONV, save="a"), Unit("b", (Pool(2, 2),)), Unit("c", CONV, (Join("a"),))), "unit c joins"),
        ((Unit("a", CONV, save="x"), Unit("b", CONV, save="x")), "unit b saves 'x', an earlier one already did"),
        ((Unit("a", (Conv(11, out_channels=1),)),), "does not fit"),
    ],
)
def test_models_that_do_not_fit_together_are_refused_when_built(units: tuple[Unit, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model("bad", Shape(3, 8, 8), units)
