"""Profiles of other tools as latency tables and training profiles of a model: trtexec, PipeDream, plain CSV.

Their numbers stay what they are: the source is "imported", and the note names the file and how rows were filled in.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date as day
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...models.chain import Kernel
from ...models.model import Model
from ...ui.errors import InputError
from ...ui.faults import Faults
from ...ui.files import writing
from ..devices import Device, get_device
from ..latency import kernel_seconds
from ..tables import LatencyTable, Provenance, table_of
from ..training import VALUE_BYTES, TrainingProfile, modelled_profile
from . import pipedream, plain_csv, trtexec
from .common import KNOWN, Batches, File, Heights, read_text
from .sheet import looks_like_csv

FORMATS = ("trtexec", "pipedream", "csv")


def detect(path: File) -> str:
    """Which of ``FORMATS`` a file has.

    Raises:
        InputError: it cannot be read, or has none of them.
    """
    text = read_text(path)
    if text.lstrip()[0] in "[{":
        return "trtexec"
    lines = [line for line in text.splitlines() if line.strip()]
    if any(pipedream.NODE.match(line.strip()) for line in lines[:2]):
        return "pipedream"
    first = next((line for line in lines if not line.lstrip().startswith("#")), "")
    if looks_like_csv(first):
        return "csv"
    is_dot = re.match(r"\s*(?:strict\s+)?(?:di)?graph\b.*\{", text, re.DOTALL) is not None
    what = "is a graph in the DOT language" if is_dot else "is none of the known profiles"
    raise InputError(f"{path}: {what}; known are {KNOWN}")


def latency_table(
    files: File | Mapping[int, File],
    model: Model,
    device: str = "",
    precision: str = "",
    software: str = "",
    date: str = "",
    *,
    format: str | None = None,
    sources: Mapping[str, Sequence[str]] | None = None,
    layers: Mapping[str, str] | None = None,
    shape_from: str | Device | None = None,
) -> LatencyTable:
    """The latency table that profiles of a model give.

    Between the rows that the files give a time for, times are linear; below the fewest they stay the same. With
    ``shape_from`` it is their ratio to the modelled times of that device which is linear and stays the same: the
    modelled shape over rows, scaled to the imported times. Given times are kept as they are.

    Args:
        files: one file, or files by the input rows that the network was profiled at; one must be at its full height.
        model: the network, profiled with one image.
        device, precision, software: for the provenance, where the file does not say.
        date: day of the profile (ISO 8601); by default what the file says, or the day it was last changed.
        format: one of ``FORMATS``, by default detected.
        sources: original node names (those of an ONNX file) by kernel name, to find kernels in trtexec's names.
        layers: kernel by trtexec's layer name, where names do not tell; see :mod:`.trtexec`.
        shape_from: a device, or the name of one in the catalogue. Needed where a kernel's time is known at its full
            height only.

    Raises:
        InputError: one line that names the file, the line or field, and what is allowed.
    """
    by_rows = dict(files) if isinstance(files, Mapping) else {model.input.height: files}
    if model.input.height not in by_rows:
        raise InputError(f"no profile at the full height of {model.name}: {model.input.height} input rows are needed")
    read = [
        _read_heights(by_rows[rows], model, _rows_at(by_rows[rows], model, rows), format, sources, layers, len(by_rows))
        for rows in sorted(by_rows)
    ]
    paths = [by_rows[rows] for rows in sorted(by_rows)]
    points: list[dict[int, float]] = [{} for _ in model.kernels]
    for heights in read:  # at equal rows the taller input counts: the tail has one row at any
        for into, found in zip(points, heights.points, strict=True):
            into.update(found)
    on = get_device(shape_from) if isinstance(shape_from, str) else shape_from
    label = ", ".join(Path(path).name for path in paths)
    where = str(paths[-1])  # the full height
    _check_full_heights(where, model, points, on)
    entries = [fill_rows(kernel, found, on) for kernel, found in zip(model.kernels, points, strict=True)]
    note = f"{label}: {'; '.join(dict.fromkeys(heights.note for heights in read))}"
    if any(len(found) < kernel.out_shape.height for kernel, found in zip(model.kernels, points, strict=True)):
        note += "; " + (
            f"other rows as modelled for {on.name}, scaled to the times given"
            if on
            else "rows between those given are interpolated, fewer take the time of the fewest given"
        )
    facts = _facts(read, {"device": device, "precision": precision, "software": software, "date": date})
    return table_of(model, entries, _provenance(paths, facts, note))


def _read_heights(
    path: File,
    model: Model,
    rows: Sequence[int],
    format: str | None,
    sources: Mapping[str, Sequence[str]] | None,
    layers: Mapping[str, str] | None,
    files: int,
) -> Heights:
    kind = _format(path, format)
    if kind == "trtexec":
        return trtexec.read_heights(path, model, rows, sources, layers)
    if kind == "csv":
        return plain_csv.read_heights(path, model, rows, several=files > 1)
    raise InputError(f"{path}: PipeDream profiles training; it gives a training profile, no latency table")


def _format(path: File, format: str | None) -> str:
    if format is not None and format not in FORMATS:
        raise InputError(f"format is {format!r}, allowed: {', '.join(FORMATS)}")
    return format or detect(path)


def _rows_at(path: File, model: Model, rows: int) -> list[int]:
    """Output rows of every kernel where the input has ``rows``."""
    if not 1 <= rows <= model.input.height:
        raise InputError(f"{path}: is at {rows} input rows, allowed for {model.name}: 1 to {model.input.height}")
    try:
        lower = replace(model, input=replace(model.input, height=rows))
    except ValueError as error:
        raise InputError(f"{path}: {model.name} cannot run at {rows} input rows ({error})") from None
    return [kernel.out_shape.height for kernel in lower.kernels]


def _check_full_heights(
    where: str, model: Model, points: Sequence[Mapping[int, float]], shape_from: Device | None
) -> None:
    """Every kernel needs a time at its full height, and at fewer rows, too, where no device tells the shape."""
    faults = Faults(where)
    for kernel, found in zip(model.kernels, points, strict=True):
        height = kernel.out_shape.height
        if height not in found:
            faults.add(f"kernel {kernel.name} has no time at its full height, {height} rows")
        elif height > 1 and len(found) == 1 and shape_from is None:
            faults.add(
                f"kernel {kernel.name} has a time at its full height only, {height} rows",
                "; needed are times at fewer rows too (ROWS=FILE for profiles at other input heights), "
                "or a device to take the shape from",
            )
    faults.check()


def fill_rows(kernel: Kernel, points: Mapping[int, float], shape_from: Device | None) -> npt.NDArray[np.float64]:
    """Seconds of a kernel at 1, 2, ... rows, from those at some rows and at all; see :func:`latency_table`."""
    height = kernel.out_shape.height
    known = np.array(sorted(points))
    times = np.array([points[rows] for rows in sorted(points)])
    rows = np.arange(1, height + 1)
    shape = np.ones(height) if shape_from is None else kernel_seconds(shape_from, kernel, rows)
    if not shape.all():  # the model counts no time for what only moves data
        shape = np.ones(height)
    seconds = shape * np.interp(rows, known, times / shape[known - 1])
    seconds[known - 1] = times
    return seconds


def training_profile(
    files: File | Sequence[File],
    model: Model,
    device: str = "",
    precision: str = "",
    software: str = "",
    date: str = "",
    *,
    format: str | None = None,
    batch: int | None = None,
    update_from: str | Device | None = None,
) -> TrainingProfile:
    """The training profile that profiles of a model give; several files are at different batch sizes.

    Args:
        files: a file, or several.
        model: the network.
        device, precision, software: for the provenance, where the file does not say.
        date: day of the profile (ISO 8601); by default what the file says, or the day it was last changed.
        format: one of ``FORMATS``, by default detected.
        batch: batch size, where a CSV file has no column for it; in a PipeDream graph it is checked.
        update_from: a device, or the name of one in the catalogue, whose modelled time of the weight update is taken
            where the files have none (for PipeDream's SGD with momentum, else plain SGD); without it that time is 0.

    Raises:
        InputError: one line that names the file, the line or field, and what is allowed.
    """
    paths = [files] if isinstance(files, str | os.PathLike) else list(files)
    if not paths:
        raise InputError("no file is given; a training profile needs one or more")
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}, allowed: 1 or more")
    kinds = [_format(path, format) for path in paths]
    read = [_read_batches(path, model, kind, batch) for path, kind in zip(paths, kinds, strict=True)]
    timed: dict[int, tuple[list[float], list[float]]] = {}
    for path, found in zip(paths, read, strict=True):
        if twice := timed.keys() & found.timed.keys():
            raise InputError(f"{path}: batch {min(twice)} is in another file too; allowed: every batch size once")
        timed |= found.timed
    optimizer = "momentum" if kinds[0] == "pipedream" else "sgd"
    update_s, how = _update_s(model, read, update_from, optimizer)
    sizes = tuple(sorted(timed))
    names = ", ".join(Path(path).name for path in paths)
    note = f"{names}: {'; '.join(dict.fromkeys(found.note for found in read))}; {how}"
    crossing = np.array([model.cut_bytes(i + 1, VALUE_BYTES) for i in range(len(model.steps))])
    params = [kernel.layer.params(kernel.in_shape) for kernel in model.kernels]
    facts = _facts(read, {"device": device, "precision": precision, "software": software, "date": date})
    return TrainingProfile(
        model=model.name,
        fingerprint=model.fingerprint,
        steps=tuple(step.name for step in model.steps),
        batches=sizes,
        forward_s=np.array([timed[size][0] for size in sizes]),
        backward_s=np.array([timed[size][1] for size in sizes]),
        update_s=np.array(update_s),
        activation_bytes=crossing,
        gradient_bytes=crossing,
        params=np.array([sum(params[k] for k in step.kernels) for step in model.steps]),
        provenance=_provenance(paths, facts, note),
    )


def _read_batches(path: File, model: Model, kind: str, batch: int | None) -> Batches:
    if kind == "pipedream":
        return pipedream.read_batches(path, model, batch)
    if kind == "csv":
        return plain_csv.read_batches(path, model, batch)
    raise InputError(f"{path}: trtexec profiles inference; it gives a latency table, no training profile")


def _update_s(
    model: Model, read: Sequence[Batches], update_from: str | Device | None, optimizer: str
) -> tuple[Sequence[float], str]:
    """Seconds of every step's update, and where they come from."""
    for found in read:
        if found.update_s is not None:
            return found.update_s, "update as in the file"
    if update_from is None:
        return [0.0] * len(model.steps), "the weight update is not in it and counts 0 s"
    modelled = modelled_profile(model, update_from, (1,), optimizer)
    return modelled.update_s.tolist(), f"update ({optimizer}) as modelled for {modelled.device}"


def _facts(read: Sequence[Heights] | Sequence[Batches], given: Mapping[str, str]) -> dict[str, str]:
    """Device, precision, software and date: as given, else as the last file that says it."""
    stated = {key: value for found in read for key, value in found.facts.items()}
    facts = stated | {key: value for key, value in given.items() if value}
    if facts.get("date"):
        try:
            facts["date"] = day.fromisoformat(facts["date"]).isoformat()
        except ValueError:
            raise InputError(f"date is {facts['date']!r}, allowed: a day such as 2026-01-31") from None
    return facts


def _provenance(paths: Sequence[File], facts: dict[str, str], note: str) -> Provenance:
    if missing := [key for key in ("device", "precision", "software") if not facts.get(key)]:
        options = ", ".join(f"--{key}" for key in missing)
        which = " and the ".join(missing)
        raise InputError(f"{paths[-1]}: does not say the {which}, shown with the numbers; give it ({options})")
    if not facts.get("date"):
        changed = max(Path(path).stat().st_mtime for path in paths)
        facts["date"] = datetime.fromtimestamp(changed, timezone.utc).date().isoformat()
    return Provenance("imported", facts["device"], facts["precision"], facts["software"], facts["date"], note)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of an import that are its own; see :func:`command`."""
    parser.add_argument(
        "--from", dest="from_files", nargs="+", required=True, metavar="[ROWS=]FILE",
        help="profile(s): trtexec --exportProfile JSON, PipeDream graph.txt or CSV; ROWS: input rows of that network",
    )  # fmt: skip
    parser.add_argument("--format", choices=FORMATS, help="of the files (default: detected)")
    parser.add_argument("--date", default="", help="day of the profile (default: the file's)")
    parser.add_argument("--map", metavar="CSV", help="columns layer,kernel: whose layer is whose, for trtexec's names")
    parser.add_argument(
        "--shape-from", metavar="DEVICE",
        help="catalogue device whose modelled shape over rows, or weight update in training, fills what is not given",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, help="batch size of a training profile (default: from the file)")


def command(args: argparse.Namespace, model: Model, sources: Mapping[str, Sequence[str]] | None = None) -> int:
    """Import what ``args`` name and write it.

    Args:
        args: the options of :func:`add_options`, and device, precision, software, training and out.
        model: the network.
        sources: original node names by kernel name.

    Raises:
        InputError: one line; nothing is written.
    """
    facts = {name: getattr(args, name) or "" for name in ("device", "precision", "software", "date")}
    if args.training:
        if args.map is not None:
            raise InputError("--map is for trtexec's profiles, which give no training profile")
        made = training_profile(
            args.from_files, model, **facts, format=args.format, batch=args.batch, update_from=args.shape_from
        )
    else:
        if args.batch is not None:
            raise InputError("--batch is for training profiles (--training); a latency table is about one image")
        made = latency_table(
            _by_rows(args.from_files, model), model, **facts, format=args.format, sources=sources,
            layers=trtexec.read_layer_map(args.map, model) if args.map else None, shape_from=args.shape_from,
        )  # fmt: skip
    with writing(f"--out {args.out}"):
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    made.save(args.out)
    print(f"{args.out}: {made.label()}")
    return 0


def _by_rows(items: Sequence[str], model: Model) -> dict[int, str]:
    """Files by input rows, from FILE (at the full height) and ROWS=FILE."""
    found: dict[int, str] = {}
    for item in items:
        match = None if Path(item).exists() else re.fullmatch(r"(\d{1,9})=(.+)", item)
        rows, path = (int(match[1]), match[2]) if match else (model.input.height, item)
        if rows in found:
            raise InputError(
                f"--from {item}: a second profile at {rows} input rows; name the rows of others, ROWS=FILE"
            )
        found[rows] = path
    return found
