"""What HierTrain's paper claims of an iteration's time by rate and scheme: Figs. 2 and 7 to 10.

HierTrain is the optimum of its own model (Eq. 12) in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Any

from ....envs.hiertrain.scenarios import PAPER_MODELS, SWEEP_MBPS
from ...claims.statement import Asking, Claim, Exhibit, Inquiry, Job, Part, Setting, near
from . import pictures, runs
from .jobs import LOW_MBPS, NAMES, PUBLISHED, of_sweep, of_sweeps

TIE = 0.005  # relative difference that counts as none
FASTER = 1.0 - TIE
HIGHER_MBPS = tuple(mbps for mbps in SWEEP_MBPS if mbps > LOW_MBPS[-1])
FAST_MBPS = tuple(mbps for mbps in SWEEP_MBPS if mbps >= 3.0)
SMALL_SHARE = 0.25  # at most, of what is a small fraction

Found = Mapping[str, Any]
Judge = Callable[[Found], list[Part]]


def at(found: Found, name: str, mbps: Sequence[float] = SWEEP_MBPS) -> list[float]:
    """Seconds of a scheme at some rates."""
    return [s for rate, s in zip(found["mbps"], found["seconds"][name], strict=True) if rate in mbps]


def ratios(found: Found, one: str, other: str, mbps: Sequence[float] = SWEEP_MBPS) -> list[float]:
    """What one scheme takes over what another one takes."""
    return [a / b for a, b in zip(at(found, one, mbps), at(found, other, mbps), strict=True)]


def faster(found: Found, one: str, other: str, mbps: Sequence[float] = SWEEP_MBPS, name: str = "") -> Part:
    """One scheme is ahead of another at all rates: the worst of them decides."""
    return Part(name, [max(ratios(found, one, other, mbps))], -inf, FASTER, "of its time")


def judged(model: str, judge: Judge) -> Inquiry[list[Part]]:
    """Parts that follow from a network's iterations by rate."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield [of_sweep(model, setting)]
        return judge(found)

    return measure


def judged_both(judge: Callable[[str, Found], list[Part]]) -> Inquiry[list[Part]]:
    """The same of both networks."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield of_sweeps(setting)
        return [part for model, one in zip(PAPER_MODELS, found, strict=True) for part in judge(model, one)]

    return measure


# Fig. 2 and Sec. II: why hybrid parallelism.


def _dense(setting: Setting) -> Asking[list[Part]]:
    found = yield [Job(runs.parameters, {"model": model}) for model in PAPER_MODELS]
    shares = [one["dense"] / one["all"] for one in found]
    return [Part(NAMES[m], [100 * s], 50.0, 100.0, "%") for m, s in zip(PAPER_MODELS, shares, strict=True)]


def _shares(model: str, found: Found) -> list[Part]:
    workers = dict(zip(found["mbps"], found["workers"], strict=True))
    return [Part(f"{NAMES[model]}, {mbps:g} Mbit/s", [workers[mbps]], 2.0, 3.0, "workers") for mbps in LOW_MBPS]


def _exchanged(model: str, found: Found) -> list[Part]:
    return [Part(NAMES[model], [100 * max(found["exchanged"])], 0.0, 100 * SMALL_SHARE, "% of all parameters")]


PARALLELISM = Exhibit(
    "fig2", "Fig. 2, Sec. II", "Model, data and hybrid parallelism",
    (
        Claim(
            "dense-parameters", "Fully connected layers at the end contain the majority of a network's parameters.",
            "over 50 %", _dense, "arithmetic", alike=True,
        ),
        Claim(
            "data-parallelism", "Data parallelism communicates too much here: hybrid parallelism is faster.",
            "less time", judged_both(lambda m, f: [faster(f, "hiertrain", "data-parallel", name=NAMES[m])]),
        ),
        Claim(
            "shares-samples", "At low rates several workers share an iteration's samples.",
            "2 or 3 workers at 1.5 and 2 Mbit/s", judged_both(_shares),
            reason="for LeNet-5 the Pi's front layers and the edge's other ones for all samples are the optimum there",
        ),
        Claim(
            "small-exchange", "Workers exchange only a small fraction of the network's parameters or gradients.",
            f"a small fraction (at most {SMALL_SHARE:.0%} is taken for one)", judged_both(_exchanged),
        ),
    ),
    draw=pictures.parallelism,
)  # fmt: skip


# Figs. 7 and 8: All-Edge and All-Cloud.


def _largest(model: str, other: str, published: float) -> Inquiry[list[Part]]:
    return judged(model, lambda f: [near("", [max(ratios(f, other, "hiertrain"))], published, "times")])


def _falls(found: Found) -> list[Part]:
    cloud, edge = at(found, "all-cloud"), at(found, "all-edge")
    steps = [after / before for before, after in pairwise(cloud)]
    return [
        Part("All-Cloud, from one rate to the next", [max(steps)], -inf, FASTER, "times"),
        Part("All-Edge, largest change", [100 * (max(edge) / min(edge) - 1.0)], 0.0, 100 * TIE, "%"),
    ]


def _both_ahead(found: Found) -> list[Part]:
    others = {"all-edge": "All-Edge", "all-cloud": "All-Cloud"}
    return [faster(found, "hiertrain", other, name=f"over {told}") for other, told in others.items()]


def _single_worker(number: int, model: str) -> Exhibit:
    name, (edge, cloud) = NAMES[model], PUBLISHED[model]
    also = " (as in the abstract)" if model == "lenet5" else ""
    return Exhibit(
        f"fig{number}", f"Fig. {number}", f"Iteration time of {name} by edge-cloud rate: HierTrain and one worker",
        (
            Claim(
                f"{model}-over-edge", f"HierTrain is up to {edge} times as fast as All-Edge on {name}.",
                f"{edge} times",
                _largest(model, "all-edge", edge), fitted=True,
                reason="6.9 over All-Cloud at 1.5 Mbit/s and 1.7 over All-Edge cannot both be where a relay streams",
            ),
            Claim(
                f"{model}-over-cloud", f"HierTrain is up to {cloud} times as fast as All-Cloud on {name}{also}.",
                f"{cloud} times", _largest(model, "all-cloud", cloud), fitted=True,
            ),
            Claim(
                f"{model}-ahead", f"HierTrain takes less time than All-Edge and All-Cloud at all rates on {name}.",
                "less at all eight rates", judged(model, _both_ahead),
            ),
            Claim(
                f"{model}-by-rate", "All-Cloud's time falls as the rate rises; All-Edge's stays.", "falls; stays",
                judged(model, _falls),
            ),
        ),
        draw=pictures.single_workers(model),
    )  # fmt: skip


# Figs. 9 and 10: JointDNN, JointDNN+ and JALAD.


def _joint_plus(found: Found) -> list[Part]:
    low = [faster(found, "jointdnn+", "jointdnn", (mbps,), f"{mbps:g} Mbit/s") for mbps in LOW_MBPS]
    apart = [abs(ratio - 1.0) for ratio in ratios(found, "jointdnn+", "jointdnn", HIGHER_MBPS)]
    return [*low, Part("from 2.5 Mbit/s on, apart by", [100 * max(apart)], 0.0, 100 * TIE, "%")]


def _to_cloud(found: Found) -> list[Part]:
    names = {"jointdnn": "JointDNN", "jointdnn+": "JointDNN+"}
    shares = {name: dict(zip(found["mbps"], found["joint_in_cloud"][name], strict=True)) for name in names}
    least = {name: min(by_rate[mbps] for mbps in FAST_MBPS) for name, by_rate in shares.items()}
    return [Part(names[name], [100 * share], 100.0, 100.0, "% of layers in the cloud") for name, share in least.items()]


def _jalad_at_low(found: Found) -> list[Part]:
    return [faster(found, "jalad", "hiertrain", (mbps,), f"{mbps:g} Mbit/s") for mbps in LOW_MBPS]


def _jalad_is_joint(found: Found) -> list[Part]:
    apart = [abs(ratio - 1.0) for ratio in ratios(found, "jalad", "jointdnn+")]
    return [Part("largest difference", [100 * max(apart)], 0.0, 100 * TIE, "%")]


def _jalad_alone(found: Found) -> list[Part]:
    alone = [min(pair) for pair in zip(at(found, "all-edge"), at(found, "all-cloud"), strict=True)]
    apart = [round(abs(s / least - 1.0), 9) for s, least in zip(at(found, "jalad"), alone, strict=True)]
    slow, fast = (ratios(found, "all-cloud", "all-edge", (mbps,)) for mbps in (SWEEP_MBPS[0], SWEEP_MBPS[-1]))
    return [
        Part("JALAD apart from the faster of both", [100 * max(apart)], 0.0, 100 * TIE, "%"),
        Part("All-Cloud over All-Edge, 1.5 Mbit/s", slow, 1.0 + TIE, inf, "times"),
        Part("All-Cloud over All-Edge, 5 Mbit/s", fast, -inf, FASTER, "times"),
    ]


LAYERWISE = (
    Exhibit(
        "fig9", "Fig. 9", "Iteration time of AlexNet by edge-cloud rate: HierTrain, JointDNN, JointDNN+ and JALAD",
        (
            Claim(
                "alexnet-over-joint", "HierTrain takes less time than JointDNN and JointDNN+ at all rates.",
                "less at all eight rates", judged("alexnet", lambda f: [
                    faster(f, "hiertrain", "jointdnn", name="JointDNN"),
                    faster(f, "hiertrain", "jointdnn+", name="JointDNN+"),
                ]),
            ),
            Claim(
                "joint-plus", "JointDNN+ is better than JointDNN where the rate is as low as 1.5 or 2 Mbit/s.",
                "less time at 1.5 and 2, then the same", judged("alexnet", _joint_plus),
            ),
            Claim(
                "joint-to-cloud", "At larger rates JointDNN and JointDNN+ train everything in the cloud.",
                "all layers, from 3 Mbit/s on", judged("alexnet", _to_cloud),
                reason="the Pi computes the front layers about as fast as their samples are sent, and keeps them",
            ),
            Claim(
                "jalad-low", "JALAD is faster than HierTrain from 1.5 to 2 Mbit/s.", "less time at 1.5 and 2",
                judged("alexnet", _jalad_at_low),
                reason="4.5 over All-Cloud leaves HierTrain less time than JALAD's upload to the edge takes",
            ),
            Claim(
                "jalad-high", "At larger rates HierTrain is faster than JALAD.", "less time from 2.5 Mbit/s on",
                judged("alexnet", lambda f: [faster(f, "hiertrain", "jalad", HIGHER_MBPS, "over JALAD")]),
            ),
        ),
        draw=pictures.layerwise("alexnet"),
    ),
    Exhibit(
        "fig10", "Fig. 10", "Iteration time of LeNet-5 by edge-cloud rate: HierTrain, JointDNN+ and JALAD",
        (
            Claim(
                "lenet5-over-joint", "HierTrain takes less time than JointDNN+ at all rates.",
                "less at all eight rates", judged("lenet5", lambda f: [
                    faster(f, "hiertrain", "jointdnn+", LOW_MBPS, "1.5 and 2 Mbit/s"),
                    faster(f, "hiertrain", "jointdnn+", HIGHER_MBPS, "from 2.5 Mbit/s on"),
                ]),
                reason="at the lowest rates both are the Pi's front layers and the edge's other ones",
            ),
            Claim(
                "jalad-joint", "JALAD and JointDNN+ take the same time.", "the curves overlap at all eight rates",
                judged("lenet5", _jalad_is_joint), reason="JointDNN+ may use the Pi, which saves the upload",
            ),
            Claim(
                "jalad-alone", "JALAD is All-Edge at low rates and All-Cloud at high ones.",
                "All-Edge, then All-Cloud", judged("lenet5", _jalad_alone),
            ),
        ),
        draw=pictures.layerwise("lenet5"),
    ),
)  # fmt: skip

SINGLE_WORKERS = (_single_worker(7, "alexnet"), _single_worker(8, "lenet5"))
