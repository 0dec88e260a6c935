"""Work on a Ray cluster of machines: nodes in network namespaces, with addresses and processes of their own."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from splitgym.runtime.namespaces import REQUESTER_HOST, Namespaces
from splitgym.ui.errors import InputError

from .. import ROOT
from .marked import marked_environment
from .works import begun

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")]
NODES = {"first": 1000.0, "second": 1000.0}  # Mbit/s
LIVE = "second"
PORT = 6390
PATIENCE_S = 240.0


@dataclass
class Cluster:
    """A head that does no work itself, and a node with one CPU in every namespace; one of them controls boards."""

    spaces: Namespaces
    env: dict[str, str]

    @property
    def address(self) -> str:
        subnet, _, _ = self.spaces.hosts[LIVE].rpartition(".")
        return f"{subnet}.{REQUESTER_HOST}:{PORT}"

    def begin(self) -> None:
        host = self.address.partition(":")[0]
        self._start([], "--head", "--port", str(PORT), "--node-ip-address", host, "--num-cpus", "0",
                    "--temp-dir", self.env["RAY_TMPDIR"], "--include-dashboard", "false")  # fmt: skip
        for name, node in self.spaces.hosts.items():
            resources = json.dumps({"live": 1} if name == LIVE else {})
            self._start(["nsenter", f"--net={self.spaces.spaces[name]}"], "--address", self.address,
                        "--node-ip-address", node, "--num-cpus", "1", "--resources", resources)  # fmt: skip

    def _start(self, enter: list[str], *words: str) -> None:
        command = [*enter, sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--disable-usage-stats"]
        subprocess.run(command, env=self.env, check=True, capture_output=True, timeout=PATIENCE_S)

    def space(self, name: str) -> int:
        """What a process finds to be its namespace."""
        return Path(self.spaces.spaces[name]).stat().st_ino

    def driver(self, *words: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.experiments.ray_driver", self.address, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env={**self.env, **env}, text=True, stdout=pipe, stderr=pipe)

    def kill(self, name: str) -> None:
        """Everything of a node."""
        for process in _inside(self.space(name)):
            os.kill(process, signal.SIGKILL)


def _inside(space: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns" / "net").stat().st_ino == space:
                found.append(int(folder.name))
        except OSError:  # it ended
            continue
    return found


@contextmanager
def only_head() -> Iterator[None]:
    """Heads want the same ports of the machine: one at a time, whichever of pytest's processes starts it."""
    with (Path(tempfile.gettempdir()) / "splitgym-tests-ray-head.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    try:
        spaces = Namespaces(NODES, 1000.0)
    except InputError as error:
        pytest.skip(str(error))
    with spaces, only_head(), marked_environment() as env:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(ROOT)}
        found = Cluster(spaces, {**env, **token})
        found.begin()
        yield found


def test_results_are_those_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    evaluate = [
        sys.executable, "eval.py", "--env", "l2s", "--scenarios", "constant", "--agents", "linucb-e,pdt",
        "--seeds", "2", "--env-kwargs", "rounds=50",
    ]  # fmt: skip
    for name, words in {"one": ["--workers", "1"], "cluster": ["--ray", cluster.address, "--workers", "2"]}.items():
        command = [*evaluate, *words, "--out", str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, env=cluster.env, check=True, capture_output=True, timeout=PATIENCE_S)
    assert (tmp_path / "one/results.csv").read_bytes() == (tmp_path / "cluster/results.csv").read_bytes()


def test_live_work_goes_to_the_machine_of_the_boards(cluster: Cluster, tmp_path: Path) -> None:
    out, told = cluster.driver(str(tmp_path), *["where:live"] * 3, "where", "where").communicate(timeout=PATIENCE_S)
    assert out, told
    spaces = json.loads(out)
    assert {spaces[f"where {i}"] for i in range(3)} == {cluster.space(LIVE)}
    assert set(spaces.values()) <= {cluster.space(name) for name in NODES}


def test_a_machine_that_is_lost_costs_its_own_work_only(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.driver(str(tmp_path), "stays") as driver:
        until = time.monotonic() + PATIENCE_S
        while not begun(tmp_path):
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        lost = next(name for name in NODES if begun(tmp_path) == [str(cluster.space(name))])
        other = next(name for name in NODES if name != lost)
        cluster.kill(lost)
        out, told = driver.communicate(timeout=PATIENCE_S)
    assert json.loads(out) == {"stays 0": cluster.space(other)}
    assert told == "stays 0: its process was killed; is there memory enough? Trying again\n"


def test_without_its_token_a_cluster_takes_no_work(cluster: Cluster, tmp_path: Path) -> None:
    driver = cluster.driver(str(tmp_path), "where", RAY_AUTH_TOKEN=secrets.token_hex(32))
    out, told = driver.communicate(timeout=PATIENCE_S)
    assert out == ""
    assert driver.returncode == 1
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith(f"--ray {cluster.address}: ")
    assert told.endswith("(is it running, and its token in RAY_AUTH_TOKEN?)\n")
