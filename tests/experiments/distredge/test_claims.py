"""The claims of DistrEdge's paper: all of its figures and tables, and quantities that are what they say."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from itertools import combinations_with_replacement, pairwise
from math import inf
from typing import Any

import numpy as np
import pytest

from splitgym.envs import FAMILIES
from splitgym.envs.distredge.best_known import shipped
from splitgym.envs.distredge.planning import lc_pss, proportional_splits, system_scores
from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.envs.distredge.system import System
from splitgym.experiments.claims.findings import needed, paper
from splitgym.experiments.claims.statement import Job, Part, Setting, answer
from splitgym.experiments.claims.verdict import judge
from splitgym.experiments.distredge.claims import (
    EXHIBITS,
    LEADERBOARD,
    online,
    partition_runs,
    partitions,
    runs,
    sensitivity,
    speedups,
)
from splitgym.experiments.distredge.claims.published import EVERY
from splitgym.experiments.distredge.claims.trained import TRAINED

SETTINGS = [Setting("paper", True), Setting("devices", True), Setting("paper"), Setting("devices")]
CLAIMS = {claim.key: claim for exhibit in EXHIBITS for claim in exhibit.claims}
LATENCIES = {"coedge": 0.30, "modnn": 0.31, "mednn": 0.40, "deepthings": 0.22, "deeperthings": 0.24, "aofl": 0.20,
             "offload": 0.15, "best": 0.10}  # fmt: skip
HOUR = 40  # images


def made_up(job: Job) -> Any:
    """A result of a job's form, at no cost."""
    return MADE_UP[job.function.__name__](**job.arguments)


def _plans(scenario: str, inputs: str) -> dict[str, Any]:
    devices = len(get_scenario(scenario).devices)
    busy = {who: [s / 2] * devices for who, s in LATENCIES.items()}
    return {"latency_s": LATENCIES, "compute_s": busy, "transmit_s": busy, "rows": [3] * devices, "volumes": 2}


def _hour(agent: str, inputs: str, seed: int, images: int, hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    at = np.linspace(0.0, 3600.0, HOUR)
    pace = {"coedge": 0.3, "aofl": 0.2}.get(agent, 0.1) + 0.01 * seed
    asked = 1 + np.searchsorted([1300.0, 2500.0], at)
    return {
        "clock_s": at.tolist(), "latency_s": [pace] * HOUR, "best_s": [0.08] * HOUR, "strategies": asked.tolist(),
        "asked": asked.tolist(), "mbps": np.where(at < 1200, 100.0, 50.0)[:, None].repeat(4, axis=1).tolist(),
    }  # fmt: skip


def _score(scenario: str, seed: int, **others: Any) -> dict[str, Any]:
    plan = shipped()["DB-50"]["plans"][0] if scenario == "DB-50" else None
    return {"headline": 0.12 + 0.01 * seed, "plan": plan}


MADE_UP: Mapping[str, Callable[..., Any]] = {
    "plans": _plans,
    "hour": _hour,
    "score": _score,
    "swept": lambda scenario, search: {"latency_s": LATENCIES},
    "by_alpha": lambda seed, **others: {
        "alphas": [0.0, 0.25, 0.5, 0.75, 1.0], "volumes": [16, 9, 7, 5, 2], "latency_s": [0.2, 0.19, 0.18, 0.1, 0.2],
    },
    "by_decisions": lambda decisions, repeats, **others: {
        "partitions": [[1], [2]], "latency_s": [0.1, 0.2],
        "which": [[int(count < 100 and i == 0) for i in range(repeats)] for count in decisions],
    },
    "devices": cache(runs.devices),
    "measured": cache(runs.measured),
    "networks": cache(runs.networks),
    "planning_times": lambda **others: {"lc_pss_s": 0.1, "aofl_s": 2.0, "episode_s": 0.03},
}  # fmt: skip


def parts(key: str, result_of: Callable[[Job], Any] = made_up, setting: Setting = SETTINGS[0]) -> list[Part]:
    return answer(CLAIMS[key].measure, setting, result_of)


def really(job: Job) -> Any:
    return job.function(**job.arguments)


def test_every_figure_and_table_of_the_paper_is_there() -> None:
    there = [where for exhibit in EXHIBITS for where in exhibit.where.split(", ")]
    for number in range(1, 15):
        assert there.count(f"Fig. {number}") == 1
    for table in ("Table I", "Table II", "Table III", "Abstract"):
        assert there.count(table) == 1


def test_keys_are_unique() -> None:
    keys = [key for exhibit in EXHIBITS for key in (exhibit.key, *(claim.key for claim in exhibit.claims))]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_jobs_are_calls_that_another_process_can_make(setting: Setting) -> None:
    jobs = needed(paper(FAMILIES["distredge"]), [setting])
    for job in jobs:
        assert getattr(import_module(job.function.__module__), job.function.__name__) is job.function
        inspect.signature(job.function).bind(**job.arguments)
        assert json.loads(json.dumps(job.arguments)) == job.arguments
        assert job.seconds > 0
    functions = {job.function for job in jobs}
    assert len({function.__name__ for function in functions}) == len(functions)
    assert {function.__name__ for function in functions} == {*MADE_UP}


def test_osds_of_claims_is_that_of_the_leaderboard() -> None:
    """So that it is trained once."""
    for setting in SETTINGS[::2]:
        shown = [job for exhibit in EXHIBITS for claim in exhibit.claims for job in _jobs(claim.measure, setting)]
        own = [dict(job.arguments) for job in shown if job.function.__name__ == "score"]
        theirs = [dict(job.arguments) for job in _jobs(LEADERBOARD.scores, setting)]
        assert own
        assert all(arguments in theirs for arguments in own)
    assert set(TRAINED) <= set(EVERY)


def _jobs(measure: Any, setting: Setting) -> list[Job]:
    return list(next(measure(setting)))


@pytest.mark.parametrize("key", CLAIMS)
def test_every_claim_is_judged_by_named_quantities_in_units(key: str) -> None:
    for setting in SETTINGS[::2]:
        found = parts(key, setting=setting)
        assert len({part.name for part in found}) == len(found)
        for part in found:
            assert np.isfinite(part.samples).all()
            assert part.low <= part.high
            assert part.unit
        judge(found)


@pytest.mark.parametrize("exhibit", [e for e in EXHIBITS if e.draw is not None], ids=lambda e: e.key)
def test_pictures_say_what_their_axes_are(exhibit: Any) -> None:
    figure = answer(exhibit.draw, SETTINGS[2], made_up)
    assert figure.get_size_inches()[0] <= 7.5
    figure.draw_without_rendering()
    for axes in figure.axes:
        shared = [other for other in figure.axes if other is not axes and _share(axes, other)]
        assert axes.get_xlabel() or any(other.get_xlabel() for other in shared) or not axes.get_xticklabels()
        assert axes.get_ylabel() or any(other.get_ylabel() for other in shared)
        assert axes.get_legend() is None  # those of figures are outside of the axes


def _share(one: Any, other: Any) -> bool:
    return one.get_shared_y_axes().joined(one, other) or one.get_shared_x_axes().joined(one, other)


def test_gains_are_of_the_best_plan_known() -> None:
    assert {p.samples[0] for p in parts("fig6-aofl-db")} == {0.20 / 0.10}
    assert {p.samples[0] for p in parts("table1-best")} == {0.15 / 0.10}
    assert [p.samples[0] for p in parts("fig6-ahead")] == pytest.approx([50.0] * 6)
    assert parts("aofl-second")[0].samples[0] == pytest.approx(100 * (0.20 / 0.15 - 1))
    assert parts("fig6-order")[0].samples[0] == pytest.approx(0.0, abs=1e-9)
    least, largest = parts("speed-up")
    assert least.samples == largest.samples == [0.15 / 0.10]


def test_osds_is_compared_by_seed() -> None:
    aofl, best = parts("fig6-osds", setting=Setting("paper"))
    assert aofl.samples == pytest.approx([0.20 / 0.12, 0.20 / 0.13, 0.20 / 0.14])
    assert best.samples == pytest.approx([100 * (0.15 / s - 1) for s in (0.12, 0.13, 0.14)])
    assert (aofl.low, aofl.high) == (1.5, 3.0)
    assert "Offload" in best.name


def test_shares_of_latency_are_by_seed() -> None:
    (share,) = parts("fig12-share", setting=Setting("paper"))
    assert share.samples == pytest.approx([100 * (0.10 + s) / (0.20 + s) for s in (0.0, 0.01, 0.02)])
    assert [part.samples[0] for part in parts("fig12-slowest")] == pytest.approx([50.0] * 3)  # over AOFL
    first, second = parts("fig11-noticed")
    clock = np.linspace(0.0, 3600.0, HOUR)
    assert first.samples == pytest.approx([clock[clock >= 1300.0][0] - 1200.0])
    assert second.samples == pytest.approx([clock[clock >= 2500.0][0] - 2400.0])


def test_a_change_that_nobody_asked_for_is_never_noticed() -> None:
    def idle(job: Job) -> Any:
        return {**_hour(**job.arguments), "asked": [1] * HOUR}

    assert [part.samples for part in parts("fig11-noticed", idle)] == [[inf], [inf]]


def test_spread_is_of_images_per_s() -> None:
    found = {"latency_s": [0.1, 0.2], "which": [[0, 1]] * len(partitions.COUNTS)}
    np.testing.assert_allclose(partitions.images_per_s(found, 25), [10.0, 5.0])
    assert partitions.spread(np.array([10.0, 5.0])) == pytest.approx(100 * 5 / 7.5)
    assert [part.samples[0] for part in parts("fig5-stable")] == [0.0] * 4
    assert all(part.samples[0] > 0 for part in parts("fig5-wide"))
    assert [part.samples[0] for part in parts("fig5-partitions")] == [1, 1]


def test_what_devices_and_networks_are_measured_by() -> None:
    tables = System(get_scenario("DC-50")).tables
    seconds = {table.device: table.total_s() for table in tables}
    found = parts("table1-speeds", really)
    assert [part.samples[0] for part in found] == pytest.approx(
        [seconds["pi3"] / seconds["nano"], seconds["nano"] / seconds["tx2"], seconds["tx2"] / seconds["xavier"]]
    )
    least, most = parts("rows", really)
    assert (least.samples, most.samples) == ([3], [416])  # SSD's last map, YOLOv2's first
    (vgg, *_) = parts("memory", really)
    assert vgg.samples[0] > 4 * 138e6 / 1e9  # the parameters alone


def test_a_slow_device_of_the_best_plan_gets_the_rows_that_it_says() -> None:
    found = runs.plans("DC-50", "paper")
    plan = shipped()["DC-50"]["plans"][0]
    system = System(get_scenario("DC-50"))
    assert sum(found["rows"]) == sum(int(system.heights[cut - 1]) for cut in plan["cuts"])
    assert found["latency_s"]["best"] == pytest.approx(shipped()["DC-50"]["latency_s"])
    assert found["latency_s"]["best"] <= min(found["latency_s"].values())
    assert parts("pi", lambda job: found)[0].samples == [found["rows"][-1]]


def test_the_least_possible_slowest_part_is_that_of_all_splits() -> None:
    system = System(get_scenario("DB-50"))
    unit = int(np.argmin(system.heights))
    height, kernels = int(system.heights[unit]), list(system.model.unit_kernels[unit])
    seconds = [system.tables[t].seconds[kernels].sum(axis=0) for t in system.types]

    def slowest(posts: tuple[int, ...]) -> float:
        ends = (0, *posts, height)
        return max(seconds[d][b - a] for d, (a, b) in enumerate(pairwise(ends)))

    every = [slowest(posts) for posts in combinations_with_replacement(range(height + 1), 3)]
    shares = np.rint(np.cumsum(system.capability / system.capability.sum())[:-1] * height).astype(int)
    expected = slowest(tuple(shares)) / min(every)
    assert runs.devices("paper")["unbalance"]["DB"][unit] == pytest.approx(expected)


def test_latency_that_is_proportional_to_rows_is_not_bent() -> None:
    table = System(get_scenario("DB-50")).tables[0]
    straight = np.where(np.isnan(table.seconds), np.nan, np.arange(table.seconds.shape[1]))
    flat = type(table)(table.model, table.fingerprint, table.kernels, straight, table.provenance)
    assert max(runs._bends(flat)) == 0.0
    assert max(runs._bends(table)) > 0.0


def test_a_search_for_splits_is_no_worse_than_one_device_or_shares_by_capability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_runs, "GENERATIONS", 4)
    system = System(get_scenario("NA-nano"))
    stops = lc_pss(system.model, system_scores(system), 0.75)
    found = partition_runs.split_s(system, stops, 0, 1)
    even = system.plan(stops, proportional_splits(system, stops, system.capability))
    alone = [system.everything_on(d) for d in range(system.n_devices)]
    assert found <= system.evaluate([even])[0]
    assert found <= min(system.evaluate(alone)) * (1 + 1e-9)
    assert found == partition_runs.split_s(system, stops, 0, 1)
    assert found >= partition_runs.split_s(system, stops, 0, 3)


def test_repeats_draw_other_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_runs, "GENERATIONS", 1)
    found = partition_runs.by_decisions("DB-50", "paper", [2, 100], 6, 1)
    assert len(found["latency_s"]) == len(found["partitions"]) == 1 + max(map(max, found["which"]))
    assert len(set(found["which"][0])) > 1
    stops = lc_pss(System(get_scenario("DB-50")).model, system_scores(System(get_scenario("DB-50"))), 0.75)
    assert found["partitions"][found["which"][1][0]] == list(stops)  # the scenario's own are drawn from seed 0


def test_sweeps_are_of_scenarios_that_exist_and_differ() -> None:
    jobs = sensitivity.sweep_jobs(Setting("paper"))
    found = [get_scenario(job.arguments["scenario"]) for job in jobs]
    assert len(jobs) == len(sensitivity.SCENARIOS) * len(sensitivity.VARIANTS)
    assert len({repr({**vars(s), "name": ""}) for s in found}) == len(found)


def test_agents_play_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "IMAGES", 6)
    for agent in ("aofl", "coedge"):
        (job,) = online.hours(agent, Setting("paper", True))
        found = really(job)
        assert {len(found[name]) for name in ("clock_s", "latency_s", "best_s", "asked", "mbps")} == {6}
        assert (np.array(found["best_s"]) <= np.array(found["latency_s"]) * 1.5).all()
        assert any("traces" in line for line in found["provenance"])


def test_percent_is_beyond_one() -> None:
    assert speedups.percent(1.25) == pytest.approx(25.0)
