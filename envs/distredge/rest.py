"""A scenario of some of its devices: what is left of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from .scenarios import Scenario

FILES = ("tables", "links")


def rest_of(scenario: Scenario, left: Collection[str], factors: Mapping[str, float] | None = None) -> dict[str, Any]:
    """What of a scenario's fields changes where only some of its devices are there, or links are faster or slower.

    Args:
        left: names of devices that are there, at least one.
        factors: by which rates have changed, by name.

    Returns:
        Field -> value.
    """
    factors, names = factors or {}, scenario.device_names
    at = [i for i, name in enumerate(names) if name in left]
    kinds = tuple(scenario.devices[i] for i in at)
    known = {*(names[i] for i in at), *kinds}
    found: dict[str, Any] = {
        "devices": kinds,
        "mbps": tuple(scenario.mbps[i] * factors.get(names[i], 1.0) for i in at),
        "names": tuple(names[i] for i in at),
    }
    for name in FILES:
        files = getattr(scenario, name)
        found[name] = files and {key: file for key, file in files.items() if key in known}
    if scenario.addresses:
        found["addresses"] = {names[i]: scenario.addresses[names[i]] for i in at}
    if len(scenario.traces) > 1:
        found["traces"] = tuple(scenario.traces[i] for i in at)
    own = {field.name: getattr(scenario, field.name) for field in fields(scenario)}
    return {name: value for name, value in found.items() if value != own[name]}
