"""Worker processes and their ends: nothing outlives whoever asked for them, and losses are told by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from splitgym.runtime.blobs import BlobStore
from splitgym.runtime.controller import ClusterFailure, Controller
from splitgym.runtime.deployment import Deployment
from splitgym.runtime.keys import make_members
from splitgym.runtime.requester import Item
from splitgym.runtime.session import open_session
from splitgym.runtime.testbed import Testbed

from .live import ENOUGH_S, children, random_images, session, small, stored, until_gone, workers
from .plans import random_plan

IDENTITIES, ROSTER = make_members({"requester": "controller", "you": "controller", "w0": "worker", "w1": "worker"})


@pytest.fixture(scope="module")
def testbed(folder: Path) -> Iterator[Testbed]:
    """Two workers; two machines may give them orders."""
    with Testbed(["w0", "w1"], folder, members=(IDENTITIES, ROSTER)) as found:
        yield found


def test_a_testbed_leaves_no_process(tmp_path: Path) -> None:
    before = set(children())
    with workers(2, tmp_path) as (testbed, _):
        pids = [running.pid for running in testbed.running.values()]
        assert len(set(pids)) == 2
    until_gone(pids)
    assert set(children()) <= before


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from splitgym.runtime.testbed import Testbed
testbed = Testbed(["a", "b"], Path({str(tmp_path)!r}))
print(testbed._zygote.pid, *(r.pid for r in testbed.running.values()), flush=True)
time.sleep({ENOUGH_S})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd="/") as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 3
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    until_gone(pids)


def test_a_killed_worker_is_lost_by_name_and_its_successor_joins(testbed: Testbed, folder: Path) -> None:
    with pytest.raises(ClusterFailure, match="w1"):
        _kill_on_the_way(testbed, folder)
    testbed.start("w1")
    with session(testbed, folder) as controller:
        assert len(list(_images(controller, testbed, folder, 2))) == 2


def _kill_on_the_way(testbed: Testbed, folder: Path) -> None:
    store = BlobStore(folder)
    with open_session(
        testbed.members, testbed.identity, testbed.roster, store, lease_s=ENOUGH_S, join_s=ENOUGH_S
    ) as controller:  # fmt: skip
        for item in _images(controller, testbed, folder, 1000):
            if item.index == 0:
                testbed.signal("w1", signal.SIGKILL)


def _images(controller: Controller, testbed: Testbed, folder: Path, count: int) -> Iterator[Item]:
    rng = np.random.default_rng(0)
    model, digests = small("vgg16"), stored("vgg16", folder)
    controller.deploy(Deployment(model, digests, random_plan(model, 2, rng), testbed.names), ENOUGH_S)
    yield from controller.run(iter(random_images(model, count, rng)), ENOUGH_S)


def test_a_controller_that_is_not_on_the_roster_gets_no_answer(testbed: Testbed, folder: Path) -> None:
    strangers, _ = make_members({"requester": "controller"})
    first, store = testbed.members[:1], BlobStore(folder)
    with (
        pytest.raises(ClusterFailure, match=r"w0 \(127\.0\.0\.1:\d+\): has not answered within 2 s"),
        open_session(first, strangers["requester"], ROSTER, store, join_s=2.0),
    ):
        raise AssertionError
    with open_session(first, testbed.identity, ROSTER, store, lease_s=ENOUGH_S, join_s=ENOUGH_S) as controller:
        assert list(controller.welcomes) == ["w0"]


def test_a_worker_serves_one_controller_at_a_time(testbed: Testbed, folder: Path) -> None:
    first, store = testbed.members[:1], BlobStore(folder)
    with (
        open_session(first, testbed.identity, ROSTER, store, lease_s=ENOUGH_S, join_s=ENOUGH_S),
        pytest.raises(ClusterFailure, match="w0 serves requester now"),
        open_session(first, IDENTITIES["you"], ROSTER, store, join_s=ENOUGH_S),
    ):
        raise AssertionError
