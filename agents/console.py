"""What the command-line scripts share: options, help that teaches, one-line errors, output, and being interrupted."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import gymnasium as gym
from rich.console import Console

from ..envs import FAMILIES, Family, get_family
from ..models.errors import InputError
from .core import agents_of

INTERRUPTED = 130  # exit code: 128 + SIGINT
HELP_WIDTH = 110
PLAIN_WIDTH = 120  # characters where no terminal says how wide it is


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: one line, printed by :func:`entry`."""

    def __init__(self, prog: str, description: str, epilog: Callable[[], str]) -> None:
        super().__init__(prog=prog, description=description, formatter_class=_HelpFormatter, allow_abbrev=False)
        self._epilog = epilog  # takes long enough to be made only when it is read

    def format_help(self) -> str:
        self.epilog = self._epilog()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=30, **options)


def entry(prog: str, body: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a script's body; bad input becomes one line on stderr.

    Returns:
        The exit code: the body's own, 2 after bad input, 130 after Ctrl-C (SIGTERM counts as one).
    """
    try:
        with _terminate_like_interrupt():
            return body(argv)
    except InputError as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:  # one with a text knows what was written
        print(f"{prog}: {str(stop) or 'interrupted, nothing was written'}", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that worker processes do not outlive this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def family_of(argv: Sequence[str] | None) -> Family:
    """The family that ``--env`` names, before everything else is parsed, since the help text depends on it."""
    first = Parser("splitgym", "", str)
    first.add_argument("--env", default=next(iter(FAMILIES)))
    words = list(sys.argv[1:] if argv is None else argv)
    bare = [word for word in words if word not in ("-h", "--help")]
    return get_family(first.parse_known_args(bare)[0].env)


def add_env_options(parser: Parser, family: Family) -> argparse._ArgumentGroup:
    """The options that say which environment: a group that the script adds its own to."""
    group = parser.add_argument_group("environment")
    group.add_argument("--env", metavar="NAME", help=f"which system: {', '.join(FAMILIES)} ({family.name})")
    group.add_argument(
        "--env-kwargs",
        metavar="K=V",
        nargs="+",
        action="extend",
        help="options of the environment and fields of its scenario, values as in YAML",
    )
    if not has_traces(family):
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


def has_traces(family: Family) -> bool:
    """Whether the family's scenarios may follow trace files."""
    env: Any = gym.make(family.env_id, scenario=family.default_scenario, disable_env_checker=True)
    return "traces" in env.unwrapped.dynamics.settings


def env_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of the environment from the options of :func:`add_env_options`.

    Raises:
        InputError: not K=V, a name given twice, or a name that has its own option.
    """
    options = parse_pairs("--env-kwargs", args.env_kwargs)
    own = {"scenario": "--scenario", "traces": "--trace", "trace_factor": "--trace-factor"}
    for name in options:
        if name in own:
            raise InputError(f"--env-kwargs: {name} has its own option, {own[name]}")
        if name in ("id", "render_mode", "max_episode_steps", "disable_env_checker"):
            raise InputError(f"--env-kwargs: {name} is not an option of the environment")
    if args.trace:
        options["traces"] = [str(Path(path).resolve()) for path in args.trace]
    if args.trace_factor is not None:
        if not args.trace:
            raise InputError("--trace-factor scales the rates of --trace, which is missing")
        options["trace_factor"] = args.trace_factor
    return options


def family_help(family: Family, examples: Sequence[str]) -> str:
    """The end of --help: environments, then scenarios, options and agents of the chosen one, then examples."""
    env: Any = gym.make(family.env_id, scenario=family.default_scenario, disable_env_checker=True)
    options = inspect.signature(type(env.unwrapped)).parameters.values()
    own = [p for p in options if p.name not in ("scenario", "render_mode") and p.kind is not p.VAR_KEYWORD]
    fields = env.unwrapped.dynamics.settings
    lines = [
        "environments (--env):",
        *_listed({f.name: f.title for f in FAMILIES.values()}),
        "",
        f"scenarios of {family.name}:",
        *_listed({name: family.summaries.get(name, "") for name in family.scenarios}),
        *_wrapped("  or ", "; ".join(filter(None, (family.scenario_forms, "a YAML file with a scenario's fields")))),
        "",
        "groups of scenarios:",
        *_listed({name: ", ".join(members) for name, members in family.groups.items()}),
        "",
        f"options of {family.name} (--env-kwargs), with their defaults:",
        *_wrapped("  ", " ".join(f"{p.name}={_yaml(p.default)}" for p in own)),
        f"fields of its scenarios (also --env-kwargs), as {family.default_scenario} has them:",
        *_listed({name: _yaml(value) for name, value in fields.items() if name != "name"}),
        "",
        f"agents of {family.name}:",
        *_listed({spec.name: spec.summary for spec in agents_of(family.name).values()}),
        "",
        "examples:",
        *(f"  {example}" for example in examples),
    ]
    return "\n".join(lines).replace("%", "%%")


def _listed(entries: Mapping[str, str]) -> list[str]:
    width = max(map(len, entries), default=0)
    return [line for name, text in entries.items() for line in _wrapped(f"  {name:{width}}  ", text)]


def _yaml(value: Any) -> str:
    return json.dumps(value).replace('"', "")


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, HELP_WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    ) or [head.rstrip()]


def whole(text: str) -> int:
    """An integer of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a whole number of at least 1")
    return value


def seed_number(text: str) -> int:
    """An integer of 0 or more, for argparse."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a whole number, 0 or more")
    return int(text)


def positive_number(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a finite number above 0")
    return value


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


def stdout() -> Console:
    """Where results go."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where progress and notes go."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    return console


def note(text: str) -> None:
    """One line for the person at the terminal, never wrapped."""
    stderr().print(text, soft_wrap=True)


class Interrupts:
    """Ctrl-C (and SIGTERM) while this context is open: the first asks to stop, the second stops at once.

    Attributes:
        signal: number of the signal that asked, None before.
    """

    def __init__(self, message: str) -> None:
        self.signal: int | None = None
        self._message = message
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        os.write(2, f"\n{self._message}\n".encode())  # print() is not safe to re-enter from a handler

    def check(self) -> None:
        """Stop here if asked to.

        Raises:
            KeyboardInterrupt: a signal came since the context was opened.
        """
        if self.signal is not None:
            raise KeyboardInterrupt
