"""Links that the kernel shapes: as fast as they say, and gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from splitgym.runtime.deployment import Deployment
from splitgym.runtime.namespaces import Namespaces
from splitgym.runtime.testbed import Testbed
from splitgym.runtime.transport import Event
from splitgym.runtime.zmq_transport import ZmqDialer
from splitgym.ui.errors import InputError

from .live import ENOUGH_S, assert_same, random_images, session, small, small_network, stored, whole
from .network import until_kind
from .plans import random_plan

RATES = {"w0": 20.0, "w1": 40.0}


def _possible() -> bool:
    try:
        with Namespaces({"w0": 10.0}, 10.0):
            return True
    except InputError:
        return False


possible = pytest.mark.skipif(not _possible(), reason="needs root, iproute2 and a kernel with veth, bridge and tbf")


def ours(pid: int = os.getpid()) -> list[str]:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in (*links, *spaces) if re.search(rf"\bsg{pid:x}[^0-9a-f]", line)]


@possible
def test_an_image_goes_through_workers_in_namespaces_and_nothing_is_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model, digests = small("vgg16"), stored("vgg16", tmp_path)
    with Namespaces(RATES, 100.0) as spaces, Testbed(list(RATES), tmp_path, namespaces=spaces) as testbed:
        assert len(ours()) > 0
        with session(testbed, tmp_path) as controller:
            plan = random_plan(model, 2, rng)
            controller.deploy(Deployment(model, digests, plan, tuple(RATES)), ENOUGH_S)
            images = random_images(model, 2, rng)
            for item, image in zip(controller.run(iter(images), ENOUGH_S), images, strict=True):
                assert_same(item.outputs, whole(small_network("vgg16"), image))
    assert ours() == []


@possible
def test_what_a_killed_process_left_goes_when_the_next_begins() -> None:
    code = "from splitgym.runtime.namespaces import Namespaces\n"
    code += "spaces = Namespaces({'w0': 8.0}, 8.0)\nprint(flush=True)\ninput()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd="/", stdin=pipe, stdout=pipe) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        assert len(ours(killed.pid)) > 0
        killed.kill()
    with Namespaces({"w0": 8.0}, 8.0):
        assert ours(killed.pid) == []
    assert ours() == []


@possible
def test_a_link_is_no_faster_than_its_rate() -> None:
    n_bytes = 500_000
    with Namespaces({"w0": 8.0}, 100.0) as spaces:
        code = "import socket,sys; s=socket.create_server((sys.argv[1],7999)); print(flush=True); c,_=s.accept()\n"
        code += "n=0\nwhile n < int(sys.argv[2]): n+=len(c.recv(65536))\nc.sendall(b'!')"
        space = Path(spaces.spaces["w0"]).name
        command = ["ip", "netns", "exec", space, sys.executable, "-c", code, spaces.hosts["w0"], str(n_bytes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            with socket.create_connection((spaces.hosts["w0"], 7999), timeout=ENOUGH_S) as connection:
                begun_s = time.monotonic()
                connection.sendall(bytes(n_bytes))
                assert connection.recv(1) == b"!"
                took_s = time.monotonic() - begun_s
    assert took_s >= 0.9 * 8 * n_bytes / 8e6


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match="network namespaces need root"):
        Namespaces(RATES, 100.0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(InputError, match=r"network namespaces need ip \(package iproute2\)"):
        Namespaces(RATES, 100.0)


@pytest.mark.slow
@possible
def test_a_machine_that_vanishes_is_noticed(tmp_path: Path) -> None:
    """Nothing tells the end of its connections; what the kernel asks it is not answered."""
    with Namespaces(RATES, 100.0) as spaces, Testbed(list(RATES), tmp_path, namespaces=spaces) as testbed:
        name = next(iter(RATES))
        with ZmqDialer(testbed.running[name].control, name, testbed.identity, testbed.roster) as dialer:
            until_kind(dialer, "up")
            inside = subprocess.run(
                ["nsenter", f"--net={spaces.spaces[name]}", "ip", "-o", "-4", "addr"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            device = next(line.split()[1] for line in inside.splitlines() if spaces.hosts[name] in line)
            subprocess.run(["nsenter", f"--net={spaces.spaces[name]}", "ip", "link", "set", device, "down"], check=True)
            assert until_kind(dialer, "down") == [Event("down", name)]
