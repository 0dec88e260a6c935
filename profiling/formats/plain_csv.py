"""Plain CSV with a header line, as latency tables or training profiles; the columns are found by their names.

    # device: my-board           (comments may say device, precision, software and date)
    layer; rows; median_ms
    conv1_1; 224; 1.93

The delimiter is a comma, a semicolon or a tab. A time's unit ends its column's name: ``s``, ``ms``, ``us`` or ``ns``
(``seconds``, ``latency_ms``, ``Avg. Time (ms)``, ``medianMs``). Columns with other names are ignored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

from ...models.model import Model
from ...ui.errors import InputError
from ..tables import few
from .common import Batches, File, Heights, kernel_indices, number, read_text

NAMES = ("step", "kernel", "name", "layer")
ROWS = ("rows", "height", "output_rows", "out_rows")
BATCH = ("batch", "batch_size")
PER_SECOND = {"s": 1, "sec": 1, "seconds": 1, "ms": 1_000, "us": 1_000_000, "µs": 1_000_000, "ns": 1_000_000_000}
DELIMITERS = ",;\t"

_STATISTICS = (("median",), ("mean", "average", "avg"))  # the first that is there is read
_FILLERS = frozenset({"time", "latency", "runtime", "duration", *(word for words in _STATISTICS for word in words)})
_PASSES = {"forward": {"forward", "fwd"}, "backward": {"backward", "bwd"}, "update": {"update"}}
_FACTS = ("device", "precision", "software", "date")


@dataclass(frozen=True)
class Sheet:
    """A CSV file: what its comments say, its columns by lower-case name, its lines."""

    path: File
    facts: Mapping[str, str]
    columns: Mapping[str, int]
    entries: Sequence[tuple[str, list[str]]]  # file and line, cells

    def column(self, names: Sequence[str]) -> int | None:
        """The first of the columns with one of the names."""
        return next((self.columns[name] for name in names if name in self.columns), None)


def read_sheet(path: File) -> Sheet:
    """Read a CSV file with a header line.

    Raises:
        InputError: one line that names the file and the line: not CSV, a column twice, lines of another length.
    """
    lines = read_text(path).splitlines()
    comments = [line.lstrip()[1:] for line in lines if line.lstrip().startswith("#")]
    stated = {key.strip().lower(): value.strip() for key, _, value in (c.partition(":") for c in comments)}
    lines = ["" if line.lstrip().startswith("#") else line for line in lines]
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    header: list[str] | None = None
    entries = list[tuple[str, list[str]]]()
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}: line {reader.line_num}"
            if header is None:
                header = [_column_name(cell) for cell in cells]
                if twice := [name for name in header if name and header.count(name) > 1]:
                    raise InputError(f"{where}: two columns are called {twice[0]!r}, allowed: one")
            elif len(cells) != len(header):
                raise InputError(f"{where}: has {len(cells)} fields, allowed: {len(header)}, as in the header")
            else:
                entries.append((where, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: is not CSV ({error})") from None
    if not entries:
        raise InputError(f"{path}: has no lines after the header")
    return Sheet(path, stated, {name: i for i, name in enumerate(header or [])}, entries)


def _column_name(cell: str) -> str:
    """Lower case with underscores: ``averageMs`` and ``Average (ms)`` are average_ms."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cell.strip()).lower().replace("\N{GREEK SMALL LETTER MU}", "µ")
    return re.sub(r"[^a-z0-9µ]+", "_", apart).strip("_")


def looks_like_csv(line: str) -> bool:
    """Whether a line is a header of several columns, one with the names of layers."""
    names = {_column_name(cell) for cell in re.split(f"[{DELIMITERS}]", line)}
    return len(names) > 1 and bool(names & set(NAMES))


def _time_column(sheet: Sheet, wanted: str | None) -> tuple[str, int, int] | None:
    """Name, index and units per second of a pass's time column; of the only time where ``wanted`` is None."""
    of_pass = _PASSES[wanted] if wanted else set[str]()
    found: dict[int, list[str]] = {}
    for name in sheet.columns:
        *words, unit = name.split("_")
        rest = set(words) - _FILLERS
        if unit in PER_SECOND and (len(rest) == 1 and rest <= of_pass if wanted else not rest):
            rank = next((i for i, s in enumerate(_STATISTICS) if set(s) & set(words)), len(_STATISTICS))
            found.setdefault(rank, []).append(name)
    if not found:
        return None
    best = found[min(found)]
    if len(best) > 1:
        raise InputError(f"{sheet.path}: the columns {' and '.join(best)} could both be the time; allowed: one")
    return best[0], sheet.columns[best[0]], PER_SECOND[best[0].split("_")[-1]]


def _needed(sheet: Sheet, what: str) -> InputError:
    return InputError(f"{sheet.path}: has no column for {what}; its columns: {few(list(sheet.columns), 12)}")


def _check_model(sheet: Sheet, model: Model) -> None:
    for key, value in (("model", model.name), ("fingerprint", model.fingerprint)):
        if sheet.facts.get(key, value) != value:
            raise InputError(f"{sheet.path}: {key} is {sheet.facts[key]!r}, expected {value!r} for {model.name}")


def _facts(sheet: Sheet) -> dict[str, str]:
    return {key: sheet.facts[key] for key in _FACTS if sheet.facts.get(key)}


def _note(sheet: Sheet, columns: str) -> str:
    stated = [f"{key}: {sheet.facts[key]}" for key in ("source", "note") if sheet.facts.get(key)]
    return f"CSV ({columns})" + (f", which says {', '.join(stated)}" if stated else "")


def _whole(where: str, name: str, text: str, most: int | None = None) -> int:
    value = int(text) if re.fullmatch(r"\d{1,9}", text) else 0
    if value < 1 or (most is not None and value > most):
        allowed = f"from 1 to {most}" if most is not None else "1 or more"
        raise InputError(f"{where}: {name} is {text!r}, allowed: an integer {allowed}")
    return value


def read_heights(path: File, model: Model, rows: Sequence[int], several: bool = False) -> Heights:
    """Seconds of every kernel at the given output rows.

    Args:
        path: a file with columns for the kernel and the time, and perhaps the output rows.
        model: the network.
        rows: output rows of every kernel where the file has no column for them.
        several: whether this is one of several files, each at its own height; then it must have none.

    Raises:
        InputError: one line that names the file, the line and what is allowed.
    """
    sheet = read_sheet(path)
    _check_model(sheet, model)
    name_at, rows_at, time = sheet.column(NAMES[1:]), sheet.column(ROWS), _time_column(sheet, None)
    if name_at is None:
        raise _needed(sheet, f"the kernel ({', '.join(NAMES[1:])})")
    if time is None:
        raise _needed(sheet, "the time (seconds, ms, median_ms, latency_us, ...)")
    if rows_at is not None and several:
        raise InputError(f"{path}: has rows of its own; ROWS=FILE is for files without such a column")
    batch_at = sheet.column(BATCH)
    kernels = kernel_indices(model)
    points: list[dict[int, float]] = [{} for _ in model.kernels]
    for where, cells in sheet.entries:
        if batch_at is not None and cells[batch_at] != "1":
            raise InputError(f"{where}: batch is {cells[batch_at]!r}, allowed in a latency table: 1, a single image")
        k = kernels.get(cells[name_at])
        if k is None:
            known = few([kernel.name for kernel in model.kernels])
            raise InputError(f"{where}: unknown kernel {cells[name_at]!r}; the model has {known}")
        name, height = model.kernels[k].name, model.kernels[k].out_shape.height
        at = rows[k] if rows_at is None else _whole(where, f"rows of {name}", cells[rows_at], height)
        if at in points[k]:
            raise InputError(f"{where}: a second time for kernel {name} at {at} rows; one is allowed")
        points[k][at] = number(where, time[0], cells[time[1]]) / time[2]
    if missing := [kernel.name for kernel, found in zip(model.kernels, points, strict=True) if not found]:
        raise InputError(f"{path}: {len(missing)} kernels of {model.name} have no time: {few(missing, 3)}")
    return Heights(points, _note(sheet, time[0]), _facts(sheet))


def read_batches(path: File, model: Model, batch: int | None = None) -> Batches:
    """Forward, backward and update seconds of every step.

    A line is about a step, or about a kernel; then every kernel of the step needs one, and their times are added.
    The update is the median over batch sizes.

    Args:
        path: a file with columns for the step, the forward and the backward time, and perhaps update time and batch.
        model: the network.
        batch: batch size, where the file has no column for it.

    Raises:
        InputError: one line that names the file, the line and what is allowed.
    """
    sheet = read_sheet(path)
    _check_model(sheet, model)
    name_at, batch_at = sheet.column(NAMES), sheet.column(BATCH)
    times = {wanted: _time_column(sheet, wanted) for wanted in _PASSES}
    if name_at is None:
        raise _needed(sheet, f"the step ({', '.join(NAMES)})")
    for wanted in ("forward", "backward"):
        if times[wanted] is None:
            raise _needed(sheet, f"the {wanted} time ({wanted}_ms, {wanted}_s, ...)")
    if (batch_at is None) == (batch is None):
        raise InputError(f"{path}: has {'no' if batch is None else 'a'} column batch; give the batch size there or "
                         "as an option, once")  # fmt: skip
    columns = {wanted: time for wanted, time in times.items() if time is not None}
    known = {step.name for step in model.steps} | set(kernel_indices(model))
    found: dict[int, dict[str, dict[str, float]]] = {}  # batch, name, pass
    for where, cells in sheet.entries:
        name = cells[name_at]
        if name not in known:
            raise InputError(f"{where}: unknown step {name!r}; the model has {few([s.name for s in model.steps])}")
        size = batch if batch is not None else _whole(where, "batch", cells[batch_at or 0])
        by_name = found.setdefault(size, {})
        if name in by_name:
            raise InputError(f"{where}: a second line for {name} at batch {size}; one is allowed")
        by_name[name] = {w: number(where, head, cells[at]) / unit for w, (head, at, unit) in columns.items()}
    summed = {size: _by_step(path, model, size, by_name) for size, by_name in found.items()}
    timed = {size: ([t["forward"] for t in steps], [t["backward"] for t in steps]) for size, steps in summed.items()}
    update_s = None
    if "update" in columns:
        update_s = [median_low(steps[s]["update"] for steps in summed.values()) for s in range(len(model.steps))]
    return Batches(timed, update_s, _note(sheet, ", ".join(head for head, _, _ in columns.values())), _facts(sheet))


def _by_step(
    path: File, model: Model, batch: int, by_name: Mapping[str, Mapping[str, float]]
) -> list[dict[str, float]]:
    """Times of every step: its own line, or the sum over the lines of its kernels."""
    steps = list[dict[str, float]]()
    for step in model.steps:
        names = [model.kernels[k].name for k in step.kernels]
        parts = [name for name in names if name in by_name and name != step.name]
        if step.name in by_name:
            if parts:
                raise InputError(f"{path}: batch {batch}: both {step.name} and its kernel {parts[0]} have a line")
            parts = [step.name]
        elif missing := [name for name in names if name not in by_name]:
            raise InputError(f"{path}: batch {batch}: step {step.name} of {model.name} has no line (nor {missing[0]})")
        found = [by_name[name] for name in parts]
        steps.append({wanted: sum(times[wanted] for times in found) for wanted in found[0]})
    return steps
