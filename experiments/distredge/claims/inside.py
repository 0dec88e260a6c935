"""What Figs. 13 and 14 and passages of the text say of devices, networks and planning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...claims.statement import Asking, Claim, Inquiry, Job, Part, Setting
from . import runs
from .published import AOFL_UPDATE_S, DEVICES, EQUAL, FINETUNE_BAND, LAYERWISE, MEMORY_GB, SETTINGS
from .speedups import TIE, TIMES, percent, plans_jobs
from .trained import LEFT_OUT, by_setting, osds_jobs

BUSIEST = "DB-50"  # of Fig. 14
BENT = 5.0  # %, a latency that is as far from a line is not linear
FINETUNE_EPISODES = 1000  # our choice; the paper names none
TIMED_EPISODES = (150, 40)  # whole, quick
Busy = Mapping[str, float]


def busiest(setting: Setting) -> list[Job]:
    return plans_jobs([BUSIEST], setting)


def largest(found: Mapping[str, Any], kind: str) -> dict[str, float]:
    """The largest time of a device by agent: ``transmit_s`` or ``compute_s``."""
    return {who: max(seconds) for who, seconds in found[kind].items()}


def busier(who: Sequence[str], kind: str) -> Inquiry[list[Part]]:
    """How much more the largest time of some baselines is than the largest of all others'."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield busiest(setting)
        seconds = largest(found, kind)
        most = max(s for other, s in seconds.items() if other not in who)
        return [Part(one, [percent(seconds[one] / most)], TIE, math.inf, "% more than the others") for one in who]

    return measure


def computes_longer(setting: Setting) -> Asking[list[Part]]:
    """How much longer than by the best plan known a device computes by AOFL's."""
    (found,) = yield busiest(setting)
    seconds = largest(found, "compute_s")
    return [Part("", [percent(seconds["aofl"] / seconds["best"])], TIE, math.inf, "% more")]


def least_sum(setting: Setting) -> Asking[list[Part]]:
    """Largest transmission and compute together, beyond the least of the baselines'."""
    (found,) = yield busiest(setting)
    sent, computed = largest(found, "transmit_s"), largest(found, "compute_s")
    sums = {who: sent[who] + computed[who] for who in sent}
    least = min(s for who, s in sums.items() if who != "best")
    return [Part("", [percent(sums["best"] / least)], -math.inf, TIE, "% more than the least baseline")]


def least_sum_osds(setting: Setting) -> Asking[list[Part]]:
    """The same of OSDS's plans, by seed."""
    trainings = osds_jobs([BUSIEST], setting)
    found, *answers = yield [*busiest(setting), *trainings[BUSIEST]]
    sent, computed = largest(found, "transmit_s"), largest(found, "compute_s")
    least = min(sent[who] + computed[who] for who in sent if who != "best")
    results = by_setting(trainings, answers)[BUSIEST]
    sums = [sum(runs.replayed(BUSIEST, setting.inputs, result["plan"])) for result in results]
    samples = [percent(both / least) for both in sums]
    return [Part("", samples, -math.inf, TIE, "% more than the least baseline")]


def bends(result: Callable[[Mapping[str, Any]], Mapping[str, list[float]]], job: Callable[..., Any]) -> Inquiry[Any]:
    """Per device, how far the latency of the most bent layer and of the median one is from a line."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield [Job(job, {} if job is runs.measured else {"inputs": setting.inputs})]
        return [
            Part(
                f"{DEVICES.get(device, device)}, {which}",
                [100 * float(pick(values))],
                BENT,
                math.inf,
                "% of the layer's",
            )
            for device, values in result(found).items()
            for which, pick in (("most bent layer", max), ("median layer", np.median))
        ]

    return measure


def unbalanced(setting: Setting) -> Asking[list[Part]]:
    """How much longer than possible the slowest part takes under shares by capability, mean of VGG-16's layers."""
    (found,) = yield [Job(runs.devices, {"inputs": setting.inputs})]
    return [
        Part(group, [percent(sum(ratios) / len(ratios))], TIE, math.inf, "% longer")
        for group, ratios in found["unbalance"].items()
    ]


def pi_rows(setting: Setting) -> Asking[list[Part]]:
    """Rows that the Pi of DC computes in the best plan known."""
    found = yield plans_jobs(SETTINGS["DC"], setting)
    return [Part(n, [f["rows"][-1]], 0.0, 0.0, "rows") for n, f in zip(SETTINGS["DC"], found, strict=True)]


def memory(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [Job(runs.networks)]
    return [Part(n, [f["memory_bytes"] / 1e9], -math.inf, MEMORY_GB, "GB") for n, f in found.items()]


def depth(setting: Setting) -> Asking[list[Part]]:
    """Layers of the paper's networks."""
    (found,) = yield [Job(runs.networks)]
    return [Part(n, [f["layers"]], 11.0, math.inf, "layers") for n, f in found.items()]


def output_rows(setting: Setting) -> Asking[list[Part]]:
    """The least and the most output rows of all networks."""
    (found,) = yield [Job(runs.networks)]
    return [
        Part("least", [min(f["least_rows"] for f in found.values())], -math.inf, 9.0, "rows"),
        Part("most", [max(f["most_rows"] for f in found.values())], 201.0, math.inf, "rows"),
    ]


def timing(setting: Setting) -> list[Job]:
    episodes = TIMED_EPISODES[setting.quick]
    return [Job(runs.planning_times, {"inputs": setting.inputs, "episodes": episodes}, 0.1 * episodes, exclusive=True)]


def update_s(found: Mapping[str, float]) -> float:
    """LC-PSS and fine-tuning."""
    return found["lc_pss_s"] + FINETUNE_EPISODES * found["episode_s"]


def finetuning(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield timing(setting)
    return [Part("", [update_s(found)], *FINETUNE_BAND, "s")]


def faster(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield timing(setting)
    return [Part("", [update_s(found) / found["aofl_s"]], -math.inf, 1.0 - TIE / 100, f"{TIMES} AOFL's")]


LINEAR = "a large layer's latency is near a line on slow devices; fixed costs and stairs bend that of small ones"
CHALLENGES = (
    Claim("layers", "Most networks for computer vision have more than ten layers.", "more than 10", depth, "arithmetic",
          alike=True),
    Claim("rows", "Layers' output heights range from less than 10 to over 200.", "less than 10, over 200", output_rows,
          "arithmetic", alike=True),
)  # fmt: skip
FIG_13 = (
    Claim("fig13-modelled", "The relation of computing latency and a layer's output size is highly nonlinear.",
          f"nonlinear: here a layer {BENT:g} % and more from a line", bends(lambda f: f["bend"], runs.devices),
          alike=True),
    Claim("fig13-measured", "The same, of a measured table; the modelled ones have their stairs by assumption.",
          f"nonlinear: here a layer {BENT:g} % and more from a line",
          bends(lambda f: {"a CPU under PyTorch": f["bend"]}, runs.measured), "executed", reason=LINEAR, alike=True),
    Claim("fig13-balance", "Splitting with a linear ratio cannot balance the computing latency.",
          "a slower slowest part than balanced shares", unbalanced, alike=True),
)  # fmt: skip
FIG_14 = (
    Claim("fig14-layerwise", "CoEdge, MoDNN and MeDNN, which split layer by layer, transmit longest.",
          "larger than all others'", busier(LAYERWISE, "transmit_s")),
    Claim("fig14-equal", "DeepThings and DeeperThings, which split equally, compute longest.",
          "larger than all others'", busier(EQUAL, "compute_s")),
    Claim("fig14-aofl", "AOFL's linear ratio causes computing delays that DistrEdge does not have.",
          "larger than DistrEdge's", computes_longer,
          reason="AOFL leaves the Nanos next to nothing, and its Xaviers compute faster than the best plan's Nanos "
          "do; what delays it is transmission"),
    Claim("fig14-least", "DistrEdge has the least of both together.", "less than all others'", least_sum),
    Claim("fig14-osds", f"The same of the paper's agent as trained here. {LEFT_OUT}", "less than all others'",
          least_sum_osds, "trained", alike=True,
          reason="OSDS sends more rows than the best plan known on LC-PSS's six volumes"),
)  # fmt: skip
DISCUSSION = (
    Claim("pi", "The Pi 3 of group DC is not allocated any computation.", "0 rows", pi_rows),
    Claim("memory", "Networks need less than 1.5 GB of memory.", "less than 1.5 GB", memory, "arithmetic", alike=True),
    Claim("finetuning", f"An update of the strategy takes 20 to 210 s ({FINETUNE_EPISODES} episodes, our choice).",
          "20 to 210 s", finetuning, "executed", alike=True),
    Claim("update", f"DistrEdge updates its strategy faster than AOFL, whose search takes {AOFL_UPDATE_S / 60:g} min.",
          "faster", faster, "executed", alike=True,
          reason="AOFL's best partition is found here by dynamic programming, which equals trying all, in less than a "
          "second"),
)  # fmt: skip
