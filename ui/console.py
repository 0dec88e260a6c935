"""What all command lines share: options, help that teaches, one-line errors, output, and being interrupted."""

from __future__ import annotations

import argparse
import codecs
import io
import math
import os
import shlex
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .errors import InputError
from .names import nearest
from .programs import needs, program

PLAIN = "splitgym.plain"  # how a terminal that has no UTF-8 shows what it cannot
_PLAIN = str.maketrans({"▸": ">", "…": "...", "–": "-", "×": "x", "±": "+-", "≥": ">=", "≤": "<=", "µ": "u", "α": "a"})
INTERRUPTED = 130  # exit code: 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE
MOST_SEED = 2**32 - 1  # of NumPy's and torch's generators
MOST_COUNT = 10**9
HELP_WIDTH = 110
PLAIN_WIDTH = 120  # characters where no terminal says how wide it is


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The error handler of the codecs: the nearest characters of ASCII, ? where there are none."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end].translate(_PLAIN)
    return lost.encode("ascii", "replace").decode(), error.end


codecs.register_error(PLAIN, _plain)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: one line, printed by :func:`entry`."""

    def __init__(self, prog: str, description: str, epilog: Callable[[], str]) -> None:
        super().__init__(prog=prog, description=description, formatter_class=_HelpFormatter, allow_abbrev=False)
        self._epilog = epilog  # takes long enough to be made only when it is read
        self.add_argument("--version", action=_Version, nargs=0, help="print splitgym's version, and end")

    def format_help(self) -> str:
        self.epilog = self._epilog()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        near = nearest(unknown.split(" ")[0], self._option_string_actions) if unknown != message else []
        asked = f"did you mean {near[0]}? see" if near else "see"
        raise InputError(f"{message} ({asked} {self.prog} --help)")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=30, **options)


class _Version(argparse.Action):
    """Prints the version and ends; looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:
        from importlib.metadata import version

        print(f"splitgym {version('splitgym')}")
        parser.exit()


class _List(argparse.Action):
    """Prints what there is and ends, as ``--help`` does."""

    def __init__(self, listings: Mapping[str, Callable[[], Sequence[str]]], **options: Any) -> None:
        super().__init__(nargs="?", choices=tuple(listings), metavar="WHAT", **options)
        self._listings = listings

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:
        for number, name in enumerate([values] if values else self._listings):
            if not values:
                print(f"{chr(10) * (number > 0)}{name}:")
            print(*self._listings[name](), sep="\n")
        parser.exit()


def add_list(parser: Parser, listings: Mapping[str, Callable[[], Sequence[str]]]) -> None:
    """``--list``: what there is, by kind; every kind says its lines when it is asked for."""
    text = f"print what there is, and end: {', '.join(listings)} (all of it)"
    parser.add_argument("--list", action=_List, listings=listings, default=argparse.SUPPRESS, help=text)


def subcommand(parser: Parser, acts: Mapping[str, Callable[[Sequence[str]], int]], argv: Sequence[str] | None) -> int:
    """Do what the first word names with the words behind it; each act has a parser of its own."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in acts:
        return acts[words[0]](words[1:])
    parser.add_argument("command", choices=tuple(acts), help="each has its own --help")
    parser.parse_args(words)  # helps or fails
    raise AssertionError


def entry(prog: str, body: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a script's body; bad input, a package that lacks and what the system refuses become one line on stderr.

    Returns:
        The exit code: the body's own, 2 after such a line, 130 after Ctrl-C (SIGTERM counts as one).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)
    try:
        with _terminate_like_interrupt():
            code = body(argv)
            sys.stdout.flush()
            return code
    except InputError as error:
        return _refuse(prog, str(error))
    except ModuleNotFoundError as error:
        return _refuse(prog, needs(error))
    except BrokenPipeError:  # whoever read the output has seen enough
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            _drop_output()
        return _refuse(prog, f"{error.filename or 'standard output'}: {error.strerror or error}")
    except KeyboardInterrupt as stop:  # one with a text knows what was written
        print(f"{prog}: {_text(stop) or 'interrupted, nothing was written'}", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0


def _text(stop: BaseException | None) -> str:
    """That of an interrupt, or of the one before it where Ctrl-C came twice."""
    while isinstance(stop, KeyboardInterrupt) and not str(stop):
        stop = None if stop.__suppress_context__ else stop.__context__
    return str(stop) if isinstance(stop, KeyboardInterrupt) else ""


def _refuse(prog: str, why: str) -> int:
    print(f"{prog}: {' '.join(why.split())}", file=sys.stderr)
    return 2


def _drop_output() -> None:
    """What is still to be written to stdout goes nowhere, so that Python does not fail at its end."""
    with suppress(OSError):  # a stdout that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def called(prog: str) -> str:
    """How the command under way was called, for a hint that can be copied: a script, or ``prog``."""
    script = sys.argv[0]
    return f"{program(Path(sys.executable).name)} {shlex.quote(script)}" if script.endswith(".py") else program(prog)


def listed(entries: Mapping[str, str]) -> list[str]:
    width = max(map(len, entries), default=0)
    return [line for name, text in entries.items() for line in wrapped(f"  {name:{width}}  ", text)]


def wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, HELP_WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    ) or [head.rstrip()]


def whole(text: str) -> int:
    """An integer from 1 to ``MOST_COUNT``, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a whole number of at least 1")
    if value > MOST_COUNT:
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: at most {MOST_COUNT}")
    return value


def seed_number(text: str) -> int:
    """An integer from 0 to ``MOST_SEED``, for argparse."""
    try:
        value = int(text) if text.isascii() and text.isdigit() else -1
    except ValueError:  # more digits than Python reads
        value = -1
    if not 0 <= value <= MOST_SEED:
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a whole number from 0 to {MOST_SEED}")
    return value


def positive_number(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a finite number above 0")
    return value


def png_file(text: str) -> Path:
    """For options: a PNG file to write, in a folder that exists."""
    path = Path(text)
    if path.suffix != ".png" or path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"is {text!r}, allowed: a .png file in a folder that exists")
    return path


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


def print_table(console: Console, table: Table) -> None:
    """Print with cells' markup on, wherever the console has it off; lines are longer rather than numbers cut."""
    for column in table.columns:
        if column.no_wrap or column.justify == "right":
            whole_cells = [*column.cells, *str(column.header).split()]
            column.min_width = max((Text.from_markup(str(cell)).cell_len for cell in whole_cells), default=0)
    least = Measurement.get(console, console.options.update(width=sys.maxsize), table).minimum
    if least > console.width:
        table.width = least
    console.print(table, markup=True, crop=False)


def duration(seconds: float) -> str:
    """A wall-clock time."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Interrupts:
    """Ctrl-C (and SIGTERM) while this context is open: the first asks to stop, the second stops at once.

    A signal that the process ignores stays ignored.

    Args:
        message: told when the first one comes; may be empty.

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
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        if self._message:
            os.write(2, f"\n{self._message}\n".encode())  # print() is not safe to re-enter from a handler

    def check(self) -> None:
        """Stop here if asked to.

        Raises:
            KeyboardInterrupt: a signal came since the context was opened.
        """
        if self.signal is not None:
            raise KeyboardInterrupt
