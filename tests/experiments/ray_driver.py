"""Carries out pieces of work on a Ray cluster, in a process of its own: Ray reads its token once.

    python -m tests.experiments.ray_driver ADDRESS FOLDER FUNCTION[:live] ...

Prints their results as JSON.
"""

from __future__ import annotations

import json
import sys

from splitgym.experiments.executors.processes import carry_out
from splitgym.experiments.executors.work import Executor, Work
from splitgym.ui.errors import InputError

from . import works


def main(address: str, folder: str, *asked: str) -> None:
    functions = [name.partition(":") for name in asked]
    pieces = [
        Work(f"{name} {i}", getattr(works, name), (folder,), live=mark == "live")
        for i, (name, _, mark) in enumerate(functions)
    ]
    try:
        done = carry_out(pieces, Executor(2, "ray", address), lambda work, share: None)
        print(json.dumps({work.name: result for work, result in done}))
    except InputError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
