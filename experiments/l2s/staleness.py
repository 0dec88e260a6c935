"""What old copies cost: accuracy by the period of synchronisation and by how the cut moves (Figs. 7, 8, 13a, 17).

``python -m splitgym.experiments.l2s.staleness`` trains a network with device and edge as L2S does, both of which hold a
copy of every layer; a layer that changes sides goes on from its new holder's old copy until the next sync.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ...envs import get_family
from ...envs.l2s import staleness as recorded
from ...models.lookup import get_model
from ..play import build_agent, make_env, play
from ..studies import OnShare, Record, Result, Settings, Trial, by_settings
from ..study_command import Study, Summary, new_table, spread
from .staleness_figure import figure
from .staleness_fit import fitted, lost

if TYPE_CHECKING:
    from ...models.runnable.units import TorchModel
    from ...runtime.training.data import Dataset

MODEL, BATCH, RATE, ROUNDS, FIRST = "lenet5", 16, 0.005, 3000, 1  # FIRST: P^c
PERIODS = (1, 10, 30, 100, 300, 1000, None)  # None: never
SEEDS = 5
RARELY = 0.05  # moves a round
POINTS = 10  # of a training's accuracy
MARKS = (10, 100, 1000)  # rounds behind which the change of the weights is noted, beside the last
LINK = {"dynamic": True, "privacy_point": FIRST}  # of the env in which L2S's agent decides
MOVES: Mapping[str, str] = {  # how the cut moves
    "none": "the cut stays",
    "every": "another cut in every round",
    "rarely": f"another cut in {RARELY:.0%} of the rounds",
    "l2s": "L2S's own decisions on a fluctuating link",
}


def trials(seeds: int, quick: bool) -> list[Trial]:
    """Seed by seed, so that whoever stops early has a whole study of fewer seeds."""
    rounds, periods = (20, (1, 10, None)) if quick else (ROUNDS, PERIODS)
    found = []
    for seed in range(seeds):
        plans = [("none", None), ("every", "change"), *((m, p) for m in list(MOVES)[1:] for p in periods)]
        for moves, sync in plans:
            settings = {"model": MODEL, "moves": moves, "sync": sync, "rounds": rounds, "batch": BATCH, "rate": RATE}
            name = f"{moves}-sync-{'never' if sync is None else sync}-seed{seed}"
            found.append(Trial(name, {**settings, "seed": seed}))
    return found


def train(settings: Settings, data: Dataset, on_share: OnShare) -> Result:
    """One training: accuracies on its way, stale rounds by age, change of the weights by step."""
    from ..cut_training import CutTraining

    model, rounds, sync = get_model(settings["model"]), settings["rounds"], settings["sync"]
    every_change, period = sync == "change", None if sync == "change" else sync
    training = CutTraining(model, data, settings["seed"], settings["batch"], period, every_change)
    cuts = cuts_of(settings["moves"], settings["model"], rounds, settings["seed"])
    begun = _weights(training.copy("device"))
    marks = [*(mark for mark in MARKS if mark < rounds), rounds]
    right, curve, changes = np.zeros(rounds), [], {}
    ages, age = np.zeros(recorded.BINS, dtype=int), 0
    for number in range(rounds):
        cut = int(cuts[number])
        right[number] = training.round(number, cut, settings["rate"])
        age += 1
        if not every_change and training.ledger.low != training.ledger.high:
            ages[recorded.bin_of(age)] += 1
        if (number + 1) * POINTS // rounds > number * POINTS // rounds:
            curve.append(training.accuracy(cut))
        if number + 1 in marks:
            changes[str(number + 1)] = _changes(training, cut, begun)
            on_share((number + 1) / rounds)
        training.end_round()
        if period is not None and (number + 1) % period == 0:
            age = 0
    training.end()
    return {
        "accuracy": training.accuracy(int(cuts[-1])),
        "train_accuracy": float(right[-max(1, rounds // 10) :].mean()),
        "curve": [round(value, 4) for value in curve],
        "moves": int((np.diff(cuts) != 0).sum()),
        "stale_by_age": ages.tolist(),
        "changes": changes,
    }


def cuts_of(moves: str, model: str, rounds: int, seed: int) -> np.ndarray:
    """(rounds,) steps of the model on the device in every round, P^c to P."""
    rng, last = np.random.default_rng([seed, 1]), len(get_model(model).steps)
    if moves == "l2s":
        family = get_family("l2s")
        env = make_env(family, f"{model}-gpu-60", {**LINK, "rounds": rounds, "sync": "ask"})
        played = play(build_agent(family, "l2s", env, seed, {}), env, 1, seed)
        assert played.trace is not None
        return np.array(env.unwrapped.dynamics.system.points)[np.asarray(played.trace["point"]).ravel()]
    drawn = rng.integers(FIRST, last + 1, rounds)
    changes = rng.random(rounds) < {"none": 0.0, "rarely": RARELY, "every": 1.0}[moves]
    changes[0] = True
    return drawn[np.maximum.accumulate(np.where(changes, np.arange(rounds), 0))]


Weights = dict[str, np.ndarray]  # a step's name -> all its weights


def _weights(network: TorchModel) -> Weights:
    """A copy, of the steps that have any."""
    found = {}
    for step, module in zip(network.model.steps, network.steps, strict=True):
        values = [parameter.detach().numpy().ravel() for parameter in module.parameters()]
        if values:
            found[step.name] = np.concatenate(values)
    return found


def _changes(training: Any, cut: int, begun: Weights) -> dict[str, float]:
    """Mean absolute change of a step's weights since the beginning, where it is trained now."""
    device, edge = _weights(training.copy("device")), _weights(training.copy("edge"))
    names = [step.name for step in training.copy("device").model.steps]
    return _apart({name: (device if names.index(name) < cut else edge)[name] for name in begun}, begun)


def _apart(one: Weights, other: Weights) -> dict[str, float]:
    """Mean absolute difference of two copies of every step."""
    return {name: float(f"{np.abs(one[name] - other[name]).mean():.4g}") for name in one}


def summarise(records: Sequence[Record]) -> Summary:
    """What ships: every training in short, the change of the weights, and the fit."""
    runs = []
    for record in records:
        settings, result = record["settings"], record["result"]
        asked = {name: settings[name] for name in ("moves", "sync", "seed")}
        found = {name: result[name] for name in ("accuracy", "train_accuracy", "curve", "stale_by_age")}
        runs.append({**asked, "moves_made": result["moves"], **{n: _short(value) for n, value in found.items()}})
    first = records[0]["settings"]
    rounds = first["rounds"]
    return {
        "settings": {name: first[name] for name in ("model", "rounds", "batch", "rate")},
        "fit": fitted(runs, rounds),
        "changes": {mark: _mean([r["result"]["changes"][mark] for r in _staying(records)]) for mark in _marks(records)},
        "changes_by_sync": {
            "never" if sync is None else str(sync): _mean([r["result"]["changes"][str(rounds)] for r in group])
            for (moves, sync), group in by_settings(records, "moves", "sync").items()
            if moves == "every"
        },
        "runs": runs,
    }


def _staying(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record["settings"]["moves"] == "none"]


def _marks(records: Sequence[Record]) -> list[str]:
    return list(_staying(records)[0]["result"]["changes"])


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(f"{np.mean([value[name] for value in values]):.4g}") for name in values[0]}


def _short(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value


def table(summary: Summary) -> tuple[Table, list[str]]:
    """Points of accuracy lost by period and by how the cut moves, mean and spread over seeds."""
    losses = lost(summary["runs"])
    base = {run["seed"]: run["accuracy"] for run in summary["runs"] if run["moves"] == "none"}
    rows: dict[Any, dict[str, list[tuple[float, float]]]] = {}
    for run, loss in zip(summary["runs"], losses, strict=True):
        if run["moves"] != "none":
            row = rows.setdefault(run["sync"], {})
            row.setdefault(run["moves"], []).append((100.0 * loss, 100.0 * (base[run["seed"]] - run["accuracy"])))
    columns = [name for moves in list(MOVES)[1:] for name in (f"{moves}: training", "test")]
    made = new_table("rounds between syncs", *columns)
    for sync, row in rows.items():
        name = {None: "never", "change": "every change"}.get(sync, str(sync))
        cells = [spread([pair[i] for pair in row.get(moves, [])]) for moves in list(MOVES)[1:] for i in range(2)]
        made.add_row(name, *cells)
    stays = [run for run in summary["runs"] if run["moves"] == "none"]
    right = {name: spread([100.0 * run[name] for run in stays]) for name in ("train_accuracy", "accuracy")}
    fit = summary["fit"]
    lines = [
        "points of accuracy lost to a cut that stays, mean ± spread over seeds: of training batches over the last "
        "tenth, of test images at the end",
        f"the cut stays: {right['train_accuracy']} % of training, {right['accuracy']} % of test images; "
        f"{len(stays)} seeds",
        f"lost by a round r behind the last sync: {100 * fit['scale']:.2f} r^{fit['power']:.3f} points over the whole "
        f"training (errors {_error(fit['scale_error'], 100)}, {_error(fit['power_error'])}); the curve is off by "
        f"{fit['error_points']:.2f} points, on L2S's own moves, which it has not seen, by {fit['held_out_points']:.2f}",
        *_change_lines(summary),
    ]
    return made, lines


def _change_lines(summary: Summary) -> list[str]:
    """How far weights move in the end where the cut moves in every round, beside those of a cut that stays."""
    by_sync = summary["changes_by_sync"]
    told = ["the change of weights in the end, of that with a cut that stays:"]
    for sync in (name for name in ("100", "never") if name in by_sync):
        shares = (f"{layer} {100 * by_sync[sync][layer] / by_sync['change'][layer]:.0f}" for layer in by_sync[sync])
        told.append(f"  another cut in every round, sync {sync}: {', '.join(shares)} %")
    return told


def _error(value: float | None, factor: float = 1.0) -> str:
    return "unknown" if value is None else f"{factor * value:.2g}"


STUDY = Study(
    prog="python -m splitgym.experiments.l2s.staleness",
    about=(
        "What old copies of layers cost in accuracy. Device and edge both hold a copy of every layer; one that\n"
        "changes sides goes on from its new holder's old copy until the next sync. A small network is trained with\n"
        "cuts that stay, move in every round, move rarely, or move as L2S decides, and with syncs from every round to\n"
        "never; a curve through the losses says what a round on old copies costs. The environment takes it by\n"
        "stale_curve=cifar10."
    ),
    shipped=recorded.FILE,
    shape=get_model(MODEL).input,
    seeds=SEEDS,
    trials=trials,
    train=train,
    summarise=summarise,
    table=table,
    draw=figure,
)


main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
