"""The kernels' NumPy twins: what every implementation of them promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splitgym.models.chain import Unit
from splitgym.models.compression import compressing_cut, layer_cut
from splitgym.models.layers import Conv, Linear, Shape
from splitgym.models.model import Model
from splitgym.models.runnable.compression import Compressor, Decompressor, kept_maps, split_model
from splitgym.trt_kernels import twins
from splitgym.trt_kernels.selection import Selection, top_maps

MODEL = Model("plain", Shape(3, 9, 7), (Unit("a", (Conv(3, 1, 1, out_channels=6),)),), (Linear(12), Linear(4)))
SIDES = {"min_dims": 2, "max_dims": 5, "min_side": 1, "max_side": 6}
BIG = 1e30


def value_maps(dtype: type[np.floating] = np.float32, limit: float = BIG) -> st.SearchStrategy[np.ndarray]:
    width = 8 * np.dtype(dtype).itemsize
    limit = float(dtype(limit))
    values = st.floats(-limit, limit, width=width)  # pyright: ignore[reportArgumentType]
    return hnp.arrays(dtype, hnp.array_shapes(**SIDES), elements=values)


def per_image(bounds: np.ndarray, maps: np.ndarray) -> np.ndarray:
    return bounds.reshape(-1, *[1] * (maps.ndim - 1))


@given(
    shape=hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=7),
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
    data=st.data(),
)
def test_unpacking_restores_what_was_packed(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    origin, height = data.draw(st.integers(0, 9)), shape[2]
    lo = data.draw(st.integers(origin, origin + height))
    hi = data.draw(st.integers(lo, origin + height))
    maps = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    packed = twins.pack_rows(maps, lo, hi, origin)
    assert packed.shape == (*shape[:2], hi - lo, shape[3])
    assert packed.flags.c_contiguous
    assert not np.shares_memory(packed, maps)
    # The receiver's maps begin above and end below: only the rows in question change.
    above, below = data.draw(st.integers(0, min(lo, 3))), data.draw(st.integers(0, 3))
    target = np.full((*shape[:2], above + hi - lo + below + 1, shape[3]), 77, dtype)
    assert twins.unpack_rows(packed, target, lo, lo - above) is target
    np.testing.assert_array_equal(target[:, :, above : above + hi - lo], maps[:, :, lo - origin : hi - origin])
    assert (target[:, :, :above] == 77).all()
    assert (target[:, :, above + hi - lo :] == 77).all()


@given(maps=value_maps())
def test_restored_values_are_half_a_step_away_at_most(maps: np.ndarray) -> None:
    bounds = twins.value_bounds(maps)
    restored = twins.dequantise(twins.quantise(maps, bounds), bounds)
    low, high = per_image(bounds[:, 0], maps).astype(float), per_image(bounds[:, 1], maps).astype(float)
    largest = np.maximum(np.abs(low), np.abs(high))
    rounding = 2 * np.spacing(largest.astype(np.float32)) + 1e-4 * (high - low) / 255 + 1e-36
    assert (np.abs(restored.astype(float) - maps) <= (high - low) / 510 + rounding).all()
    assert (restored >= low).all()
    assert (restored <= high).all()


@given(maps=value_maps())
def test_bounds_are_each_image_s_own_and_take_the_end_codes(maps: np.ndarray) -> None:
    bounds = twins.value_bounds(maps)
    codes = twins.quantise(maps, bounds)
    for image, (low, high), coded in zip(maps, bounds, codes, strict=True):
        assert (low, high) == (image.min(), image.max())
        assert (coded[image == low] == 0).all()
        # Below that range float32 has too few numbers to tell 255 levels apart.
        if high - low > 1e-36 * 255:
            assert (coded[image == high] == 255).all()
        alone = twins.quantise(image[None], np.array([[low, high]], np.float32))
        np.testing.assert_array_equal(alone[0], coded)


@given(maps=value_maps())
def test_codes_are_in_the_order_of_the_values(maps: np.ndarray) -> None:
    codes = twins.quantise(maps, twins.value_bounds(maps))
    for image, coded in zip(maps.reshape(len(maps), -1), codes.reshape(len(maps), -1), strict=True):
        order = np.argsort(image, kind="stable")
        assert (np.diff(coded[order].astype(int)) >= 0).all()


@given(codes=hnp.arrays(np.uint8, hnp.array_shapes(**SIDES)))
def test_restored_values_have_their_codes(codes: np.ndarray) -> None:
    bounds = np.tile(np.array([-3, 5], np.float32), (len(codes), 1))
    np.testing.assert_array_equal(twins.quantise(twins.dequantise(codes, bounds), bounds), codes)


def test_codes_are_jalad_s_formula() -> None:
    maps = np.array([[[[-1.0, 0.0, 0.3, 4.1]]]], np.float32)
    codes = twins.quantise(maps, twins.value_bounds(maps))
    assert codes.ravel().tolist() == [round((x + 1) * 255 / 5.1) for x in (-1.0, 0.0, 0.3, 4.1)]
    restored = twins.dequantise(codes, twins.value_bounds(maps))
    np.testing.assert_allclose(restored.ravel(), [-1 + code * 5.1 / 255 for code in codes.ravel()], atol=1e-6)


@given(maps=value_maps(np.float16, 60000))
def test_half_precision_is_coded_as_its_float32_values_are(maps: np.ndarray) -> None:
    bounds = twins.value_bounds(maps)
    wide = maps.astype(np.float32)
    np.testing.assert_array_equal(bounds, twins.value_bounds(wide))
    codes = twins.quantise(maps, bounds)
    np.testing.assert_array_equal(codes, twins.quantise(wide, bounds))
    restored = twins.dequantise(codes, bounds, np.float16)
    assert restored.dtype == np.float16
    np.testing.assert_array_equal(restored, twins.dequantise(codes, bounds).astype(np.float16))


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_equal_values_come_back_exactly(value: float) -> None:
    maps = np.full((1, 2, 3), value, np.float32)
    bounds = twins.value_bounds(maps)
    codes = twins.quantise(maps, bounds)
    assert not codes.any()
    np.testing.assert_array_equal(twins.dequantise(codes, bounds), maps)


@pytest.mark.parametrize("values", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [-3e38, 3e38]])
def test_what_has_no_range_comes_back_as_nan(values: list[float]) -> None:
    maps = np.ones((3, 2, 4), np.float32)
    maps[1].flat[: len(values)] = values
    bounds = twins.value_bounds(maps)
    assert np.isnan(bounds[1]).all()
    codes = twins.quantise(maps, bounds)
    assert not codes[1].any()
    restored = twins.dequantise(codes, bounds)
    assert np.isnan(restored[1]).all()
    np.testing.assert_array_equal(restored[[0, 2]], 1)


@given(
    filter_=hnp.arrays(np.float32, st.integers(1, 12), elements=st.sampled_from([0.125, 0.25, 0.5, 0.75])),
    data=st.data(),
)
def test_the_same_maps_are_kept_as_in_training(filter_: np.ndarray, data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, len(filter_)))
    selection = top_maps(filter_, budget)
    expected = kept_maps(torch.from_numpy(filter_), budget).numpy()
    np.testing.assert_array_equal(selection.kept, expected)
    np.testing.assert_array_equal(selection.scale, filter_[expected])


def nodes_cut(budget: int, seed: int) -> tuple[Compressor, Decompressor]:
    """The module of a cut behind a fully connected layer: nothing encodes, so selecting is all that it does."""
    halves = split_model(MODEL, compressing_cut(MODEL, layer_cut(MODEL, 3)), seed)
    halves.client.budget = budget
    assert halves.client.compressor is not None
    assert halves.server.decompressor is not None
    return halves.client.compressor, halves.server.decompressor


@pytest.mark.parametrize("budget", [1, 5, 12])
def test_selected_nodes_are_what_the_compressor_sends_and_scattered_what_the_decoder_makes(budget: int) -> None:
    compressor, decompressor = nodes_cut(budget, budget)
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sent, f = compressor(x)
    selection = top_maps(f.detach().numpy(), budget)
    np.testing.assert_array_equal(twins.select_maps(x.detach().numpy(), selection), sent.detach().numpy())
    received = sent.detach().requires_grad_()
    decoded = decompressor(received, f.detach())
    np.testing.assert_array_equal(twins.scatter_maps(received.detach().numpy(), selection.unscaled), decoded.detach())
    # Backwards each is the other: the decoder's gradient is gathered, the client's scattered times the filter.
    gradient = torch.randn(decoded.shape, generator=torch.Generator().manual_seed(1))
    decoded.backward(gradient)
    assert received.grad is not None
    returned = twins.select_maps(gradient.numpy(), selection.unscaled)
    np.testing.assert_array_equal(returned, received.grad)
    sent.backward(torch.from_numpy(returned))
    assert x.grad is not None
    np.testing.assert_array_equal(twins.scatter_maps(returned, selection), x.grad)


@pytest.mark.parametrize("budget", [1, 3, 6])
def test_selecting_from_all_encoded_maps_is_what_the_compressor_sends(budget: int) -> None:
    halves = split_model(MODEL, compressing_cut(MODEL, 1, resolution=2))
    compressor, decompressor = halves.client.compressor, halves.server.decompressor
    assert compressor is not None
    assert decompressor is not None
    compressor.eval()
    x = torch.randn(2, 6, 9, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoded = compressor.norm(compressor.conv(x)).numpy()
        halves.client.budget = budget
        sent, f = compressor(x)
        selection = top_maps(f.numpy(), budget)
        np.testing.assert_allclose(twins.select_maps(encoded, selection), sent, rtol=1e-5, atol=1e-6)
        # The decoder reads only the kept rows of its weights; with zeros elsewhere all of them give the same.
        scattered = torch.from_numpy(twins.scatter_maps(sent.numpy(), selection.unscaled))
        np.testing.assert_allclose(decompressor(scattered, f), decompressor(sent, f), rtol=1e-5, atol=1e-6)


@given(maps=value_maps(limit=100), data=st.data())
def test_selecting_what_was_scattered_restores_it(maps: np.ndarray, data: st.DataObject) -> None:
    extra = data.draw(st.integers(0, 3))
    kept = np.sort(np.random.default_rng(0).permutation(maps.shape[1] + extra)[: maps.shape[1]]).astype(np.int32)
    selection = Selection(maps.shape[1] + extra, kept, np.full(len(kept), 2, np.float32))
    scattered = twins.scatter_maps(maps, selection)
    assert scattered.shape == (len(maps), selection.channels, *maps.shape[2:])
    np.testing.assert_array_equal(twins.select_maps(scattered, selection), 4 * maps)
    dropped = np.setdiff1d(np.arange(selection.channels), kept)
    assert not scattered[:, dropped].any()


MAPS = np.zeros((2, 3, 4, 5), np.float32)
TWO_OF_FOUR = Selection(4, np.array([0, 3], np.int32), np.ones(2, np.float32))
BOUNDS = np.zeros((2, 2), np.float32)
BAD: dict[str, Callable[[], object]] = {
    "rows beyond the end": lambda: twins.pack_rows(MAPS, 3, 5),
    "rows in front of the first": lambda: twins.pack_rows(MAPS, 6, 8, 7),
    "rows the wrong way round": lambda: twins.pack_rows(MAPS, 3, 2),
    "three axes": lambda: twins.pack_rows(MAPS[0], 0, 1),
    "no values": lambda: twins.pack_rows(MAPS[:, :, :, :0], 0, 1),
    "double precision rows": lambda: twins.pack_rows(MAPS.astype(np.float64), 0, 1),
    "other columns": lambda: twins.unpack_rows(MAPS[:, :, :1, :4], MAPS, 0),
    "other channels": lambda: twins.unpack_rows(MAPS[:, :1, :1], MAPS, 0),
    "another dtype": lambda: twins.unpack_rows(MAPS[:, :, :1].astype(np.float16), MAPS, 0),
    "no room": lambda: twins.unpack_rows(MAPS[:, :, :2], MAPS, 3),
    "packed with three axes": lambda: twins.unpack_rows(MAPS[0], MAPS, 0),
    "bounds of whole numbers": lambda: twins.value_bounds(MAPS.astype(np.int32)),
    "bounds of nothing": lambda: twins.value_bounds(MAPS[:, :0]),
    "bounds of one axis": lambda: twins.value_bounds(MAPS[0, 0, 0]),
    "bounds of other images": lambda: twins.quantise(MAPS, BOUNDS[:1]),
    "bounds in half precision": lambda: twins.quantise(MAPS, BOUNDS.astype(np.float16)),  # pyright: ignore[reportArgumentType]
    "values as codes": lambda: twins.dequantise(MAPS, BOUNDS),  # pyright: ignore[reportArgumentType]
    "values of another kind": lambda: twins.dequantise(MAPS.astype(np.uint8), BOUNDS, np.float64),
    "maps of another cut": lambda: twins.select_maps(MAPS, TWO_OF_FOUR),
    "another number of kept maps": lambda: twins.scatter_maps(MAPS, TWO_OF_FOUR),
    "budget 0": lambda: top_maps(np.ones(3), 0),
    "budget above phi": lambda: top_maps(np.ones(3), 4),
    "a filter with NaN": lambda: top_maps(np.array([0.5, np.nan]), 1),
    "falling": lambda: Selection(4, np.array([3, 0], np.int32), np.ones(2, np.float32)),
    "twice": lambda: Selection(4, np.array([1, 1], np.int32), np.ones(2, np.float32)),
    "a map that is not there": lambda: Selection(4, np.array([4], np.int32), np.ones(1, np.float32)),
    "a negative map": lambda: Selection(4, np.array([-1], np.int32), np.ones(1, np.float32)),
    "a factor too few": lambda: Selection(4, np.array([0, 1], np.int32), np.ones(1, np.float32)),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_bad_arguments_are_refused_in_one_line(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"^[a-z]+: [^\n]+, allowed: [^\n]+$"):
        call()


def test_a_selection_cannot_be_changed_afterwards() -> None:
    kept, scale = np.array([0, 2], np.int32), np.ones(2, np.float32)
    selection = Selection(4, kept, scale)
    kept[0] = scale[0] = 3
    assert selection.kept.tolist() == [0, 2]
    assert selection.scale.tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        selection.kept[0] = 1
