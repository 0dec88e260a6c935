"""The journal of a measurement: whatever was measured is on disk at once, and a stopped measurement goes on from it.

A CSV file beside the one that is to come, behind a header of what is measured and how:

    # schema: 1
    # model: vgg16
    # fingerprint: 3f0c...
    # ...
    kernel,rows,pass,seconds
    conv1_2,57,0,0.0041 0.0040 0.0041

One line holds the samples of one visit of a cell, blanks between them, in a column for every part of a sample. A line
counts when its end is there: a power cut may leave half of the last one, which is dropped.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ui.claims import lock
from ...ui.errors import InputError
from ...ui.files import write_text, writing

SCHEMA = "1"

Key = tuple[str, int, int]  # cell name, size, pass
Samples = npt.NDArray[np.float64]  # (samples, parts)


class Journal:
    """An open journal. Use it as a context manager: it is closed at the end, and removed if it holds nothing.

    Args:
        path: of the file, which goes on if it is there.
        header: what is measured and how, each one line of text; an existing file must say the same.
        columns: names of cell, size, ``pass`` and of every part of a sample.
        fresh: begin anew.

    Attributes:
        entries: samples by visit.
        resumed: how many of them the file had before.

    Raises:
        InputError: the file is damaged, is about something else, is in use, or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, str], columns: Sequence[str], fresh: bool = False) -> None:
        self.path, self._columns = path, tuple(columns)
        self.entries: dict[Key, Samples] = {}
        header = {"schema": SCHEMA, **header}
        with writing(path):
            if not path.exists() or path.stat().st_size == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, self._head(header))
            self._file: Any = path.open("r+b", buffering=0)
        try:
            lock(self._file.fileno(), path)
            if fresh:
                self._begin(header)
            self._read(header)
        except BaseException:
            self._file.close()
            raise
        self.resumed = len(self.entries)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.entries:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def append(self, key: Key, samples: Samples) -> None:
        """Keep the samples of a visit, (samples, parts), in the file before this returns.

        Raises:
            InputError: the file cannot be written.
        """
        text = io.StringIO()
        parts = [" ".join(map(repr, part)) for part in samples.T.tolist()]
        csv.writer(text, lineterminator="\n").writerow([*key, *parts])
        line = text.getvalue().encode()
        with writing(self.path):
            written = self._file.write(line)
        if written < len(line):
            raise InputError(f"{self.path}: cannot be written (no space left)")
        self.entries[key] = samples

    def kept(self, done: int, visits: int) -> str:
        """How much of so many visits is on disk, in words."""
        return f"{done} of {visits} measurements are kept in {self.path}" if done else "nothing else was measured"

    def _head(self, header: Mapping[str, str]) -> str:
        lines = [f"# {key}: {value}" for key, value in header.items()]
        return "\n".join([*lines, ",".join(self._columns)]) + "\n"

    def _begin(self, header: Mapping[str, str]) -> None:
        """Leave nothing but the header."""
        self._file.truncate(0)
        self._file.write(self._head(header).encode())
        self._file.seek(0)

    def _read(self, header: Mapping[str, str]) -> None:
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            lines = whole.decode("utf-8").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{self.path}: is not a text file in UTF-8; --fresh begins anew") from None
        begin = len(header) + 1
        self._check_header(lines[: begin - 1], header)
        if lines[begin - 1 : begin] != [",".join(self._columns)]:
            raise InputError(f"{self.path}: line {begin}: expected the columns {','.join(self._columns)}")
        for number, line in enumerate(lines[begin:], start=begin + 1):
            key, samples = self._parse(f"{self.path}: line {number}", line)
            self.entries[key] = samples
        self._file.truncate(len(whole))
        self._file.seek(0, os.SEEK_END)

    def _check_header(self, lines: Sequence[str], header: Mapping[str, str]) -> None:
        found = {key.strip(): value.strip() for key, _, value in (line[1:].partition(":") for line in lines)}
        for key, value in header.items():
            if key not in found:
                raise InputError(f"{self.path}: is damaged, its header has no {key}; --fresh begins anew")
            if found[key] != value:
                raise InputError(
                    f"{self.path}: was begun with {key} {found[key]!r}, now it is {value!r}; "
                    "the same options go on with it, --fresh begins anew"
                )

    def _parse(self, where: str, line: str) -> tuple[Key, Samples]:
        try:
            name, size, number, *parts = next(csv.reader([line]), [])
            samples = np.array([[float(value) for value in part.split()] for part in parts]).T
            if len(parts) == len(self._columns) - 3 and samples.ndim == 2 and samples.size and _allowed(samples):
                return (name, int(size), int(number)), samples
        except (ValueError, csv.Error):  # not a number, parts of different lengths, too few fields
            pass
        raise InputError(
            f"{where}: is damaged, allowed: {','.join(self._columns)} with finite seconds of 0 or more; "
            "without that line, or with --fresh, the measurement goes on"
        )


def _allowed(seconds: Samples) -> bool:
    return bool(np.isfinite(seconds).all() and (seconds >= 0).all())
