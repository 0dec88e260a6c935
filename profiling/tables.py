"""Latency tables: seconds by kernel and output rows, and where they come from.

On disk a table is a CSV file behind a metadata header, one line for every kernel and row count:

    # schema: 1
    # model: vgg16
    # fingerprint: 3f0c...
    # source: measured
    # device: nano
    # precision: FP16
    # software: TensorRT 8.2
    # date: 2026-01-31
    # note: median of 100 runs
    kernel,rows,seconds
    conv1_1,1,0.00012
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from math import isfinite
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from ..models.model import Model
from ..ui.errors import InputError
from ..ui.faults import Faults, few
from ..ui.files import read_lines, write_text
from .devices import Device, calibration_date, get_device
from .latency import kernel_seconds

SCHEMA = "1"
COLUMNS = ("kernel", "rows", "seconds")

Source = Literal["modelled", "measured", "imported"]


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a table come from. Every field is one line of text.

    Attributes:
        source: computed from the latency model, measured by this suite, or brought in from elsewhere.
        device: device name.
        precision: number format, such as FP16.
        software: what ran the kernels, or what the model stands for.
        date: day of the measurement or calibration (ISO 8601).
        note: anything that helps to judge the numbers.

    Raises:
        InputError: an unknown source, or a field that is not one line of text.
    """

    source: Source
    device: str
    precision: str
    software: str
    date: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise InputError(f"source is {self.source!r}, allowed: {', '.join(get_args(Source))}")
        for field in fields(self):
            value = getattr(self, field.name)
            if value != value.strip() or len(value.splitlines()) > 1:
                raise InputError(f"{field.name} must be one line of text without blanks around it, not {value!r}")

    def label(self) -> str:
        """One line that is shown wherever the numbers are."""
        about = ", ".join(part for part in (self.precision, self.software, self.date) if part)
        return f"{self.device}: {self.source} ({about})" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Seconds that every kernel of a model takes on a device, for every number of output rows.

    Attributes:
        model: model name.
        fingerprint: the model's structure (``Model.fingerprint``).
        kernels: kernel names in the order of ``Model.kernels``, the tail included.
        seconds: float64, (len(kernels), most rows + 1), read-only; column 0 is 0 and what lies beyond a
            kernel's own height is NaN. A fully connected layer has one row.
        provenance: where the numbers come from.
    """

    model: str
    fingerprint: str
    kernels: tuple[str, ...]
    seconds: npt.NDArray[np.float64]
    provenance: Provenance

    @property
    def device(self) -> str:
        """Device name."""
        return self.provenance.device

    @property
    def heights(self) -> npt.NDArray[np.int64]:
        """Output rows of every kernel, (len(kernels),)."""
        return (~np.isnan(self.seconds)).sum(axis=1) - 1

    def kernel_s(self, kernel: int | str, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Seconds of one kernel, by index or name, for some numbers of rows."""
        index = self.kernels.index(kernel) if isinstance(kernel, str) else kernel
        return self.seconds[index, np.asarray(rows)]

    def total_s(self) -> float:
        """Seconds of the whole model on this device alone."""
        return float(self.seconds[np.arange(len(self.kernels)), self.heights].sum())

    def label(self) -> str:
        """One line: the model and where the numbers come from."""
        return f"{self.model} on {self.provenance.label()}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV with a metadata header; :func:`load_table` gets the very same numbers back."""
        heights = zip(self.kernels, self.heights, self.seconds, strict=True)
        rows = ((name, r, repr(float(row[r]))) for name, height, row in heights for r in range(1, height + 1))
        write_entries(path, self.model, self.fingerprint, self.provenance, COLUMNS, rows)


def table_of(model: Model, entries: Sequence[npt.ArrayLike], provenance: Provenance) -> LatencyTable:
    """A table from each kernel's seconds at 1, 2, ... rows."""
    heights = [k.out_shape.height for k in model.kernels]
    seconds = np.full((len(heights), max(heights) + 1), np.nan)
    seconds[:, 0] = 0.0
    for row, height, values in zip(seconds, heights, entries, strict=True):
        row[1 : height + 1] = values
    seconds.flags.writeable = False
    return LatencyTable(model.name, model.fingerprint, tuple(k.name for k in model.kernels), seconds, provenance)


def modelled_table(model: Model, device: str | Device, tiles: bool = True) -> LatencyTable:
    """The table that the calibrated latency model gives; the same object for the same arguments.

    Args:
        model: the network.
        device: a device or the name of one in the catalogue.
        tiles: whether latency steps with whole tiles (see :mod:`.devices`).

    Raises:
        InputError: no such device.
    """
    return _modelled_table(model, get_device(device) if isinstance(device, str) else device, tiles)


@lru_cache(maxsize=512)
def _modelled_table(model: Model, device: Device, tiles: bool) -> LatencyTable:
    entries = [
        kernel_seconds(device, kernel, np.arange(1, kernel.out_shape.height + 1), tiles=tiles)
        for kernel in model.kernels
    ]
    provenance = Provenance(
        "modelled", device.name, device.precision, device.framework, calibration_date(), device.quality(tiles)
    )
    return table_of(model, entries, provenance)


def load_table(path: str | os.PathLike[str], model: Model) -> LatencyTable:
    """Read a table of ``model`` from a file.

    Raises:
        InputError: one line that names the file, the line or field, and what is allowed.
    """
    header, entries, torn, faults = read_entries(path, COLUMNS, "latency table")
    provenance = check_header(path, header, model)
    seconds = {kernel.name: np.full(kernel.out_shape.height, np.nan) for kernel in model.kernels}
    seen = {name: np.zeros(len(values), dtype=bool) for name, values in seconds.items()}
    for line, cells in entries:
        _parse_entry(faults, line, cells, seconds, seen)
    for name, rows in seen.items():
        if not rows.all() and name not in torn:
            missing = few(_runs(np.flatnonzero(~rows) + 1), 3)
            faults.add(f"kernel {name} has no entry for rows = {missing} (needed: 1 to {len(rows)})")
    faults.check()
    if not any(values[-1] for values in seconds.values()):
        raise InputError(f"{path}: every kernel takes 0 s for all its rows; at least one must take longer")
    return table_of(model, list(seconds.values()), provenance)


def write_entries(
    path: str | os.PathLike[str],
    model: str,
    fingerprint: str,
    provenance: Provenance,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    """Write numbers about a model as CSV behind a metadata header; :func:`read_entries` reads them back."""
    text = io.StringIO()
    header = {"schema": SCHEMA, "model": model, "fingerprint": fingerprint}
    header |= {field.name: getattr(provenance, field.name) for field in fields(provenance)}
    text.writelines(f"# {key}: {value}\n" for key, value in header.items())
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_entries(
    path: str | os.PathLike[str], columns: Sequence[str], what: str
) -> tuple[dict[str, str], list[tuple[int, list[str]]], set[str], Faults]:
    """Read a CSV file behind a metadata header.

    Args:
        path: the file.
        columns: the names that head the entries.
        what: what the file is, in words.

    Returns:
        The header, the entries (number of the line, and a text for every column), the texts of lines of another length,
        and the faults so far: who reads the entries adds to them and checks them in the end.

    Raises:
        InputError: one line that names the file, the line or field, and what is allowed.
    """
    lines = read_lines(path)
    if not any(line.strip() for line in lines):
        raise InputError(f"{path}: is empty; a {what} has a header and the columns {','.join(columns)}")
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = _parse_header(path, lines[:head])
    if head == len(lines) or lines[head].split(",") != list(columns):
        raise InputError(f"{path}: line {head + 1}: after the header comes the line {','.join(columns)}")
    reader = csv.reader(lines[head + 1 :])
    entries, torn, faults = list[tuple[int, list[str]]](), set[str](), Faults(path)
    try:
        for cells in filter(None, reader):
            line = head + 1 + reader.line_num
            if len(cells) == len(columns):
                entries.append((line, cells))
            else:
                torn.update(cells)
                faults.add(f"line {line}: has {len(cells)} fields", f", allowed: {len(columns)} ({','.join(columns)})")
    except csv.Error as error:
        raise InputError(f"{path}: line {head + 1 + reader.line_num}: is not CSV ({error})") from None
    return header, entries, torn, faults


def _parse_header(path: str | os.PathLike[str], lines: Sequence[str]) -> dict[str, str]:
    allowed = ["schema", "model", "fingerprint", *(field.name for field in fields(Provenance))]
    header: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        key, colon, value = line[1:].partition(":")
        key = key.strip()
        if not colon or key not in allowed:
            raise InputError(f"{path}: line {number}: expected '# key: value' with a key of {', '.join(allowed)}")
        if key in header:
            raise InputError(f"{path}: line {number}: {key} is given twice")
        header[key] = value.strip()
    for key in allowed:
        if key not in header and key != "note":
            raise InputError(f"{path}: the header has no {key}; needed are {', '.join(allowed[:-1])}")
    return header


def check_header(path: str | os.PathLike[str], header: Mapping[str, str], model: Model, detail: str = "") -> Provenance:
    """The provenance that a file's header states, where the file is about ``model``.

    Args:
        path: the file.
        header: from :func:`read_entries`.
        model: the model that the file must be about.
        detail: ends the message about a file of another model.

    Raises:
        InputError: another schema or model, or a provenance that is not allowed; one line that names file and field.
    """
    expected = {"schema": SCHEMA, "model": model.name, "fingerprint": model.fingerprint}
    for key, value in expected.items():
        if header[key] != value:
            end = "" if key == "schema" else detail
            raise InputError(f"{path}: {key} is {header[key]!r}, expected {value!r} for the model {model.name}{end}")
    values = {field.name: header.get(field.name, "") for field in fields(Provenance)}
    try:
        return Provenance(cast(Source, values.pop("source")), **values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _parse_entry(
    faults: Faults,
    line: int,
    cells: Sequence[str],
    seconds: Mapping[str, npt.NDArray[np.float64]],
    seen: Mapping[str, npt.NDArray[np.bool_]],
) -> None:
    name, rows_text, seconds_text = cells
    if name not in seconds:
        faults.add(f"line {line}: unknown kernel {name!r}", f"; the model has {few(list(seconds))}")
        return
    values = seconds[name]
    try:
        rows = int(rows_text)
    except ValueError:
        rows = 0
    if not 1 <= rows <= len(values):
        faults.add(f"line {line}: rows is {rows_text!r}", f", allowed for {name}: an integer from 1 to {len(values)}")
        return
    if seen[name][rows - 1]:
        faults.add(f"line {line}: a second entry for kernel {name}, rows = {rows}", "; one is allowed")
    seen[name][rows - 1] = True
    values[rows - 1] = parse_seconds(faults, line, "seconds", seconds_text) or 0.0


def parse_seconds(faults: Faults, line: int, column: str, text: str) -> float | None:
    """A number of 0 or more; None, and a fault, where it is none."""
    try:
        value = float(text)
    except ValueError:
        faults.add(f"line {line}: {column} is {text!r}", ", allowed: a number, 0 or more")
        return None
    if isfinite(value) and value >= 0:
        return value
    faults.add(f"line {line}: {column} is {text}", ", allowed: a finite number, 0 or more")
    return None


def _runs(numbers: Sequence[int] | npt.NDArray[np.intp]) -> list[str]:
    """Increasing whole numbers, those one after another as "from to to"."""
    found: list[list[int]] = []
    for number in map(int, numbers):
        if found and found[-1][-1] == number - 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return [" to ".join(map(str, run)) for run in found]
