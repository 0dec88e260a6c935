"""Kernels timed in eager PyTorch, on the CPU or a CUDA device.

A kernel at some rows runs as the part in the middle of its map, which reads the rows above and below it; at all rows
it runs whole. Everything else is as when a whole network runs:

* inputs look like what a ReLU leaves, half of them zeros: pooling takes longer where values are in no order;
* before every run as much memory as the whole network touches goes through the caches, up to ``MOST_EVICTED_BYTES``,
  then the inputs: a kernel finds what the one before it has just written, but no weights from its own last run.

Two kinds of operations are no kernels of a model, but take their time here: the merge at the end of a block of
branches (addition or concatenation, then its activation), charged to the last kernel of the block, and the
concatenation of what a unit joins, charged to the first kernel behind it. A block without kernels costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from ...models.blocks import Block, Merge, leaves
from ...models.chain import Kernel
from ...models.layers import Layer, Shape
from ...models.model import Model
from ...models.runnable.blocks import BlockModule
from ...models.runnable.merging import put_together
from ...models.runnable.units import TorchModel, build, kernel_modules
from ...ui.errors import InputError
from .machine import board_name, keep_freed_memory, slug, usable_cpus
from .measuring import Extra, OutOfMemory, Run

ON = ("cpu", "cuda")
PASSES = 4
VALUE_BYTES = 4
MOST_EVICTED_BYTES = 64 * 2**20


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise :class:`OutOfMemory` for whatever torch raises where memory is short."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(_first_line(error)) from None
    except RuntimeError as error:  # torch has no class of its own for the CPU's memory
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise OutOfMemory(_first_line(error)) from None


def _first_line(error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text.rpartition("DefaultCPUAllocator: ")[2].split(". ")[0].rstrip(".")


class TorchDevice:
    """Where PyTorch runs: its name and settings in tables, and random inputs there.

    Args:
        threads: of the CPU.
        device: name in tables; by default that of the board, CPU or GPU.
        on: cpu or cuda.

    Raises:
        InputError: no such device, or more threads than CPUs.
    """

    name = "torch"
    precision = "FP32"
    passes = PASSES

    def __init__(self, threads: int = 1, device: str | None = None, on: str = "cpu") -> None:
        if on not in ON:
            raise InputError(f"torch runs on {', '.join(ON)}, not on {on!r}")
        if not 1 <= threads <= usable_cpus():
            raise InputError(f"threads is {threads}, allowed: 1 to {usable_cpus()}, the CPUs this process may run on")
        if on == "cuda" and not torch.cuda.is_available():
            raise InputError("torch finds no CUDA device; allowed here: cpu")
        torch.set_num_threads(threads)
        self.on = on
        self.software = f"PyTorch {torch.__version__}"
        self.note = f"eager on {threads} thread{'s' * (threads > 1)}, {keep_freed_memory()}"
        found = board_name()
        if on == "cuda":
            found = torch.cuda.get_device_name()
            tf32 = torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability() >= (8, 0)
            self.note = f"eager on {found}{', convolutions in TF32' if tf32 else ''}"
        self.device = device or slug(found)
        self._buffer = torch.empty(0, device=on)
        self._evicting = torch.empty(0, device=on)

    def inputs(self, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Random tensors of some shapes, side by side in memory.

        Raises:
            OutOfMemory: they do not fit.
        """
        sizes = [torch.Size(shape).numel() for shape in shapes]
        if sum(sizes) > len(self._buffer):
            self._buffer = torch.empty(0, device=self.on)  # frees the smaller one first
            with memory_errors():
                self._buffer = torch.randn(sum(sizes), device=self.on).relu_()
        pieces = self._buffer[: sum(sizes)].split(sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def touches(self, touched_bytes: int) -> None:
        """Say how much memory the whole network touches in a run: that much goes through the caches before a timing."""
        values = min(touched_bytes, MOST_EVICTED_BYTES) // VALUE_BYTES
        self._evicting = torch.zeros(values, device=self.on)

    def seconds(self, body: Callable[[], object], inputs: Sequence[Tensor]) -> float:
        """Seconds that ``body`` takes on the device, only its inputs being in the caches."""
        self._evicting.sum()
        for x in inputs:
            x.sum()
        if self.on == "cpu":
            begin = time.perf_counter()
            body()
            return time.perf_counter() - begin
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        body()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) * 1e-3


def touched_bytes(model: Model, images: int = 1) -> int:
    """Bytes of a model's weights and of everything its kernels write."""
    return VALUE_BYTES * (model.params + images * sum(kernel.out_shape.elements for kernel in model.kernels))


class TorchBackend(TorchDevice):
    """Times kernels of a model, and the model as a whole; see the module and :class:`.measuring.Backend`.

    Args:
        model: a network as data, which gets random weights, or its torch modules. They are put in eval mode.
        threads, device, on: as :class:`TorchDevice`.

    Attributes:
        extras: merges and concatenations, to be charged to kernels.

    Raises:
        InputError: as :class:`TorchDevice`.
        OutOfMemory: the weights do not fit.
    """

    def __init__(self, model: Model | TorchModel, threads: int = 1, device: str | None = None, on: str = "cpu") -> None:
        super().__init__(threads, device, on)
        with memory_errors():
            torch_model = build(model) if isinstance(model, Model) else model
            self._torch_model = torch_model.to(on).eval()
        self.model = torch_model.model
        self.touches(touched_bytes(self.model))
        self._modules = kernel_modules(torch_model)
        self.extras = tuple(self._extras())

    def prepare(self, kernel: int, rows: int) -> Run:
        """What runs ``rows`` output rows of a kernel.

        Raises:
            OutOfMemory: the input does not fit; the run raises it, too.
        """
        module, about = self._modules[kernel], self.model.kernels[kernel]
        first, last, lo, hi = _middle(about, rows)
        count = about.layer.inputs if isinstance(about.layer, Merge) else 1
        xs = self.inputs([_map(about.in_shape, hi - lo)] * count)
        if count > 1 or rows == about.out_shape.height:
            return self._timed(partial(module, *xs), xs)
        return self._timed(partial(module.part, xs[0], first, last), xs)

    def prepare_whole(self) -> Run:
        """What runs the whole model on one image.

        Raises:
            OutOfMemory: as :meth:`prepare`.
        """
        (x,) = self.inputs([_map(self.model.input, self.model.input.height)])
        return self._timed(partial(self._torch_model, x), [x])

    def _timed(self, body: Callable[[], object], inputs: Sequence[Tensor]) -> Run:
        def run() -> float:
            with memory_errors(), torch.inference_mode():
                return self.seconds(body, inputs)

        return run

    def _extras(self) -> Iterator[Extra]:
        first = 0
        for i, unit in enumerate(self.model.units):
            for j, join in enumerate(unit.joins):
                source = self.model.tensor_shape(join.source, i)
                yield from self._merges(join.layers, source, f"{unit.name}.join{j}.", first)
                first += sum(1 for _ in leaves(join.layers, source))
            joined, out, merge = self.model.joined_shapes[i], self.model.out_shape(i), self.model.merge(i)
            first += merge is not None
            inside = sum(1 for _ in leaves(unit.layers, joined))
            if len(self.model.sources(i)) > 1 and merge is None and inside:
                yield Extra(f"{unit.name} join", first, partial(self._prepare_join, i, first))
            yield from self._merges(unit.layers, joined, f"{unit.name}.", first)
            yield from self._merges(unit.head, out, f"{unit.name}.head.", first + inside)
            first += inside + sum(1 for _ in leaves(unit.head, out))
        yield from self._merges(self.model.tail, self.model.tail_shape, "tail.", first)

    def _merges(self, layers: tuple[Layer, ...], shape: Shape, prefix: str, kernel: int) -> Iterator[Extra]:
        """Merges of the blocks of a chain whose first kernel has the index ``kernel``."""
        for i, layer in enumerate(layers):
            inside = sum(1 for _ in leaves((layer,), shape))
            if isinstance(layer, Block):
                inner = kernel
                for j, branch in enumerate(layer.branches):
                    shape_j = layer.branch_shape(shape, j)
                    yield from self._merges(branch, shape_j, f"{prefix}{i}.b{j}.", inner)
                    inner += sum(1 for _ in leaves(branch, shape_j))
                if inside and layer.merge(shape) is None:
                    prepare = partial(self._prepare_merge, layer, shape)
                    yield Extra(f"{prefix}{i} merge", kernel + inside - 1, prepare)
            kernel += inside
            shape = layer.out_shape(shape)

    def _prepare_merge(self, block: Block, shape: Shape, rows: int) -> Run:
        outs = block.branch_outs(shape)
        with torch.device("meta"):  # it is run without its branches
            module = BlockModule(block, shape)
        inputs = self.inputs([_map(out, rows) for out in outs])
        return self._timed(partial(module.merge, inputs), inputs)

    def _prepare_join(self, unit: int, kernel: int, rows: int) -> Run:
        _, _, lo, hi = _middle(self.model.kernels[kernel], rows)
        inputs = self.inputs([_map(shape, hi - lo) for shape in self.model.source_shapes(unit)])
        return self._timed(partial(put_together, self.model.units[unit].combine or "concat", inputs), inputs)


def _middle(kernel: Kernel, rows: int) -> tuple[int, int, int, int]:
    """The output rows ``[a, b)`` in the middle of a map that are so many, and the input rows ``[lo, hi)`` they read."""
    height = kernel.in_shape.height
    a = (kernel.out_shape.height - rows) // 2
    b = a + rows
    if rows == kernel.out_shape.height:
        return a, b, 0, height
    lo, hi = int(kernel.layer.input_lo(a, height)), int(kernel.layer.input_hi(b, height))
    return a, b, lo, max(lo, hi)  # rows of padding alone read none


def _map(shape: Shape, rows: int) -> tuple[int, int, int, int]:
    return 1, shape.folded_channels, rows, shape.width
