"""Plain CSV with a header line, as latency tables or training profiles; the columns are found by their names.

    # device: my-board           (comments may say device, precision, software and date)
    Layer Name; Rows; Time (ms)
    conv1_1; 224; 1,93

A column of sums (``cumulative_ms``, ``front_end_delay_ms``) says what all layers up to one take together, by its name
or by how many steps lie in front of the cut; a layer's time is then the difference to the line before. Measured sums
may fall from one line to the next: there the largest so far counts, and the layer takes no time.

See :mod:`.sheet` for how columns are named and numbers are written; columns with other names are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from statistics import median_low

from ...models.model import Model
from ...ui.errors import InputError
from ...ui.faults import few
from .common import Batches, File, Heights, kernel_indices
from .sheet import BATCH, CUTS, KERNELS, PASSES, ROWS, STEPS, Sheet, Time, read_sheet

_FACTS = ("device", "precision", "software", "date")


def _check_model(sheet: Sheet, model: Model) -> None:
    for key, value in (("model", model.name), ("fingerprint", model.fingerprint)):
        if sheet.facts.get(key, value) != value:
            raise InputError(f"{sheet.path}: {key} is {sheet.facts[key]!r}, expected {value!r} for {model.name}")


def _facts(sheet: Sheet) -> dict[str, str]:
    return {key: sheet.facts[key] for key in _FACTS if sheet.facts.get(key)}


def _note(sheet: Sheet, columns: str) -> str:
    stated = [f"{key}: {sheet.facts[key]}" for key in ("source", "note") if sheet.facts.get(key)]
    return f"CSV ({columns})" + (f", which says {', '.join(stated)}" if stated else "")


def read_heights(path: File, model: Model, rows: Sequence[int], several: bool = False) -> Heights:
    """Seconds of every kernel at the given output rows.

    Args:
        path: a file with columns for the kernel and the time, and perhaps the output rows.
        model: the network.
        rows: output rows of every kernel where the file has no column for them.
        several: whether this is one of several files, each at its own height; then it must have none.

    Raises:
        InputError: one line that names the file, all lines that are wrong and what is allowed.
    """
    sheet = read_sheet(path)
    _check_model(sheet, model)
    if (sums := sheet.sums()) is not None:
        return _from_sums(sheet, model, rows, sums)
    name_at, rows_at, time = sheet.column(KERNELS), sheet.column(ROWS), sheet.time()
    if name_at is None or time is None:
        kernel = "" if name_at is not None else f"the kernel ({few(KERNELS, 5)})"
        raise sheet.lacks(
            *filter(None, (kernel, "" if time else "the time (seconds, ms, Time (msec), latency_us, ...)"))
        )
    if rows_at is not None and several:
        raise InputError(f"{path}: has rows of its own; ROWS=FILE is for files without such a column")
    points = _points(sheet, model, rows, name_at, rows_at, time)
    sheet.faults.check()
    return Heights(points, _note(sheet, time.name), _facts(sheet))


def _from_sums(sheet: Sheet, model: Model, rows: Sequence[int], time: Time) -> Heights:
    """Seconds of kernels from what everything in front of a cut takes; several kernels between two share by MACs.

    Raises:
        InputError: one line that names the file, all lines that are wrong and what is allowed.
    """
    name_at = sheet.column((*CUTS, *STEPS))
    if name_at is None:
        raise sheet.lacks(f"the layer or cut ({few((*CUTS, *KERNELS), 5)})")
    ends, faults = _ends(model), sheet.faults
    sums: dict[int, float] = {}
    for line, cells in sheet.entries:
        end = ends.get(cells[name_at])
        if end is None:
            known = f"; allowed: a step of the model ({few([s.name for s in model.steps], 5)}), or their number"
            faults.add(f"line {line}: unknown layer {cells[name_at]!r}", known)
            continue
        value = sheet.number(line, time.name, cells[time.at])
        if end in sums:
            faults.add(f"line {line}: a second sum up to {cells[name_at]}", "; one is allowed")
        sums[end] = (value or 0.0) / time.per_second
    count = len(model.kernels)
    if sums and count not in sums and not sheet.torn:
        behind = model.kernels[max(sums)].name
        faults.add(f"the sums end in front of {behind}; allowed: up to the last step, {model.steps[-1].name}")
    faults.check()
    points: list[dict[int, float]] = [{} for _ in model.kernels]
    first, before, falls = 0, 0.0, 0
    for end, total in sorted(sums.items()):
        falls += total < before
        time_s = max(total - before, 0.0)
        between = range(first, end)
        macs = [model.kernels[k].layer.macs(model.kernels[k].in_shape) for k in between]
        for k, share in zip(between, macs if sum(macs) else [1] * len(macs), strict=True):
            points[k][rows[k]] = time_s * share / (sum(macs) or len(macs))
        first, before = end, max(total, before)
    fallen = f", {falls} sums below the one before read as no time" if falls else ""
    return Heights(points, f"{_note(sheet, time.name)}, differences of sums{fallen}", _facts(sheet))


def _ends(model: Model) -> dict[str, int]:
    """How many kernels lie in front of a cut: by the step or kernel before it, and by the number of steps."""
    ends = {kernel.name: k + 1 for k, kernel in enumerate(model.kernels)}
    for i, step in enumerate(model.steps):
        ends[step.name] = ends[str(i + 1)] = step.kernels[-1] + 1 if step.kernels else ends.get(str(i), 0)
    return {"0": 0, **ends}


def _points(
    sheet: Sheet, model: Model, rows: Sequence[int], name_at: int, rows_at: int | None, time: Time
) -> list[dict[int, float]]:
    """Rows -> seconds of every kernel; what is wrong is among the sheet's faults."""
    kernels, batch_at, faults = kernel_indices(model), sheet.column(BATCH), sheet.faults
    points: list[dict[int, float]] = [{} for _ in model.kernels]
    named = {kernels[name] for name in sheet.torn if name in kernels}
    known = f"; the model has {few([kernel.name for kernel in model.kernels])}"
    for line, cells in sheet.entries:
        if batch_at is not None and sheet.numerals.read(cells[batch_at]) != 1:
            faults.add(f"line {line}: batch is {cells[batch_at]!r}", ", allowed in a latency table: 1, a single image")
        k = kernels.get(cells[name_at])
        if k is None:
            faults.add(f"line {line}: unknown kernel {cells[name_at]!r}", known)
            continue
        named.add(k)
        name, height = model.kernels[k].name, model.kernels[k].out_shape.height
        at = rows[k] if rows_at is None else sheet.whole(line, f"rows of {name}", cells[rows_at], height)
        seconds = sheet.number(line, time.name, cells[time.at])
        if at in points[k]:
            faults.add(f"line {line}: a second time for kernel {name} at {at} rows", "; one is allowed")
        elif at is not None:
            points[k][at] = (seconds or 0.0) / time.per_second
    if missing := [kernel.name for k, kernel in enumerate(model.kernels) if k not in named]:
        faults.add(f"{len(missing)} kernels of {model.name} have no time: {few(missing)}")
    return points


def read_batches(path: File, model: Model, batch: int | None = None) -> Batches:
    """Forward, backward and update seconds of every step.

    A line is about a step, or about a kernel; then every kernel of the step needs one, and their times are added.
    The update is the median over batch sizes.

    Args:
        path: a file with columns for the step, the forward and the backward time, and perhaps update time and batch.
        model: the network.
        batch: batch size, where the file has no column for it.

    Raises:
        InputError: one line that names the file, all lines that are wrong and what is allowed.
    """
    sheet = read_sheet(path)
    _check_model(sheet, model)
    name_at, batch_at = sheet.column(STEPS), sheet.column(BATCH)
    times = {wanted: time for wanted in PASSES if (time := sheet.time(wanted)) is not None}
    lacking = [f"the {wanted} time ({wanted}_ms, ...)" for wanted in ("forward", "backward") if wanted not in times]
    if name_at is None or lacking:
        raise sheet.lacks(*([f"the step ({few(STEPS, 6)})"] if name_at is None else []), *lacking)
    if (batch_at is None) == (batch is None):
        raise InputError(f"{path}: has {'no' if batch is None else 'a'} column batch; give the batch size there or "
                         "as an option, once")  # fmt: skip
    found, lost = _lines(sheet, model, name_at, batch_at, batch, times)
    summed = {size: _by_step(sheet, model, size, by_name, lost) for size, by_name in found.items()}
    sheet.faults.check()
    timed = {size: ([t["forward"] for t in steps], [t["backward"] for t in steps]) for size, steps in summed.items()}
    update_s = None
    if "update" in times:
        update_s = [median_low(steps[s]["update"] for steps in summed.values()) for s in range(len(model.steps))]
    return Batches(timed, update_s, _note(sheet, ", ".join(time.name for time in times.values())), _facts(sheet))


def _lines(
    sheet: Sheet, model: Model, name_at: int, batch_at: int | None, batch: int | None, times: Mapping[str, Time]
) -> tuple[dict[int, dict[str, dict[str, float]]], set[str]]:
    """(batch size -> name -> pass -> seconds, names of lines that cannot be read); faults are the sheet's."""
    names = {step.name for step in model.steps} | set(kernel_indices(model))
    known = f"; the model has {few([step.name for step in model.steps])}"
    found: dict[int, dict[str, dict[str, float]]] = {}
    lost = set(sheet.torn)
    for line, cells in sheet.entries:
        name = cells[name_at]
        if name not in names:
            sheet.faults.add(f"line {line}: unknown step {name!r}", known)
            continue
        size = batch if batch_at is None else sheet.whole(line, "batch", cells[batch_at])
        seconds = {w: (sheet.number(line, t.name, cells[t.at]) or 0.0) / t.per_second for w, t in times.items()}
        if size is None:
            lost.add(name)
            continue
        by_name = found.setdefault(size, {})
        if name in by_name:
            sheet.faults.add(f"line {line}: a second line for {name} at batch {size}", "; one is allowed")
        by_name[name] = seconds
    return found, lost


def _by_step(
    sheet: Sheet, model: Model, batch: int, by_name: Mapping[str, Mapping[str, float]], lost: Set[str]
) -> list[dict[str, float]]:
    """Times of every step: its own line, or the sum over the lines of its kernels."""
    steps = list[dict[str, float]]()
    for step in model.steps:
        names = [model.kernels[k].name for k in step.kernels]
        parts = [name for name in names if name in by_name and name != step.name]
        if step.name in by_name:
            if parts:
                sheet.faults.add(f"batch {batch}: both {step.name} and its kernel {parts[0]} have a line")
            parts = [step.name]
        elif (missing := [name for name in names if name not in by_name]) and not lost & {step.name, *names}:
            sheet.faults.add(f"batch {batch}: step {step.name} of {model.name} has no line (nor {missing[0]})")
        found = [by_name[name] for name in parts]
        steps.append({wanted: sum(times[wanted] for times in found) for wanted in next(iter(by_name.values()))})
    return steps
