"""What the scripts about environments share: the options that say which one, and a help that lists what it has."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..agents.registry import agents_of
from ..envs import FAMILIES, Family, get_family, register_family
from ..models.lookup import model_summaries
from ..models.own.option import add_model_options, model_of, tell_network
from ..profiling.devices import device_summaries
from ..ui.console import Parser, add_list, listed, positive_number, wrapped
from ..ui.errors import InputError


def family_of(argv: Sequence[str] | None) -> Family:
    """The family that ``--env`` names, before everything else is parsed, since the help text depends on it."""
    first = Parser("splitgym", "", str)
    first.add_argument("--env", default=next(iter(FAMILIES)))
    words = list(sys.argv[1:] if argv is None else argv)
    bare = [word for word in words if word not in ("-h", "--help")]
    name = first.parse_known_args(bare)[0].env
    return family_from(name) if ":" in name else get_family(name)


def family_from(place: str) -> Family:
    """A family of one's own by ``package.module:NAME``, from the current folder or installed; it is registered.

    Raises:
        InputError: no such module, no family of that name in it, or another family has its name.
    """
    path, _, attribute = place.rpartition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as with python -m; worker processes are given it, too
    try:
        module = import_module(path or place)
    except ModuleNotFoundError as error:
        raise InputError(f"--env {place}: no module {error.name!r} from {here} or among installed packages") from None
    family = getattr(module, attribute, None)
    if not isinstance(family, Family):
        raise InputError(f"--env {place}: module {path} has no Family that is called {attribute!r}")
    if FAMILIES.get(family.name, family) != family:
        raise InputError(f"--env {place}: its name, {family.name!r}, is another environment's")
    register_family(family)
    return family


def add_env_options(parser: Parser, family: Family) -> argparse._ArgumentGroup:
    """The options that say which environment: a group that the script adds its own to."""
    add_list(parser, _listings(family))
    group = parser.add_argument_group("environment")
    group.add_argument(
        "--env",
        metavar="NAME",
        type=lambda name: family_from(name).name if ":" in name else name,  # as runs keep it
        help=f"which system: {', '.join(FAMILIES)} ({family.name}), or one of your own as package.module:FAMILY",
    )
    group.add_argument(
        "--env-kwargs",
        metavar="K=V",
        nargs="+",
        action="extend",
        help="options of the environment and fields of its scenario, values as in YAML",
    )
    if "backend" in _options(family):
        group.add_argument(
            "--backend", metavar="NAME", help="what episodes run on; the same as --env-kwargs backend=NAME"
        )
    else:
        group.set_defaults(backend=None)
    if has_field(family, "model"):
        add_model_options(group)
    else:
        group.set_defaults(model=None, input=None, output=[])
    if not has_field(family, "traces"):
        group.set_defaults(trace=None, trace_factor=None)
        return group
    group.add_argument(
        "--trace",
        metavar="FILE",
        nargs="+",
        action="extend",
        help="links follow measured rates: one file for all, or one for each (seconds, Mbit/s)",
    )
    group.add_argument("--trace-factor", metavar="F", type=positive_number, help="multiplies the rates of --trace")
    return group


def add_hyperparams_file(group: argparse._ActionsContainer) -> None:
    """The file that --tune writes, or one by hand."""
    text = "YAML with hyperparameters by agent and scenario, as --tune writes it; --hyperparams is on top"
    group.add_argument("--hyperparams-file", metavar="FILE", type=Path, help=text)


def has_field(family: Family, name: str) -> bool:
    """Whether the family's scenarios have a field, such as ``traces``."""
    return name in _default_env(family).unwrapped.dynamics.settings


def _options(family: Family) -> Mapping[str, Any]:
    """Options of the family's env beside the fields of its scenario, with their defaults."""
    options = inspect.signature(type(_default_env(family).unwrapped)).parameters.values()
    own = (p for p in options if p.name not in ("scenario", "render_mode") and p.kind is not p.VAR_KEYWORD)
    return {p.name: p.default for p in own}


def _default_env(family: Family) -> Any:
    return _made(family.env_id, family.default_scenario)


@cache
def _made(env_id: str, scenario: str) -> Any:
    return gym.make(env_id, scenario=scenario, disable_env_checker=True)


def env_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of the environment from the options of :func:`add_env_options`.

    Raises:
        InputError: not K=V, a name given twice, or a name that has its own option.
    """
    options = parse_pairs("--env-kwargs", args.env_kwargs)
    own = {"scenario": "--scenario", "traces": "--trace", "trace_factor": "--trace-factor"}
    own |= {name: f"--{name}" for name in ("model", "backend") if getattr(args, name) is not None}
    for name in options:
        if name in own:
            raise InputError(f"--env-kwargs: {name} has its own option, {own[name]}")
        if name in ("id", "render_mode", "max_episode_steps", "disable_env_checker"):
            raise InputError(f"--env-kwargs: {name} is not an option of the environment")
    if (model := model_of(args)) is not None:
        options["model"] = model
    if args.backend is not None:
        options["backend"] = args.backend
    if args.trace:
        options["traces"] = [str(Path(path).resolve()) for path in args.trace]
    if args.trace_factor is not None:
        if not args.trace:
            raise InputError("--trace-factor scales the rates of --trace, which is missing")
        options["trace_factor"] = args.trace_factor
    return options


def tell_networks(args: argparse.Namespace, settings: Iterable[Mapping[str, Any]]) -> None:
    """Say how networks of one's own that scenarios name were cut up; --model's was told when it was read in.

    Args:
        settings: of the scenarios' dynamics.
    """
    if args.model is None:
        for name in dict.fromkeys(str(found.get("model", "")) for found in settings):
            tell_network(name)


Listings = dict[str, Callable[[], list[str]]]


def _listings(family: Family) -> Listings:
    return {
        "scenarios": lambda: _scenario_lines(family),
        "agents": lambda: _agent_lines(family),
        **_things(),
    }


def live_listings() -> Listings:
    """What plans can be carried out by, for ``--list``: of all environments."""
    return {
        "scenarios": lambda: _by_family(_scenario_lines),
        "planners": lambda: _by_family(_planner_lines),
        **_things(),
    }


def _things() -> Listings:
    return {"devices": lambda: listed(device_summaries()), "models": lambda: listed(model_summaries())}


def _by_family(lines_of: Callable[[Family], list[str]]) -> list[str]:
    return [
        line
        for number, family in enumerate(FAMILIES.values())
        for line in (*[""][: number > 0], f"{family.name}:", *lines_of(family))
    ]


def _scenario_lines(family: Family) -> list[str]:
    return [
        *listed({name: family.summaries.get(name, "") for name in family.scenarios}),
        *wrapped("  or ", "; ".join(filter(None, (family.scenario_forms, "a YAML file with a scenario's fields")))),
        "",
        "groups of scenarios:",
        *listed({name: ", ".join(members) for name, members in family.groups.items()}),
    ]


def _agent_lines(family: Family) -> list[str]:
    return listed({spec.name: spec.summary for spec in agents_of(family.name).values()})


def _planner_lines(family: Family) -> list[str]:
    """Those that need no training."""
    specs = agents_of(family.name).values()
    return listed({spec.name: spec.summary for spec in specs if not (spec.learns or spec.from_file)})


def family_help(family: Family, examples: Sequence[str]) -> str:
    """The end of --help: environments, then scenarios, options and agents of the chosen one, then examples."""
    fields = _default_env(family).unwrapped.dynamics.settings
    lines = [
        "environments (--env):",
        *listed({f.name: f.title for f in FAMILIES.values()}),
        "",
        f"scenarios of {family.name}:",
        *_scenario_lines(family),
        "",
        f"options of {family.name} (--env-kwargs), with their defaults:",
        *wrapped("  ", " ".join(f"{name}={_yaml(default)}" for name, default in _options(family).items())),
        f"fields of its scenarios (also --env-kwargs), as {family.default_scenario} has them:",
        *listed({name: _yaml(value) for name, value in fields.items() if name != "name"}),
        "",
        f"agents of {family.name}:",
        *_agent_lines(family),
        "",
        "examples:",
        *(f"  {example}" for example in examples),
    ]
    return "\n".join(lines).replace("%", "%%")


def _yaml(value: Any) -> str:
    return json.dumps(value).replace('"', "")


def parse_pairs(option: str, pairs: Sequence[str] | None) -> dict[str, Any]:
    """``K=V`` words with YAML values.

    Raises:
        InputError: not K=V, not YAML, or a name given twice.
    """
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{option}: {pair!r} is not of the form name=value")
        if name in found:
            raise InputError(f"{option}: {name} is given twice")
        try:
            found[name] = _scalars(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError):
            raise InputError(f"{option}: the value of {name}, {text!r}, is neither a finite number nor YAML") from None
    return found


def _scalars(value: Any) -> Any:
    """Plain data: numbers such as 1e-4, which YAML 1.1 takes for text, as numbers.

    Raises:
        ValueError: infinite, not a number, or no plain data (a date, say).
    """
    if isinstance(value, list):
        return [_scalars(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _scalars(v) for k, v in value.items()}
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value):
        value = float(value)
    if not isinstance(value, (str, int, float, type(None))) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError
    return value
