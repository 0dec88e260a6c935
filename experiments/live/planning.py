"""A planner in a process of its own: one that computes for long would keep the controller's threads from their work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from ...agents.registry import get_spec
from ...envs import get_family
from ...ui.errors import InputError
from ..play import assess

END_S = 5.0  # that a process may take to end once it is killed


class Planning:
    """One plan that is being made.

    Args:
        planner: its name.
        scenario, options, seed: what it plans for; plain data.
    """

    def __init__(self, planner: str, scenario: str, options: Mapping[str, Any], seed: int) -> None:
        self._job = json.dumps([planner, scenario, options, seed])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        """The plan as plain data, once it is there.

        Raises:
            InputError: there is none, and why in one line; or it was ended.
        """
        out, told = self._process.communicate(self._job)
        if self._process.returncode:
            why = told.strip().splitlines()
            raise InputError(why[-1] if why else f"the planner ended with code {self._process.returncode}")
        return json.loads(out)

    def end(self) -> None:
        """Nobody wants it any more."""
        self._process.kill()
        self._process.wait(END_S)


def main() -> int:
    """Plan for the job on standard input; the plan goes to standard output."""
    planner, scenario, options, seed = json.load(sys.stdin)
    family = get_family("distredge")
    try:
        found = assess(family, get_spec(family.name, planner), scenario, options, seed)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    json.dump(found.plan, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
