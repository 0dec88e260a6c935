"""ONNX's operators that place values: reshapes, transposes, slices, concatenation, resizing, borders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..remaps import DepthToSpace, Mirror, Pad, Reorg, Resize, Slice, Steps
from .call import Call
from .ranges import border, slices


def reshape(call: Call) -> None:
    """Other sizes for the same values: a vector, a map again, or axes of size 1 that come or go."""
    x, sizes = call.x, call.sizes
    axes = reshaped_axes(call, x, sizes)
    if axes is None:
        raise call.refuse(f"{_size_text(call, x)} becomes {' x '.join(map(str, sizes))}, which is no map, nor a vector")
    call.out.alias(x, call.output, axes)


def reshaped_axes(call: Call, tensor: str, sizes: Sequence[int]) -> str | None:
    """The axes of a tensor under other sizes, None where they are none."""
    out, axes, shape = call.out, call.out.axes(tensor), call.out.shape(tensor)
    if not sizes or sizes[0] != 1:
        return None
    if "f" not in axes and [out.size(tensor, a) for a in axes if out.size(tensor, a) > 1] == [
        size for size in sizes if size > 1
    ]:
        return _with_ones(axes, [out.size(tensor, a) for a in axes], sizes)
    in_order = (
        "f" in axes
        or "g" in axes
        or [a for a in axes if out.size(tensor, a) > 1] == [a for a in "chw" if out.size(tensor, a) > 1]
    )
    if not in_order:
        return None
    if list(sizes[1:]) == [shape.elements]:
        return "bf"
    if list(sizes[1:]) == [shape.folded_channels, shape.height, shape.width]:
        return "bchw"
    groups = sizes[1] if len(sizes) in (3, 4) else 0  # what an instance norm by groups reads
    whole = len(sizes) == 3 or sizes[3] == 1
    if groups > 1 and shape.folded_channels % groups == 0 and whole and axes == "bchw":
        return "bgm"
    return None


def _with_ones(axes: str, own: Sequence[int], sizes: Sequence[int]) -> str | None:
    """Axes of the same sizes but for those of size 1, which lie elsewhere."""
    if len(sizes) > 4:
        return None
    large = [a for a, size in zip(axes, own, strict=True) if size > 1]
    small = [a for a in "bchw" if a not in large]
    if len(small) + len(large) < len(sizes):
        return None
    # As many axes of size 1 as there are places; those that fit their usual order.
    found, rest = list[str](), list(small)
    for size in sizes:
        found.append(large.pop(0) if size > 1 else "")
    places = [i for i, letter in enumerate(found) if not letter]
    if len(sizes) == 2 and places == [0, 1]:
        rest = ["b", "c"] if "c" in small else rest
    if "b" in rest and places and places[0] != 0:
        rest.remove("b")
    for place, letter in zip(places, rest, strict=False):
        found[place] = letter
    return "".join(found)


def _size_text(call: Call, tensor: str) -> str:
    return " x ".join(str(call.out.size(tensor, letter)) for letter in call.out.axes(tensor))


def transpose(call: Call) -> None:
    axes = call.axes
    perm = call.attributes.get("perm", list(reversed(range(len(axes)))))
    if "g" in axes or len(perm) != len(axes):
        raise call.refuse("a transpose of groups has no layer")
    call.out.alias(call.x, call.output, "".join(axes[axis] for axis in perm))


def concat(call: Call) -> None:
    tensors = call.inputs
    if not all(map(call.out.known, tensors)):
        raise call.refuse("only maps put together by channels have a layer")
    longest = max((call.out.axes(tensor) for tensor in tensors), key=len)
    axis = call.attributes["axis"]
    letter = longest[axis] if -len(longest) <= axis < len(longest) else ""
    flat = letter == "f" and all(call.out.shape(t).elements == call.out.shape(t).folded_channels for t in tensors)
    if letter != "c" and not flat:
        raise call.refuse("only maps put together by channels have a layer")
    if len(tensors) == 1:
        call.out.alias(call.x, call.output)
    else:
        call.out.merge(call.name, call.operator, tensors, call.output, "concat")


def slice_(call: Call) -> None:
    axes = call.axes
    sizes = [call.out.size(call.x, letter) for letter in axes]
    numbers = (call.numbers(name, i) for i, name in enumerate(("starts", "ends", "axes", "steps"), 1))
    found: dict[str, Steps] = {}
    for axis, places in slices(sizes, *numbers).items():
        letter = axes[axis]
        if len(places) == 0:
            raise call.refuse("nothing is left")
        if letter not in "bchw":
            raise call.refuse("a slice of a flattened map has no layer")
        if places != range(sizes[axis]) and letter != "b":
            found[letter] = (places[0], len(places), places.step)
    sliced(call, found, call.output)


def sliced(call: Call, parts: dict[str, Steps], output: str) -> None:
    """Some of a map's channels, rows and columns."""
    if not parts:
        call.out.alias(call.x, output)
        return
    layer, tensor = Slice(parts.get("c"), parts.get("h"), parts.get("w")), call.x
    made = call.out.maker(tensor)
    if made is not None and isinstance(made.layer, Slice):  # a slice of a slice is one
        layer, tensor = _composed(made.layer, layer), made.inputs[0]
    call.layer(layer, tensor=tensor, output=output, axes=call.axes)


def _composed(first: Slice, second: Slice) -> Slice:
    def steps(one: Steps | None, other: Steps | None) -> Steps | None:
        if one is None or other is None:
            return other if one is None else one
        return one[0] + other[0] * one[2], other[1], one[2] * other[2]

    return Slice(
        steps(first.channels, second.channels), steps(first.rows, second.rows), steps(first.columns, second.columns)
    )


def split(call: Call) -> None:
    letter = call.letter(call.attributes.get("axis", 0))
    size, outputs = call.out.size(call.x, letter), call.node.outputs
    sizes = call.numbers("split", 1)
    if sizes is None:
        each = -(-size // int(call.attributes.get("num_outputs", len(outputs))))
        sizes = [min(each, size - i * each) for i in range(len(outputs))]
    if letter not in "chw" or sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(outputs):
        raise call.refuse("only channels, rows or columns can be split")
    first = 0
    for output, count in zip(outputs, sizes, strict=True):
        sliced(call, {} if count == size else {letter: (first, count, 1)}, output)
        first += count


def gather(call: Call) -> None:
    """Some channels, rows or columns at equal distances."""
    index = call.constant(1)
    letter = call.letter(call.attributes.get("axis", 0))
    if index is None or index.ndim > 1 or letter not in "bchw" or not index.size:
        raise call.refuse("only a gather of channels, rows or columns at equal distances has a layer")
    size, places = call.out.size(call.x, letter), [int(i) for i in index.ravel()]
    places = [i + size if i < 0 else i for i in places]
    apart = {b - a for a, b in pairwise(places)} or {1}
    if len(apart) > 1 or apart == {0}:
        raise call.refuse("only a gather of channels, rows or columns at equal distances has a layer")
    whole = places == list(range(size))
    steps = {} if whole or letter == "b" else {letter: (places[0], len(places), apart.pop())}
    if index.ndim:
        sliced(call, steps, call.output)
        return
    kept = call.axes.replace(letter, "")
    if not steps:
        call.out.alias(call.x, call.output, kept)
    else:
        call.layer(Slice(steps.get("c"), steps.get("h"), steps.get("w")), axes=kept)


def expand(call: Call) -> None:
    """A tensor whose axes of size 1 are to be repeated: so it is wherever it meets a larger one."""
    sizes = call.sizes
    if len(sizes) != len(call.axes) or any(
        size not in (own := call.out.size(call.x, letter), 1) and own != 1
        for size, letter in zip(sizes, call.axes, strict=True)
    ):
        raise call.refuse("only axes of size 1 can be expanded")
    if any(call.out.size(call.x, letter) < size for size, letter in zip(sizes, call.axes, strict=True)):
        raise call.refuse("values are repeated")
    call.out.alias(call.x, call.output)


def pad(call: Call) -> None:
    value, mode, letters = call.constant(2), call.attributes.get("mode", "constant"), call.axes
    pads = border(len(letters), call.numbers("pads", 1), call.numbers("axes", 3))
    if len(letters) != 4 or "f" in letters:
        raise call.refuse("only a border around height and width has a layer")
    sides = {letter: (pads[i], pads[i + 4]) for i, letter in enumerate(letters)}
    if min(pads) < 0 and mode == "constant":
        raise call.refuse("a border is negative")
    if any(sides["b"]) or any(sides["c"]):
        raise call.refuse("only a border around height and width has a layer")
    if not any(pads):
        call.out.alias(call.x, call.output)
        return
    filled = float(call.attributes.get("value", 0.0)) if value is None else float(value.ravel()[0])
    if mode in ("edge", "reflect"):
        call.layer(Mirror(*sides["h"], *sides["w"], mode))
        return
    if mode != "constant":
        raise call.refuse(f"a border by {mode} has no layer")
    call.layer(Pad(*sides["h"], *sides["w"], filled))


def resize(call: Call) -> None:
    a, shape = call.attributes, call.out.shape(call.map)
    mode = {"bilinear": "linear"}.get(a.get("mode", "nearest"), a.get("mode", "nearest"))
    height, width = call.sizes[2:]
    if (call.sizes[0], call.sizes[1]) != (1, shape.folded_channels):
        raise call.refuse("batch or channels are resized")
    if min(height, width) < 1:
        raise call.refuse(f"its output is {height} x {width}, allowed: 1 or more of each")
    sizes = call.constant(3) if len(call.inputs) > 3 else None
    old = call.operator == "Upsample" or call.opset < 11
    scales = None if sizes is not None else call.constant(1 if old else 2)
    scales = scales if scales is not None else np.asarray(a.get("scales", []), np.float32)
    if scales.size and a.get("axes"):
        given = dict(zip(a["axes"], scales.ravel(), strict=True))
        scales = np.array([given.get(axis, 1.0) for axis in range(4)], np.float32)
    factors = (float(scales[2]), float(scales[3])) if scales.size == 4 else (height / shape.height, width / shape.width)
    coordinates = "asymmetric" if old else a.get("coordinate_transformation_mode", "half_pixel")
    if coordinates == "half_pixel_symmetric" and factors == (height / shape.height, width / shape.width):
        coordinates = "half_pixel"
    if coordinates not in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        raise call.refuse(f"coordinates by {coordinates} have no layer")
    if a.get("antialias", 0) and (factors[0] < 1 or factors[1] < 1):
        raise call.refuse("resizing with antialias has no layer")
    if mode not in ("nearest", "linear", "cubic") or (mode == "cubic" and a.get("exclude_outside", 0)):
        raise call.refuse(f"resizing by {mode} has no layer")
    rounding = a.get("nearest_mode", "round_prefer_floor")
    if old:  # onnxruntime's rule, where ONNX's text has none: rounded down where a map grows, up where it shrinks
        rounding = "floor" if min(factors) >= 1 else "ceil"
        if mode == "nearest" and min(factors) < 1 < max(factors):
            raise call.refuse(
                "one axis grows and the other shrinks by the nearest value, which opset 10 has no rule for"
            )
    if (height, width) == (shape.height, shape.width) and factors == (1.0, 1.0):
        call.out.alias(call.x, call.output)
        return
    call.layer(Resize(height, width, mode, coordinates, factors, rounding, a.get("cubic_coeff_a", -0.75)))


def depth_to_space(call: Call) -> None:
    order = "channel" if call.attributes.get("mode", "DCR") == "CRD" else "patch"
    call.layer(DepthToSpace(int(call.attributes["blocksize"]), order), tensor=call.map)


def space_to_depth(call: Call) -> None:
    call.layer(Reorg(int(call.attributes["blocksize"]), "patch"), tensor=call.map)
