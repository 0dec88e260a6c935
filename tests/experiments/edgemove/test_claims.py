"""What EdgeMove's paper claims: every figure has its place, and quantities are what their names say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitgym.envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS, get_scenario
from splitgym.envs.edgemove.system import System
from splitgym.experiments.claims.statement import Job
from splitgym.experiments.edgemove.claims import measures, pictures, runs

from ..claims.inquiries import SETTINGS, answered, check_jobs, check_keys, check_picture, imagined, of

PLACES = [*(f"Fig. {number}" for number in range(1, 12)), "Table 1", "Table 2"]


def test_every_figure_and_table_has_an_exhibit() -> None:
    check_keys(of("edgemove"), PLACES)


def test_what_has_to_run_is_data() -> None:
    check_jobs(of("edgemove"))


def test_communication_is_what_a_minibatch_spends_on_the_link() -> None:
    task = "vgg16-cifar10"
    system = System(get_scenario(task))
    parts = runs.minibatch(task, "paper")["first"]["cloud"]
    link_s = 2.0 * float(system.link_bits[1]) / (1e6 * system.scenario.cloud_mbps)
    latency_s = float(np.mean(system.scenario.cloud_rtt_s))
    whole_s = float(system.client_s[1] + system.server_s[-1, 1]) + link_s + latency_s
    assert measures.communication(parts) == pytest.approx(100.0 * (link_s + latency_s) / whole_s)
    assert parts["behind"] == system.names[0]


def result_of(job: Job) -> dict[str, Any]:
    """A training that takes as long as Table 1 says, and half as long again for PipeDream-E at twice the speed."""
    scenario, agent = job.arguments["scenario"], job.arguments["agent"]
    task = scenario.removesuffix("-x2")
    speedup = PUBLISHED_SPEEDUPS[task][measures.COLUMN[agent]] if agent in measures.COLUMN else 1.0
    longer = 1.5 if scenario != task and agent == "pipedream-e" else 1.0
    return {"elapsed_s": TASKS[task].on_device_s / speedup * longer}


def test_speedups_are_over_the_device_alone_seed_by_seed() -> None:
    seeds = len(SETTINGS[0].seeds(8, 3))
    for agent, column in measures.COLUMN.items():
        for task, found in zip(TASKS, imagined(measures.speedups(agent), result_of).values(), strict=True):
            assert found == pytest.approx([PUBLISHED_SPEEDUPS[task][column]] * seeds)
    (most,) = imagined(measures.up_to, result_of).values()
    assert most == pytest.approx([2.38] * seeds)


def test_twice_the_speed_is_judged_by_what_it_adds() -> None:
    assert imagined(measures.pipedream_takes_longer, result_of)[""] == pytest.approx([50.0] * 3)
    assert all(found == pytest.approx([0.0] * 3) for found in imagined(measures.barely_longer, result_of).values())


def test_the_best_cut_hangs_on_the_network() -> None:
    layers, wrong = answered(measures.best_cut_varies)
    periods = [np.array(one) for one in runs.conditions("paper")["period_s"].values()]
    assert layers.samples == [float(np.ptp([one.argmin() for one in periods]))]
    assert wrong.samples[0] == pytest.approx(max(a[b.argmin()] / a.min() for a in periods for b in periods))


def test_an_epoch_is_all_images_of_cifar_10() -> None:
    system = System(get_scenario("vgg16-cifar10"))
    (part,) = answered(measures.epoch_takes_24_s)
    kind = system.scenario.gpus.index("rtx3080ti")
    assert part.samples == pytest.approx([system.server_s[kind, 0] * 50_000 / 32])


def test_accuracies_are_compared_at_the_same_time() -> None:
    found = runs.stale_trainings(measures.IMAGES)
    assert found["at_s"]["0"][-1] > found["at_s"]["2"][-1]  # as many minibatches take longer on the device alone
    (part,) = answered(measures.accuracy_comes_sooner)
    assert len(part.samples) == len(found["curve"]["2"]) == len(found["curve"]["0"])
    for ahead, two, alone in zip(part.samples, found["curve"]["2"], found["curve"]["0"], strict=True):
        assert two[-1] - max(alone) <= ahead <= two[-1] - min(alone)


@pytest.mark.parametrize(
    ("draw", "published"), [(pictures.fig_2, True), (pictures.fig_5, True), (pictures.fig_10, False)]
)
def test_pictures_are_labelled(draw: Any, published: bool) -> None:
    check_picture(answered(draw), published)
