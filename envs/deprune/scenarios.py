"""Settings of Prune-Deprune as frozen data, by name (paper, Sec. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from ...models.lookup import check_model
from ...models.own.names import model_title
from ...profiling.devices import device_names
from ...ui.errors import InputError
from ..scenarios import change, is_file, load
from .curves import get_curves, load_curves

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of phi: 4 to 128 of 128 maps


@dataclass(frozen=True)
class Scenario:
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

    name: str
    model: str = "vgg11_32_half"
    layer: int = 5
    resolution: int = 1
    module: bool = True
    curves: str = ""
    data: str = ""
    epochs: int = 18
    images: int = 0
    batch: int = 64
    shares: tuple[float, ...] = SHARES
    client: str = "pixel6a"
    server: str = "gtx1080ti"
    mbps: float = 100.0
    clients: int = 1
    rtt_s: float = 0.00067
    dynamic: bool = False
    sigma: float = 0.5
    learning_rate: float = 0.0
    noise: bool = True
    accuracy_weight: float = 1.0
    bytes_weight: float = 0.075
    time_weight: float = 0.0

    def __post_init__(self) -> None:
        where = f"scenario {self.name}"
        check_model(self.model, where)
        for device in (self.client, self.server):
            if device not in device_names():
                raise InputError(f"{where}: unknown device {device!r}; known: {', '.join(device_names())}")
        for name, least, most in (("epochs", 1, 10_000), ("batch", 2, 65536), ("clients", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{where}: {name} is {getattr(self, name)}, allowed: {least}..{most}")
        if self.images != 0 and not 2 <= self.images <= 10**9:
            raise InputError(f"{where}: images is {self.images}, allowed: 0 or 2..1e9")
        for name, least, most in _NUMBERS:
            value = getattr(self, name)
            if not (isfinite(value) and least <= value <= most):
                raise InputError(f"{where}: {name} is {value}, allowed: a finite number, {least:g} to {most:g}")
        shares = self.shares
        if not shares or any(not 0 < s <= 1 for s in shares) or list(shares) != sorted(set(shares)):
            raise InputError(f"{where}: shares is {list(shares)}, allowed: rising numbers above 0, up to 1")
        if self.curves:
            get_curves(self.curves, where)

    @property
    def summary(self) -> str:
        """One line: the net, the cut, the data, the link."""
        link = f"{self.mbps:g} Mbps" + (f" shared by {self.clients}" if self.clients > 1 else "")
        changing = ", changing" if self.dynamic else ""
        data = self.curves.partition("-")[2] or self.data or "digits"
        model = model_title(self.model)
        return f"{model} cut behind layer {self.layer}, {data}, {self.epochs} epochs, {link}{changing}"


_NUMBERS = (
    ("mbps", 1e-6, 1e9), ("rtt_s", 0.0, 1e6), ("sigma", 0.0, 5.0), ("learning_rate", 0.0, 100.0),
    ("accuracy_weight", 0.0, 1e6), ("bytes_weight", 0.0, 1e6), ("time_weight", 0.0, 1e6),
)  # fmt: skip
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
        return load(Scenario, name, ("model", "layer"), ("data",))
    if name not in SCENARIOS:
        raise InputError(f"unknown scenario {name!r}; known: {', '.join(SCENARIOS)}, or a .yaml file")
    return SCENARIOS[name]
