"""Settings of Prune-Deprune as frozen data, by name (paper, Sec. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_args

from annotated_types import Interval

from ...models.compression import Mask
from ...models.own.names import model_title
from ...profiling.devices import get_device
from ...runtime.training.settings import Decay, Gamma
from ...ui.errors import InputError
from ...ui.validation import Mbps, PositiveShare, validated
from ..scenarios import BaseScenario, Inferred, Inputs, chosen, filled, is_file, load, unknown_scenario
from .curves import RECORDED, get_curves, load_curves
from .paper import INFERRED, PAPER, WIFI

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of phi: 4 to 128 of 128 maps
Bounded = Annotated[float, Interval(ge=0, le=1e6)]


@dataclass(frozen=True)
class Scenario(BaseScenario):
    """One setting. Fields marked (assumption) are given by no paper.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.
        layer: where it is cut, in modules of the ``features`` list.
        resolution: r, by which maps shrink in height and width.
        module: whether the compression module is there; without it all maps cross, and there is one budget.
        mask: hard (only the top B maps reach the server) or soft (all do, weighted by the filter, as in a simulation;
            only B of them count as sent).
        dense: whether encoder and decoder compute all maps at any budget, as a soft mask always lets them, and not only
            the kept ones.
        decay: factor on the learning rate after every epoch; 1 for a constant one (assumption).
        gamma: factor on it in the first two epochs after a change of budget (assumption).
        curves: name of the fitted curves behind ``backend="curves"``; empty where nothing was recorded.
        data: image folder for ``backend="train"``; empty for scikit-learn's digits.
        epochs: of an episode.
        images: training images of an epoch; 0 for as many as were recorded, or all.
        batch: images of a step.
        shares: budgets to choose from, as shares of phi, rising.
        client, server: by their names in the device catalogue.
        client_share: of its device's speed that a client has.
        mbps: rate of the link (assumption).
        clients: that share the link.
        rtt_s: round trip, once a step (paper: 0.670 ms).
        overhead_bytes: that go with a step beside maps, gradients, filter and labels (assumption).
        overhead_s: that the software around a step takes (assumption).
        dynamic: the rate changes from epoch to epoch, anew for every seed (assumption).
        sigma: of the logarithm of a changing rate.
        learning_rate: of ``backend="train"``, at first; 0 for its own default.
        noise: whether accuracies of ``backend="curves"`` scatter as the recorded ones do.
        accuracy_weight, bytes_weight, time_weight: of the reward (assumption): what the final accuracy counts, what all
            maps and gradients without compression, what all of training without compression would take.
    """

    inferred: ClassVar[Inferred | None] = INFERRED

    layer: int
    resolution: int = 1
    module: bool = True
    mask: Mask = "hard"
    dense: bool = False
    decay: Decay = 0.92
    gamma: Gamma = 3.0
    curves: str = ""
    data: str = ""
    epochs: Annotated[int, Interval(ge=1, le=10_000)] = 18
    images: Annotated[int, Interval(ge=0, le=10**9)] = 0
    batch: Annotated[int, Interval(ge=2, le=65536)] = 64
    shares: tuple[PositiveShare, ...] = SHARES
    client: str = "pixel6a"
    server: str = "gtx1080ti"
    client_share: PositiveShare = 1.0
    mbps: Mbps = 100.0
    clients: Annotated[int, Interval(ge=1, le=10_000)] = 1
    rtt_s: Bounded = 0.00067
    overhead_bytes: Annotated[int, Interval(ge=0, le=10**9)] = 0
    overhead_s: Bounded = 0.0
    dynamic: bool = False
    sigma: Annotated[float, Interval(ge=0, le=5)] = 0.5
    learning_rate: Annotated[float, Interval(ge=0, le=100)] = 0.0
    noise: bool = True
    accuracy_weight: Bounded = 1.0
    bytes_weight: Bounded = 0.075
    time_weight: Bounded = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for device in (self.client, self.server):
            get_device(device)
        if self.images == 1:
            raise InputError("images is 1, allowed: 0 or 2..1e9")
        if not self.shares or list(self.shares) != sorted(set(self.shares)):
            raise InputError(f"shares is {list(self.shares)}, allowed: rising numbers above 0, up to 1")
        if self.curves:
            get_curves(self.curves, "curves")

    @property
    def implied(self) -> Mapping[str, Any]:
        """Those of the testbed that a variant of the default stands for."""
        return {**super().implied, **PAPER_VARIANTS.get(self.name.removeprefix(DEFAULT_SCENARIO), {})}

    @property
    def summary(self) -> str:
        """One line: the net, the cut, the data, the link."""
        link = f"{self.mbps:g} Mbps" + (f" shared by {self.clients}" if self.clients > 1 else "")
        changing = ", changing" if self.dynamic else ""
        data = self.curves.partition("-")[2] or self.data or "digits"
        model = model_title(self.model)
        return f"{model} cut behind layer {self.layer}, {data}, {self.epochs} epochs, {link}{changing}"


ENV_OPTIONS = ("backend", "checkpoints")  # of the env itself, beside a scenario's fields


DEFAULT_SCENARIO = "vgg11-cifar10"
VARIANTS: Mapping[str, Mapping[str, Any]] = {"": {}, "-wifi8": {"clients": 8}, "-dynamic": {"dynamic": True}}
PAPER_VARIANTS: Mapping[str, Mapping[str, Any]] = {"": {}, "-wifi8": WIFI, "-dynamic": {}}


def _by_name(name: str, inputs: Inputs | None = None) -> dict[str, Any] | None:
    """The fields of a named scenario: everything that was recorded, trained as it was, and variants of the default."""
    variant = name.removeprefix(DEFAULT_SCENARIO) if name.removeprefix(DEFAULT_SCENARIO) in VARIANTS else ""
    recorded = DEFAULT_SCENARIO if variant else name
    curves = load_curves().get(recorded)
    if curves is None:
        return None
    trained = {field: curves.provenance["settings"][field] for field in RECORDED}
    fields = dict(name=name, inputs=inputs or "paper", model=curves.network, layer=curves.layer, curves=recorded)
    paper = {**PAPER, **PAPER_VARIANTS.get(variant, {})}
    return filled({**fields, **trained, **VARIANTS.get(variant, {})}, paper)


NAMES = (*(DEFAULT_SCENARIO + variant for variant in VARIANTS), *(n for n in load_curves() if n != DEFAULT_SCENARIO))
SCENARIOS: Mapping[str, Scenario] = {name: Scenario(**fields) for name in NAMES if (fields := _by_name(name))}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "cuts": (DEFAULT_SCENARIO, f"{DEFAULT_SCENARIO}-layer9", f"{DEFAULT_SCENARIO}-4k"),
    "links": tuple(DEFAULT_SCENARIO + variant for variant in VARIANTS),
    "filters": tuple(name for name in NAMES if name.removeprefix(f"{DEFAULT_SCENARIO}-").startswith(get_args(Mask))),
}


def get_scenario(name: str, /, **changes: object) -> Scenario:
    """A scenario by name or from a YAML file, with some fields changed.

    Args:
        name: a known scenario, or the path of a ``.yaml`` file with the fields of :class:`Scenario` (model and layer at
            least).
        changes: fields of :class:`Scenario`.

    Raises:
        InputError: unknown name or field, or a value out of range.
    """
    return chosen(_named, name, changes, ENV_OPTIONS)


def _named(name: str, inputs: Inputs | None) -> Scenario:
    if not isinstance(name, str):
        raise unknown_scenario(name, SCENARIOS)
    if is_file(name):
        return load(Scenario, name, ("data",), PAPER, inputs)
    if name in SCENARIOS and inputs in (None, "paper"):
        return SCENARIOS[name]
    fields = _by_name(name, inputs)
    if fields is None:
        raise unknown_scenario(name, SCENARIOS, ", or a .yaml file")
    return validated(Scenario, fields, f"scenario {name}")
