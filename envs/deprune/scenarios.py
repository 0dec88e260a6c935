"""Settings of Prune-Deprune as frozen data, by name (paper, Sec. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from ...models.own.names import model_title
from ...profiling.devices import get_device
from ...ui.errors import InputError
from ...ui.validation import Mbps, PositiveShare
from ..scenarios import BaseScenario, change, is_file, load
from .curves import get_curves, load_curves

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
        curves: name of the fitted curves behind ``backend="curves"``; empty where nothing was recorded.
        data: image folder for ``backend="train"``; empty for scikit-learn's digits.
        epochs: of an episode.
        images: training images of an epoch; 0 for as many as were recorded, or all.
        batch: images of a step.
        shares: budgets to choose from, as shares of phi, rising.
        client, server: by their names in the device catalogue.
        mbps: rate of the link (assumption).
        clients: that share the link.
        rtt_s: round trip, once a step (paper: 0.670 ms).
        dynamic: the rate changes from epoch to epoch, anew for every seed (assumption).
        sigma: of the logarithm of a changing rate.
        learning_rate: of ``backend="train"``; 0 for its own default.
        noise: whether accuracies of ``backend="curves"`` scatter as the recorded ones do.
        accuracy_weight, bytes_weight, time_weight: of the reward (assumption): what the final accuracy counts, what all
            maps and gradients without compression, what all of training without compression would take.
    """

    layer: int
    resolution: int = 1
    module: bool = True
    curves: str = ""
    data: str = ""
    epochs: Annotated[int, Interval(ge=1, le=10_000)] = 18
    images: Annotated[int, Interval(ge=0, le=10**9)] = 0
    batch: Annotated[int, Interval(ge=2, le=65536)] = 64
    shares: tuple[PositiveShare, ...] = SHARES
    client: str = "pixel6a"
    server: str = "gtx1080ti"
    mbps: Mbps = 100.0
    clients: Annotated[int, Interval(ge=1, le=10_000)] = 1
    rtt_s: Bounded = 0.00067
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
    def summary(self) -> str:
        """One line: the net, the cut, the data, the link."""
        link = f"{self.mbps:g} Mbps" + (f" shared by {self.clients}" if self.clients > 1 else "")
        changing = ", changing" if self.dynamic else ""
        data = self.curves.partition("-")[2] or self.data or "digits"
        model = model_title(self.model)
        return f"{model} cut behind layer {self.layer}, {data}, {self.epochs} epochs, {link}{changing}"


ENV_OPTIONS = ("backend", "checkpoints")  # of the env itself, beside a scenario's fields


def _named_ones() -> dict[str, Scenario]:
    """A scenario for all curves that ship, and its variants."""
    found: dict[str, Scenario] = {}
    for name, curves in load_curves().items():
        base = Scenario(name, curves.network, curves.layer, curves=name)
        found[name] = base
    default = found[DEFAULT_SCENARIO]
    fields = {**vars(default)}
    found[f"{DEFAULT_SCENARIO}-wifi8"] = Scenario(**{**fields, "name": f"{DEFAULT_SCENARIO}-wifi8", "clients": 8})
    found[f"{DEFAULT_SCENARIO}-dynamic"] = Scenario(
        **{**fields, "name": f"{DEFAULT_SCENARIO}-dynamic", "dynamic": True}
    )
    return found


DEFAULT_SCENARIO = "vgg11-cifar10"
SCENARIOS: Mapping[str, Scenario] = _named_ones()
GROUPS: Mapping[str, tuple[str, ...]] = {
    "cuts": tuple(name for name, s in SCENARIOS.items() if s.curves == name),
    "links": tuple(name for name, s in SCENARIOS.items() if s.curves == DEFAULT_SCENARIO),
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
    return change(_named(name), changes, ENV_OPTIONS)


def _named(name: str) -> Scenario:
    if not isinstance(name, str):
        raise InputError(f"scenario is {name!r}, it must be a name or a path; known: {', '.join(SCENARIOS)}")
    if is_file(name):
        return load(Scenario, name, ("data",))
    if name not in SCENARIOS:
        raise InputError(f"unknown scenario {name!r}; known: {', '.join(SCENARIOS)}, or a .yaml file")
    return SCENARIOS[name]
