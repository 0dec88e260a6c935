"""A cluster's file with what was measured of its workers: the user's own, and where the measurements lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any

import yaml

from ...envs.distredge.scenarios import FILE_FIELDS, Scenario
from ...models.own.names import without_size
from ...profiling.link_file import LinkMeasurement
from ...ui.errors import InputError
from ...ui.files import read_text, read_yaml, write_text

MARK = "# Made by splitgym-cluster profile"


def measured_path(source: Path, folder: Path) -> Path:
    """Where the file goes.

    Raises:
        InputError: somebody else's lies there.
    """
    path = folder / f"{source.stem}.measured.yaml"
    if path.exists() and not read_text(path).startswith(MARK):
        raise InputError(f"{path}: is there already, and not made by splitgym-cluster; --out names another folder")
    return path


def write_measured(
    source: Path,
    target: Path,
    model: str | None,
    scenario: Scenario,
    tables: Mapping[str, Path],
    links: Mapping[str, tuple[Path, LinkMeasurement]],
) -> None:
    """Write the file.

    Args:
        source, target: the user's file, and this one.
        model: of another network than the user's file says.
        scenario: that the user's file describes.
        tables, links: what was measured, by worker.

    Raises:
        InputError: it cannot be written.
    """
    data: dict[str, Any] = dict(read_yaml(source))
    for name in ("model", *FILE_FIELDS):
        if data.get(name) and (name != "model" or without_size(data[name]).endswith(".onnx")):
            data[name] = _moved(data[name], source.parent, target.parent)
    if model is not None:
        data["model"] = _moved(model, Path(), target.parent) if without_size(model).endswith(".onnx") else model
    found = {"tables": tables, "links": {name: path for name, (path, _) in links.items()}}
    for name, paths in found.items():
        own = {worker: os.path.relpath(path, target.parent) for worker, path in paths.items()}
        if own:
            data[name] = {**(data.get(name) or {}), **own}
    if set(links) == set(scenario.device_names):
        requester = _requester([link for _, link in links.values()], scenario.eta)
        data |= {name: value for name, value in requester.items() if name not in data}
    text = f"{MARK} from {source.name}, which it does not change; measuring again replaces it.\n"
    try:
        write_text(target, text + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None


def _requester(links: Sequence[LinkMeasurement], eta: float) -> dict[str, float]:
    """The machine that gives the orders, which is the far end of all links.

    Its own rate is not less than the best link's, and a message between two pays the larger cost of both ends, which
    the links' own are already.
    """
    copies = [harmonic_mean([x.peer_copy_out_bytes_per_s, x.peer_copy_in_bytes_per_s]) for x in links]
    return {
        "requester_mbps": _short(max(link.goodput_mbps for link in links) / eta),
        "requester_message_s": _short(min(link.t_msg_s for link in links)),
        "requester_copy_bytes_per_s": _short(median(copies)),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _moved(value: Any, old: Path, new: Path) -> Any:
    """Paths as they are found from another folder."""
    if isinstance(value, Mapping):
        return {key: _moved(path, old, new) for key, path in value.items()}
    if isinstance(value, list):
        return [_moved(path, old, new) for path in value]
    return value if Path(value).is_absolute() or old.resolve() == new.resolve() else os.path.relpath(old / value, new)
