"""What HierTrain's paper claims of planning, of its model, and of machines: Secs. V and VI, Table 2, Figs. 6 and 11."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import inf
from typing import Any

from ....envs.hiertrain.scenarios import PAPER_MODELS, SCALING, SWEEP_MBPS
from ...claims.statement import TOLERANCE, Asking, Claim, Exhibit, Job, Part, Setting
from ..eight_bits_figure import lost_points, runs_by
from ..scaling_figure import PAPER_S
from . import pictures, runs
from .by_rate import FAST_MBPS, at, judged
from .jobs import NAMES, of_cores, of_measured, of_planning, of_sweeps

NEGLIGIBLE = 0.01  # at most, of what can be ignored
ORDER_OF_MAGNITUDE = (10**0.5, 10**1.5)
MATCH = 0.1  # relative, of latencies that highly match
POINT = 1.0  # of accuracy; less apart is no difference

Found = Mapping[str, Any]


# Sec. V and Table 2: planning.


def _gap(setting: Setting) -> Asking[list[Part]]:
    jobs = [Job(runs.printed, {"model": model, "inputs": setting.inputs}, 12.0) for model in PAPER_MODELS]
    *found, alexnet, lenet5 = yield [*jobs, *of_sweeps(setting)]
    parts = []
    for model, one, best in zip(PAPER_MODELS, found, (alexnet, lenet5), strict=True):
        gaps = [100 * (s / least - 1.0) for s, least in zip(one["seconds"], at(best, "hiertrain"), strict=True)]
        parts.append(Part(f"{NAMES[model]}, worst of 8 rates", [max(gaps)], -inf, 1.0, "% over the optimum"))
    return parts


def _planning_s(setting: Setting) -> Asking[list[Part]]:
    found = yield of_planning()
    seconds = [one["seconds"]["hiertrain"] for one in found]
    return [Part(m, [s], 0.0, TOLERANCE * PAPER_S[m], "s") for m, s in zip(SCALING, seconds, strict=True)]


def _planning_share(setting: Setting) -> Asking[list[Part]]:
    found = yield of_planning()
    shares = [100 * one["seconds"]["hiertrain"] / (one["iteration_s"] * one["iterations"]) for one in found]
    return [Part(m, [share], 0.0, 100 * NEGLIGIBLE, "%") for m, share in zip(SCALING, shares, strict=True)]


PLANNING = (
    Exhibit(
        "sec5", "Sec. V", "The relaxed linear programs and their rounding",
        (
            Claim(
                "rounding", "Relaxing the samples to real numbers, then rounding them, yields the minimum of the time.",
                "the minimum (within 1 % is taken for it)", _gap,
                reason="where one worker helps only, it is scored as worker l, behind one barrier more than worker s",
            ),
        ),
    ),
    Exhibit(
        "table2", "Table 2", "Running time of the algorithm, by network",
        (
            Claim(
                "planning-time", "Planning takes seconds on a desktop computer.",
                ", ".join(f"{model} {PAPER_S[model]:g} s" for model in SCALING), _planning_s, "executed", alike=True,
                reason="pools are layers here: VGG-16 has 21, not 16, and so more linear programs",
            ),
            Claim(
                "planning-share", "Planning can be ignored beside the training.",
                f"at most {NEGLIGIBLE:.0%} of 500 iterations is taken for that", _planning_share, "executed",
                alike=True,
            ),
        ),
        draw=pictures.planning,
    ),
)  # fmt: skip


# Fig. 6: the model of an iteration.


def _matches(setting: Setting) -> Asking[list[Part]]:
    found = yield of_measured(setting)
    parts = []
    for number, mbps in enumerate(found[0]["mbps"]):
        off = [one["model_s"][number] / one["measured_s"][number] for one in found]
        parts.append(Part(f"{mbps:g} Mbit/s", off, 1.0 - MATCH, 1.0 + MATCH, "of the measured time"))
    return parts


VALIDITY = Exhibit(
    "fig6", "Fig. 6", "Real and theoretical latency of training AlexNet",
    (
        Claim(
            "model-validity", "The modelled and the measured time of an iteration highly match.",
            f"the same (within {MATCH:.0%} is taken for it)", _matches, "executed", alike=True,
            reason="this machine was too busy to keep the modelled times",
        ),
    ),
    draw=pictures.validity,
)  # fmt: skip


# Fig. 11 and Sec. VI-B: the edge's cores, the machines.


def _saved(found: Found, mbps: float) -> list[float]:
    """Per cent that the second, third and fourth core save, one after another."""
    row = found["seconds"][found["mbps"].index(mbps)]
    return [100 * (1.0 - after / before) for before, after in pairwise(row)]


def _second_core(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [of_cores(setting)]
    second, _, fourth = _saved(found, SWEEP_MBPS[0])
    return [
        Part("the second core saves", [second], 5.0, 100.0, "%"),
        Part("the fourth over the second", [fourth / second if second > 0 else inf], -inf, 1 / 3, "times"),
    ]


def _no_core(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [of_cores(setting)]
    most = [(mbps, max(_saved(found, mbps))) for mbps in FAST_MBPS]
    return [Part(f"{mbps:g} Mbit/s", [saved], -inf, 1.0, "% saved by any") for mbps, saved in most]


def _in_cloud(found: Found) -> list[Part]:
    shares = dict(zip(found["mbps"], found["in_cloud"], strict=True))
    return [Part(f"{m:g} Mbit/s", [100 * shares[m]], 99.0, 100.0, "% of the work") for m in FAST_MBPS]


def _order_of_magnitude(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [Job(runs.machines, {"inputs": setting.inputs})]
    names = {"edge": "over the edge", "device": "over the device"}
    return [Part(told, [found[w] / found["cloud"]], *ORDER_OF_MAGNITUDE, "times") for w, told in names.items()]


def _bits_lose(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [Job(runs.eight_bits)]
    groups = runs_by(found, "cut", "activation_bits", "gradient_bits")
    eight = {cut: group for (cut, *bits), group in groups.items() if bits == [8, 8]}
    return [
        Part(f"behind {found['steps'][cut - 1]}", lost_points(found, group, "train_accuracy").tolist(), -inf, POINT,
             "points of accuracy")
        for cut, group in eight.items()
    ]  # fmt: skip


MACHINES = (
    Exhibit(
        "sec6b", "Sec. VI-B", "The machines",
        (
            Claim(
                "cloud-speed", "The cloud computes one order of magnitude faster than the edge and the device.",
                "10 times", _order_of_magnitude,
                reason="a Pi takes several times as long as a core of the i3, so both cannot be 10 times slower",
            ),
        ),
    ),
    Exhibit(
        "sec6c", "Sec. VI-C", "JALAD's eight bits",
        (
            Claim(
                "eight-bits", "JALAD sends 8 bits a value; times alone are compared, as if that cost no accuracy.",
                "no loss (less than a point is taken for none)", _bits_lose, "trained", alike=True,
                reason="trainings of five seeds scatter by more than a point",
            ),
        ),
        draw=pictures.few_bits,
    ),
)  # fmt: skip

CORES = Exhibit(
    "fig11", "Fig. 11", "Time of an iteration of AlexNet by edge-cloud rate and cores of the edge server",
    (
        Claim(
            "second-core", "Up to 1.5 Mbit/s a second core of the edge speeds training up much, a fourth hardly.",
            "large, then insignificant", _second_core,
        ),
        Claim(
            "cores-idle", "From 3 Mbit/s on the edge's cores do not influence the time.", "0 %", _no_core,
            reason="up to 3.5 Mbit/s the edge still trains most layers, since the cloud's upload takes longer",
        ),
        Claim(
            "trains-in-cloud", "From 3 Mbit/s on the optimal policy is training in the cloud.", "all of it",
            judged("alexnet", _in_cloud),
            reason="up to 3.5 Mbit/s the upload takes longer than the edge computes; then the Pi keeps some layers",
        ),
    ),
    draw=pictures.edge_cores,
)  # fmt: skip
