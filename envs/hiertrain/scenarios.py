"""The settings of HierTrain's evaluation as frozen data, by name (paper, Sec. VI)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, get_args

from annotated_types import Interval

from ...models.model import ValueType
from ...models.own.names import model_title
from ...profiling.devices import DEVICE_LIST, device_names
from ...profiling.training import Optimizer
from ...ui.errors import InputError
from ...ui.names import meant
from ...ui.validation import Factor, Mbps, Seconds, validated
from ..scenarios import BaseScenario, Inferred, Inputs, chosen, filled, is_file, load, unknown_scenario
from .paper import INFERRED, PAPER

Worker = Literal["device", "edge", "cloud"]
WORKERS: tuple[Worker, ...] = get_args(Worker)
MOST_SAMPLES = 2000  # of a batch: an action tells one sample from none up to here


@dataclass(frozen=True)
class Scenario(BaseScenario):
    """One setting. Fields marked (assumption) are given by no paper.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.
        edge_cloud_mbps: rate between edge and cloud, Mbit/s; the middle of the drift when links drift.
        device_edge_mbps: rate between device and edge.
        device, edge, cloud: the workers, by their names in the device catalogue.
        edge_cores: cores of the edge server that are used, 1 to 4. The Core i3-7100U has two with two threads each:
            its one-core profile serves 1, its two-core profile 2 and more.
        thread_gain: what all further hardware threads together add to two cores' speed (assumption).
        batch: samples of an iteration, B (assumption).
        sample_bytes: bytes of a sample on the wire; 0 for the model's own input (AlexNet sees tiny ImageNet's images as
            they are, 64 x 64).
        sample_type: of the input's values on the wire, where sample_bytes is 0: uint8, float16 or float32.
        slowdown: how many times longer than by its profile device, edge and cloud compute, as they train in a framework
            that is slower; of modelled profiles only (assumption).
        overhead_s: what an operator takes them beside, a sample and pass: unrolling, copies, small arrays; of modelled
            profiles only (assumption).
        optimizer: sgd, momentum or adam; decides what a weight update costs.
        drift: both rates walk over a grid, anew for every seed.
        blocks: planning decisions of an episode.
        iterations: training iterations of a block (assumption: about an epoch, 391 of CIFAR-10, 781 of tiny ImageNet).
        relay: how the edge passes on what device and cloud send each other: stream (the slower link counts) or store
            (first one, then the other).
        share_links: whether all flows of a kind (samples, outputs, weights) that use a physical link divide it.
        exchange: who exchanges weights: holders (workers that train a layer with others) or always (Eq. 11 as printed).
        tiles: whether modelled profiles have the tile staircase.
        profiles: training profile files by worker (device, edge, cloud), instead of modelled profiles.
    """

    inferred: ClassVar[Inferred | None] = INFERRED

    edge_cloud_mbps: Mbps
    device_edge_mbps: Mbps = 5.0
    device: str = "pi3"
    edge: str = "i3-7100u"
    cloud: str = "gtx1080ti"
    edge_cores: Annotated[int, Interval(ge=1, le=4)] = 1
    thread_gain: Annotated[float, Interval(ge=0, le=1e9)] = 0.25
    batch: Annotated[int, Interval(ge=1, le=MOST_SAMPLES)] = 128
    sample_bytes: Annotated[int, Interval(ge=0, le=10**9)] = 0
    sample_type: ValueType = "uint8"
    slowdown: tuple[Factor, Factor, Factor] = (1.0, 1.0, 1.0)
    overhead_s: tuple[Seconds, Seconds, Seconds] = (0.0, 0.0, 0.0)
    optimizer: Optimizer = "sgd"
    drift: bool = False
    blocks: Annotated[int, Interval(ge=1, le=10**6)] = 100
    iterations: Annotated[int, Interval(ge=1, le=10**9)] = 500
    relay: Literal["stream", "store"] = "stream"
    share_links: bool = False
    exchange: Literal["holders", "always"] = "holders"
    tiles: bool = True
    profiles: Mapping[Worker, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = device_names()
        for worker in WORKERS:
            if (name := getattr(self, worker)) not in known:
                raise InputError(f"unknown {worker} {name!r}; {meant(name, known, DEVICE_LIST)}")

    @property
    def edge_profile(self) -> str:
        """The catalogue's device that stands for the edge server with these cores."""
        one_core = f"{self.edge}-1core"
        return one_core if self.edge_cores == 1 and one_core in device_names() else self.edge

    @property
    def edge_speedup(self) -> float:
        """How much faster the edge server is than its profile: what threads beyond two cores add."""
        return 1.0 + self.thread_gain * max(self.edge_cores - 2, 0) / 2

    @property
    def summary(self) -> str:
        """One line: the model, the workers, the links."""
        cores = f"{self.edge_cores} core{'s' if self.edge_cores > 1 else ''}"
        rates = f"{self.device_edge_mbps:g} and {self.edge_cloud_mbps:g} Mbps"
        drift = ", drifting" if self.drift else ""
        workers = f"{self.device}, {self.edge} ({cores}) and {self.cloud}"
        return f"{model_title(self.model)} on {workers}, {rates}{drift}, batch {self.batch}"


# Of the env itself, beside a scenario's fields.
ENV_OPTIONS = ("plans", "activation_bits", "cost", "optimum", "backend", "time_scale", "data", "learning_rate")
PAPER_MODELS = ("alexnet", "lenet5")
ON_ITS_DATA = {"alexnet": "alexnet_64"}  # names of scenarios whose network has another input than the zoo's
SWEEP_MBPS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
CORE_MBPS = (1.5, 3.0, 5.0)
SCALING = ("lenet5", "alexnet", "vgg16", "vgg19", "googlenet", "resnet34")
_FORM = re.compile(r"(?P<model>[^-]+)-(?P<mbps>[-+]?\d*\.?\d+|drift)(?:-c(?P<cores>\d+))?")


def _by_form(name: str, inputs: Inputs | None = None) -> dict[str, Any] | None:
    """The fields of the scenario that a name of the form <model>-<Mbps or drift>[-c<cores>] describes."""
    match = _FORM.fullmatch(name)
    if match is None:
        return None
    drift = match["mbps"] == "drift"
    model = ON_ITS_DATA.get(match["model"], match["model"])
    rate_mbps = 3.0 if drift else float(match["mbps"])
    fields: dict[str, Any] = dict(
        name=name, inputs=inputs or "paper", model=model, edge_cloud_mbps=rate_mbps, drift=drift
    )
    if match["cores"] is not None:
        fields["edge_cores"] = int(match["cores"])
    return filled(fields, PAPER)


GROUPS: Mapping[str, tuple[str, ...]] = {
    **{model: tuple(f"{model}-{mbps:g}" for mbps in SWEEP_MBPS) for model in PAPER_MODELS},
    "cores": tuple(f"alexnet-{mbps:g}-c{cores}" for mbps in CORE_MBPS for cores in (1, 2, 3, 4)),
    "drifting": tuple(f"{model}-drift" for model in PAPER_MODELS),
    "scaling": tuple(f"{model}-3.5" for model in SCALING),
}
SCENARIOS: Mapping[str, Scenario] = {
    name: Scenario(**fields) for names in GROUPS.values() for name in names if (fields := _by_form(name))
}
DEFAULT_SCENARIO = "alexnet-3.5"


def get_scenario(name: str, /, **changes: object) -> Scenario:
    """A scenario by name or from a YAML file, with some fields changed.

    Args:
        name: a known scenario, ``<model>-<Mbps>`` or ``<model>-drift`` for any zoo model and edge-cloud rate (``-c2``
            behind it for two edge cores), or the path of a ``.yaml`` file with the fields of :class:`Scenario`
            (model and edge_cloud_mbps at least).
        changes: fields of :class:`Scenario`.

    Raises:
        InputError: unknown name or field, or a value out of range.
    """
    return chosen(_named, name, changes, ENV_OPTIONS)


def _named(name: str, inputs: Inputs | None) -> Scenario:
    if not isinstance(name, str):
        raise unknown_scenario(name, SCENARIOS)
    if is_file(name):
        return load(Scenario, name, ("profiles",), PAPER, inputs)
    if name in SCENARIOS and inputs in (None, "paper"):
        return SCENARIOS[name]
    fields = _by_form(name, inputs)
    if fields is None:
        raise unknown_scenario(name, SCENARIOS, ", any <model>-<Mbps>[-c<cores>] or <model>-drift, or a .yaml file")
    return validated(Scenario, fields, f"scenario {name}")
