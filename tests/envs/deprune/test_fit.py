"""The fit of Deprune's learning model to records of trainings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitgym.envs.deprune.curves import PARAMETERS, Curves, LearningModel

from ... import script
from .learning import KNOWN, told

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
