"""CSV files of people and spreadsheets: delimiter, header, lines; columns are found by their usual names.

The delimiter is a comma, a semicolon or a tab; numbers are read by :mod:`...ui.numerals`. A time's unit is a word of
its column's name (``ms``, ``Time (msec)``, ``Avg. Time [us]``, ``averageMs``), and no other word may say more than
which statistic it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...ui.errors import InputError
from ...ui.faults import Faults, few
from ...ui.numerals import Numerals
from ...ui.validation import shown
from .common import File, read_text

_PLACES = ("kernel", "name", "layer", "node", "op", "operator", "operation", "module")
KERNELS = ("kernel", "kernel_name", "layer_name", "name", "layer", *(f"{p}_name" for p in _PLACES[3:]), *_PLACES[3:])
STEPS = ("step", "step_name", *KERNELS)
ROWS = ("rows", "output_rows", "out_rows", "height", "output_height", "out_height")
BATCH = ("batch", "batch_size", "batchsize", "minibatch", "mini_batch", "minibatch_size")
_UNITS = {
    1: ("s", "sec", "secs", "second", "seconds"),
    1_000: ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    1_000_000: ("us", "µs", "usec", "usecs", "µsec", "µsecs", "microsecond", "microseconds"),
    1_000_000_000: ("ns", "nsec", "nsecs", "nanosecond", "nanoseconds"),
}
PER_SECOND = {unit: per_second for per_second, units in _UNITS.items() for unit in units}
DELIMITERS = ",;\t"
MOST_WHOLE = 999_999_999

_STATISTICS = (("median",), ("mean", "average", "avg"))  # the first that is there is read
_FILLERS = frozenset({
    "time", "latency", "runtime", "duration", "execution", "exec", "elapsed", "inference", "in", "per", "layer",
    "kernel", "step", "run", *(word for words in _STATISTICS for word in words),
})  # fmt: skip
# Words of a column of sums: what all layers up to one take together. One of the first must be there.
_SUMS = frozenset({"cumulative", "cumulated", "cum", "accumulated", "prefix", "upto", "until", "front", "frontend"})
_BESIDE_SUMS = frozenset({"end", "delay", "up", "to", "sum", "total", "layer", "device"})
CUTS = ("cut", "cut_layer", "cut_after", "up_to", "up_to_layer", "partition", "partition_point", "split_point", "k")
PASSES = {
    "forward": {"forward", "fwd", "fw"}, "backward": {"backward", "bwd", "bw"}, "update": {"update", "optimizer"},
}  # fmt: skip


@dataclass(frozen=True)
class Time:
    """A column of times."""

    name: str
    at: int
    per_second: int


@dataclass(frozen=True)
class Sheet:
    """A CSV file.

    Attributes:
        path: where it lies.
        facts: what its comments say, ``# key: value``.
        columns: index by lower-case name.
        entries: line number and cells of every line that has as many as the header.
        torn: cells of the others, which are among the faults.
        faults: what is wrong with it; whoever reads it adds to them, and checks them in the end.
    """

    path: File
    facts: Mapping[str, str]
    columns: Mapping[str, int]
    entries: Sequence[tuple[int, list[str]]]
    torn: frozenset[str]
    faults: Faults = field(compare=False)

    def column(self, names: Sequence[str]) -> int | None:
        """The first of the columns with one of the names."""
        return next((self.columns[name] for name in names if name in self.columns), None)

    @cached_property
    def numerals(self) -> Numerals:
        """How the numbers of the columns that are times, rows and batch sizes are written."""
        names = {name for name in self.columns if name in (*ROWS, *BATCH) or set(name.split("_")) & set(PER_SECOND)}
        numerals = Numerals(cells[self.columns[name]] for _, cells in self.entries for name in names)
        if numerals.conflict:
            self.faults.add(numerals.contradiction())
        return numerals

    def number(self, line: int, name: str, text: str) -> float | None:
        """A number of 0 or more in a line; None, and a fault, where it is none."""
        value = self.numerals.read(text)
        if value is not None and value >= 0:
            return value
        self._refuse(line, name, text, "a finite number, 0 or more")
        return None

    def whole(self, line: int, name: str, text: str, most: int | None = None) -> int | None:
        """A whole number from 1 on in a line; None, and a fault, where it is none."""
        value = self.numerals.read(text)
        if value is not None and value.is_integer() and 1 <= value <= (most or MOST_WHOLE):
            return int(value)
        self._refuse(line, name, text, f"an integer {'1 or more' if most is None else f'from 1 to {most}'}")
        return None

    def _refuse(self, line: int, name: str, text: str, allowed: str) -> None:
        how = self.numerals.complaint() if self.numerals.is_open(text) else f", allowed: {allowed}"
        self.faults.add(f"line {line}: {name} is {shown(text)}", how)

    def time(self, wanted: str | None = None) -> Time | None:
        """The time column of a pass, or the only time there is.

        Raises:
            InputError: several columns could be it.
        """
        of_pass = PASSES[wanted] if wanted else set[str]()
        found: dict[int, list[Time]] = {}
        for name, at in self.columns.items():
            words = name.split("_")
            units, rest = [word for word in words if word in PER_SECOND], set(words) - _FILLERS - set(PER_SECOND)
            if len(units) == 1 and (len(rest) == 1 and rest <= of_pass if wanted else not rest):
                rank = next((i for i, s in enumerate(_STATISTICS) if set(s) & set(words)), len(_STATISTICS))
                found.setdefault(rank, []).append(Time(name, at, PER_SECOND[units[0]]))
        if not found:
            return None
        best = found[min(found)]
        if len(best) > 1:
            names = " and ".join(time.name for time in best)
            raise InputError(f"{self.path}: the columns {names} could both be the time; allowed: one")
        return best[0]

    def sums(self) -> Time | None:
        """The column of times summed up to a layer, as papers on partitioning publish them, if there is one."""
        for name, at in self.columns.items():
            words = set(name.split("_"))
            units = [word for word in words if word in PER_SECOND]
            if len(units) == 1 and words & _SUMS and words <= _SUMS | _BESIDE_SUMS | _FILLERS | set(PER_SECOND):
                return Time(name, at, PER_SECOND[units[0]])
        return None

    def lacks(self, *what: str) -> InputError:
        """A complaint about columns that it needs and has not."""
        needed = ", nor for ".join(what)
        return InputError(f"{self.path}: has no column for {needed}; its columns: {few(list(self.columns), 12)}")


def read_sheet(path: File) -> Sheet:
    """Read a CSV file with a header line.

    Raises:
        InputError: one line that names the file and the line: not CSV, a column twice, nothing after the header.
    """
    lines = read_text(path).splitlines()
    comments = [line.lstrip()[1:] for line in lines if line.lstrip().startswith("#")]
    stated = {key.strip().lower(): value.strip() for key, _, value in (c.partition(":") for c in comments)}
    lines = ["" if line.lstrip().startswith("#") else line for line in lines]
    delimiter = max(DELIMITERS, key=next((line for line in lines if line.strip()), "").count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    faults = Faults(path)
    header: list[str] = []
    entries, torn = list[tuple[int, list[str]]](), set[str]()
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = _header(f"{path}: line {reader.line_num}", cells)
            elif len(cells) == len(header):
                entries.append((reader.line_num, cells))
            else:
                torn.update(cells)
                how = "; a number with a comma needs quotes, or ; between fields" if delimiter == "," else ""
                faults.add(
                    f"line {reader.line_num}: has {len(cells)} fields",
                    f", allowed: {len(header)}, as in the header{how}",
                )
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: is not CSV ({error})") from None
    if not entries and not torn:
        raise InputError(f"{path}: has no lines after the header")
    return Sheet(path, stated, {name: i for i, name in enumerate(header)}, entries, frozenset(torn), faults)


def _header(where: str, cells: Sequence[str]) -> list[str]:
    names = [column_name(cell) for cell in cells]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise InputError(f"{where}: two columns are called {twice[0]!r}, allowed: one")
    return names


def column_name(cell: str) -> str:
    """Lower case with underscores: ``averageMs`` and ``Average (ms)`` are average_ms."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cell.strip()).lower().replace("\N{GREEK SMALL LETTER MU}", "µ")
    return re.sub(r"[^a-z0-9µ]+", "_", apart).strip("_")


def looks_like_csv(line: str) -> bool:
    """Whether a line is a header of several columns, one with the names of layers."""
    names = {column_name(cell) for cell in re.split(f"[{DELIMITERS}]", line)}
    return len(names) > 1 and bool(names & {*STEPS, *CUTS})
