"""Which family a plan is of, and what else says how it is trained: its scenario, or a file with workers' addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from annotated_types import Interval

from ...envs import FAMILIES, Family, get_family
from ...envs.live_training import TrainingFamily
from ...models.plans import SpatialPlan
from ...ui.errors import InputError
from ...ui.files import read_yaml
from ...ui.validation import read_json, shown, validated

SPATIAL = "distredge"
YAML = (".yaml", ".yml")
Scale = Annotated[float, Interval(ge=1e-3, le=1e6)]


@dataclass(frozen=True)
class TrainingCluster:
    """Machines that train: a file of ``--cluster``.

    Args:
        scenario: that prices them; a name, or a file beside this one.
        addresses: of every role's ``splitgym-worker``, host:port.
        keys: folder with ``roster.yaml`` and the key of the machine that gives the orders.
        emulate: whether they take their own time (none) or the tables' (table).
        time_scale: by which the latter is slower.
    """

    scenario: str
    addresses: Mapping[str, str]
    keys: str = "keys"
    emulate: Literal["none", "table"] = "none"
    time_scale: Scale = 1.0

    @property
    def name(self) -> str:
        """For messages."""
        return self.scenario


def live_module(family: Family) -> TrainingFamily:
    """The module that makes trainings of a family's plans."""
    return cast("TrainingFamily", import_module(family.live))


def read_cluster(path: str) -> TrainingCluster | None:
    """What a file says of machines that train; None where it is a scenario itself.

    Raises:
        InputError: it cannot be read, or a field is wrong.
    """
    data = read_yaml(path) if path.endswith(YAML) else None
    if not isinstance(data, dict) or "scenario" not in data:
        return None
    found, folder = validated(TrainingCluster, data, path), Path(path).parent
    beside = {"keys": str(folder / found.keys)}
    if found.scenario.endswith(YAML):
        beside["scenario"] = str(folder / found.scenario)
    return TrainingCluster(**{**vars(found), **beside})


def family_of(plan: str, scenario: str, options: Mapping[str, Any]) -> Family:
    """The family of a plan file by its kind, else of a scenario.

    Args:
        plan: a file, or a planner's name.
        options: fields of the scenario.

    Raises:
        InputError: a file cannot be read, or is of no kind that there is.
    """
    if plan.endswith(".json"):
        kind = read_json(plan).get("kind")
        kinds = {live_module(family).PLAN.kind: family for family in FAMILIES.values() if family.live}
        kinds[SpatialPlan.kind] = get_family(SPATIAL)
        if kind not in kinds:
            raise InputError(f"{plan}: kind is {shown(kind)}, allowed: {', '.join(kinds)}")
        return kinds[kind]
    if scenario.endswith(YAML):
        return _family_of_file(read_yaml(scenario))
    return next((family for family in FAMILIES.values() if _has(family, scenario, options)), get_family(SPATIAL))


def _family_of_file(data: Any) -> Family:
    """The family that knows all fields of a file and misses none; the first one where none is."""
    given = set(data) if isinstance(data, dict) else set()
    for family in FAMILIES.values():
        known = fields(_scenarios(family).Scenario)
        needed = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING} - {"name"}
        if needed <= given <= {f.name for f in known}:
            return family
    return get_family(SPATIAL)


def _has(family: Family, scenario: str, options: Mapping[str, Any]) -> bool:
    """Whether a scenario is one of a family's."""
    try:
        _scenarios(family).get_scenario(scenario, **{k: v for k, v in options.items() if k == "inputs"})
    except InputError:
        return False
    return True


def _scenarios(family: Family) -> Any:
    return import_module(f"{family.entry_point.partition(':')[0].rpartition('.')[0]}.scenarios")
