"""What old copies cost and how private cuts are, by the recorded studies: jobs, and the quantities of claims."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....envs.l2s.staleness import FILE as STALENESS
from ....ui.validation import read_json
from ...claims.results import recorded, short
from ...claims.statement import TOLERANCE, Asking, Job, Part, Setting, near
from ...studies import SCHEMA
from ..staleness_fit import lost
from .runs import Found

IMAGES = "cifar10"  # of the recorded trainings
KL_NETWORK, PPT_NETWORK = "alexnet_32_quarter", "vgg11_32_quarter"
PPT_CUT, L2S_CUT = "conv1_1", "conv2_1"  # of VGG-16: PPT's, and that of P^c = 4
NONE = -math.inf
LOSS = 2.14  # points of accuracy, Sec. V-B.3


def trainings(images: str) -> Found:
    """The recorded trainings on old copies (:mod:`.staleness`), a list of a number a seed by moves and period.

    ``lost`` are points of training accuracy that are lost to the cut that stays, of the same seed; ``curve`` is test
    accuracy in points on the way.
    """
    summary = read_json(STALENESS, schema=SCHEMA)["data"][images]
    kinds: dict[str, list[Found]] = {}
    for run, share in zip(summary["runs"], lost(summary["runs"]), strict=True):
        sync = "never" if run["sync"] is None else str(run["sync"])
        told = {
            "lost": 100.0 * float(share), "train": 100.0 * run["train_accuracy"], "test": 100.0 * run["accuracy"],
            "curve": short(100.0 * np.array(run["curve"])),
        }  # fmt: skip
        kinds.setdefault(f"{run['moves']} {sync}", []).append(told)
    return {
        "runs": {kind: {name: [one[name] for one in found] for name in found[0]} for kind, found in kinds.items()},
        "changes": summary["changes"],
        "settings": summary["settings"],
        "provenance": [recorded(summary, summary["settings"]["model"])],
    }


def divergences(images: str) -> Found:
    """The recorded KL divergences by partition point (:mod:`.privacy_networks`), a row a seed, by network."""
    from ...study_command import shipped
    from ..privacy_networks import STUDY

    summary = shipped(STUDY)[images]
    networks: dict[str, Found] = {}
    for run in summary["runs"]:
        names = summary["points"][run["network"]]
        found = networks.setdefault(run["network"], {"points": names, "ppt": run["ppt"], "kl": [], "uniform": []})
        found["kl"].append(run["kl"])
        found["uniform"].append(run["uniform"])
    return {"networks": networks, "provenance": [recorded(summary, ", ".join(networks))]}


def recorded_divergences(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(divergences, {"images": IMAGES}, 0.5)]
    return found["networks"]


def grows_with_the_cut(setting: Setting) -> Asking[list[Part]]:
    from scipy.stats import spearmanr

    found = (yield from recorded_divergences(setting))[KL_NETWORK]
    ranks: list[Any] = [spearmanr(np.arange(len(kl)), kl) for kl in found["kl"]]
    rises = np.diff(np.mean(found["kl"], axis=0)) > 0
    return [
        Part("rank correlation of KL divergence with the cut", [rank.statistic for rank in ranks], 0.8, math.inf),
        Part("layers behind which its mean is larger than before", [100.0 * float(rises.mean())], 100.0, 100.0, "%"),
    ]


def recorded_trainings(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(trainings, {"images": IMAGES}, 0.5)]
    return found


def weight_changes(found: Found) -> tuple[list[str], dict[str, list[float]]]:
    """(layers, their mean change in % of that in the end by rounds)."""
    marks = sorted(found["changes"], key=int)
    last = found["changes"][marks[-1]]
    return list(last), {m: [100.0 * found["changes"][m][layer] / last[layer] for layer in last] for m in marks[:-1]}


def change_in_100_rounds(setting: Setting) -> Asking[list[Part]]:
    layers, shares = weight_changes((yield from recorded_trainings(setting)))
    return [near(layer, [share], 0.05, "%") for layer, share in zip(layers, shares["100"], strict=True)]


def longer_periods_cost_accuracy(setting: Setting) -> Asking[list[Part]]:
    runs = (yield from recorded_trainings(setting))["runs"]
    parts = []
    for moves, words in (("l2s", "as L2S moves the cut"), ("every", "cut moved in every round")):
        more = np.array(runs[f"{moves} never"]["lost"]) - np.array(runs[f"{moves} 1"]["lost"])
        parts.append(
            Part(
                f"accuracy lost without syncs beyond that of syncs in every round, {words}",
                more,
                0.0,
                math.inf,
                "points",
            )
        )
    return parts


def hundred_is_as_accurate(setting: Setting) -> Asking[list[Part]]:
    runs = (yield from recorded_trainings(setting))["runs"]
    more = np.array(runs["l2s 100"]["lost"]) - np.array(runs["l2s 1"]["lost"])
    return [Part("accuracy lost by syncs every 100 rounds beyond syncs in every round", more, NONE, LOSS, "points")]


def accuracy_lost(setting: Setting) -> Asking[list[Part]]:
    runs = (yield from recorded_trainings(setting))["runs"]
    return [Part("lost to a cut that stays", runs["l2s 100"]["lost"], NONE, LOSS * TOLERANCE, "points")]


def accuracy_keeps_growing(setting: Setting) -> Asking[list[Part]]:
    curves = np.array((yield from recorded_trainings(setting))["runs"]["l2s 100"]["curve"])
    third = curves.shape[1] // 3
    thirds = [curves[:, k * third : (k + 1) * third].mean(axis=1) for k in range(3)]
    return [
        Part(f"accuracy of the {later} third of a training beyond the {before}", now - then, 0.0, math.inf, "points")
        for later, before, now, then in (
            ("second", "first", thirds[1], thirds[0]), ("last", "second", thirds[2], thirds[1]),
        )
    ]  # fmt: skip


def kl_behind(network: Found, layer: str) -> np.ndarray:
    """(seeds,) nats."""
    return np.array(network["kl"])[:, network["points"].index(layer)]


def more_private_than_ppt(setting: Setting) -> Asking[list[Part]]:
    network = (yield from recorded_divergences(setting))[PPT_NETWORK]
    ratio = kl_behind(network, L2S_CUT) / kl_behind(network, PPT_CUT)
    return [Part("KL divergence of L2S's cut over that of PPT's", ratio, 1.005, math.inf, "x")]
