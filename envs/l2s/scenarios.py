"""The settings of L2S's evaluation as frozen data, by name (paper, Sec. V-A)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from ...models.own.names import model_title
from ...profiling.devices import DEVICE_LIST, device_names, get_device
from ...profiling.network import PAYLOAD_FRACTION
from ...profiling.training import Optimizer
from ...ui.errors import InputError
from ...ui.names import meant
from ...ui.validation import Factor, Mbps, NonNegative, PayloadShare, Share, Whole, validated
from ..links import check_trace_factor
from ..scenarios import BaseScenario, Inferred, Inputs, chosen, filled, is_file, load, unknown_scenario
from .paper import INFERRED, PAPER
from .paper import MODELS as PAPER_NETWORKS

EDGES = {"gpu": "gtx1080ti", "cpu": "i7-8700k"}  # the paper's edge server with and without its GPU
PRIVACY_POINT = 4  # P^c of the paper's evaluation
Side = Literal["device", "edge"]
Changes = tuple[tuple[int, Factor], ...]


@dataclass(frozen=True)
class Scenario(BaseScenario):
    """One setting. Fields marked (assumption) are given by no paper.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.
        edge: the edge server: gpu (GTX 1080 Ti), cpu (Core i7-8700K), or a device of the catalogue.
        mbps: shaped rate of the link, up and down alike, Mbit/s.
        device: the end device, by its name in the catalogue.
        mbps_changes: pairs (round, Mbit/s): the rate from that round on.
        edge_load: how many times slower than idle the edge server computes.
        load_changes: pairs (round, load): the load from that round on.
        dynamic: the link follows a seeded trace of high fluctuation.
        traces: a trace file instead, its rates multiplied by trace_factor.
        trace_factor: multiplies the rates of traces.
        rounds: training rounds of an episode, T.
        batch: samples of a round.
        optimizer: sgd, momentum or adam; decides what a weight update costs.
        image_bytes: bytes of an image's value on the wire, 1 for uint8 and 4 for float32.
        backward: how many times the published factors a modelled backward pass takes.
        update_bytes: bytes that a modelled update moves for a parameter; the optimizer's where none are named.
        privacy_point: P^c, the first partition point that keeps enough privacy; 4 where none is named, or
            the last but one of a smaller network.
        noise: standard deviation of a round's delay as a share of it (assumption).
        sync_period: rounds between two synchronisations of the weights.
        stale_cost: accuracy that a round loses which trains layers on old copies, as a share; 0 where not known.
        stale_curve: recorded trainings whose fit says what such a round loses instead, by rounds since the last
            synchronisation: cifar10; an episode is taken as a whole training (assumption).
        accuracy_worth: rounds on the device alone that all of the accuracy is worth to the reward.
        label_bytes: bytes of a sample's label on the wire (assumption).
        eta: share of a shaped rate that payload gets (assumption).
        tiles: whether modelled profiles have the tile staircase.
        profiles: training profile files by side (device, edge), instead of modelled profiles.
    """

    inferred: ClassVar[Inferred | None] = INFERRED

    edge: str
    mbps: Mbps
    device: str = "tx2-pytorch"
    mbps_changes: Changes = ()
    edge_load: Factor = 1.0
    load_changes: Changes = ()
    dynamic: bool = False
    traces: tuple[str, ...] = ()
    trace_factor: Factor = 1.0
    rounds: Annotated[int, Interval(ge=1, le=10**6)] = 500
    batch: Annotated[int, Interval(ge=1, le=65536)] = 16
    optimizer: Optimizer = "sgd"
    image_bytes: Annotated[int, Interval(ge=1, le=8)] = 1
    backward: Factor = 1.0
    update_bytes: Annotated[int, Interval(ge=0, le=1000)] | None = None
    privacy_point: Whole | None = None
    noise: Annotated[float, Interval(ge=0, le=0.2)] = 0.02  # beyond, a normal distribution would make delays negative
    sync_period: Annotated[int, Interval(ge=1, le=10**9)] = 100
    stale_cost: Share = 0.0
    stale_curve: str = ""
    accuracy_worth: NonNegative = 0.0
    label_bytes: Annotated[int, Interval(ge=0, le=10**6)] = 8
    eta: PayloadShare = PAYLOAD_FRACTION
    tiles: bool = True
    profiles: Mapping[Side, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = device_names()
        if self.edge not in EDGES and self.edge not in known:
            more = f", {', '.join(EDGES)}"
            raise InputError(f"unknown edge {self.edge!r}; {meant(self.edge, (*EDGES, *known), DEVICE_LIST, more)}")
        get_device(self.device)
        _check_changes("mbps_changes", self.mbps_changes, self.rounds)
        _check_changes("load_changes", self.load_changes, self.rounds)
        if self.stale_curve and self.stale_cost:
            raise InputError(f"stale_cost is {self.stale_cost} and stale_curve {self.stale_curve!r}; give one of them")
        if len(self.traces) > 1:
            raise InputError(f"traces has {len(self.traces)} files, there is one link; name one")
        check_trace_factor(self.trace_factor, self.traces)
        if self.varies and self.mbps_changes:
            raise InputError("mbps_changes and a trace both set the rate; give one")

    @property
    def edge_device(self) -> str:
        """The edge server's name in the device catalogue."""
        return EDGES.get(self.edge, self.edge)

    @property
    def varies(self) -> bool:
        """Whether the rate changes with time (not only at given rounds)."""
        return self.dynamic or bool(self.traces)

    @property
    def summary(self) -> str:
        """One line: the model, the machines, the link."""
        return self.described("a measured link")

    def described(self, measured: str) -> str:
        """One line, with these words for a link that follows a trace file."""
        link = f"{self.mbps:g} Mbps"
        for at, mbps in self.mbps_changes:
            link += f", {mbps:g} from round {at}"
        if self.varies:
            link = "a fluctuating link" if self.dynamic and not self.traces else measured
        loads = "".join(f", load {load:g} from round {at}" for at, load in self.load_changes)
        point = f", P^c = {self.privacy_point}" if self.privacy_point not in (None, PRIVACY_POINT) else ""
        machines = f"{model_title(self.model)} on {self.device} with {self.edge_device}"
        return f"{machines}, {link}{loads}{point}, {self.rounds} rounds"


def _check_changes(name: str, changes: Changes, end: int) -> None:
    rounds = [at for at, _ in changes]
    if rounds != sorted(set(rounds)) or any(at < 1 for at in rounds):
        raise InputError(f"{name} has rounds {rounds}, they must increase strictly from 1 on")
    if rounds and rounds[-1] >= end:
        raise InputError(f"{name} has round {rounds[-1]}, allowed: below rounds, which is {end}")


# Of the env itself, beside a scenario's fields.
ENV_OPTIONS = ("reward", "sync", "record", "backend", "time_scale", "data", "learning_rate")
PAPER_MODELS = ("alexnet", "vgg16", "resnet34")
SWEEP_MBPS = (5, 20, 60, 100, 200)
SWEEPS = {e: tuple(f"{m}-{e}-{r}" for m in PAPER_MODELS for r in SWEEP_MBPS) for e in EDGES}
PRIVACY = tuple(f"resnet34-gpu-{r}-p{p}" for r in (100, 200) for p in (0, 2, 4, 6, 8, 10, 12, 14))  # Fig. 14
LOW_MBPS, HIGH_MBPS = 60.0, 100.0


_FORM = re.compile(r"(?P<model>[^-]+)-(?P<edge>.+?)-(?P<mbps>[-+]?\d*\.?\d+)(?:-p(?P<point>-?\d+))?")


def _by_form(name: str) -> dict[str, Any] | None:
    """The fields of the scenario that a name of the form <model>-<edge>-<Mbps>[-p<P^c>] describes."""
    match = _FORM.fullmatch(name)
    if match is None:
        return None
    fields = dict(model=match["model"], edge=match["edge"], mbps=float(match["mbps"]))
    return fields if match["point"] is None else {**fields, "privacy_point": int(match["point"])}


def _catalogue() -> dict[str, dict[str, Any]]:
    """The fields of all scenarios by name, apart from the inputs."""
    found = {name: f for names in (*SWEEPS.values(), PRIVACY) for name in names if (f := _by_form(name))}
    resnet34 = dict(model="resnet34", edge="gpu", mbps=HIGH_MBPS)
    changes = ((2000, LOW_MBPS), (4000, HIGH_MBPS))  # Fig. 17
    found["resnet34-switch"] = {**resnet34, "mbps_changes": changes, "rounds": 6000}
    recovery = ((200, 2 * HIGH_MBPS),)
    # 26 Mbps, as the device alone is best up to there and LinUCB-E leaves it only from some rates: on all seeds from
    # 15 to 26, on none from 5, as forced rounds then try points that are hardly better at 200 Mbps either.
    found["resnet34-recovery"] = {**resnet34, "mbps": 26.0, "mbps_changes": recovery, "rounds": 1000}
    found["resnet34-dynamic"] = {**resnet34, "dynamic": True, "rounds": 2000}
    return found


def _with_inputs(name: str, fields: Mapping[str, Any], inputs: Inputs | None) -> Scenario:
    """The scenario of some fields with the inputs that are asked for, the paper's where none are."""
    given = {**fields, "name": name, "inputs": inputs or "paper"}
    if given["inputs"] == "paper":
        given["model"] = PAPER_NETWORKS.get(given["model"], given["model"])
    return validated(Scenario, filled(given, PAPER), f"scenario {name}")


_FIELDS = _catalogue()
SCENARIOS: Mapping[str, Scenario] = {name: _with_inputs(name, fields, None) for name, fields in _FIELDS.items()}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "constant": tuple(f"{m}-{link}" for m in PAPER_MODELS for link in ("gpu-60", "gpu-100", "cpu-60")),
    **{f"sweep-{edge}": names for edge, names in SWEEPS.items()},
    "privacy": PRIVACY,
    "changing": tuple(n for n, s in SCENARIOS.items() if s.mbps_changes or s.varies),
}
DEFAULT_SCENARIO = "resnet34-gpu-60"


def get_scenario(name: str, /, **changes: object) -> Scenario:
    """A scenario by name or from a YAML file, with some fields changed.

    Args:
        name: a known scenario, ``<model>-<edge>-<Mbps>`` for any zoo model, edge and rate (``-p6`` behind it for
            P^c = 6), or the path of a ``.yaml`` file with the fields of :class:`Scenario` (model, edge, mbps at least).
        changes: fields of :class:`Scenario`.

    Raises:
        InputError: unknown name or field, or a value out of range.
    """
    return chosen(_named, name, changes, ENV_OPTIONS)


def _named(name: Any, inputs: Inputs | None) -> Scenario:
    if not isinstance(name, str):
        raise unknown_scenario(name, SCENARIOS)
    if name in SCENARIOS and inputs in (None, "paper"):
        return SCENARIOS[name]
    if is_file(name):
        return load(Scenario, name, ("traces", "profiles"), PAPER, inputs)
    fields = _FIELDS.get(name) or _by_form(name)
    if fields is not None:
        return _with_inputs(name, fields, inputs)
    raise unknown_scenario(
        name, SCENARIOS, f", <model>-<edge>-<Mbps>[-p<P^c>] such as {DEFAULT_SCENARIO}, or a .yaml file"
    )
