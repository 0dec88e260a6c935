"""A warm process that forks workers in milliseconds: torch is imported once for all of them.

    python -m splitgym.runtime.zygote PARENT [trains]

PARENT is the process that starts it; with "trains" optimisers are warm, too. Lines of JSON on its standard input say
which workers to start; lines on its standard output say where they listen, and which have ended. Workers end with it,
it ends with its input, and the kernel kills what is left if either dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import sys
from pathlib import Path
from typing import Any

from .keys import Identity, Member, Roster
from .namespaces import enter
from .serve import Post, serve

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def main() -> int:
    """Serve until the input ends; returns the exit code."""
    end_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    _warm_up("trains" in sys.argv[2:])
    children: set[int] = set()
    orders = b""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ, "order")
            selector.register(wake, selectors.EVENT_READ, "ended")
            tell({"warm": os.getpid()})
            while True:
                for key, _ in selector.select():
                    if key.data == "ended":
                        os.read(wake, 4096)
                        _bury(children)
                        continue
                    data = os.read(0, 65536)
                    if not data:
                        return 0
                    *lines, orders = (orders + data).split(b"\n")
                    children.update(_fork(json.loads(line)) for line in lines)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _warm_up(trains: bool) -> None:
    import torch

    from . import compute
    from .training import epoch

    del compute, epoch  # they are imported now
    torch.set_num_threads(1)
    if not trains:
        return
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], 0.1, 0.9).step()  # the first of a process imports for seconds


def _bury(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _fork(order: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_with(parent)
        os.close(0)
        _work(order)
        status = 0
    except BaseException as error:  # of a child nothing but this line is ever seen
        tell({"failed": order["name"], "why": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


def _work(order: dict[str, Any]) -> None:
    if order["space"]:
        enter(order["space"])
    identity = Identity(order["name"], order["public"], order["secret"])
    roster = Roster(Member(name, public, role) for name, public, role in order["roster"])
    weights, insecure, measures = Path(order["weights"]), order["insecure"], order["measures"]
    post = Post(identity, roster, order["control"], order["data"], weights, insecure, measures=measures)

    def ready(control: str, data: str) -> None:
        tell({"ready": identity.name, "pid": os.getpid(), "control": control, "data": data})

    serve(post, ready)


def tell(line: dict[str, Any]) -> None:
    """One line to whoever started this; short enough to be written at once."""
    os.write(1, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
