"""The learning model behind Deprune's curves, its fit to recorded runs, and the best schedule under it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.agents.deprune import AGENTS
from splitgym.envs import FAMILIES
from splitgym.envs.deprune.curves import PARAMETERS, Curves, LearningModel, get_curves, load_curves
from splitgym.envs.deprune.planning import best_schedule
from splitgym.envs.deprune.scenarios import SHARES, Scenario, get_scenario
from splitgym.envs.deprune.system import System
from splitgym.ui.errors import InputError

from ... import script

KNOWN = LearningModel(
    chance=0.1, top=0.8, drop=0.012, bend=1.4, tau=2.0, alpha=0.7, up=0.9, down=0.85, delta=0.4, rest=1.0, boost=0.08,
    loss=(3.0, 2.0, -3.0), noise=0.01,
)  # fmt: skip
ENV_ID = FAMILIES["deprune"].env_id
SPECS = {spec.name: spec for spec in AGENTS}


def told(model: LearningModel, shares: Sequence[float]) -> float:
    """The formula of the module, in words of one epoch after another: accuracy after epochs at these shares."""
    at = shares[-1]
    doublings = -math.log2(at)
    ceiling = model.top - (model.drop * doublings**model.bend if doublings else 0.0)
    effective = 0.0
    for share in shares:
        ratio = at / share
        effective += model.up ** math.log2(ratio) if ratio > 1 else model.down ** math.log2(1 / ratio)
    learnt = 1.0 - 1.0 / (1.0 + effective / model.tau) ** model.alpha
    own = sum(share == at for share in shares)
    ready = 1.0 - model.delta * math.exp(-own / model.rest)
    if own <= model.boosted_epochs and own < len(shares):
        ready *= 1.0 - model.boost
    return model.chance + (ceiling - model.chance) * learnt * ready


def accuracy(model: LearningModel, places: Sequence[int], shares: Sequence[float] = SHARES) -> float:
    """What the model itself says after epochs at places of a list of shares."""
    epochs = np.array([[places.count(k)] for k in range(len(shares))], dtype=float)
    return float(model.accuracy(shares, epochs, np.array([places[-1]]))[0])


@st.composite
def learning_models(draw: st.DrawFn) -> LearningModel:
    chance, top, bend = draw(st.floats(0.01, 0.5)), draw(st.floats(0.55, 1.0)), draw(st.floats(0.2, 3.0))
    drop = draw(st.floats(0.0, 0.99)) * (top - chance) / 5.0**bend  # even at 1/32 the ceiling is above chance
    return replace(
        KNOWN, chance=chance, top=top, bend=bend, drop=drop,
        tau=draw(st.floats(0.05, 100.0)), alpha=draw(st.floats(0.05, 10.0)), up=draw(st.floats(0.0, 1.0)),
        down=draw(st.floats(0.0, 1.0)), delta=draw(st.floats(0.0, 1.0)), rest=draw(st.floats(0.1, 10.0)),
        boost=draw(st.floats(0.0, 0.5)), boosted_epochs=draw(st.integers(0, 3)),
    )  # fmt: skip


PLACES = st.lists(st.integers(0, 5), min_size=1, max_size=20)


# The model.


@given(model=learning_models(), places=PLACES)
def test_accuracy_is_that_of_the_formula(model: LearningModel, places: list[int]) -> None:
    assert accuracy(model, places) == pytest.approx(told(model, [SHARES[k] for k in places]), rel=1e-9)


def test_accuracy_by_hand() -> None:
    """Two epochs at 1/4 and one at 1: 1 + 2 x 0.9^2 effective ones, one of them own and just after the change."""
    expected = 0.1 + 0.7 * (1 - (1 + 2.62 / 2.0) ** -0.7) * (1 - 0.4 * math.exp(-1.0)) * (1 - 0.08)
    assert accuracy(KNOWN, [3, 3, 5]) == pytest.approx(expected, rel=1e-12)
    back = 0.1 + (0.8 - 0.012 * 2**1.4 - 0.1) * (1 - (1 + (2 + 0.85**2) / 2.0) ** -0.7) * (1 - 0.4 * math.exp(-2.0))
    back = 0.1 + (back - 0.1) * (1 - 0.08)
    assert accuracy(KNOWN, [5, 3, 3]) == pytest.approx(back, rel=1e-12)


@given(model=learning_models(), budget=st.integers(0, 5), epochs=st.integers(1, 40))
def test_accuracy_rises_with_epochs(model: LearningModel, budget: int, epochs: int) -> None:
    assert accuracy(model, [budget] * epochs) <= accuracy(model, [budget] * (epochs + 1)) + 1e-12


@given(model=learning_models(), places=PLACES, more=st.integers(0, 5))
def test_no_epoch_at_any_budget_is_worse_than_none(model: LearningModel, places: list[int], more: int) -> None:
    """But for the higher learning rate that a change of budget brings."""
    model = replace(model, boost=0.0)
    assert accuracy(model, places) <= accuracy(model, [more, *places]) + 1e-12


@given(model=learning_models(), budget=st.integers(0, 4), epochs=st.integers(1, 40))
def test_accuracy_of_equal_epochs_rises_with_the_budget(model: LearningModel, budget: int, epochs: int) -> None:
    assert accuracy(model, [budget] * epochs) <= accuracy(model, [budget + 1] * epochs) + 1e-12


def test_the_known_model_rises_strictly() -> None:
    curve = [[accuracy(KNOWN, [k] * n) for n in range(1, 19)] for k in range(6)]
    assert (np.diff(curve, axis=0) > 0).all()
    assert (np.diff(curve, axis=1) > 0).all()
    assert np.max(curve) < KNOWN.top


@given(model=learning_models(), places=PLACES, data=st.data())
def test_order_does_not_count_but_the_last_budget_does(
    model: LearningModel, places: list[int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(places[:-1]))
    assert accuracy(model, [*shuffled, places[-1]]) == accuracy(model, places)
    assert accuracy(KNOWN, [0] * 9 + [5] * 9) > accuracy(KNOWN, [5] * 9 + [0] * 9)


def test_epochs_elsewhere_count_with_a_share_for_every_doubling() -> None:
    ceiling, keep = KNOWN.tables((0.125, 0.25, 1.0))
    assert ceiling == pytest.approx([0.8 - 0.012 * 3**1.4, 0.8 - 0.012 * 2**1.4, 0.8])
    up, down = 0.9, 0.85
    assert keep.ravel() == pytest.approx([1, down, down**3, up, 1, down**2, up**3, up**2, 1])
    never = replace(KNOWN, up=0.0, down=0.0)
    assert np.array_equal(never.tables(SHARES)[1], np.eye(6))
    assert accuracy(never, [0] * 15 + [5] * 3) == accuracy(never, [5] * 3)
    assert accuracy(KNOWN, [0] * 15 + [5] * 3) > accuracy(KNOWN, [5] * 3)


@given(model=learning_models(), seed=st.integers(0, 1000))
def test_many_lanes_at_once_are_the_lanes_one_by_one(model: LearningModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    epochs, at = rng.integers(0, 9, (6, 5)).astype(float), rng.integers(0, 6, 5)
    together = model.accuracy(SHARES, epochs, at)
    alone = [model.accuracy(SHARES, epochs[:, i : i + 1], at[i : i + 1])[0] for i in range(5)]
    assert together == pytest.approx(alone, rel=1e-12)


def test_test_loss_is_a_polynomial_that_never_goes_below_nothing() -> None:
    assert KNOWN.test_loss(np.array([0.0, 0.5, 1.0])) == pytest.approx([3.0, 3.25, 2.0])
    assert replace(KNOWN, loss=(1.0, -2.0, 0.0)).test_loss(np.array([0.9]))[0] == 0.0


# What ships.


@pytest.mark.parametrize("name", load_curves())
def test_curves_say_where_they_are_from_and_how_good_they_are(name: str) -> None:
    curves = get_curves(name, "here")
    assert {"data", "machine", "settings", "command", "date"} <= set(curves.provenance)
    assert curves.runs
    for run in curves.runs:
        epochs = len(run["budgets"])
        assert len(run["accuracy"]) == len(run["loss"]) == epochs
        assert all(0 <= a <= 1 for a in run["accuracy"])
        assert all(1 <= budget <= run["phi"] for budget in run["budgets"])
    assert curves.fit["runs"] > 0
    assert curves.fit["held_out_runs"] > 0
    assert curves.fit["held_out_error_points"] > 0
    assert "modelled" in curves.label()
    assert f"{curves.fit['held_out_error_points']:.1f} points" in curves.label()
    assert curves.model.chance == pytest.approx(1 / curves.classes)
    assert curves.model.noise > 0


ONE_SEED = pytest.mark.xfail(reason="recorded with one seed: off by 2.7 points", strict=True)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[ONE_SEED] if n == "vgg11-cifar10-layer9" else []) for n in load_curves()]
)
def test_what_the_fit_has_not_seen_is_told_within_two_points(name: str) -> None:
    assert get_curves(name, "here").fit["held_out_error_points"] < 2.0


@pytest.mark.parametrize("name", load_curves())
def test_the_held_out_error_is_the_models_on_the_runs_that_it_has_not_seen(name: str) -> None:
    curves = get_curves(name, "here")
    seed, schedules = curves.fit["held_out_seed"], curves.fit["held_out_schedules"]
    unseen = [r for r in curves.runs if "filter" in r["bytes"] and (r["seed"] == seed or r["schedule"] in schedules)]
    assert len(unseen) == curves.fit["held_out_runs"]
    errors = [
        told(curves.judged, [b / run["phi"] for b in run["budgets"][: i + 1]]) - run["accuracy"][i]
        for run in unseen
        for i in range(len(run["budgets"]))
    ]
    assert 100 * np.mean(np.abs(errors)) == pytest.approx(curves.fit["held_out_error_points"], abs=0.02)


@pytest.mark.parametrize("name", load_curves())
def test_bytes_that_crossed_in_recorded_runs_are_those_of_the_system(name: str) -> None:
    """A label is 8 bytes, so those of the labels say how many images there were."""
    curves = get_curves(name, "here")
    for run in curves.runs:
        module = "filter" in run["bytes"]
        images, rest = divmod(run["bytes"]["labels"], 8 * len(run["budgets"]))
        assert rest == 0
        system = system_of(curves, module, images, run["budgets"])
        assert system.interface.phi == run["phi"]
        at = [system.budgets.index(budget) for budget in run["budgets"]]
        assert run["bytes"]["maps"] + run["bytes"]["gradients"] == system.map_bytes[at].sum()
        assert sum(run["bytes"].values()) == system.sent_bytes[at].sum()


def system_of(curves: Curves, module: bool, images: int, budgets: Sequence[int]) -> System:
    recorded = curves.provenance["settings"]
    scenario = Scenario(
        "recorded", curves.network, curves.layer, resolution=recorded["resolution"] if module else 1, module=module,
        images=images, batch=recorded["batch"],
    )  # fmt: skip
    phi = System(scenario).interface.phi
    return System(replace(scenario, shares=tuple(sorted({budget / phi for budget in budgets}))))


def test_curves_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"^here: unknown curves 'moon'; known: .*vgg11-cifar10"):
        get_curves("moon", "here")


# The fit.


command = script("benchmarks/deprune_fit.py")


SCHEDULES: dict[str, tuple[int, ...]] = {
    "no-compression": (64,) * 18,
    "high-compression": (2,) * 18,
    "scratch-32": (16,) * 18,
    "prune": (64,) * 12 + (16,) * 6 + (2,) * 6,
    "deprune": (2,) * 15 + (64,) * 3,
    "steps": (2,) * 6 + (16,) * 6 + (64,) * 6,
}


def record(
    name: str,
    seed: int,
    noise: float,
    model: LearningModel = KNOWN,
    module: bool = True,
    mask: str = "hard",
    gamma: float = 3.0,
) -> dict[str, Any]:
    """A run as benchmarks/deprune_runs.py leaves it, of a net that learns as the model says."""
    budgets = SCHEDULES[name] if module else (64,) * 18
    rng, n = np.random.default_rng([seed, len(name)]), len(budgets)
    found = [told(model, [b / 64 for b in budgets[: i + 1]]) for i in range(n)] + noise * rng.standard_normal(n)
    loss = model.test_loss(np.asarray(found))
    images = 640
    sent = {"maps": [images * 1024 * b for b in budgets], "labels": [8 * images] * n, "others": [0] * n}
    return {
        "schedule": name if module else "without-module",
        "model": "vgg11_32_half",
        "settings": {
            "layer": 5, "module": module, "resolution": 1, "batch": 64, "seed": seed, "mask": mask, "decay": 1.0,
            "gamma": gamma, "images": None, "learning_rate": 0.01,
        },
        "budgets": list(budgets),
        "phi": 64,
        "data": {"name": "made", "fingerprint": "0", "train_images": images, "test_images": 100},
        "machine": {"device": "cpu", "processor": "none", "torch": "0"},
        "epochs": {
            "images": [images] * n, "steps": [10] * n, "test_accuracy": list(map(float, found)),
            "wire_accuracy": [0.1] * n, "filter_sum": [4.0] * n, "kept_sum": [1.0] * n,
            "test_loss": loss.tolist(), "module_s": [0.01] * n, "seconds": [2.0] * n, "entered_maps": [1] * n,
        },
        "sent_bytes": {**sent, "gradients": sent["maps"], "filter": [256 * 10 * module] * n},
    }  # fmt: skip


def records(noise: float, seeds: int = 2, bare: bool = True) -> list[dict[str, Any]]:
    found = [record(name, seed, noise) for name in SCHEDULES for seed in range(seeds)]
    model = replace(KNOWN, top=0.75, drop=0.0, delta=0.0, boost=0.0, tau=3.0)
    return found + [record("no-compression", 0, noise, model, module=False)] * bare


def model_of(entry: dict[str, Any], kind: str = "model") -> LearningModel:
    assert list(entry[kind]) == ["chance", *PARAMETERS, "loss", "noise"]
    return LearningModel(**{**entry[kind], "loss": tuple(entry[kind]["loss"])})


def test_a_fit_to_exact_records_gives_the_accuracies_back() -> None:
    entry = command.fitted(records(0.0), ["deprune"])
    model = model_of(entry)
    assert entry["fit"]["error_points"] < 0.1
    assert entry["fit"]["held_out_error_points"] < 0.3
    for budgets in SCHEDULES.values():
        shares = [b / 64 for b in budgets]
        assert told(model, shares) == pytest.approx(told(KNOWN, shares), abs=0.005)
    assert model.test_loss(np.array([0.2, 0.6])) == pytest.approx(KNOWN.test_loss(np.array([0.2, 0.6])), abs=1e-4)


def test_a_fit_to_noisy_records_tells_them_and_their_noise() -> None:
    noise = 0.01
    entry = command.fitted(records(noise, seeds=3), ["deprune"])
    model, fit = model_of(entry), entry["fit"]
    for budgets in SCHEDULES.values():
        for i in (3, 10, len(budgets)):
            shares = [b / 64 for b in budgets[:i]]
            assert told(model, shares) == pytest.approx(told(KNOWN, shares), abs=0.015)
    assert model.noise == pytest.approx(noise, rel=0.2)
    mean = 100 * noise * math.sqrt(2 / math.pi)  # of the absolute value of such noise
    assert fit["held_out_error_points"] == pytest.approx(mean, abs=0.4)
    assert (fit["runs"], fit["held_out_runs"]) == (10, 8)  # seed 2 of all six schedules; deprune of seeds 0 and 1
    assert (fit["held_out_seed"], fit["held_out_schedules"]) == (2, ["deprune"])
    bare = model_of(entry, "bare")
    assert told(bare, [1.0] * 18) == pytest.approx(
        told(replace(KNOWN, top=0.75, delta=0.0, boost=0.0, tau=3.0), [1.0] * 18), abs=0.015
    )
    assert (bare.drop, bare.delta, bare.boost) == (0.0, 0.0, 0.0)


def test_the_held_out_error_tells_what_the_model_has_not_seen() -> None:
    """Records of a schedule that learns 10 points less than the model of all others says."""
    good = [r for r in records(0.0, seeds=1) if r["schedule"] != "deprune"]
    odd = record("deprune", 0, 0.0)
    odd["epochs"]["test_accuracy"] = [a - 0.1 for a in odd["epochs"]["test_accuracy"]]
    straight, entry = (command.fitted([*good, r], ["deprune"]) for r in (record("deprune", 0, 0.0), odd))
    values = [[e["fit"]["judged"][name] for name in PARAMETERS] for e in (straight, entry)]
    assert values[0] == values[1]
    assert entry["fit"]["held_out_error_points"] == pytest.approx(10.0, abs=0.3)
    assert entry["fit"]["held_out_final_error_points"] == pytest.approx(10.0, abs=0.3)
    assert straight["fit"]["held_out_error_points"] < 0.3
    assert entry["fit"]["held_out_seed"] is None  # there is only one


def test_an_entry_without_anything_held_out_has_no_error_to_tell() -> None:
    entry = command.fitted(records(0.0, seeds=1, bare=False), [])
    assert entry["fit"]["held_out_error_points"] is None
    assert entry["bare"] is None
    fields = {k: v for k, v in entry.items() if k not in ("model", "bare", "runs", "beside")}
    curves = Curves("made", model_of(entry), None, runs=tuple(entry["runs"]), beside=(), **fields)
    assert "nothing held out" in curves.label()


def test_the_command_writes_an_entry_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for i, run in enumerate(records(0.0)):
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps(run))
    target = tmp_path / "curves.json"
    target.write_text(json.dumps({"schema": 1, "curves": {"other": {"kept": True}}}))
    monkeypatch.setattr(command, "CURVES", target)
    args = [*map(str, paths), "--name", "net-made", "--hold-out", "deprune"]
    assert command.main(args) == 0
    assert list(json.loads(target.read_text())["curves"]) == ["other"]  # not without --write
    assert command.main([*args, "--write"]) == 0
    assert "held_out_error_points" in capsys.readouterr().out
    data = json.loads(target.read_text())["curves"]
    assert data["other"] == {"kept": True}
    entry = data["net-made"]
    assert (entry["network"], entry["layer"], entry["images"], entry["classes"]) == ("vgg11_32_half", 5, 640, 10)
    by_name = {(run["schedule"], run["seed"]): run for run in entry["runs"]}
    assert len(by_name) == 13
    assert by_name["deprune", 1]["bytes"]["maps"] == 640 * 1024 * (15 * 2 + 3 * 64)
    assert "filter" not in by_name["without-module", 0]["bytes"]
    assert by_name["deprune", 1]["step_s"] == 0.2
    assert "seed" not in entry["provenance"]["settings"]


def test_runs_with_another_gamma_are_kept_but_not_fitted() -> None:
    usual = records(0.01, seeds=1)
    odd = record("deprune", 0, 0.3, gamma=1.0)
    alone, entry = command.fitted(usual, []), command.fitted([odd, *usual], [])
    other = command.fitted([odd, *usual], [], gamma=1.0)
    assert {run["schedule"] for run in other["beside"]} == {"prune", "deprune", "steps"}  # the others change no budget
    assert other["provenance"]["settings"]["gamma"] == 1.0
    assert entry["model"] == alone["model"]
    assert entry["fit"] == alone["fit"]
    assert entry["runs"] == alone["runs"]
    assert [(run["schedule"], run["gamma"]) for run in entry["beside"]] == [("deprune", 1.0)]
    assert entry["provenance"]["settings"]["gamma"] == 3.0


def test_runs_of_a_soft_mask_tell_what_is_left_on_a_wire() -> None:
    hard, soft = (command.summary(record("deprune", 0, 0.0, mask=mask)) for mask in ("hard", "soft"))
    assert hard["kept_share"] == [0.25] * 18
    assert soft == {**hard, "wire_accuracy": [0.1] * 18}
    assert "kept_share" not in command.summary(record("deprune", 0, 0.0, module=False))


def test_records_of_several_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for mask in ("hard", "soft"):
        paths.append(tmp_path / f"{mask}.json")
        paths[-1].write_text(json.dumps(record("deprune", 0, 0.0, mask=mask)))
    with pytest.raises(SystemExit, match="2"):
        command.main([*map(str, paths), "--name", "net-made"])
    assert "mask is hard, soft in the records, allowed: the same in all" in capsys.readouterr().err


# The best schedule.


def small(epochs: int, kinds: int, **weights: float) -> System:
    return System(get_scenario("vgg11-cifar10", epochs=epochs, shares=SHARES[-kinds:], **weights))


def worth(system: System, model: LearningModel, places: Sequence[int]) -> float:
    """A schedule's score, written down from what the weights mean."""
    s, epochs = system.scenario, system.scenario.epochs
    value = s.accuracy_weight * told(model, [system.shares[k] for k in places])
    rate_bytes = s.mbps * 1e6 / 8 / s.clients

    def epoch_s(k: int) -> float:
        return system.compute_s[k] + system.sent_bytes[k] / rate_bytes + system.steps * s.rtt_s

    everything = 2 * system.images * system.interface.phi * system.interface.map_bytes * epochs
    for k in places:
        value -= s.bytes_weight * system.sent_bytes[k] / everything
        value -= s.time_weight * epoch_s(k) / (epochs * epoch_s(len(system.shares) - 1))
    return value


WEIGHTS = st.fixed_dictionaries(
    {"accuracy_weight": st.floats(0, 2), "bytes_weight": st.floats(0, 1), "time_weight": st.floats(0, 1)}
)


@given(
    model=learning_models(),
    weights=WEIGHTS,
    size=st.sampled_from([(1, 1), (1, 4), (2, 6), (4, 3), (5, 2), (4, 4), (3, 6)]),
)
@settings(max_examples=60)
def test_the_best_schedule_is_that_of_brute_force(
    model: LearningModel, weights: dict[str, float], size: tuple[int, int]
) -> None:
    epochs, kinds = size
    system = small(epochs, kinds, **weights)
    schedule, value = best_schedule(system, model)
    assert schedule.shape == (epochs,)
    every = max(worth(system, model, places) for places in product(range(kinds), repeat=epochs))
    assert value == pytest.approx(every, rel=1e-9, abs=1e-12)
    assert worth(system, model, schedule.tolist()) == pytest.approx(value, rel=1e-9, abs=1e-12)


@given(model=learning_models(), weights=WEIGHTS, seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_no_random_schedule_of_full_size_beats_the_best(
    model: LearningModel, weights: dict[str, float], seed: int
) -> None:
    system, rng = small(18, 6, **weights), np.random.default_rng(seed)
    schedule, value = best_schedule(system, model)
    assert worth(system, model, schedule.tolist()) == pytest.approx(value, rel=1e-9, abs=1e-12)
    for _ in range(40):
        kinds = rng.permutation(6)[: rng.integers(1, 7)]
        assert worth(system, model, rng.choice(kinds, 18).tolist()) <= value + 1e-9
    for at in range(18):  # nor any neighbour
        for k in range(6):
            assert worth(system, model, [*schedule[:at].tolist(), k, *schedule[at + 1 :].tolist()]) <= value + 1e-9


def test_dear_bytes_send_few_maps_and_free_bytes_send_all() -> None:
    model = replace(KNOWN, up=0.5, down=0.5)
    assert (best_schedule(small(12, 6, bytes_weight=0.0), model)[0] == 5).all()
    assert (best_schedule(small(12, 6, bytes_weight=0.0, time_weight=1e3), model)[0] == 0).all()
    assert (best_schedule(small(12, 6, bytes_weight=1e3), model)[0] == 0).all()
    between = best_schedule(small(12, 6, bytes_weight=0.3), replace(KNOWN, up=1.0))[0]
    assert between[-1] > between[0]  # deprune: what few maps taught is worth as much


def test_too_many_schedules_are_no_regret_and_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"\d+ ways to share 400 epochs out over 6 budgets are too many"):
        best_schedule(small(400, 6), KNOWN)
    env = gym.make(ENV_ID, epochs=400, disable_env_checker=True)
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        _, _, done, _, info = env.step(0)
    assert math.isnan(info["regret"])
    assert math.isfinite(info["score"])
    with pytest.raises(InputError, match=r"^best-schedule: \d+ ways .* take fewer epochs or shares$"):
        SPECS["best-schedule"].make(env, 0)
