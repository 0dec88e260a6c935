"""Writes what other tools would (PipeDream's graph of a model, trtexec's profile), and what their tests share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from splitgym.models.blocks import Block
from splitgym.models.layers import Conv, Conv3d, ConvTranspose, Layer, Linear, Pointwise, Pool, Shape
from splitgym.models.lookup import get_model
from splitgym.models.model import Model

DATA = Path(__file__).parent / "data"
LENET = get_model("lenet5")
ABOUT = ("my-board", "FP16", "TensorRT 8.5", "2026-01-31")
WHOLE_CSV = "\n".join(["kernel,rows,ms", *(f"{k.name},{k.out_shape.height},1.5" for k in LENET.kernels)])


def one_line(text: str, *parts: str) -> None:
    """A message is one line that names all of these."""
    assert "\n" not in text
    for part in parts:
        assert part in text


def written(folder: Path, text: str, name: str = "profile") -> Path:
    """A new file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def whole_kernels(model: Model, seconds: Sequence[float], **options: bool) -> str:
    """A trtexec profile whose layers carry the kernels' own names."""
    times = [(k.name, 1000 * s) for k, s in zip(model.kernels, seconds, strict=True)]
    return trtexec_json(times, **options)


@dataclass
class PipeDreamGraph:
    """A model as PipeDream's profiler would write it, with random times of whole microseconds.

    ``forward_us`` and ``backward_us`` hold what was spent in each step of the model.
    """

    model: Model
    batch: int
    random: Random
    shuffle_branches: bool = False
    lines: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    forward_us: list[int] = field(default_factory=list)
    backward_us: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.forward_us, self.backward_us = [0] * len(self.model.steps), [0] * len(self.model.steps)
        shape, at = self.model.input, self.node(None, "Input", self.model.input.elements, [])
        chains = [unit.layers for unit in self.model.units] + [(layer,) for layer in self.model.tail]
        for step, layers in enumerate(chains):
            at = self.chain(step, layers, shape, at)
            for layer in layers:
                shape = layer.out_shape(shape)
        self.last = at

    def node(self, step: int | None, what: str, values: int, sources: Sequence[str], params: int = 0) -> str:
        """Adds a node and its edges, returns its name."""
        name = f"node{len(self.lines) + 1}"
        forward, backward = self.random.randrange(5_000), self.random.randrange(9_000)
        if step is not None:
            self.forward_us[step] += forward
            self.backward_us[step] += backward
        self.lines.append(
            f"{name} -- {what} -- forward_compute_time={forward / 1000:.3f}, "
            f"backward_compute_time={backward / 1000:.3f}, activation_size={values * 4 * self.batch:.3f}, "
            f"parameter_size={params * 4:.3f}"
        )
        self.edges += [f"\t{source} -- {name}" for source in sources]
        return name

    def chain(self, step: int, layers: Sequence[Layer], shape: Shape, at: str) -> str:
        for layer in layers:
            at = self.block(step, layer, shape, at) if isinstance(layer, Block) else self.leaf(step, layer, shape, at)
            shape = layer.out_shape(shape)
        return at

    def block(self, step: int, block: Block, shape: Shape, at: str) -> str:
        branches = list(enumerate(block.branches))
        if self.shuffle_branches:
            self.random.shuffle(branches)
        ends = [self.chain(step, branch, block.branch_shape(shape, i), at) for i, branch in branches]
        values = block.out_shape(shape).elements
        at = self.node(step, "Add(inplace)" if block.combine == "add" else "Concat(1)", values, ends)
        return self.activated(step, block.activation, values, at)

    def leaf(self, step: int, layer: Layer, shape: Shape, at: str) -> str:
        values = layer.out_shape(shape).elements
        if isinstance(layer, Conv | Conv3d | ConvTranspose):
            alone = replace(layer, norm=False, activation="none")
            kernel = ", ".join(map(str, layer.window[0]))
            what = f"Conv2d({shape.channels}, {layer.out_channels}, kernel_size=({kernel}))"
            at = self.node(step, what, values, [at], alone.params(shape))
            if layer.norm:
                what = f"BatchNorm2d({layer.out_channels}, eps=1e-05, momentum=0.1, affine=True)"
                at = self.node(step, what, values, [at], layer.params(shape) - alone.params(shape))
        elif isinstance(layer, Linear):
            if shape.height * shape.width > 1:
                at = self.node(step - 1, "View(-1)", shape.elements, [at])
            what = f"Linear(in_features={shape.elements}, out_features={layer.out_features}, bias=True)"
            at = self.node(step, what, values, [at], layer.params(shape))
        elif isinstance(layer, Pointwise):
            if not layer.norm:  # an activation alone has nothing to be known by: its time counts for what it follows
                return at
            at = self.node(step, f"BatchNorm2d({shape.channels})", values, [at], layer.params(shape))
        elif isinstance(layer, Pool) or type(layer).__name__ == "GlobalPool":
            at = self.node(step, "MaxPool2d(kernel_size=2, stride=2)", values, [at])
        else:
            return at  # PipeDream's profiler sees no module in it
        return self.activated(step, getattr(layer, "activation", "none"), values, at)

    def activated(self, step: int, activation: str, values: int, at: str) -> str:
        return at if activation == "none" else self.node(step, "ReLU(inplace)", values, [at])

    def text(self, shuffled: bool = True) -> str:
        """The file: nodes in no order, then edges in no order, as Python's older dictionaries gave them."""
        lines, edges = list(self.lines), list(self.edges)
        if shuffled:
            self.random.shuffle(lines)
            self.random.shuffle(edges)
        return "\n".join(lines + edges)


def trtexec_json(times_ms: Sequence[tuple[str, float]], count: int = 500, median: bool = True) -> str:
    """What ``trtexec --exportProfile`` writes for layers and their mean times."""
    total = sum(time for _, time in times_ms) or 1.0
    entries: list[dict[str, object]] = [{"count": count}]
    for name, time in times_ms:
        found: dict[str, object] = {"name": name, "timeMs": time * count, "averageMs": time}
        entries.append(found | ({"medianMs": time} if median else {}) | {"percentage": 100 * time / total})
    return "[\n  " + "\n, ".join(json.dumps(entry, separators=(", ", " : ")) for entry in entries) + "\n]\n"
