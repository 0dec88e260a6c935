"""Prune-Deprune's claims: all figures are there, and cheap ones are what their arithmetic says."""

from __future__ import annotations

from math import inf

import pytest

from splitgym.envs.deprune.curves import load_curves
from splitgym.experiments.claims.statement import Setting
from splitgym.experiments.deprune.claims.jobs import SEVERAL_SEEDS
from splitgym.experiments.deprune.claims.runs import TESTBEDS, by_seed, epochs_to_reach, points

from ..claims.papers import Judged, check_picture


@pytest.fixture(scope="module")
def judged() -> Judged:
    return Judged("deprune")


def test_every_figure_of_the_paper_is_there(judged: Judged) -> None:
    assert {f"fig{n}" for n in range(1, 17)} <= set(judged.exhibits)
    assert all(exhibit.claims or exhibit.untested for exhibit in judged.exhibits.values())


def test_claims_are_of_a_form(judged: Judged) -> None:
    judged.check_form()


@pytest.mark.parametrize(("low", "full", "key"), [(15, 3, "less-traffic"), (25, 5, "less-traffic-imagenet")])
def test_less_traffic_is_by_epochs_and_maps(judged: Judged, low: int, full: int, key: str) -> None:
    assert judged.quantities(key) == {"": pytest.approx((low + full) / (low * 4 / 128 + full))}


def test_testbeds_fewer_bytes_are_those_of_a_step(judged: Judged) -> None:
    for bed, key in zip(TESTBEDS, ("wifi", "ethernet"), strict=True):
        assert judged.quantities(f"{key}-bytes") == {"": pytest.approx(bed.bytes_gain())}
        assert judged.quantities(f"{key}-time", Setting("devices")) == {
            "": pytest.approx(bed.time_gain(inputs="devices"))
        }


def test_points_are_between_runs_of_a_seed(judged: Judged) -> None:
    ends = {(run["schedule"], run["seed"]): run["accuracy"][-1] for run in load_curves()[SEVERAL_SEEDS].runs}
    off = [100 * (ends["deprune", seed] - ends["no-compression", seed]) for seed in range(3)]
    found = judged.find("deprune-none")
    (part,) = found.quantities
    assert (part.mean, part.seeds) == (pytest.approx(sum(off) / 3), 3)
    assert any(line.startswith("recorded: ") for line in found.provenance)


def test_runs_at_another_gamma_have_to_be_asked_for() -> None:
    runs = [{"schedule": "deprune", "seed": seed, "accuracy": [0.1, acc]} for seed, acc in ((0, 0.5), (1, 0.6))]
    other = [{**run, "gamma": 1.0, "accuracy": [0.1, 0.4]} for run in runs[:1]]
    usual, plain = by_seed([*runs, *other], schedule="deprune"), by_seed([*runs, *other], schedule="deprune", gamma=1.0)
    assert points(usual, plain) == [pytest.approx(10.0)]


def test_epochs_are_counted_until_most_of_the_end_is_reached() -> None:
    scratch = {"budgets": [2] * 4, "accuracy": [0.1, 0.3, 0.495, 0.5]}
    pruned = {"budgets": [8, 8, 2, 2], "accuracy": [0.6, 0.7, 0.48, 0.5]}
    assert epochs_to_reach(scratch, pruned) == (3.0, 2.0)
    assert epochs_to_reach(scratch, {**pruned, "accuracy": [0.6, 0.7, 0.4, 0.4]}) == (3.0, inf)


@pytest.mark.parametrize("key", ["sec31", "sec33", *(f"fig{n}" for n in (4, 5, 6, 7, 8, 9, 11, 12, 14))])
def test_pictures_can_be_read(judged: Judged, key: str) -> None:
    check_picture(judged.draw(key))


def test_results_are_small_and_say_where_they_come_from(judged: Judged) -> None:
    judged.find("raised-rate")
    judged.find("bandwidth")
    judged.check_results()
