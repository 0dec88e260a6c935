"""Fit the learning model behind ``backend="curves"`` to recorded trainings, and judge it on others.

    python benchmarks/deprune_fit.py runs/*.json --name vgg11-cifar10 [--hold-out NAME ...] [--write]

Runs of the schedules named by --hold-out, and those of the last seed, are left out of a first fit; the mean absolute
error on them is what the model does not know. What ships is then fitted to all runs. Runs whose budget changes at
another gamma than --gamma are kept beside them, and not fitted. --write puts it into envs/deprune/curves.json, beside
the others.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from splitgym.envs.deprune.curves import PARAMETERS, LearningModel
from splitgym.ui.errors import InputError
from splitgym.ui.files import write_text

CURVES = Path(__file__).resolve().parents[1] / "envs" / "deprune" / "curves.json"
START = (0.7, 0.03, 1.0, 3.0, 0.8, 0.8, 0.8, 0.3, 1.0, 0.1)
LOW = (0.1, 0.0, 0.2, 0.05, 0.05, 0.0, 0.0, 0.0, 0.1, 0.0)
HIGH = (1.0, 0.5, 3.0, 100.0, 10.0, 1.0, 1.0, 1.0, 10.0, 0.5)
BARE = ("top", "tau", "alpha")  # what is left of the model without the module

Run = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, print what came out, write it when asked to; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="+", type=Path, help="records of benchmarks/deprune_runs.py")
    parser.add_argument("--name", required=True, help="of the curves, <model>-<data>[-...]")
    parser.add_argument(
        "--hold-out", nargs="+", default=[], metavar="SCHEDULE", help="schedules that the fit must not see"
    )
    parser.add_argument("--gamma", type=float, default=3.0, help="of the runs to fit (default %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the result into envs/deprune/curves.json")
    args = parser.parse_args(argv)
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in args.records]
    try:
        entry = fitted(runs, args.hold_out, args.gamma)
    except InputError as error:
        parser.error(str(error))
    print(json.dumps({key: entry[key] for key in ("model", "bare", "fit")}, indent=1))
    if args.write:
        data = json.loads(CURVES.read_text(encoding="utf-8")) if CURVES.is_file() else {"schema": 1, "curves": {}}
        data["curves"][args.name] = entry
        write_text(CURVES, json.dumps(data, indent=1) + "\n")
        print(f"written to {CURVES}")
    return 0


def fitted(runs: Sequence[Run], held_names: Sequence[str], gamma: float = 3.0) -> dict[str, Any]:
    """The entry of the data file for runs of one network, cut, filter, rate and data set.

    Raises:
        InputError: the runs had several of them.
    """
    check_alike(runs)
    beside = [run for run in runs if run["settings"]["gamma"] != gamma and len(set(run["budgets"])) > 1]
    runs = [run for run in runs if run not in beside]
    split = [run for run in runs if run["settings"]["module"]]
    bare = [run for run in runs if not run["settings"]["module"]]
    last = max(run["settings"]["seed"] for run in split)
    several = len({run["settings"]["seed"] for run in split}) > 1
    unseen = [r for r in split if r["schedule"] in held_names or (several and r["settings"]["seed"] == last)]
    seen = [r for r in split if r not in unseen]
    chance = 1.0 / classes_of(runs[0])
    judged = fit(seen, chance)
    errors, held = residuals(judged, seen, chance), residuals(judged, unseen, chance)
    values = fit(split, chance) if unseen else judged
    noise = float(np.std(np.concatenate(residuals(values, split, chance))))
    model = as_model(values, chance, loss_of(split), noise)
    names = sorted({run["schedule"] for run in unseen if run["schedule"] in held_names})
    return {
        "model": model,
        "bare": fit_bare(bare, model) if bare else None,
        "network": runs[0]["model"],
        "layer": runs[0]["settings"]["layer"],
        "images": runs[0]["epochs"]["images"][0],
        "steps": runs[0]["epochs"]["steps"][0],
        "classes": classes_of(runs[0]),
        "fit": {
            "runs": len(seen),
            "error_points": points(errors),
            "held_out_runs": len(unseen),
            "held_out_error_points": points(held),
            "held_out_final_error_points": points([e[-1:] for e in held]),
            "held_out_schedules": names,
            "held_out_seed": last if several else None,
            "judged": as_model(judged, chance, [0.0, 0.0, 0.0], 0.0),
            "shipped_runs": len(split),
        },
        "provenance": provenance(split, gamma),
        "runs": [summary(run) for run in runs],
        "beside": [{**summary(run), "gamma": run["settings"]["gamma"]} for run in beside],
    }


def check_alike(runs: Sequence[Run]) -> None:
    """All runs trained the same network on the same data, but for schedules, seeds and gamma.

    Without the module no mask has a say.
    """
    split = [run for run in runs if run["settings"]["module"]]
    for name in ("layer", "resolution", "mask", "decay", "images", "batch", "learning_rate"):
        among = split if name == "mask" else runs
        if len(values := {str(run["settings"][name]) for run in among}) > 1:
            raise InputError(f"{name} is {', '.join(sorted(values))} in the records, allowed: the same in all")
    if len(models := {(run["model"], run["data"]["fingerprint"]) for run in runs}) > 1:
        raise InputError(f"{len(models)} networks or data sets in the records, allowed: one")


def classes_of(run: Run) -> int:
    return int(run["data"].get("classes", 10))


def points(errors: Sequence[np.ndarray]) -> float | None:
    """Mean absolute error in points of accuracy; None without any run."""
    return round(100.0 * float(np.mean(np.abs(np.concatenate(errors)))), 3) if errors else None


def accuracies(values: np.ndarray, run: Run, chance: float) -> np.ndarray:
    """(epochs,) what a model tells of a run."""
    model = LearningModel(chance, *values, loss=(0.0, 0.0, 0.0), noise=0.0)
    budgets = np.array(run["budgets"])
    used, at = np.unique(budgets, return_inverse=True)
    counts = np.cumsum(at[None, :] == np.arange(len(used))[:, None], axis=1).astype(float)
    return model.accuracy(used / run["phi"], counts, at)


def residuals(values: np.ndarray, runs: Sequence[Run], chance: float) -> list[np.ndarray]:
    """Told less recorded, (epochs,) for every run."""
    return [accuracies(values, run, chance) - np.array(run["epochs"]["test_accuracy"]) for run in runs]


def fit(runs: Sequence[Run], chance: float) -> np.ndarray:
    """The parameters, in the order of ``PARAMETERS``, by least squares (robust to single epochs)."""

    def error(values: np.ndarray) -> np.ndarray:
        return np.concatenate(residuals(values, runs, chance))

    return least_squares(error, START, bounds=(LOW, HIGH), loss="soft_l1", f_scale=0.02, x_scale=np.array(START)).x


def fit_bare(runs: Sequence[Run], model: Mapping[str, Any]) -> dict[str, Any]:
    """The model without the module: all maps cross, nothing has to be learnt anew."""
    places = [PARAMETERS.index(name) for name in BARE]
    fixed = np.array([model[name] for name in PARAMETERS])
    fixed[[PARAMETERS.index(name) for name in ("drop", "delta", "boost")]] = 0.0

    def whole(values: np.ndarray) -> np.ndarray:
        found = fixed.copy()
        found[places] = values
        return found

    bounds = ([LOW[p] for p in places], [HIGH[p] for p in places])
    start = np.clip(fixed[places], *(np.array(b) + e for b, e in zip(bounds, (1e-6, -1e-6), strict=True)))
    error = least_squares(lambda v: np.concatenate(residuals(whole(v), runs, model["chance"])), start, bounds=bounds)
    noise = float(np.std(error.fun))
    return as_model(whole(error.x), model["chance"], loss_of(runs), noise)


def loss_of(runs: Sequence[Run]) -> list[float]:
    """Coefficients of the recorded test loss as a polynomial of the accuracy."""
    accuracy, loss = (np.concatenate([run["epochs"][name] for run in runs]) for name in ("test_accuracy", "test_loss"))
    return np.polynomial.polynomial.polyfit(accuracy, loss, 2).tolist()


def as_model(values: np.ndarray, chance: float, loss: Sequence[float], noise: float) -> dict[str, Any]:
    named = {name: round(float(v), 6) for name, v in zip(PARAMETERS, values, strict=True)}
    return {"chance": chance, **named, "loss": [round(c, 6) for c in loss], "noise": round(noise, 6)}


def summary(run: Run) -> dict[str, Any]:
    """What is kept of a run."""
    sent = run["sent_bytes"]
    of_filter: dict[str, Any] = {}
    if run["settings"]["module"]:
        shares = np.array(run["epochs"]["kept_sum"]) / np.array(run["epochs"]["filter_sum"])
        of_filter = {"kept_share": [round(float(share), 4) for share in shares]}
        if run["settings"]["mask"] == "soft":
            of_filter["wire_accuracy"] = run["epochs"]["wire_accuracy"]
    return {
        "schedule": run["schedule"],
        "seed": run["settings"]["seed"],
        "budgets": run["budgets"],
        "phi": run["phi"],
        "accuracy": run["epochs"]["test_accuracy"],
        **of_filter,
        "loss": [round(v, 4) for v in run["epochs"]["test_loss"]],
        "bytes": {kind: int(sum(values)) for kind, values in sent.items() if sum(values)},
        "module_s_per_step": round(float(np.mean(run["epochs"]["module_s"])), 5),
        "step_s": round(float(np.mean(np.array(run["epochs"]["seconds"]) / np.array(run["epochs"]["steps"]))), 5),
        "entered_maps": int(sum(run["epochs"]["entered_maps"])),
    }


def provenance(runs: Sequence[Run], gamma: float) -> dict[str, Any]:
    machine, data, settings = runs[0]["machine"], runs[0]["data"], {**runs[0]["settings"], "gamma": gamma}
    for varied in ("seed", "module"):
        del settings[varied]
    return {
        "data": f"{data['name']}, {data['train_images']} training and {data['test_images']} test images",
        "machine": f"{machine['device']} {machine['processor']}, torch {machine['torch']}",
        "settings": settings,
        "command": "benchmarks/deprune_runs.py, benchmarks/deprune_fit.py",
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    sys.exit(main())
