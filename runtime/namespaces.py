"""Network namespaces whose links the kernel shapes: a cross-check of emulated links. Needs root, ip and tc.

Every party has a pair of virtual interfaces, one end of it on a bridge, and a token bucket on both: what leaves and
what comes in go at its rate. All of it goes when the object is closed, and the namespaces' processes with it; what a
killed process left goes when the next one begins.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..ui.errors import InputError

SUBNET = "198.18.{net}.{host}"  # set aside for measurements (RFC 2544)
FIRST_HOST = 10
REQUESTER_HOST = 1
BURST_S, LEAST_BURST_BYTES = 0.005, 3200
QUEUE_S = 2.0  # that a bucket may hold back, so that nothing is dropped before TCP slows down
_CLONE_NEWNET = 0x40000000
_FOLDER = Path("/run/netns")
_SPACE = re.compile(r"(sg([0-9a-f]+))-[0-9]+")


class Namespaces:
    """A namespace for every device; the requester stays where this process is.

    Args:
        mbps: rate of every device's link, Mbit/s, by name.
        requester_mbps: of the requester's.

    Attributes:
        hosts: the devices' addresses by name.
        spaces: the namespaces' files by name.

    Raises:
        InputError: not root, no ip or tc here, or the kernel refuses.
    """

    def __init__(self, mbps: Mapping[str, float], requester_mbps: float) -> None:
        if os.geteuid() != 0:
            raise InputError("network namespaces need root")
        for tool in ("ip", "tc"):
            if shutil.which(tool) is None:
                raise InputError(f"network namespaces need {tool} (package iproute2)")
        self._prefix = f"sg{os.getpid():x}"
        net = os.getpid() % 250
        self._bridge = f"{self._prefix}b"
        self.hosts = {name: SUBNET.format(net=net, host=FIRST_HOST + i) for i, name in enumerate(mbps)}
        self._names = {name: f"{self._prefix}-{i}" for i, name in enumerate(mbps)}
        self.spaces = {name: str(_FOLDER / space) for name, space in self._names.items()}
        _clear_dead()
        try:
            _run("ip", "link", "add", self._bridge, "type", "bridge")
            _run("ip", "link", "set", self._bridge, "up")
            self._link("r", "", SUBNET.format(net=net, host=REQUESTER_HOST), requester_mbps)
            for i, (name, rate) in enumerate(mbps.items()):
                _run("ip", "netns", "add", self._names[name])
                self._link(f"{i}", self._names[name], self.hosts[name], rate)
        except BaseException:
            self.close()
            raise

    def _link(self, suffix: str, space: str, host: str, mbps: float) -> None:
        """A pair of interfaces, one of them on the bridge, with a bucket at either end."""
        here, there = f"{self._prefix}{suffix}", f"{self._prefix}{suffix}p"
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there)
        _run("ip", "link", "set", there, "master", self._bridge, "up")
        inside = ["ip", "netns", "exec", space] if space else []
        if space:
            _run("ip", "link", "set", here, "netns", space)
            _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "address", "add", f"{host}/24", "dev", here)
        _run(*inside, "ip", "link", "set", here, "up")
        bits = mbps * 1e6
        burst = max(LEAST_BURST_BYTES, int(bits / 8 * BURST_S))
        shape = ["root", "tbf", "rate", f"{int(bits)}bit", "burst", f"{burst}", "latency", f"{QUEUE_S}s"]
        _run(*inside, "tc", "qdisc", "add", "dev", here, *shape)
        _run("tc", "qdisc", "add", "dev", there, *shape)

    def close(self) -> None:
        """Take everything away again; what is not there is no matter."""
        _delete(self._prefix, list(self._names.values()))

    def __enter__(self) -> Namespaces:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _delete(prefix: str, spaces: Sequence[str]) -> None:
    """What a process made that has this prefix; what is not there is no matter."""
    for suffix in ("r", *(space.rpartition("-")[2] for space in spaces)):  # both ends, at once
        _quietly("ip", "link", "delete", f"{prefix}{suffix}p")
    for space in spaces:
        _quietly("ip", "netns", "delete", space)
    _quietly("ip", "link", "delete", f"{prefix}b")


def _clear_dead() -> None:
    """Take away what processes left that were killed."""
    left: dict[str, list[str]] = {}
    for path in _FOLDER.glob("sg*-*") if _FOLDER.is_dir() else ():
        found = _SPACE.fullmatch(path.name)
        if found is not None and not Path(f"/proc/{int(found[2], 16)}").exists():
            left.setdefault(found[1], []).append(path.name)
    for prefix, spaces in left.items():
        _delete(prefix, spaces)


def enter(space: str) -> None:
    """Move this process into a namespace, by its file.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(space).open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), space)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        raise InputError(f"network namespaces: {' '.join(command)} failed ({reason})")


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, timeout=30, check=False)
