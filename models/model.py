"""A model to be cut: a chain of units that can be split by height, then an unsplit tail.

The boundary in front of a unit is where a model may be cut. What crosses it is the previous unit's output
(the *main* tensor) and every tensor that an earlier unit saved and a later one joins (a passthrough,
OpenPose's features). Rows of a saved tensor follow the split: whoever owns main rows ``[a, b)`` of ``H`` owns
its rows ``[a*h//H, b*h//H)``. A side head's output stays with the device that made it until the end: then it leaves
the model, or, where there is a tail, the tail reads it beside the last map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple

from ..ui.numerals import prefixed
from .blocks import chain_out, leaves
from .chain import MAIN, Chain
from .layers import GlobalPool, Linear, described
from .rows import Volume, trace_volume

IMAGE_VALUE_BYTES = 1  # a camera image is uint8
ValueType = Literal["uint8", "float16", "float32"]
VALUE_BYTES: Mapping[ValueType, int] = {"uint8": 1, "float16": 2, "float32": 4}


class ValueBytes(NamedTuple):
    """Bytes of a value on the wire: of an activation, and of the image."""

    activation: int
    image: int = IMAGE_VALUE_BYTES


@dataclass(frozen=True, slots=True)
class Step:
    """A unit, or a layer of the tail: what lies between two neighbouring points of the whole network.

    Attributes:
        name: the unit's; the tail's layers are called fc1, fc2, ... and pool, or tail.<number>.
        kernels: indices into ``Model.kernels``.
    """

    name: str
    kernels: tuple[int, ...]


@dataclass(frozen=True)
class Model(Chain):
    """A network as plain data (see :class:`.chain.Chain` for what it is made of)."""

    def row_bytes(self, name: str, boundary: int, value_bytes: int, image_value_bytes: int = IMAGE_VALUE_BYTES) -> int:
        """Bytes of one row of a crossing tensor; the image has a type of its own."""
        if boundary == 0:
            image = self.input.row_elements * image_value_bytes
            return self.input_row_bytes if self.input_row_bytes is not None else image
        return self.tensor_shape(name, boundary).row_elements * value_bytes

    @cached_property
    def unit_macs(self) -> tuple[int, ...]:
        """Multiply-accumulates of each unit, then of the tail."""
        return tuple(
            sum(self.kernels[k].layer.macs(self.kernels[k].in_shape) for k in group) for group in self.unit_kernels
        )

    def boundary_bytes(self, boundary: int, value_bytes: int, image_value_bytes: int = IMAGE_VALUE_BYTES) -> int:
        """Bytes of everything that crosses the boundary in front of unit ``boundary``; of heads, for the tail."""
        heads = [self.head_shape(unit).elements for unit in self.heads if unit < boundary and self.tail]
        return sum(heads) * value_bytes + sum(
            self.row_bytes(name, boundary, value_bytes, image_value_bytes) * self.tensor_shape(name, boundary).height
            for name in self.crossing(boundary)
            if name != MAIN or self.main_is_read(boundary)
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The units, then the layers of the tail one by one; training may be cut after any of them."""
        found = [Step(u.name, k) for u, k in zip(self.units, self.unit_kernels, strict=False)]
        units, linear = {u.name for u in self.units}, 0
        shape, kernels = self.tail_shape, iter(self.unit_kernels[-1])
        for i, layer in enumerate(self.tail):
            inside = tuple(islice(kernels, sum(1 for _ in leaves((layer,), shape))))
            shape, name = layer.out_shape(shape), f"tail.{i}"
            if isinstance(layer, Linear):
                linear += 1
                name = f"fc{linear}"
            elif isinstance(layer, GlobalPool):
                name = "pool"
            found.append(Step(f"tail.{i}" if name in units else name, inside))
        return tuple(found)

    def cut_bytes(self, steps: int, value_bytes: int) -> int:
        """Bytes of one image that cross a cut after the first ``steps`` steps; 0 of them send the image itself."""
        if steps <= len(self.units):
            return self.boundary_bytes(steps, value_bytes)
        return chain_out(self.tail[: steps - len(self.units)], self.tail_shape).elements * value_bytes

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(self.unit_macs)

    @cached_property
    def params(self) -> int:
        """Parameters."""
        return sum(k.layer.params(k.in_shape) for k in self.kernels)

    @property
    def summary(self) -> str:
        """One line: what goes in, how long a chain it is, and how much it computes and holds."""
        depth = f"x{self.input.depth}" * (self.input.depth > 1)
        size = f"{self.input.channels}x{self.input.height}x{self.input.width}{depth}"
        work = f"{prefixed(self.macs)}MACs, {prefixed(self.params).strip()} parameters"
        return f"{size}, {len(self.steps)} layers or blocks, {work}"

    def volume(self, start: int, stop: int) -> Volume:
        """Row algebra of units ``[start, stop)``, computed once (see :class:`Volume`).

        Raises:
            ValueError: the range is empty or outside the model.
        """
        if (start, stop) not in self._volumes:
            self._volumes[start, stop] = trace_volume(self, start, stop)
        return self._volumes[start, stop]

    @cached_property
    def _volumes(self) -> dict[tuple[int, int], Volume]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the structure; equal models have equal fingerprints on every machine."""
        text = described((self.name, self.input, self.units, self.tail, self.input_row_bytes))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
