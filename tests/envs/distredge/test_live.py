"""What emulated workers are told to keep to is what the scenario says and the physics takes."""

from __future__ import annotations

import numpy as np
import pytest

from splitgym.envs.distredge.live import Emulation, on_testbed, paces
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.runtime.blobs import BlobStore

from ... import refused


@pytest.mark.parametrize("requester_mbps", [300.0, 40.0, "same"])
def test_requesters_keep_to_the_scenarios_rate(requester_mbps: float | str) -> None:
    """NA's links at 50 and 200 Mbit/s; a byte is 8 / (0.94 rate) microseconds, and what its copies take."""
    system = System(get_scenario("NA-nano", requester_mbps=requester_mbps))
    own = np.array([requester_mbps] * 4 if isinstance(requester_mbps, float) else system.mbps)
    devices, requester = paces(system, system.everything_on(0), scale=3.0)
    copy_s = system.links.copy_s_per_byte + system.links.requester_copy_s_per_byte
    assert requester.byte_s == pytest.approx(3.0 * (8e-6 / 0.94 / own + copy_s))
    assert requester.in_byte_s == pytest.approx(3.0 * 8e-6 / 0.94 / own)
    slower = np.minimum(own, system.mbps)
    assert [d.scatter_byte_s for d in devices] == pytest.approx(3.0 * (8e-6 / 0.94 / slower + copy_s))
    assert [d.byte_s[-1] for d in devices] == pytest.approx(3.0 * (8e-6 / 0.94 / slower + copy_s))


def test_links_that_cannot_be_emulated_are_refused(tmp_path) -> None:
    shared, same = (System(get_scenario(f"DB-50-lenet5-{variant}")) for variant in ("shared", "reqsame"))
    with (
        refused("scenario DB-50-lenet5-shared: medium is 'shared'", "allowed where links are emulated: switched"),
        on_testbed(shared, BlobStore(tmp_path), Emulation("table")),
    ):
        pass
    with (
        refused("scenario DB-50-lenet5-reqsame: requester_mbps is 'same'", "allowed with --namespaces: a rate"),
        on_testbed(same, BlobStore(tmp_path), Emulation("table", links=False)),
    ):
        pass
