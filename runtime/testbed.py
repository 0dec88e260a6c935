"""Workers on this machine: processes that are forked from a warm one, and end with whoever asked for them."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ui.errors import InputError
from .controller import Member
from .keys import Identity, Role, Roster, make_members
from .namespaces import Namespaces

HOST = "127.0.0.1"
CONTROLLER = "requester"
START_S = 120.0  # torch's import on a slow and busy machine
LOOK_S, AGAIN_S = 0.005, 0.1


@dataclass(frozen=True)
class Running:
    """A worker process."""

    pid: int
    control: str
    data: str


class Testbed:
    """Workers in processes of their own.

    To be used from the thread that made it, which must outlive it: the kernel ends all processes with that thread.

    Args:
        names: of the workers.
        weights: folder that they share, so that weights are there once.
        insecure: neither encrypt nor verify.
        members: whose keys they are; new ones by default.
        namespaces: where the workers are, by name; closed by whoever made them.
        start_s: most that starting may take.
        measures: whether they measure on request.
        trains: whether they are to train. Others can, too; but each imports for seconds what optimisers need.

    Attributes:
        roster: of everybody.

    Raises:
        InputError: the processes do not start.
    """

    __test__ = False  # no test case, whatever it is called

    def __init__(
        self,
        names: Sequence[str],
        weights: Path,
        insecure: bool = False,
        members: tuple[Mapping[str, Identity], Roster] | None = None,
        namespaces: Namespaces | None = None,
        start_s: float = START_S,
        measures: bool = False,
        trains: bool = False,
    ) -> None:
        self._controller = CONTROLLER  # unless a worker is called so
        while self._controller in names:
            self._controller += "-0"
        roles: dict[str, Role] = {self._controller: "controller", **dict.fromkeys(names, "worker")}
        self._identities, self.roster = members or make_members(roles)
        self.names, self.insecure = tuple(names), insecure
        self._weights, self._start_s, self._namespaces = weights, start_s, namespaces
        self.measures = measures
        self.running: dict[str, Running] = {}
        self._said = b""
        command = [sys.executable, "-m", f"{__package__}.zygote", str(os.getpid()), *(["trains"] if trains else [])]
        self._zygote = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=_quiet(os.environ),
            start_new_session=True,
        )  # fmt: skip
        try:
            self._hear("warm", time.monotonic() + start_s)
            for name in names:
                self._order(name)
            for _ in names:
                line = self._hear("ready", time.monotonic() + start_s)
                self.running[line["ready"]] = Running(line["pid"], line["control"], line["data"])
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> Identity:
        """Of the controller where keys are new."""
        return self._identities[self._controller]

    @property
    def members(self) -> list[Member]:
        """The workers as a controller knows them, in order."""
        return [Member(name, self.running[name].control) for name in self.names]

    def restart(self, name: str) -> Running:
        """Start a worker that was killed anew, at the same addresses."""
        before = self.running[name]
        due_s = time.monotonic() + self._start_s
        while _is_alive(before.pid):
            if time.monotonic() > due_s:
                raise InputError(f"testbed: worker {name} does not end within {self._start_s:g} s")
            time.sleep(LOOK_S)
        while True:
            try:
                return self.start(name, before)
            except InputError:  # its port may be the near end of somebody's connection for a moment
                if time.monotonic() > due_s or self._zygote.poll() is not None:
                    raise
                time.sleep(AGAIN_S)

    def start(self, name: str, before: Running | None = None) -> Running:
        """Start a worker anew, at another address, or at those of one that is no more."""
        self._order(name, before)
        line = self._hear("ready", time.monotonic() + self._start_s)
        self.running[name] = Running(line["pid"], line["control"], line["data"])
        return self.running[name]

    def check(self) -> None:
        """See that all workers are there.

        Raises:
            InputError: one has ended.
        """
        while self._can_read(0.0):
            line = json.loads(self._line(time.monotonic()))
            for name, running in self.running.items():
                if line.get("ended") == running.pid:
                    raise InputError(f"testbed: worker {name} ended with code {line['status']}")

    def signal(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a worker."""
        os.kill(self.running[name].pid, number)

    def close(self) -> None:
        """End all processes; returns when they are gone."""
        process = self._zygote
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _order(self, name: str, before: Running | None = None) -> None:
        identity = self._identities[name]
        spaces = self._namespaces
        host, space = (HOST, "") if spaces is None else (spaces.hosts[name], spaces.spaces[name])
        control, data = (f"{host}:0", f"{host}:0") if before is None else (before.control, before.data)
        order = {
            "name": name, "public": identity.public, "secret": identity.secret,
            "roster": [[m.name, m.public, m.role] for m in self.roster.members.values()],
            "control": control, "data": data, "weights": str(self._weights), "insecure": self.insecure,
            "space": space, "measures": self.measures,
        }  # fmt: skip
        assert self._zygote.stdin is not None
        try:
            self._zygote.stdin.write((json.dumps(order) + "\n").encode())
            self._zygote.stdin.flush()
        except OSError:
            raise InputError("testbed: its processes have ended") from None

    def _hear(self, what: str, until_s: float) -> Mapping[str, Any]:
        """The next line that tells of something; of workers that ended by a signal of ours nothing is made."""
        while True:
            line = json.loads(self._line(until_s))
            if "failed" in line:
                raise InputError(f"testbed: worker {line['failed']} does not start ({line['why']})")
            if what in line:
                return line

    def _line(self, until_s: float) -> bytes:
        assert self._zygote.stdout is not None
        while b"\n" not in self._said:
            if not self._can_read(max(0.0, until_s - time.monotonic())):
                raise InputError(f"testbed: its processes do not start within {self._start_s:g} s")
            data = os.read(self._zygote.stdout.fileno(), 65536)
            if not data:
                raise InputError(f"testbed: its processes ended with code {self._zygote.wait()}")
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line

    def _can_read(self, timeout_s: float) -> bool:
        assert self._zygote.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._zygote.stdout, selectors.EVENT_READ)
            return b"\n" in self._said or bool(selector.select(timeout_s))


def _is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _quiet(environment: Mapping[str, str]) -> dict[str, str]:
    """One thread a process: with more, torch's pools fight for the cores."""
    return {**environment, "OMP_NUM_THREADS": "1"}
