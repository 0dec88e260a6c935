"""``splitgym-worker`` as a daemon of its own: weights come over the wire, and what is wrong with it is one line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from splitgym.models.model import ValueBytes
from splitgym.runtime import keys_command, serve, worker_command
from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import Member
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.geometry import Geometry
from splitgym.runtime.keys import load_identity, load_roster
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import HOST

from ..command_line import Command
from .live import ENOUGH_S, assert_same, random_images, small, small_network, stored, whole
from .plans import random_plan

WORKER = Command(worker_command.PROG, worker_command.main)
KEYS = Command(keys_command.PROG, keys_command.main)


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    KEYS("make", "controller", "pi-1", "pi-2")


@contextmanager
def daemon(name: str) -> Iterator[str]:
    """A worker process with a weights folder of its own; gives its address, and ends it with Ctrl-C."""
    code = "import sys; from splitgym.runtime.worker_command import main; sys.exit(main(sys.argv[1:]))"
    words = ["--key", f"keys/{name}.key", "--listen", f"{HOST}:0", "--weights", f"weights-{name}", "--threads", "1"]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith(f"{name} listens at {HOST}:"), line
            yield line.split()[3].rstrip(",")
            process.send_signal(signal.SIGINT)
            assert process.wait(ENOUGH_S) == 0
            assert "stopped" in process.stderr.read()
        finally:
            process.kill()


def test_daemons_get_the_weights_that_they_lack_and_stop_on_ctrl_c(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model, digests = small("vgg16"), stored("vgg16", tmp_path / "mine")
    identity, roster = load_identity("keys/controller.key"), load_roster("keys/roster.yaml")
    with daemon("pi-1") as first, daemon("pi-2") as second:
        members = [Member("pi-1", first), Member("pi-2", second)]
        store = BlobStore(tmp_path / "mine")
        with open_session(members, identity, roster, store, lease_s=ENOUGH_S, join_s=ENOUGH_S) as controller:
            plan = random_plan(model, 2, rng)
            controller.deploy(Deployment(model, digests, plan, ("pi-1", "pi-2")), ENOUGH_S)
            images = random_images(model, 2, rng)
            for item, image in zip(controller.run(iter(images), ENOUGH_S), images, strict=True):
                assert_same(item.outputs, whole(small_network("vgg16"), image))
    geometry = Geometry(model, plan, ValueBytes(4))
    for device, name in enumerate(("pi-1", "pi-2")):  # those of its own parts
        due = {digests[step] for step in geometry.steps(device)}
        assert {path.stem for path in Path(f"weights-{name}").glob("*.safetensors")} == due


def test_a_port_that_is_in_use_is_one_line() -> None:
    with socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        words = f"--key keys/pi-1.key --listen {address}"
        WORKER.refuses(words, f"address {address}: cannot be listened at (Address already in use)")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("", "--key"),
        ("--key keys/gone.key", "keys/gone.key: cannot be read"),
        ("--key keys/pi-1.key --roster gone.yaml", "gone.yaml: cannot be read"),
        ("--key keys/controller.key", "keys/controller.key: controller with this key is no worker on the roster"),
        ("--key keys/pi-1.key --listen nowhere", "--listen nowhere: allowed: HOST:PORT"),
        ("--key keys/pi-1.key --listen 0.0.0.0:0 --insecure", "allowed without keys: only this machine's own"),
        ("--key keys/pi-1.key --backend magic", "--backend"),
        ("--key keys/pi-1.key --threads 0", "--threads"),
    ],
)
def test_bad_command_lines_are_one_line(words: str, named: str) -> None:
    WORKER.refuses(words, named)


def test_a_key_that_others_can_read_is_refused() -> None:
    Path("keys/pi-1.key").chmod(0o644)
    WORKER.refuses("--key keys/pi-1.key", "holds a secret key but has mode 0644")


def test_a_key_that_was_replaced_is_no_longer_on_the_roster() -> None:
    old = Path("keys/pi-1.key").read_bytes()
    KEYS("make", "pi-1", "--force")
    Path("keys/pi-1.key").write_bytes(old)
    WORKER.refuses("--key keys/pi-1.key", "pi-1 with this key is no worker on the roster")


def test_it_measures_on_request_only_if_it_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    measures: list[bool] = []
    monkeypatch.setattr(serve, "serve", lambda post, *_, **__: measures.append(post.measures))
    WORKER("--key", "keys/pi-1.key")
    WORKER("--key", "keys/pi-1.key", "--profile")
    assert measures == [False, True]
