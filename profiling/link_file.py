"""Link files: what was measured of the link between two machines, as strict JSON.

Message costs add up: n bytes take ``t_msg + 8 n / goodput`` from the sender's buffer to the receiver's, plus
``n / copy_out`` before the first byte leaves and ``n / copy_in`` after the last one came. Message times and goodput are
measured between buffers, copies without the network, so nothing is counted twice.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from ..ui.errors import InputError
from ..ui.files import write_text

SCHEMA = 1
KIND = "link"
MOST_FILE_BYTES = 2**20
MOST_TEXT = 200  # characters
# The least and the most that is believed of a number; what lies outside is a slip or would overflow.
BOUNDS = {
    "t_msg_s": (0.0, 60.0),
    "goodput_up_mbps": (1e-3, 1e6),
    "goodput_down_mbps": (1e-3, 1e6),
    "copy_out_bytes_per_s": (1e3, 1e14),
    "copy_in_bytes_per_s": (1e3, 1e14),
    "peer_copy_out_bytes_per_s": (1e3, 1e14),
    "peer_copy_in_bytes_per_s": (1e3, 1e14),
    "residual": (0.0, 1e6),
}

Samples = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class LinkMeasurement:
    """The link of a device to a peer. Up is from the device to the peer.

    Attributes:
        device, peer: names of the two machines.
        date: day of the measurement (ISO 8601).
        software, peer_software: what ran at each end.
        t_msg_s: fixed cost of a message, the mean of both directions (one clock cannot tell them apart).
        goodput_up_mbps, goodput_down_mbps: payload of a stream between buffers, Mbit/s.
        copy_out_bytes_per_s, copy_in_bytes_per_s: rows of a tensor in host memory -> bytes, and back, at the device.
        peer_copy_out_bytes_per_s, peer_copy_in_bytes_per_s: the same at the peer.
        residual: median of |sample - line| / sample over all samples, the line being t_msg + 8 n / goodput.
        samples_up, samples_down: (bytes, seconds) of one message, medians.

    Raises:
        InputError: a field has another type or is out of range; the message begins with the field's name.
    """

    device: str
    peer: str
    date: str
    software: str
    peer_software: str
    t_msg_s: float
    goodput_up_mbps: float
    goodput_down_mbps: float
    copy_out_bytes_per_s: float
    copy_in_bytes_per_s: float
    peer_copy_out_bytes_per_s: float
    peer_copy_in_bytes_per_s: float
    residual: float
    samples_up: Samples
    samples_down: Samples

    def __post_init__(self) -> None:
        for name in ("device", "peer", "software", "peer_software"):
            check_text(name, getattr(self, name))
        _check_date(self.date)
        for name, bounds in BOUNDS.items():
            object.__setattr__(self, name, _number(name, getattr(self, name), *bounds))
        for name in ("samples_up", "samples_down"):
            object.__setattr__(self, name, _samples(name, getattr(self, name)))

    @property
    def goodput_mbps(self) -> float:
        """One rate for a link that has one in the model: a byte sent and a byte received take as long as measured."""
        return 2.0 / (1.0 / self.goodput_up_mbps + 1.0 / self.goodput_down_mbps)

    @property
    def copy_s_per_byte(self) -> float:
        """One copy cost for both directions at the device, seconds per byte; their mean, as with the goodput."""
        return (1.0 / self.copy_out_bytes_per_s + 1.0 / self.copy_in_bytes_per_s) / 2.0

    def message_s(self, n_bytes: float) -> float:
        """The measured line: seconds of a message between buffers, without copies."""
        return self.t_msg_s + 8e-6 * n_bytes / self.goodput_mbps

    def label(self) -> str:
        """One line that is shown wherever the numbers are."""
        return f"{self.device} to {self.peer}: measured ({self.software}, {self.date})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all; :func:`load_link` gets the very same numbers back.

        Raises:
            InputError: the file cannot be written.
        """
        data = {"schema": SCHEMA, "kind": KIND, **asdict(self)}
        try:
            write_text(path, json.dumps(data, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def load_link(path: str | os.PathLike[str]) -> LinkMeasurement:
    """Read a link file.

    Raises:
        InputError: one line that names the file, the field and what is allowed.
    """
    data = _read(path)
    for name, allowed in (("schema", SCHEMA), ("kind", KIND)):
        value = data.pop(name, None)
        if value != allowed or isinstance(value, bool):
            raise InputError(f"{path}: {name} is {_shown(value)}, allowed: {allowed}")
    known = [field.name for field in fields(LinkMeasurement)]
    for name in data:
        if name not in known:
            raise InputError(f"{path}: unknown field {_shown(name)}; known: schema, kind, {', '.join(known)}")
    for name in known:
        if name not in data:
            raise InputError(f"{path}: field {name} is missing")
    try:
        return LinkMeasurement(**data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_FILE_BYTES:
        raise InputError(f"{path}: has more than {MOST_FILE_BYTES // 2**20} MB, the most for a link file")
    try:
        data = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: must hold a JSON object, as splitgym-profile --network writes it")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in data:
            raise InputError(f"field {_shown(name)} is given twice")
        data[name] = value
    return data


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_text(name: str, value: object) -> str:
    """A text that may be printed: one line of at most ``MOST_TEXT`` printable characters, no blanks around it.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable() and value == value.strip():
        return value
    raise InputError(f"{name} is {_shown(value)}, allowed: one line of 1 to {MOST_TEXT} printable characters")


def _check_date(value: object) -> None:
    try:
        valid = isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"date is {_shown(value)}, allowed: a day such as 2026-01-31")


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:  # NaN is not
        return float(value)
    raise InputError(f"{name} is {_shown(value)}, allowed: a number from {least:g} to {most:g}")


def _samples(name: str, value: object) -> Samples:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError(f"{name} is {_shown(value)}, allowed: a list of [bytes, seconds], at least one")
    found = list[tuple[int, float]]()
    for i, pair in enumerate(value):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError(f"{name}[{i}] is {_shown(pair)}, allowed: [bytes, seconds]")
        n_bytes, seconds = pair
        if not isinstance(n_bytes, int) or isinstance(n_bytes, bool) or n_bytes < 1:
            raise InputError(f"{name}[{i}]: bytes is {_shown(n_bytes)}, allowed: an integer of at least 1")
        found.append((n_bytes, _number(f"{name}[{i}]: seconds", seconds, 1e-9, 1e6)))
    return tuple(found)
