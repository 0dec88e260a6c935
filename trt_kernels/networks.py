"""Kernels of a model, and parts of its layer-volumes, as TensorRT networks.

A network computes the same rows from the same rows as ``KernelModule.part`` and ``TorchModel.run_part``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..models.blocks import Block, Combine, Merge
from ..models.chain import MAIN, Kernel
from ..models.layers import Layer, Shape
from ..models.model import Model
from ..models.rows import Volume
from .activations import activate
from .graph import CHANNELS, Graph, MapRows, Sizes, map_sizes
from .layers import add_kernel
from .maps import put_together
from .versions import set_output_type
from .weights import KernelWeights


@dataclass(frozen=True)
class Port:
    """An input or output of a network: rows ``[lo, hi)`` of a map, at least one.

    Attributes:
        name: the network's name for it.
        tensor: the crossing tensor, or the unit whose side head it is.
        sizes: (1, channels * depth, hi - lo, width).
    """

    name: str
    tensor: str | int
    lo: int
    hi: int
    shape: Shape

    @property
    def sizes(self) -> Sizes:
        """Sizes of the tensor."""
        return map_sizes(self.shape, self.hi - self.lo)


@dataclass(frozen=True)
class Ports:
    """What goes into a network and what comes out; a tensor of no rows is left out."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def middle_rows(kernel: Kernel, rows: int) -> tuple[int, int]:
    """The middle output rows of a kernel's map, ``rows`` of them: away from its edges where possible."""
    a = (kernel.out_shape.height - rows) // 2
    return a, a + rows


def kernel_ports(kernel: Kernel, a: int, b: int) -> Ports:
    """Input and output of the network of output rows ``[a, b)`` of a kernel; a merge has several inputs."""
    height = kernel.in_shape.height
    lo, hi = int(kernel.layer.input_lo(a, height)), int(kernel.layer.input_hi(b, height))
    count = kernel.layer.inputs if isinstance(kernel.layer, Merge) else 1
    names = [MAIN, *map(str, range(1, count))]
    inputs = tuple(Port(f"in.{name}", name, lo, hi, kernel.in_shape) for name in names)
    return Ports(inputs if lo < hi else (), (Port("out.", MAIN, a, b, kernel.out_shape),))


def kernel_network(
    graph: Graph, kernel: Kernel, weights: KernelWeights, a: int, b: int, layouts: int | None = None
) -> Ports:
    """Build the network that computes output rows ``[a, b)`` of one kernel from the rows that they read.

    Args:
        graph: an empty network.
        layouts: memory layouts that input and output may have (``ITensor.allowed_formats``); None for rows behind
            rows of a channel behind a channel.

    Raises:
        InputError: TensorRT refuses a layer, or weights do not fit the precision.
    """
    graph.kernel = kernel.name
    ports = kernel_ports(kernel, a, b)
    tensors = _add_inputs(graph, ports, layouts)
    lo = ports.inputs[0].lo if ports.inputs else 0
    x = MapRows(tensors.get(MAIN), lo, ports.inputs[0].hi if ports.inputs else lo, kernel.in_shape)
    if isinstance(kernel.layer, Merge):
        out = x.tensor
        for port in ports.inputs[1:]:
            out = put_together(graph, kernel.layer.combine, out, tensors[port.tensor])
    else:
        out = add_kernel(graph, kernel.layer, weights, x, a, b)
    _mark_outputs(graph, ports, {MAIN: out}, layouts)
    return ports


def part_ports(model: Model, start: int, stop: int, a: int, b: int) -> Ports:
    """Inputs and outputs of :func:`part_network`.

    Raises:
        ValueError: no such units, or no such rows.
    """
    volume = _volume(model, start, stop, a, b)

    def ports(kind: str, names: Sequence[str | int], lo: Any, hi: Any, shapes: Sequence[Shape]) -> tuple[Port, ...]:
        found = [
            Port(f"{kind}.{name}", name, int(first[a]), int(last[b]), shape)
            for name, first, last, shape in zip(names, lo, hi, shapes, strict=True)
        ]
        return tuple(port for port in found if port.lo < port.hi)

    needs = ports("in", volume.needs, volume.need_lo, volume.need_hi, _shapes(model, volume.needs, start))
    holds = ports("out", volume.holds, volume.hold_post, volume.hold_post, _shapes(model, volume.holds, stop))
    head_shapes = [model.head_shape(unit) for unit in volume.heads]
    heads = ports("head", volume.heads, volume.head_post, volume.head_post, head_shapes)
    return Ports(needs, (*holds, *heads))


def part_network(
    graph: Graph, model: Model, weights: Sequence[KernelWeights], start: int, stop: int, a: int, b: int
) -> Ports:
    """Build the network that computes units ``[start, stop)`` for the output rows ``[a, b)`` of the last one.

    Every kernel computes exactly the rows that ``Model.volume(start, stop)`` gives it. Inputs are the crossing
    tensors at the front, ``in.<tensor>``; outputs are the rows of the crossing tensors at the back that the part
    owns, ``out.<tensor>``, and of side heads, ``head.<unit>``. The main tensor has no name of its own.

    Args:
        graph: an empty network.
        weights: one mapping for every kernel of the model.

    Raises:
        ValueError: no such units, or no such rows.
        InputError: TensorRT refuses a layer, or weights do not fit the precision.
    """
    volume, ports = _volume(model, start, stop, a, b), part_ports(model, start, stop, a, b)
    tensors = _add_inputs(graph, ports)
    carried = {
        name: MapRows(tensors.get(name), int(lo[a]), int(hi[b]), shape)
        for name, lo, hi, shape in zip(
            volume.needs, volume.need_lo, volume.need_hi, _shapes(model, volume.needs, start), strict=True
        )
    }
    if start and (saved := model.units[start - 1].save) is not None:
        carried[saved] = carried[MAIN]
    rows = zip(volume.kernels, volume.kernel_lo[:, a].tolist(), volume.kernel_hi[:, b].tolist(), strict=True)
    heads = _Units(graph, model, weights, rows).run(start, stop, carried)
    made = {**carried, **heads}
    found = {port.tensor: graph.cropped(made[port.tensor], port.lo, port.hi).tensor for port in ports.outputs}
    _mark_outputs(graph, ports, found)
    return ports


def _volume(model: Model, start: int, stop: int, a: int, b: int) -> Volume:
    volume = model.volume(start, stop)
    if not 0 <= a < b <= volume.height:
        raise ValueError(f"a part needs output rows within [0, {volume.height}), not [{a}, {b})")
    return volume


def _shapes(model: Model, names: Sequence[str], boundary: int) -> list[Shape]:
    return [model.tensor_shape(name, boundary) for name in names]


class _Units:
    """Units one after another; ``rows`` are (kernel, first row, last row) in the order of ``Model.kernels``."""

    def __init__(
        self, graph: Graph, model: Model, weights: Sequence[KernelWeights], rows: Iterator[tuple[int, int, int]]
    ) -> None:
        self.graph, self.model, self.weights, self.plan = graph, model, weights, rows
        self.unit = ""  # in hand: what no kernel of its own does is named after it

    def run(self, start: int, stop: int, carried: dict[str, MapRows]) -> dict[int, MapRows]:
        """Bring the tensors at a boundary, by name, to a later one; returns the side heads on the way."""
        heads: dict[int, MapRows] = {}
        for i in range(start, stop):
            unit = self.model.units[i]
            inputs = [self._chain(join.layers, carried[join.source]) for join in self.model.sources(i)]
            self.unit = self.graph.kernel = unit.name
            x = inputs[0]
            if len(inputs) > 1:
                x = self._merged(unit.combine or "concat", inputs, self.model.joined_shapes[i], self.model.merge(i))
            carried[MAIN] = self._chain(unit.layers, x)
            if unit.save is not None:
                carried[unit.save] = carried[MAIN]
            if unit.head:
                heads[i] = self._chain(unit.head, carried[MAIN])
        return heads

    def _chain(self, layers: Sequence[Layer], x: MapRows) -> MapRows:
        for layer in layers:
            x = self._block(layer, x) if isinstance(layer, Block) else self._kernel(layer, x)
        return x

    def _kernel(self, layer: Layer, x: MapRows) -> MapRows:
        index, a, b = next(self.plan)
        self.graph.kernel = self.model.kernels[index].name
        out, height = layer.out_shape(x.shape), x.shape.height
        if b <= a:
            return MapRows(None, a, a, out)
        needed = self.graph.cropped(x, int(layer.input_lo(a, height)), int(layer.input_hi(b, height)))
        return MapRows(add_kernel(self.graph, layer, self.weights[index], needed, a, b), a, b, out)

    def _block(self, block: Block, x: MapRows) -> MapRows:
        shape = block.out_shape(x.shape)
        parts = [self._chain(branch, self._branch_input(block, i, x)) for i, branch in enumerate(block.branches)]
        whole = self._merged(block.combine, parts, shape, block.merge(x.shape))
        if whole.tensor is None:
            return whole._replace(shape=shape)
        return MapRows(activate(self.graph, whole.tensor, block.activation), whole.lo, whole.hi, shape)

    def _branch_input(self, block: Block, index: int, x: MapRows) -> MapRows:
        """What a branch reads: all channels, or its own."""
        sizes, shape = block.split_channels, block.branch_shape(x.shape, index)
        if sizes is None or x.tensor is None:
            return x._replace(shape=shape)
        self.graph.kernel = self.unit
        start = [0] * len(x.sizes)
        start[CHANNELS] = sum(sizes[:index])
        return MapRows(self.graph.window(x.tensor, start, map_sizes(shape, x.hi - x.lo)), x.lo, x.hi, shape)

    def _merged(self, combine: Combine, parts: Sequence[MapRows], shape: Shape, merge: Merge | None) -> MapRows:
        """Maps put together: the rows that all have, or those that the kernel of it computes."""
        self.graph.kernel = self.unit
        if combine == "concat":
            return self.graph.concatenated(parts)
        wanted: tuple[int, int] | None = None
        if merge is not None:
            index, *rows = next(self.plan)
            self.graph.kernel, wanted = self.model.kernels[index].name, (rows[0], rows[1])
        whole = [x for x in parts if x.shape.height == shape.height]
        lo, hi = wanted or (max(x.lo for x in whole), min(x.hi for x in whole))
        if hi <= lo:
            return MapRows(None, lo, lo, shape)
        total: Any = None
        for x in parts:
            tensor = (self.graph.cropped(x, lo, hi) if x.shape.height == shape.height else x).tensor
            total = tensor if total is None else put_together(self.graph, combine, total, tensor)
        return MapRows(total, lo, hi, shape)


def _add_inputs(graph: Graph, ports: Ports, layouts: int | None = None) -> dict[str | int, Any]:
    tensors: dict[str | int, Any] = {}
    for port in ports.inputs:
        tensor = graph.network.add_input(name=port.name, dtype=graph.dtype, shape=port.sizes)
        if layouts is not None:
            tensor.allowed_formats = layouts
        tensors[port.tensor] = tensor
    return tensors


def _mark_outputs(graph: Graph, ports: Ports, tensors: dict[str | int, Any], layouts: int | None = None) -> None:
    for port in ports.outputs:
        tensor = tensors[port.tensor]
        if tensor.is_network_input or tensor.is_network_output:  # neither may go out, under a second name
            layer = graph.added(graph.network.add_identity(input=tensor), port.name)
            tensor = layer.get_output(0)
        tensor.name = port.name
        graph.network.mark_output(tensor=tensor)  # first: what follows is ignored on an inner tensor
        set_output_type(graph.trt, tensor, graph.precision)
        if layouts is not None:
            tensor.allowed_formats = layouts
