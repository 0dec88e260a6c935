"""Link files: what was measured of the link between two machines, as strict JSON.

Message costs add up: n bytes take ``t_msg + 8 n / goodput`` from the sender's buffer to the receiver's, plus
``n / copy_out`` before the first byte leaves and ``n / copy_in`` after the last one came. Message times and goodput are
measured between buffers, copies without the network, so nothing is counted twice.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated

from annotated_types import Interval, Len

from ..ui.errors import InputError
from ..ui.files import write_text
from ..ui.validation import BytesPerSecond, Count, Mbps, read_json, shown, validated

SCHEMA = 1
KIND = "link"
MOST_FILE_BYTES = 2**20
MOST_TEXT = 200  # characters
Sample = tuple[Count, Annotated[float, Interval(ge=1e-9, le=1e6)]]
Samples = Annotated[tuple[Sample, ...], Len(1)]


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
        InputError: a text cannot be printed, or the date is none; the message begins with the field's name.
    """

    device: str
    peer: str
    date: str
    software: str
    peer_software: str
    t_msg_s: Annotated[float, Interval(ge=0, le=60)]
    goodput_up_mbps: Mbps
    goodput_down_mbps: Mbps
    copy_out_bytes_per_s: BytesPerSecond
    copy_in_bytes_per_s: BytesPerSecond
    peer_copy_out_bytes_per_s: BytesPerSecond
    peer_copy_in_bytes_per_s: BytesPerSecond
    residual: Annotated[float, Interval(ge=0, le=1e6)]
    samples_up: Samples
    samples_down: Samples

    def __post_init__(self) -> None:
        for name in ("device", "peer", "software", "peer_software"):
            check_text(name, getattr(self, name))
        _check_date(self.date)

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
        write_text(path, json.dumps(data, indent=1) + "\n")


def load_link(path: str | os.PathLike[str]) -> LinkMeasurement:
    """Read a link file.

    Raises:
        InputError: one line that names the file, the field and what is allowed.
    """
    data = read_json(path, MOST_FILE_BYTES, schema=SCHEMA, kind=KIND)
    return validated(LinkMeasurement, data, str(path), exact=True)


def check_text(name: str, value: object) -> str:
    """A text that may be printed: one line of at most ``MOST_TEXT`` printable characters, no blanks around it.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable() and value == value.strip():
        return value
    raise InputError(f"{name} is {shown(value)}, allowed: one line of 1 to {MOST_TEXT} printable characters")


def _check_date(value: str) -> None:
    try:
        valid = date.fromisoformat(value).isoformat() == value
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"date is {shown(value)}, allowed: a day such as 2026-01-31")
