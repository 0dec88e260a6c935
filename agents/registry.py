"""Which agents a family has, and with which hyperparameters they are made. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..envs import FAMILIES, get_family
from ..ui.errors import InputError
from ..ui.names import meant
from ..ui.programs import needs
from ..ui.validation import validated
from .hyperparam_types import Hyperparams
from .protocol import Agent


@dataclass(frozen=True)
class AgentSpec:
    """An entry of a family's agent registry.

    Args:
        name: on the command line.
        summary: one line for --help.
        make: ``make(env, seed, **hyperparams) -> Agent`` for an env made with ``env_kwargs``.
        env_kwargs: how the agent wants its env made (observation, partition, ...).
        learns: whether it is a :class:`.protocol.Learner`.
        seeded: whether the seed changes the result; others are evaluated once.
        baseline: whether the paper compares against it.
        reference: whether it is a yardstick beside the baselines: a strong search, the exact optimum.
        whole: whether it leaves the network whole, on one machine.
        from_file: whether it follows a plan file, which may not fit a scenario.
        hyperparams: dataclass with their types and ranges; None leaves the check to ``make``.
        needs: names in ``env_kwargs`` without which it cannot decide, or would be another agent; by default all of
            a planner's, none of a learner's.
    """

    name: str
    summary: str
    make: Callable[..., Agent]
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    learns: bool = False
    seeded: bool = False
    baseline: bool = False
    reference: bool = False
    whole: bool = False
    from_file: bool = False
    hyperparams: type[Hyperparams] | None = None
    needs: Sequence[str] | None = None

    @property
    def needed(self) -> dict[str, Any]:
        """The options that its env must have been made with."""
        names = (() if self.learns else self.env_kwargs) if self.needs is None else self.needs
        return {name: self.env_kwargs[name] for name in names}


def agents_module(family: str) -> ModuleType:
    """The module with a family's agents; see :class:`splitgym.envs.Family`.

    Raises:
        InputError: it is not installed.
    """
    return family_module(family, get_family(family).agents)


def family_module(family: str, name: str) -> ModuleType:
    """A module that a family names.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that it needs
        raise InputError(f"--env {family}: the family names the module {name}, which is not installed") from None


def agents_of(family: str) -> dict[str, AgentSpec]:
    """The agents of a family by name, in the order of its tables."""
    specs: Sequence[AgentSpec] = agents_module(family).AGENTS
    return {spec.name: spec for spec in specs}


def get_spec(family: str, name: str, option: str = "--agent") -> AgentSpec:
    """Agent by name, or one that follows a plan file (``*.json``) where the family has plans.

    Raises:
        InputError: unknown name; the message tells the nearest, or all where they are few.
    """
    known = agents_of(family)
    if name in known:
        return known[name]
    from_plan = getattr(agents_module(family), "plan_spec", None)
    if name.endswith(".json") and from_plan:
        return from_plan(name)
    if Path(name).is_dir():
        where = f"splitgym-eval --runs {name} takes the agent of a run, splitgym-train --resume {name} goes on with it"
        raise InputError(f"{option}: {name} is a folder, not an agent; {where}")
    plans = ", or a plan.json" if from_plan else ""
    raise InputError(f"{option}: unknown agent {name!r} for {family}; {meant(name, known, '--list', plans)}")


def hyperparams_of(family: str, name: str, scenario: str) -> dict[str, Any]:
    """Hyperparameters of an agent: ``default`` of its entry in hyperparams/<family>.yaml, then the scenario's own.

    A scenario's overrides are those of its name, with or without what follows a dash (``LA`` for LA and LA-resnet50);
    the longest name that is listed counts.
    """
    return chosen(_hyperparams(family).get(name, {}), scenario)


def chosen(entry: Mapping[str, Mapping[str, Any]], scenario: str) -> dict[str, Any]:
    """What an agent's entry in such a file holds for a scenario."""
    listed = [key for key in entry if key != "default" and (scenario == key or scenario.startswith(f"{key}-"))]
    return {**entry.get("default", {}), **(entry[max(listed, key=len)] if listed else {})}


@cache
def _hyperparams(family: str) -> dict[str, dict[str, dict[str, Any]]]:
    import yaml

    path = Path(__file__).parent / "hyperparams" / f"{family}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def agent_hyperparams(family: str, spec: AgentSpec, scenario: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What an agent is made with on a scenario: the given hyperparameters on top of those of the YAML file.

    Raises:
        InputError: one that is unknown or not allowed, where the agent declares them.
    """
    merged = {**hyperparams_of(family, spec.name, scenario), **given}
    if spec.hyperparams is None:
        return merged
    found = vars(validated(spec.hyperparams, merged, f"agent {spec.name}", what="hyperparameter"))
    return {name: found[name] for name in merged}


def check_family(what: str, family: str, env: Any) -> None:
    """Refuse an env of another family.

    Raises:
        InputError: tells both families.
    """
    made = env.unwrapped.spec
    others = [f.name for f in FAMILIES.values() if made is not None and f.env_id == made.id]
    if others and family not in others:
        raise InputError(f"{what} is of {family}, the env of {others[0]}")


def check_options(agent: str, needed: Mapping[str, Any], env: Any) -> None:
    """Refuse an env that was made with other options than an agent needs.

    Raises:
        InputError: names the option and what it must be.
    """
    for option, value in needed.items():
        found = _option(env.unwrapped, option, value)
        if not np.array_equal(found, value):
            raise InputError(f"agent {agent}: its env needs {option}={value}, not {found}")


def _option(env: Any, name: str, unknown: Any) -> Any:
    """What an option of an env is: a field of its scenario, given to Gymnasium, or the default of the env's class."""
    if name in env.dynamics.settings:
        return env.dynamics.settings[name]
    if env.spec is None:  # made without Gymnasium's registry, which alone knows
        return unknown
    parameter = signature(type(env)).parameters.get(name)
    return env.spec.kwargs.get(name, unknown if parameter is None else parameter.default)


def make_agent(family: str, name: str, env: Any, seed: int = 0, **hyperparams: Any) -> Agent:
    """Make an agent for an env (scalar or vector, wrapped or not) of a family.

    A planner belongs to that env: it plans by its scenario, and its regret in another says nothing of it.

    Args:
        hyperparams: on top of those of the YAML file.

    Raises:
        InputError: unknown agent, an env of another family or made with other options than the agent needs, a
            hyperparameter that is unknown or not allowed, a package that is not installed.
    """
    spec = get_spec(family, name)
    check_family(f"agent {name}", family, env)
    check_options(name, spec.needed, env)
    merged = agent_hyperparams(family, spec, env.unwrapped.dynamics.scenario_name, hyperparams)
    try:
        return spec.make(env, seed=seed, **merged)
    except TypeError as error:
        if "unexpected keyword argument" in str(error) or "multiple values for" in str(error):
            wrong = str(error).split("'")[1]  # newer Pythons name a similar one after it
            raise InputError(f"agent {name}: unknown hyperparameter {wrong!r}") from None
        raise
    except ModuleNotFoundError as error:
        raise InputError(f"agent {name} {needs(error)}") from None


def sb3_agent(algorithm: str, env: Any, seed: int = 0, **options: Any) -> Agent:
    """An agent by one of Stable-Baselines3's algorithms, which comes in only now; see ``agents.sb3.Sb3Learner``."""
    from .sb3 import Sb3Learner

    return Sb3Learner(env, algorithm, seed, **options)
