"""What a compressing cut of a model sends: the place, the maps, their size, the budgets (Prune-Deprune, Sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..ui.errors import InputError
from .blocks import Block
from .chain import Unit
from .layers import Conv, ConvTranspose, Linear, Shape
from .model import Model

Padding = Literal["sound", "paper"]
Mask = Literal["hard", "soft"]  # whether only the top B maps reach the decoder, or all of them, weighted by f

IMAGE_MAPS = 128
VALUE_BYTES = 4  # maps, filter and gradients are float32


@dataclass(frozen=True)
class Cut:
    """A place to cut a model.

    Attributes:
        step: steps (``Model.steps``) in front of the cut.
        modules: torch modules of the next step that are in front of it too (1: a convolution without its activation).
    """

    step: int
    modules: int = 0


@dataclass(frozen=True)
class Interface:
    """A checked cut with its compression, as the two halves and whoever counts bytes need it.

    Attributes:
        cut: the place.
        shape: what the model itself has there.
        nodes: whether these are the nodes of a fully connected layer, (batch, nodes), not maps.
        module: whether the compression module is there; without it every map crosses as it is.
        phi: maps that may be sent.
        resolution: r, by which height and width shrink.
        padding: of the encoder's convolution.
        height, width: of a map as it is sent.
    """

    cut: Cut
    shape: Shape
    nodes: bool
    module: bool
    phi: int
    resolution: int
    padding: int
    height: int
    width: int

    @property
    def kernel(self) -> int:
        """Kernel size of encoder and decoder."""
        return 2 + self.resolution

    @property
    def encoded(self) -> bool:
        """Whether convolutions encode and decode the maps; nodes are sent as they are."""
        return self.module and not self.nodes

    @property
    def map_bytes(self) -> int:
        """Bytes of one map of one image."""
        return self.height * self.width * VALUE_BYTES

    @property
    def filter_bytes(self) -> int:
        """Bytes of the filter, sent with every batch."""
        return self.phi * VALUE_BYTES if self.module else 0

    def check_budget(self, budget: int, where: str = "budget") -> int:
        """The budget, if it is one.

        Raises:
            InputError: it lies outside 1..phi; without the module, outside phi.
        """
        least = 1 if self.module else self.phi
        if isinstance(budget, bool) or not isinstance(budget, int) or not least <= budget <= self.phi:
            allowed = f"{least} to {self.phi}" if self.module else f"{self.phi} (no module, all maps cross)"
            raise InputError(f"{where}: budget is {budget!r}, allowed: {allowed}")
        return budget


def step_modules(model: Model, step: int) -> int:
    """Torch modules of a step as torchvision lists them: convolution, batch norm, activation; anything else is one."""
    kernels = model.steps[step].kernels
    layer = model.kernels[kernels[0]].layer
    whole = step < len(model.units) and any(isinstance(part, Block) for part in model.units[step].layers)
    if whole or len(kernels) != 1:
        return 1
    if isinstance(layer, Conv):
        return 1 + layer.norm + (layer.activation != "none")
    return 1 + (layer.activation != "none") if isinstance(layer, Linear) else 1


def layer_cut(model: Model, layer: int, where: str = "cut") -> Cut:
    """The cut after the first ``layer`` modules, counted as in the usual ``features`` list: 5 is 128x16x16 in VGG-11.

    Args:
        model: the network.
        layer: 0 is in front of everything.
        where: what a complaint is about.

    Raises:
        InputError: the model has fewer modules.
    """
    counts = [step_modules(model, step) for step in range(len(model.steps))]
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < sum(counts):
        raise InputError(f"{where}: layer is {layer!r}, allowed for {model.name}: 0 to {sum(counts) - 1}")
    rest = layer
    for step, count in enumerate(counts):
        if rest < count:
            return Cut(step, rest)
        rest -= count
    raise AssertionError("unreachable")


def widened(layer: int) -> int | None:
    """phi in front of everything, where the encoder makes more maps than an image has (Fig. 11); None elsewhere."""
    return IMAGE_MAPS if layer == 0 else None


def compressing_cut(
    model: Model,
    cut: Cut | int,
    *,
    module: bool = True,
    resolution: int = 1,
    phi: int | None = None,
    padding: Padding = "sound",
    where: str = "cut",
) -> Interface:
    """Check a cut and say what crosses it.

    Args:
        model: the network.
        cut: the place; a number counts steps (``Model.steps``).
        module: whether the compression module is there.
        resolution: r.
        phi: maps that may be sent; by default as many as the model has at the cut. The encoder makes fewer of them,
            or more (128 of an image's 3 in Fig. 11).
        padding: "sound" pads by 1, so that maps shrink by r exactly; "paper" pads by r as printed (32 becomes 17 at 2).
        where: what a complaint is about.

    Raises:
        InputError: the cut lies outside the model or inside a unit that cannot be cut, r is larger than the map, phi
            is not positive, or nodes are to be encoded.
    """
    cut = cut if isinstance(cut, Cut) else Cut(cut)
    shape, nodes = _at(model, cut, where)
    if padding not in get_args(Padding):
        raise InputError(f"{where}: padding is {padding!r}, allowed: {', '.join(get_args(Padding))}")
    if not 1 <= resolution <= min(shape.height, shape.width):
        smaller = min(shape.height, shape.width)
        raise InputError(
            f"{where}: r is {resolution}, allowed for maps of {shape.height}x{shape.width}: 1 to {smaller}"
        )
    maps = shape.folded_channels
    if phi is None:
        phi = maps
    if phi < 1:
        raise InputError(f"{where}: phi is {phi}, allowed: 1 or more")
    if (nodes or not module) and phi != maps:
        raise InputError(f"{where}: phi is {phi}, but without an encoder all {maps} maps or nodes may be sent")
    if not module:
        if resolution != 1:
            raise InputError(f"{where}: r is {resolution}, allowed without the module: 1")
        return Interface(cut, shape, nodes, False, maps, 1, 0, shape.height, shape.width)
    pad = 1 if padding == "sound" else resolution
    height, width = ((size + 2 * pad - 2 - resolution) // resolution + 1 for size in (shape.height, shape.width))
    return Interface(cut, shape, nodes, True, phi, resolution, pad, height, width)


def encoder(interface: Interface, maps: int) -> Model:
    """The encoder with its batch norm as a network of its own, for whoever times it: l_n -> so many maps."""
    window = (interface.kernel, interface.resolution, interface.padding)
    layer = Conv(*window, out_channels=maps, bias=False, norm=True, activation="none")
    return Model(f"encoder-{maps}", interface.shape, (Unit("encoder", (layer,)),), ())


def decoder(interface: Interface, maps: int) -> Model:
    """The decoder as a network of its own: so many maps -> l_d, less what an output padding would add."""
    window = (interface.kernel, interface.resolution, interface.padding)
    layer = ConvTranspose(*window, out_channels=interface.shape.folded_channels, activation="none")
    return Model(f"decoder-{maps}", Shape(maps, interface.height, interface.width), (Unit("decoder", (layer,)),), ())


def _at(model: Model, cut: Cut, where: str) -> tuple[Shape, bool]:
    """(shape at the cut, whether it is nodes)."""
    steps = len(model.steps)
    if isinstance(cut.step, bool) or not isinstance(cut.step, int) or not 0 <= cut.step < steps:
        raise InputError(f"{where}: step is {cut.step!r}, allowed for {model.name}: 0 to {steps - 1}")
    if cut.modules:
        name, count = model.steps[cut.step].name, step_modules(model, cut.step)
        if not 0 < cut.modules < count:
            raise InputError(f"{where}: modules is {cut.modules}, allowed in {name} of {model.name}: 0 to {count - 1}")
        if not _is_plain(model, cut.step):
            before = sum(step_modules(model, step) for step in range(cut.step))
            raise InputError(
                f"{where}: {name} of {model.name} is one with what it joins and cannot be cut inside; "
                f"allowed: layer {before} (in front of it) or {before + count} (behind it)"
            )
        kernel = model.kernels[model.steps[cut.step].kernels[0]]
        return kernel.out_shape, isinstance(kernel.layer, Linear)
    if cut.step <= len(model.units):
        return model.in_shapes[cut.step], _ends_in_nodes(model, cut.step)
    kernel = model.kernels[model.steps[cut.step - 1].kernels[-1]]
    return kernel.out_shape, isinstance(kernel.layer, Linear)


def _is_plain(model: Model, step: int) -> bool:
    """Whether nothing but the main tensor enters or leaves a step."""
    if step >= len(model.units):
        return True
    unit = model.units[step]
    alone = len(model.crossing(step)) == 1 and len(model.crossing(step + 1)) == 1
    before = model.units[step - 1].save if step else None
    return alone and not (unit.joins or unit.head or unit.save) and before not in model.saved


def _ends_in_nodes(model: Model, step: int) -> bool:
    """Whether the unit in front of a boundary ends in a fully connected layer."""
    layers = model.units[step - 1].layers if step else ()
    return bool(layers) and isinstance(layers[-1], Linear)
