"""What the paper claims of its delays comes out of inputs="paper"; only the AlexNet was chosen with one in view."""

from __future__ import annotations

import numpy as np
import pytest

from splitgym.envs.l2s.paper import INFERRED
from splitgym.envs.l2s.scenarios import SWEEP_MBPS, get_scenario
from splitgym.envs.l2s.system import System

from .reference import make

NETWORKS = ("alexnet", "vgg16", "resnet34")
FAST, SLOW = 100.0, 5.0  # Mbit/s


def delays_s(system: System, mbps: float) -> np.ndarray:
    return system.delay_s(np.array([mbps]), np.ones(1))[:, 0]


def saved(name: str) -> float:
    system = System(get_scenario(name))
    return 1.0 - float(delays_s(system, system.mbps).min()) / system.pdt_s


@pytest.mark.parametrize("privacy_point", [0, 4])
def test_the_third_pool_is_alexnets_best_cut_as_in_fig_1(privacy_point: int) -> None:
    system = System(get_scenario("alexnet-gpu-100", privacy_point=privacy_point))
    assert system.names[privacy_point + int(delays_s(system, FAST).argmin())] == "pool5"


def test_more_than_a_third_is_saved_at_the_high_rate() -> None:
    """Fig. 13(b): "reduce the total training time by more than 1/3", over the three networks."""
    each = [saved(f"{model}-gpu-100") for model in NETWORKS]
    assert np.mean(each) > 1 / 3
    assert min(each) > 0.29


def test_slow_links_leave_the_device_alone_and_faster_ones_save_more() -> None:
    """Fig. 12."""
    for model in NETWORKS:
        by_rate = [saved(f"{model}-gpu-{mbps}") for mbps in SWEEP_MBPS]
        assert by_rate[0] == 0.0
        assert by_rate == sorted(by_rate)


def test_more_privacy_saves_less() -> None:
    """Fig. 14."""
    by_point = [saved(f"resnet34-gpu-100-p{point}") for point in range(0, 16, 2)]
    assert by_point == sorted(by_point, reverse=True)
    assert by_point[0] > by_point[-1]


def test_a_cut_behind_the_first_layer_costs_94_percent_more_on_a_poor_link() -> None:
    """Fig. 15, against PPT."""
    ppt_s = delays_s(System(get_scenario("vgg16-gpu-5", privacy_point=1)), SLOW)[0]
    assert delays_s(System(get_scenario("vgg16-gpu-5")), SLOW).min() < 0.06 * ppt_s


def test_provenance_says_what_was_inferred() -> None:
    assert INFERRED.label() in make("vgg16-gpu-60").dynamics.provenance
    assert not any("inferred" in line for line in make("vgg16-gpu-60", inputs="devices").dynamics.provenance)
