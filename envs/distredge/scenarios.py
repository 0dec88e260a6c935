"""The settings of DistrEdge's evaluation as frozen data, by name (paper, Sec. V, Tables I-III)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from ...models.model import VALUE_BYTES, ValueBytes, ValueType
from ...models.own.names import model_title
from ...models.plans import check_device_names
from ...models.zoo.catalogue import MODELS
from ...profiling.devices import get_device
from ...profiling.network import PAYLOAD_FRACTION
from ...ui.addresses import ADDRESS_FORM, NAME_FORM, is_name, split_address
from ...ui.errors import InputError
from ...ui.validation import BytesPerSecond, Factor, Mbps, PayloadShare, Seconds, Share, Whole, validated
from ..links import check_trace_factor
from ..scenarios import BaseScenario, Inferred, Inputs, chosen, filled, is_file, load, unknown_scenario
from .paper import INFERRED, PAPER

Emulation = Literal["none", "table", "dilate"]


@dataclass(frozen=True)
class Scenario(BaseScenario):
    """One setting. Fields marked (assumption) are given by no paper.

    Args:
        name: scenario name.
        model: a zoo model, or your own: net.onnx, module:factory.
        devices: device types of the catalogue, in split order.
        mbps: shaped rate of each device's link, Mbit/s; the first rates when the links follow traces.
        names: a name of its own for every device; by default type-1, type-2, ...
        medium: switched (every link is full duplex and its own) or shared: all are on one access point, whose air one
            message at a time crosses. A rate is then what a link carries while it has the air. Between two devices a
            message crosses twice, and so it does from and to the requester, a phone that is on Wi-Fi like all others.
        requester_mbps: rate of the requester's link (assumption); same for a requester whose transfers to and from a
            device go at that device's rate.
        requester_message_s, requester_copy_bytes_per_s: message and copy cost at the requester, a phone (assumption).
        eta: share of a shaped rate that payload gets (assumption).
        message_factor, copy_factor: multiply all fixed costs of messages, and all times of copies, that no link file
            gives (assumption).
        image_type: of the image's values on the wire (assumption).
        activation_type: of activations on the wire; the paper's networks run in FP16.
        tiles: whether modelled latency tables have the tile staircase.
        alpha: LC-PSS's weight of transmission; n_decisions random split decisions drawn from decisions_seed.
        dynamic: links follow seeded traces of high fluctuation (Fig. 11).
        traces: trace files instead, one for all devices or one each, scaled by trace_factor.
        gap_s: pause between two images.
        tables: latency table files by device name or type, a name before its type, instead of modelled tables.
        links: measured link files (splitgym-cluster profile) by device name or type, a name before its type. Such a
            device's message and copy costs are the file's, and so is its rate unless links follow traces: the goodput
            is payload already, eta does not lower it again. A message still pays the larger end's fixed cost.
        addresses: where every device's splitgym-worker listens, HOST:PORT by device name: such a scenario is a cluster,
            on which plans run.
        keys: folder of a cluster's roster and of the secret key of the machine that gives the orders; keys when empty.
        emulate: whether a cluster's workers take the time of the scenario's devices and links instead of their own: by
            waiting for what the tables say, or by dilating the time of their own work.
        time_scale: by which an emulation is slower than what it emulates.
    """

    inferred: ClassVar[Inferred | None] = INFERRED

    devices: tuple[str, ...]
    mbps: tuple[Mbps, ...]
    names: tuple[str, ...] = ()
    medium: Literal["switched", "shared"] = "switched"
    requester_mbps: Mbps | Literal["same"] = 300.0
    requester_message_s: Seconds = 1.5e-3
    requester_copy_bytes_per_s: BytesPerSecond = 1.5e9
    eta: PayloadShare = PAYLOAD_FRACTION
    message_factor: Factor = 1.0
    copy_factor: Factor = 1.0
    image_type: ValueType = "uint8"
    activation_type: Literal["float16", "float32"] = "float16"
    tiles: bool = True
    alpha: Share = 0.75
    n_decisions: Annotated[int, Interval(ge=1, le=10**5)] = 100
    decisions_seed: Whole = 0
    dynamic: bool = False
    traces: tuple[str, ...] = ()
    trace_factor: Factor = 1.0
    gap_s: Seconds = 0.0
    tables: Mapping[str, str] | None = None
    links: Mapping[str, str] | None = None
    addresses: Mapping[str, str] | None = None
    keys: str = ""
    emulate: Emulation = "none"
    time_scale: Annotated[float, Interval(ge=1e-2, le=1e4)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.devices:
            raise InputError("devices is empty; name at least one device type")
        if len(self.mbps) != len(self.devices):
            rates = "rate" if len(self.mbps) == 1 else "rates"
            raise InputError(f"mbps has {len(self.mbps)} {rates} for {len(self.devices)} devices; give one each")
        if self.traces and len(self.traces) not in (1, len(self.devices)):
            raise InputError(
                f"traces has {len(self.traces)} files for {len(self.devices)} devices; give one or one each"
            )
        check_trace_factor(self.trace_factor, self.traces)
        if self.names and len(self.names) != len(self.devices):
            raise InputError(f"names has {len(self.names)} of {len(self.devices)} devices; give one each")
        for number, name in enumerate(self.names):
            if not is_name(name):
                raise InputError(f"names[{number}] is {name!r}, allowed: {NAME_FORM}")
        check_device_names(self.device_names, "names")
        for name, files in (("links", self.links), ("tables", self.tables)):
            for key in files or {}:
                if key not in self.device_names and key not in self.devices:
                    known = ", ".join(dict.fromkeys((*self.device_names, *self.devices)))
                    raise InputError(f"{name} names {key!r}, devices and their types are {known}")
        for kind, *files in zip(self.devices, self.table_files, self.link_files, strict=True):
            if None in files and not self.addresses:  # a cluster is measured under names of its own
                get_device(kind)
        self._check_addresses()

    def _check_addresses(self) -> None:
        addresses = self.addresses or {}
        for name, address in addresses.items():
            if name not in self.device_names:
                raise InputError(f"addresses names {name!r}, devices are {', '.join(self.device_names)}")
            if split_address(address) is None:
                raise InputError(f"addresses[{name}] is {address!r}, allowed: {ADDRESS_FORM.format(least=1)}")
        missing = [name for name in self.device_names if name not in addresses]
        if addresses and missing:
            raise InputError(f"addresses lacks {', '.join(missing)}; give every device's, or none")

    @property
    def value_bytes(self) -> ValueBytes:
        """Of activations and of the image on the wire."""
        return ValueBytes(VALUE_BYTES[self.activation_type], VALUE_BYTES[self.image_type])

    @property
    def device_names(self) -> tuple[str, ...]:
        """A name for every device, each once if the scenario is valid."""
        if self.names:
            return self.names
        seen: dict[str, int] = {}
        out = []
        for kind in self.devices:
            seen[kind] = seen.get(kind, 0) + 1
            out.append(f"{kind}-{seen[kind]}")
        return tuple(out)

    @property
    def link_files(self) -> tuple[str | None, ...]:
        """Every device's link file, None where it has none."""
        return self._files(self.links)

    @property
    def table_files(self) -> tuple[str | None, ...]:
        """Every device's table file, None where it has a modelled one."""
        return self._files(self.tables)

    def _files(self, files: Mapping[str, str] | None) -> tuple[str | None, ...]:
        files = files or {}
        named = zip(self.device_names, self.devices, strict=True)
        return tuple(files.get(name, files.get(kind)) for name, kind in named)

    @property
    def summary(self) -> str:
        """One line: the model, the devices and their rates."""
        return self.described(self.mbps)

    def described(self, mbps: Sequence[float]) -> str:
        """One line, with these rates: those that the scenario names, or the means of its traces."""
        measured = [bool(file) and not self.traces for file in self.link_files]
        unit = " Mbps" if any(measured) else ""
        links = [
            (kind, "on a measured link" if own else f"at {rate:.4g}{unit}")
            for kind, own, rate in zip(self.devices, measured, mbps, strict=True)
        ]
        parts = [f"{links.count(link)} {link[0]} {link[1]}" for link in dict.fromkeys(links)]
        after = "" if unit else " Mbps"
        after += " on average (traces)" if self.traces else " at first, then fluctuating" if self.dynamic else ""
        after += ", on one access point" if self.medium == "shared" else ""
        return f"{model_title(self.model)} on {', '.join(parts)}{after}"

    @property
    def varies(self) -> bool:
        """Whether rates change with time."""
        return self.dynamic or bool(self.traces)


FILE_FIELDS = ("traces", "tables", "links", "keys")  # name files, from where the scenario's own lies
ENV_OPTIONS = ("observation", "reward", "partition", "optimum", "backend")  # of the env itself, not a scenario's
OTHER_MODELS = ("resnet50", "inception_v3", "yolov2", "ssd_resnet50", "ssd_vgg16", "openpose", "voxelnet")
TABLE_1 = {
    "DA": ("tx2", "tx2", "nano", "nano"),
    "DB": ("xavier", "xavier", "nano", "nano"),
    "DC": ("xavier", "tx2", "nano", "pi3"),
}
TABLE_2 = {
    "NA": (50.0, 50.0, 200.0, 200.0),
    "NB": (100.0, 100.0, 200.0, 200.0),
    "NC": (200.0, 200.0, 300.0, 300.0),
    "ND": (50.0, 100.0, 200.0, 300.0),
}
TABLE_3 = {
    "LA": ((300.0, "nano"), (200.0, "nano"), (100.0, "nano"), (50.0, "nano")),
    "LB": ((300.0, "pi3"), (200.0, "nano"), (100.0, "tx2"), (50.0, "xavier")),
    "LC": ((200.0, "pi3"), (200.0, "nano"), (200.0, "tx2"), (200.0, "xavier")),
    "LD": ((50.0, "pi3"), (100.0, "nano"), (200.0, "tx2"), (300.0, "xavier")),
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {  # what decides who wins and no paper prints, by the end of a name
    **{kind: {"image_type": kind} for kind in VALUE_BYTES},
    "act16": {"activation_type": "float16"},
    "act32": {"activation_type": "float32"},
    **{f"req{mbps}": {"requester_mbps": float(mbps)} for mbps in (50, 100, 300, 1000)},
    "reqsame": {"requester_mbps": "same"},
    "switched": {"medium": "switched"},
    "shared": {"medium": "shared"},
    "msg0.25": {"message_factor": 0.25},
    "msg4": {"message_factor": 4.0},
    "copy4": {"copy_factor": 4.0},
    "notiles": {"tiles": False},
}
SWEEPS: Mapping[str, tuple[str, ...]] = {
    "sweep-image": ("uint8", "float16", "float32"),
    "sweep-activation": ("act16", "act32"),
    "sweep-requester": ("reqsame", "req50", "req100", "req300", "req1000"),
    "sweep-medium": ("switched", "shared"),
    "sweep-costs": ("msg0.25", "msg4", "copy4", "notiles"),
}
SWEPT = ("DB-50", "NA-nano")


def _settings() -> dict[str, dict[str, Any]]:
    """Fields of the paper's settings, by name."""
    found: dict[str, dict[str, Any]] = {"H-200": {"devices": ("nano",) * 4, "mbps": (200.0,) * 4}}
    for group, devices in TABLE_1.items():
        found |= {f"{group}-{rate}": {"devices": devices, "mbps": (float(rate),) * 4} for rate in (50, 300)}
    for group, mbps in TABLE_2.items():
        found |= {f"{group}-{kind}": {"devices": (kind,) * 4, "mbps": mbps} for kind in ("nano", "xavier")}
    for group, members in TABLE_3.items():
        found[group] = {"devices": tuple(m[1] for m in members) * 4, "mbps": tuple(m[0] for m in members) * 4}
    found["dynamic-nano"] = {
        "devices": ("nano",) * 4, "mbps": (100.0,) * 4, "dynamic": True,
        "gap_s": 18.0,  # 200 images see the whole hour
    }  # fmt: skip
    return found


SETTINGS = _settings()


def _by_form(name: str, inputs: Inputs | None = None) -> dict[str, Any] | None:
    """The fields of the scenario that a name of the form <setting>[-<model>][-<variant>] describes."""
    stem, _, last = name.rpartition("-")
    variant: Mapping[str, Any] = {}
    if last in VARIANTS:
        name_of_setting, variant = stem, VARIANTS[last]
    else:
        name_of_setting = name
    stem, _, last = name_of_setting.rpartition("-")
    model = "vgg16"
    if name_of_setting not in SETTINGS and last in MODELS:
        name_of_setting, model = stem, last
    if name_of_setting not in SETTINGS:
        return None
    fields = {"name": name, "model": model, "inputs": inputs or "paper", **SETTINGS[name_of_setting], **variant}
    return filled(fields, PAPER)


def _varied(base: str, variant: str) -> str:
    """The name of a setting's variant: the setting's own where it is that already."""
    own, other = (Scenario(**(_by_form(name) or {})) for name in (base, f"{base}-{variant}"))
    return base if replace(other, name=base) == own else other.name


GROUPS: Mapping[str, tuple[str, ...]] = {
    "table1": tuple(f"{group}-{rate}" for group in TABLE_1 for rate in (50, 300)),
    "table2": tuple(f"{group}-{kind}" for group in TABLE_2 for kind in ("nano", "xavier")),
    "table3": tuple(TABLE_3),
    "models": tuple(f"{b}-{m}" for b in ("DB-50", "NA-nano") for m in OTHER_MODELS),
    "dynamic": ("dynamic-nano",),
    "homogeneous": ("H-200",),
    **{group: tuple(_varied(base, v) for base in SWEPT for v in variants) for group, variants in SWEEPS.items()},
}
SCENARIOS: Mapping[str, Scenario] = {
    name: Scenario(**fields) for names in GROUPS.values() for name in names if (fields := _by_form(name))
}
DEFAULT_SCENARIO = "DB-50"


def summary_of(name: str) -> str:
    """One line for a known scenario: its own summary, and what its variant differs in."""
    fields = VARIANTS.get(name.rpartition("-")[2], {})
    told = {field.replace("_", " "): value for field, value in fields.items() if field != "medium"}  # which is told
    own = [f"{field} {value:g}" if isinstance(value, float) else f"{field} {value}" for field, value in told.items()]
    return ", ".join([SCENARIOS[name].summary, *own])


def get_scenario(name: str, /, **changes: Any) -> Scenario:
    """A scenario by name or from a YAML file, with some fields changed.

    Args:
        name: a known scenario, one of the paper's settings with another model behind it, with one of
            :data:`VARIANTS` or with both, such as ``DB-50-resnet34-shared``, or the path of a ``.yaml`` file with the
            fields of :class:`Scenario` (model, devices and mbps at least).
        changes: fields of :class:`Scenario`.

    Raises:
        InputError: unknown name or field, or a value out of range.
    """
    return chosen(_named, name, changes, ENV_OPTIONS)


def _named(name: str, inputs: Inputs | None) -> Scenario:
    if not isinstance(name, str):
        raise unknown_scenario(name, SCENARIOS)
    if is_file(name):
        return load(Scenario, name, FILE_FIELDS, PAPER, inputs)
    if name in SCENARIOS and inputs in (None, "paper"):
        return SCENARIOS[name]
    fields = _by_form(name, inputs)
    if fields is None:
        raise unknown_scenario(
            name, SCENARIOS, ", any of the paper's with -<model>, -<variant> or both, or a .yaml file"
        )
    return validated(Scenario, fields, f"scenario {name}")
