"""HierTrain's claims: all figures and tables are there, and cheap ones are what their arithmetic says."""

from __future__ import annotations

import pytest

from splitgym.experiments.claims.statement import Setting
from splitgym.experiments.hiertrain.claims import runs
from splitgym.experiments.hiertrain.claims.jobs import PUBLISHED

from ..claims.papers import Judged, check_picture

DEVICES = Setting("devices", quick=True)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return Judged("hiertrain")


def test_every_figure_and_table_of_the_paper_is_there(judged: Judged) -> None:
    assert {f"fig{n}" for n in range(1, 12)} | {"table1", "table2"} <= set(judged.exhibits)
    assert all(exhibit.claims or exhibit.untested for exhibit in judged.exhibits.values())


def test_claims_are_of_a_form(judged: Judged) -> None:
    judged.check_form()


def test_speed_ups_are_the_largest_of_the_rates(judged: Judged) -> None:
    found = runs.sweep("alexnet", "paper")
    for key, other, published in zip(("edge", "cloud"), ("all-edge", "all-cloud"), PUBLISHED["alexnet"], strict=True):
        pairs = zip(found["seconds"][other], found["seconds"]["hiertrain"], strict=True)
        assert judged.quantities(f"alexnet-over-{key}") == {"": pytest.approx(max(a / b for a, b in pairs))}
        assert judged.find(f"alexnet-over-{key}").verdict == "holds"
        (part,) = judged.find(f"alexnet-over-{key}").quantities
        assert (part.low, part.high) == (published / 1.25, published * 1.25)


def test_no_scheme_is_faster_than_the_optimum_with_whole_values(judged: Judged) -> None:
    for model in PUBLISHED:
        seconds = runs.sweep(model, "paper")["seconds"]
        best = seconds.pop("hiertrain")
        seconds.pop("jalad")  # sends fewer bits
        for scheme in seconds:
            assert all(other >= 0.999 * least for other, least in zip(seconds[scheme], best, strict=True)), scheme


def test_a_core_saves_what_its_time_says(judged: Judged) -> None:
    one, two, three, four = runs.cores("paper")["seconds"][0]
    saved, ratio = judged.quantities("second-core").values()
    assert saved == pytest.approx(100 * (1 - two / one))
    assert ratio == pytest.approx((1 - four / three) / (1 - two / one))


def test_work_in_the_cloud_is_a_share(judged: Judged) -> None:
    for setting in (Setting("paper", quick=True), DEVICES):
        assert all(0.0 <= share <= 100.0 for share in judged.quantities("trains-in-cloud", setting).values())


def test_parameters_of_lenet_are_counted(judged: Judged) -> None:
    dense = 400 * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10
    assert judged.quantities("dense-parameters")["LeNet-5"] == pytest.approx(100 * dense / 62_006)


def test_eight_bits_are_those_that_ship(judged: Judged) -> None:
    found = judged.find("eight-bits")
    assert {quantity.seeds for quantity in found.quantities} == {5}
    assert any(line.startswith("recorded: ") for line in found.provenance)


@pytest.mark.parametrize("key", ["fig2", "fig7", "fig8", "fig9", "fig10", "fig11", "sec6c"])
def test_pictures_can_be_read(judged: Judged, key: str) -> None:
    check_picture(judged.draw(key))


def test_results_are_small_and_say_where_they_come_from(judged: Judged) -> None:
    judged.find("alexnet-ahead")
    judged.find("cores-idle")
    judged.check_results()
