"""The device catalogue: specifications, calibrated latency parameters and message costs.

The parameters were fitted to published latencies of whole networks or of all that lies in front of a cut, never to
single layers: they pin down the cost of one kernel, the memory bandwidth and the compute rate that a device reaches.
They do not identify the steps of latency over height: a fit without tiles agrees with the same figures about as well.
Every device therefore comes in two forms, with and without tiles. Devices that are ``derived_from`` another one have
no published figure of their own. All message costs are assumptions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..ui.errors import InputError
from ..ui.names import meant
from ..ui.numerals import prefixed

DEVICE_LIST = "splitgym-train --list devices"  # prints the catalogue's


@dataclass(frozen=True)
class Fit:
    """How well a parameter set agrees with the published figures it was fitted to, in percent of a whole network."""

    anchors: int  # published figures
    mean_error_pct: float
    max_error_pct: float
    figures: str = "end-to-end latencies"


@dataclass(frozen=True)
class Coefficients:
    """The calibrated numbers of the latency model.

    Attributes:
        t0_s: fixed cost of one kernel (launch, ramp and tail).
        e_c: fraction of the peak compute rate that an infinitely large tile reaches.
        e_m: fraction of the peak memory bandwidth that is reached.
        tile_c: harmonic tile size at which half of that rate is reached; 0 switches the effect off.
        winograd_gain: speed-up of 3x3 stride-1 convolutions by Winograd's algorithm; 1 switches it off.
        tile_menu: tiles (output positions, output channels) that the kernel's autotuner may pick.
        split_k: numbers of pieces into which it may cut the reduction axis.
        light_t0_s: fixed cost of a light kernel: a 1x1 or depthwise convolution, a pool, a norm or activation alone.
    """

    t0_s: float
    e_c: float
    e_m: float
    tile_c: float
    winograd_gain: float
    tile_menu: tuple[tuple[int, int], ...]
    split_k: tuple[int, ...]
    light_t0_s: float


@dataclass(frozen=True)
class Device:
    """A board with the software that runs on it.

    Attributes:
        name: the name used in tables, scenarios and plans.
        title: the board in words.
        precision, framework: what the parameters stand for.
        peak_flops: peak rate at that precision, floating-point operations per second.
        memory_bytes_per_s: peak memory bandwidth.
        slots: tiles computed at the same time (streaming multiprocessors or cores).
        value_bytes: bytes of one value at that precision.
        channel_pad, k_pad: input channels, then the reduction length, are padded to multiples of these.
        winograd_tile: rows and columns of Winograd's output tile.
        depthwise_rate: rate of depthwise convolutions as a fraction of the achieved peak.
        unfused: norm and activation run as kernels of their own (eager frameworks).
        tiled, smooth: coefficients with and without tiles; where Winograd is on, its rounding of rows remains.
        fit: agreement with published figures, None for a derived device.
        smooth_fit: the same without tiles, None where that form was not fitted again.
        checks: (network, modelled over published latency less 1 in percent) of networks that the fit did not see, with
            tiles.
        derived_from: the device whose fit was scaled by the specifications, None for a fitted one.
        t_msg_s: fixed cost of sending one message.
        copy_bytes_per_s: rate at which a message is copied between device memory and the socket, on each side.
        message_origin: where the two message costs come from.
    """

    name: str
    title: str
    precision: str
    framework: str
    peak_flops: float
    memory_bytes_per_s: float
    slots: int
    value_bytes: int
    channel_pad: int
    k_pad: int
    winograd_tile: int
    depthwise_rate: float
    unfused: bool
    tiled: Coefficients
    smooth: Coefficients
    fit: Fit | None
    smooth_fit: Fit | None
    checks: tuple[tuple[str, float], ...]
    derived_from: str | None
    t_msg_s: float
    copy_bytes_per_s: float
    message_origin: str

    def coefficients(self, tiles: bool) -> Coefficients:
        """The calibrated numbers with or without tiles."""
        return self.tiled if tiles else self.smooth

    def quality(self, tiles: bool = True) -> str:
        """How far the latencies can be trusted, in a few words."""
        fit = self.fit if tiles else self.smooth_fit
        if self.derived_from is not None:
            text = f"derived from {self.derived_from}, no published figure, read as +-30-50 %"
            return text if tiles else f"{text}; tiles off, not refitted"
        if fit is None:
            return "tiles off, not refitted"
        unseen = ", ".join(f"{network} {error:+.0f} %" for network, error in self.checks)
        return (
            f"tiles {'on' if tiles else 'off'}, fitted to {fit.anchors} published {fit.figures}, "
            f"error {fit.mean_error_pct:g} % mean, {fit.max_error_pct:g} % max"
            + (f", not fitted: {unseen}" if tiles and unseen else "")
        )

    @property
    def summary(self) -> str:
        """One line: the board and its software, its peak rates, where its latencies come from."""
        peak = f"{prefixed(self.peak_flops)}FLOPS, {prefixed(self.memory_bytes_per_s)}B/s"
        origin = f"derived from {self.derived_from}"
        if self.fit is not None:
            origin = f"fitted, {self.fit.mean_error_pct:g} % off"
        return f"{self.title}, {self.framework} {self.precision}: {peak}; {origin}"


@dataclass(frozen=True)
class _Catalogue:
    calibrated: str
    devices: dict[str, Device]


@cache
def _catalogue() -> _Catalogue:
    data = json.loads(Path(__file__).with_name("devices.json").read_text(encoding="utf-8"))
    menus = {name: tuple((rows, cols) for rows, cols in menu) for name, menu in data["tile_menus"].items()}
    devices = {name: _device(name, entry, menus) for name, entry in data["devices"].items()}
    return _Catalogue(data["calibrated"], devices)


def _device(name: str, entry: dict[str, Any], menus: dict[str, tuple[tuple[int, int], ...]]) -> Device:
    spec, message = entry["spec"], entry["message"]
    tiled = _coefficients(entry["tiled"], menus[spec["tile_menu"]], tuple(spec["split_k"]))
    no_tiles = {**entry["tiled"], "tile_c": 0.0}
    smooth = _coefficients(entry.get("smooth", no_tiles), ((1, 1),), (1,))
    return Device(
        name=name,
        title=entry["title"],
        precision=entry["precision"],
        framework=entry["framework"],
        peak_flops=spec["peak_gflops"] * 1e9,
        memory_bytes_per_s=spec["memory_gb_s"] * 1e9,
        slots=spec["slots"],
        value_bytes=spec["value_bytes"],
        channel_pad=spec["channel_pad"],
        k_pad=spec["k_pad"],
        winograd_tile=spec["winograd_tile"],
        depthwise_rate=spec["depthwise_rate"],
        unfused=spec["unfused"],
        tiled=tiled,
        smooth=smooth,
        fit=Fit(**entry["fit"]) if "fit" in entry else None,
        smooth_fit=Fit(**entry["smooth_fit"]) if "smooth_fit" in entry else None,
        checks=tuple(entry.get("checks_pct", {}).items()),
        derived_from=entry.get("derived_from"),
        t_msg_s=message["t_msg_ms"] * 1e-3,
        copy_bytes_per_s=message["copy_gb_s"] * 1e9,
        message_origin=message["origin"],
    )


def _coefficients(
    values: dict[str, float], menu: tuple[tuple[int, int], ...], split_k: tuple[int, ...]
) -> Coefficients:
    return Coefficients(
        t0_s=values["t0_us"] * 1e-6,
        e_c=values["e_c"],
        e_m=values["e_m"],
        tile_c=values["tile_c"],
        winograd_gain=values["winograd_gain"],
        tile_menu=menu,
        split_k=split_k,
        light_t0_s=values.get("light_t0_us", values["t0_us"]) * 1e-6,
    )


def device_names() -> tuple[str, ...]:
    """Names of all devices of the catalogue."""
    return tuple(_catalogue().devices)


def device_summaries() -> dict[str, str]:
    """A line about every device of the catalogue, by its name."""
    return {name: device.summary for name, device in _catalogue().devices.items()}


def calibration_date() -> str:
    """Day on which the catalogue's parameters were fitted (ISO 8601)."""
    return _catalogue().calibrated


def get_device(name: str) -> Device:
    """The device of that name.

    Raises:
        InputError: the name is unknown; the message tells the nearest.
    """
    devices = _catalogue().devices
    if name not in devices:
        raise InputError(f"unknown device {name!r}; {meant(name, devices, DEVICE_LIST)}")
    return devices[name]
