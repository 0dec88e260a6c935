"""What L2S's paper claims: every figure has its place, and quantities are what their names say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitgym.envs.l2s.scenarios import get_scenario
from splitgym.envs.l2s.staleness import FILE
from splitgym.envs.l2s.system import System
from splitgym.experiments.claims.statement import Job
from splitgym.experiments.l2s.claims import measures, pictures, recorded, runs
from splitgym.ui.validation import read_json

from ..claims.inquiries import answered, check_jobs, check_keys, check_picture, imagined, of

PLACES = [*(f"Fig. {number}" for number in range(1, 18)), "Table I", "Table II", "Theorem 1"]


def test_every_figure_and_table_has_an_exhibit() -> None:
    check_keys(of("l2s"), PLACES)


def test_what_has_to_run_is_data() -> None:
    check_jobs(of("l2s"))


def test_the_third_pool_is_judged_by_the_delays_of_all_points() -> None:
    (part,) = answered(measures.third_pool)
    system = System(get_scenario("alexnet-gpu-100", privacy_point=0))
    delays = system.delay_s(np.array([100.0]), np.ones(1))[:, 0]
    pool = system.names.index("pool5")
    assert part.samples == pytest.approx([delays[pool] / np.delete(delays, pool).min()], rel=1e-5)
    assert part.high == 1.0


def test_a_period_saves_what_synchronising_at_every_change_takes_more() -> None:
    def result_of(job: Job) -> dict[str, Any]:
        every = job.arguments["agent"] == "l2s-fws"
        return {
            "sync_s": [100.0, 10.0] if every else [25.0, 4.0],
            "total_s": [1100.0, 1010.0] if every else [1025.0, 1004.0],
        }

    found = imagined(measures.hundred_saves_synchronisation, result_of)
    assert list(found.values()) == [pytest.approx([75.0, 60.0])]
    for ratios in list(imagined(measures.longer_periods_take_less, result_of).values())[1:]:
        assert ratios == [1.0, 1.0]


def test_a_third_is_a_mean_of_the_networks_seed_by_seed() -> None:
    saved = {"alexnet": [0.3, 0.2], "vgg16": [0.4, 0.2], "resnet34": [0.5, 0.2]}
    found = imagined(
        measures.saves_a_third("gpu-100"), lambda job: {"saved": saved[job.arguments["scenario"].partition("-")[0]]}
    )
    assert list(found.values()) == [pytest.approx([40.0, 20.0])]


def test_regret_that_grows_as_the_bound_is_at_the_bound() -> None:
    def result_of(job: Job) -> dict[str, Any]:
        rounds = job.arguments["fields"]["rounds"]
        return {"regret_s": [rounds**0.75 * np.log(rounds), rounds**0.5]}

    bound = measures.bound_exponent(measures.HORIZONS[:4])
    assert 0.75 < bound < 1.0
    for slopes in imagined(measures.regret_is_within_its_bound, result_of).values():
        assert slopes == pytest.approx([bound, 0.5])


def test_accuracy_that_is_lost_is_that_of_the_recorded_trainings() -> None:
    (part,) = answered(recorded.accuracy_lost)
    summary = read_json(FILE, schema=1)["data"][recorded.IMAGES]
    by_kind = {(r["moves"], r["sync"], r["seed"]): 100.0 * r["train_accuracy"] for r in summary["runs"]}
    assert part.samples == pytest.approx(
        [by_kind["none", None, seed] - by_kind["l2s", 100, seed] for seed in range(len(part.samples))]
    )
    assert part.high == pytest.approx(1.25 * 2.14)


def test_early_rounds_tell_when_predictions_are_good() -> None:
    found = runs.early("resnet34-gpu-60", 2, "paper")
    assert len(found["error"]) == len(found["over_optimum"]) == 2
    assert len(found["error_by_round"]) == len(found["delay_by_round_s"]) == runs.EARLY
    assert max(found["error"]) < 0.1 < found["error_by_round"][1]


def test_linucb_is_trapped_where_linucb_e_is_not() -> None:
    stays = {agent: runs.trapped(agent, 2, "paper")["on_device"] for agent in ("linucb", "linucb-e")}
    assert stays == {"linucb": [1.0, 1.0], "linucb-e": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("draw", "published"), [(pictures.fig_1, True), (pictures.fig_4, False), (pictures.fig_7, True)]
)
def test_pictures_are_labelled(draw: Any, published: bool) -> None:
    check_picture(answered(draw), published)
