"""The settings of EdgeMove's evaluation as frozen data, by name (paper, Sec. 5.1 and Appendix D)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from ...models.own.names import model_title
from ...profiling.devices import device_names, get_device
from ...profiling.training import Optimizer
from ...ui.errors import InputError
from ...ui.validation import Mbps, Positive, validated
from ..scenarios import BaseScenario, Inferred, Inputs, change, chosen, filled, is_file, load, unknown_scenario
from .paper import CITY, INFERRED, PAPER, PAPER_MODELS

MOST_SITES = 10_000
Quantity = Annotated[float, Interval(ge=1e-9, le=1e12)]  # beyond, places and clocks overflow
Noise = Annotated[float, Interval(ge=0, le=0.2)]


@dataclass(frozen=True)
class Scenario(BaseScenario):
    """One setting. Fields marked (assumption) are given by no paper.

    Args:
        name: scenario name.
        model: a zoo model, or your own (net.onnx, module:factory), trained on its own input.
        cycle: iterations of a training cycle, R.
        task_model: the network that on_device_s is about, where another one is trained: for as many iterations; empty
            for the same.
        on_device_s: how long training on the client alone takes (Table 1); it sets the number of iterations.
        batch: samples of a minibatch (Sec. 4.1).
        optimizer: sgd, momentum or adam; decides what a weight update costs (assumption); its state does not move.
        client, cloud: by their names in the device catalogue.
        gpus: one of these on every site, by the city's seed.
        sites: CSV file with LATITUDE and LONGITUDE of every site; empty for a synthetic city.
        n_sites: of the synthetic city.
        city_seed: of sites, coverage, GPUs and trajectories.
        coverage_m: range of the sites' coverage radii.
        trajectory: CSV file with LATITUDE and LONGITUDE of the points of one walk; empty for drawn ones.
        walks: test (the evaluation's ten, seed i walks trajectory i) or train (others).
        speed_mps: of the client, walking (assumption).
        near_mbps: goodput close to a site (assumption: Wi-Fi 6).
        edge_snr_db, path_loss: signal at the end of coverage, and the exponent of its decay (assumption).
        edge_rtt_s, cloud_rtt_s: ranges in which round-trip times wander.
        cloud_mbps: mean goodput to the cloud, wherever the client is; it wanders (assumption).
        backhaul_mbps: rate between sites (assumption).
        load_drift: how far an edge server's load can stretch its compute time: by 1 to 1 + load_drift (assumption).
        burst_factor, burst_s, burst_every_s: bursts multiply it, last that long and come that often (assumption).
        host_floor_s: an iteration's fixed cost on a server.
        in_flight: most minibatches in the pipeline at once, K; 1 is no pipeline.
        half_duplex: whether both directions share the link's air time.
        noise: coefficient of variation of a cycle's time (Sec. 4.1).
        probe_noise: the same of a probe (assumption).
        probe_iterations: iterations of the test model that a blocking probe waits for (assumption).
        tiles: whether modelled profiles have the tile staircase.
        profiles: training profile files by device name, instead of modelled profiles.
    """

    inferred: ClassVar[Inferred | None] = INFERRED

    cycle: Annotated[int, Interval(ge=1, le=10**6)]
    on_device_s: Quantity
    task_model: str = ""
    batch: Annotated[int, Interval(ge=1, le=4096)] = 32
    optimizer: Optimizer = "sgd"
    client: str = "pixel6a"
    cloud: str = "v100-pytorch"
    gpus: tuple[str, ...] = ("rtx2080ti", "rtx3080ti")
    sites: str = ""
    n_sites: Annotated[int, Interval(ge=1, le=MOST_SITES)] = 125
    city_seed: Annotated[int, Interval(ge=0, le=2**32)] = 0
    coverage_m: tuple[Positive, Positive] = (300.0, 500.0)
    trajectory: str = ""
    walks: Literal["test", "train"] = "test"
    speed_mps: Quantity = 1.4
    near_mbps: Mbps = 600.0
    edge_snr_db: Annotated[float, Interval(ge=-40, le=100)] = CITY["edge_snr_db"]
    path_loss: Quantity = 3.0
    edge_rtt_s: tuple[Positive, Positive] = (0.005, 0.040)
    cloud_rtt_s: tuple[Positive, Positive] = (0.100, 0.170)
    cloud_mbps: Mbps = 300.0
    backhaul_mbps: Mbps = 1000.0
    load_drift: Annotated[float, Interval(ge=0, le=100)] = CITY["load_drift"]
    burst_factor: Annotated[float, Ge(1)] = CITY["burst_factor"]
    burst_s: Quantity = 60.0
    burst_every_s: Quantity = 600.0
    host_floor_s: Annotated[float, Interval(ge=0, le=10)] = 0.011
    in_flight: Annotated[int, Interval(ge=1, le=64)] = 2
    half_duplex: bool = False
    noise: Noise = 0.029
    probe_noise: Noise = 0.05
    probe_iterations: Annotated[int, Interval(ge=1, le=10**6)] = 20
    tiles: bool = True
    profiles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for device in (self.client, self.cloud, *self.gpus):
            get_device(device)
        if not self.gpus:
            raise InputError(f"gpus is empty, allowed: one or more of {', '.join(device_names())}")
        for name in ("coverage_m", "edge_rtt_s", "cloud_rtt_s"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name} is {low}, {high}, allowed: two numbers above 0, the lower first")
        machines = dict.fromkeys((self.client, *self.gpus, self.cloud))
        for device in self.profiles:
            if device not in machines:
                raise InputError(f"profiles names {device!r}, allowed: {', '.join(machines)}")

    @property
    def summary(self) -> str:
        """One line: the model, the client and its speed, the city."""
        city = self.sites or f"{self.n_sites} synthetic sites"
        client = f"{model_title(self.model)}, {self.client} at {self.speed_mps:g} m/s"
        return f"{client} among {city}, {self.near_mbps:g} Mbps near one, {self.cloud_mbps:g} to the cloud"


# Of the env itself, beside a scenario's fields.
ENV_OPTIONS = ("action", "probe", "optimum", "backend", "time_scale", "data", "learning_rate")
TASKS: Mapping[str, Scenario] = {  # as devices have it
    task.name: task
    for task in (
        Scenario("vgg16-cifar10", "vgg16_32", cycle=500, on_device_s=3053.0),
        Scenario("resnet50-cinic10", "resnet50_32", cycle=500, on_device_s=6188.0),
        Scenario("vgg16-agnews", "vgg16_text", cycle=1000, on_device_s=4645.0),
        Scenario("resnet50-speech", "resnet50_speech", cycle=200, on_device_s=9331.0),
    )
}
PUBLISHED_SPEEDUPS: Mapping[str, tuple[float, ...]] = {  # Table 1: Device-Cloud, PipeDream-E, EdgeMove
    "vgg16-cifar10": (1.17, 1.58, 2.38),
    "resnet50-cinic10": (1.54, 1.90, 2.36),
    "vgg16-agnews": (1.17, 1.33, 2.32),
    "resnet50-speech": (1.54, 1.82, 2.33),
}
_NUMBER = r"\d*\.?\d+"
_FORM = re.compile(
    rf"(?P<task>.+?)(?P<city>-city)?(?:-x(?P<factor>{_NUMBER}))?(?:-(?P<mbps>{_NUMBER})mbps)?(?:-cloud(?P<cloud>{_NUMBER}))?"
)
FORM = "<task>[-city][-x<speed factor>][-<Mbps>mbps][-cloud<Mbps>]"


def _by_form(name: str, inputs: Inputs | None) -> dict[str, Any] | None:
    """The fields of the scenario that a name of :data:`FORM` describes."""
    match = _FORM.fullmatch(name)
    task = TASKS.get(match["task"]) if match else None
    if match is None or task is None:
        return None
    inputs = inputs or ("devices" if match["city"] else "paper")
    fields: dict[str, Any] = dict(name=name, inputs=inputs, cycle=task.cycle, on_device_s=task.on_device_s)
    fields["model"] = PAPER_MODELS.get(task.model, task.model) if inputs == "paper" else task.model
    if match["city"]:
        fields |= CITY
    if match["factor"]:
        fields["speed_mps"] = task.speed_mps * float(match["factor"])
    if match["mbps"]:
        fields["near_mbps"] = float(match["mbps"])
    if match["cloud"]:
        fields["cloud_mbps"] = float(match["cloud"])
    return filled(fields, PAPER)


SWEEP_MBPS = (50, 100, 200, 400, 600, 900)
CLOUD_MBPS = (50, 100, 150, 300)


def _cloud(task: str, mbps: int) -> str:
    """The name of a task with this rate to the cloud."""
    return task if mbps == PAPER["cloud_mbps"] else f"{task}-cloud{mbps}"


GROUPS: Mapping[str, tuple[str, ...]] = {
    "table1": tuple(TASKS),
    "double-speed": tuple(f"{task}-x2" for task in TASKS),
    "city": tuple(f"{task}-city" for task in TASKS),
    "rates": tuple(f"vgg16-cifar10-{mbps}mbps" for mbps in SWEEP_MBPS),
    "cloud-rates": tuple(_cloud(task, mbps) for task in ("vgg16-cifar10", "resnet50-cinic10") for mbps in CLOUD_MBPS),
}
SCENARIOS: Mapping[str, Scenario] = {
    name: Scenario(**fields) for names in GROUPS.values() for name in names if (fields := _by_form(name, None))
}
DEFAULT_SCENARIO = "vgg16-cifar10"


def get_scenario(name: str, /, **changes: object) -> Scenario:
    """A scenario by name or from a YAML file, with some fields changed.

    Args:
        name: a known scenario, any ``<task>[-city][-x<speed factor>][-<Mbps>mbps][-cloud<Mbps>]`` of the four tasks,
            or the path of a ``.yaml`` file with the fields of :class:`Scenario` (model, cycle and on_device_s at
            least). In a city links fade and servers are loaded; its inputs are those of devices unless told otherwise.
        changes: fields of :class:`Scenario`.

    Raises:
        InputError: unknown name or field, or a value out of range.
    """
    inputs = {"inputs": changes.pop("inputs")} if "inputs" in changes else {}
    base = chosen(_named, name, inputs, ENV_OPTIONS)
    if changes.get("model", base.model) != base.model and not {"on_device_s", "task_model"} & set(changes):
        changes = {"task_model": base.task_model or base.model, **changes}
    return change(base, changes, ENV_OPTIONS)


def _named(name: str, inputs: Inputs | None) -> Scenario:
    if not isinstance(name, str):
        raise unknown_scenario(name, SCENARIOS)
    if is_file(name):
        return load(Scenario, name, ("sites", "trajectory", "profiles"), PAPER, inputs)
    if name in SCENARIOS and inputs in (None, SCENARIOS[name].inputs):
        return SCENARIOS[name]
    fields = _by_form(name, inputs)
    if fields is None:
        raise unknown_scenario(name, SCENARIOS, f", any {FORM}, or a .yaml file; tasks: {', '.join(TASKS)}")
    return validated(Scenario, fields, f"scenario {name}")
