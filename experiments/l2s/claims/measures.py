"""The quantities that the claims of L2S's paper are judged by, from the jobs of :mod:`.runs`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....envs.l2s.scenarios import PAPER_MODELS, PRIVACY_POINT, SWEEP_MBPS
from ...claims.statement import Asking, Inquiry, Job, Part, Setting, below
from .recorded import IMAGES, PPT_NETWORK, divergences
from .runs import Found, decision, early, points, switch, totals, trapped

RATES = {"gpu-100": "100 Mbit/s", "gpu-60": "60 Mbit/s"}  # the paper's fast and slow link
ROUNDS, QUICK_ROUNDS = 50_000, 2000  # of a training (Sec. V-B.3)
ROUND_S = 4e-4  # of a round of all lanes
PERIODS = (10, 100, 1000)  # of synchronisation, beside at every change
PRIVACY_POINTS = (0, 2, 4, 6, 8, 10, 12, 14)
PRIVACY_MBPS = (100, 200)
POOR_MBPS = (5, 10, 15, 20, 40)  # of Fig. 15, which names no rate
HORIZONS = (500, 1000, 2000, 5000, 10_000, 20_000)
REGRET_SCENARIOS = ("resnet34-gpu-60", "resnet34-gpu-100")
TITLES = {"alexnet": "AlexNet", "vgg16": "VGG-16", "resnet34": "ResNet-34"}
NONE = -math.inf


def total(scenario: str, agent: str, setting: Setting, seeds: int, rounds: int, **fields: Any) -> Job:
    """A job of whole trainings."""
    arguments = {
        "scenario": scenario, "agent": agent, "lanes": seeds, "inputs": setting.inputs,
        "fields": {"rounds": rounds, **fields},
    }  # fmt: skip
    return Job(totals, arguments, 0.2 + rounds * ROUND_S)


def seeds_of(setting: Setting, whole: int = 10, quick: int = 5) -> int:
    """How many; lanes cost little, so that quick runs have several, too."""
    return len(setting.seeds(whole, quick))


def rounds_of(setting: Setting, whole: int = ROUNDS, quick: int = QUICK_ROUNDS) -> int:
    return quick if setting.quick else whole


def over(found: Found, name: str, other: Found) -> np.ndarray:
    """(seeds,) ratios of a figure, seed by seed."""
    return np.array(found[name]) / np.array(other[name])


# Fig. 1: delay by partition point.


def alexnet_points(setting: Setting) -> Asking[Found]:
    arguments = {"scenario": "alexnet-gpu-100", "inputs": setting.inputs, "mbps": [100.0], "privacy_point": 0}
    (found,) = yield [Job(points, arguments, 0.5)]
    return found


def third_pool(setting: Setting) -> Asking[list[Part]]:
    found = yield from alexnet_points(setting)
    delays = dict(zip(found["names"], found["delays_s"]["100"], strict=True))
    pool = delays.pop("pool5")  # the layers' numbers are those of the convolutions here
    return [
        Part("delay behind the third pool over that of the best other point", [pool / min(delays.values())], NONE, 1.0)
    ]


# Figs. 8 and 13(b): total time and synchronisation.


def whole(setting: Setting, agents: Sequence[str], links: Sequence[str]) -> Asking[dict[tuple[str, str, str], Found]]:
    """(network, link, agent) -> whole trainings."""
    keys = [(model, link, agent) for model in PAPER_MODELS for link in links for agent in agents]
    rounds, seeds = rounds_of(setting), seeds_of(setting)
    found = yield [total(f"{model}-{link}", agent, setting, seeds, rounds) for model, link, agent in keys]
    return dict(zip(keys, found, strict=True))


def saves_a_third(link: str) -> Inquiry[list[Part]]:
    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from whole(setting, ("l2s",), (link,))
        saved = {model: 100.0 * np.array(found[model, link, "l2s"]["saved"]) for model in PAPER_MODELS}
        mean = np.mean(list(saved.values()), axis=0)
        return [Part(f"time saved against PDT at {RATES[link]}, mean of the networks", mean, 100.0 / 3, math.inf, "%")]

    return measure


def full_synchronisation_is_slower(setting: Setting) -> Asking[list[Part]]:
    found = yield from whole(setting, ("l2s", "l2s-fws"), tuple(RATES))
    return [
        below(f"time of L2S over that of L2S-FWS, {TITLES[model]}, {RATES[link]}",
              over(found[model, link, "l2s"], "total_s", found[model, link, "l2s-fws"]), "x")
        for model in PAPER_MODELS
        for link in RATES
    ]  # fmt: skip


def by_period(setting: Setting) -> Asking[dict[str, Found]]:
    """Period -> whole trainings of ResNet-34 at 100 Mbit/s; "change" is at every change of the point."""
    rounds, seeds = rounds_of(setting), seeds_of(setting)
    jobs = [total("resnet34-gpu-100", "l2s-fws", setting, seeds, rounds)]
    for period in PERIODS:
        fields = {} if period == 100 else {"sync_period": period}
        jobs.append(total("resnet34-gpu-100", "l2s", setting, seeds, rounds, **fields))
    found = yield jobs
    return dict(zip(("change", *map(str, PERIODS)), found, strict=True))


def longer_periods_take_less(setting: Setting) -> Asking[list[Part]]:
    found = yield from by_period(setting)
    names = {"change": "every change", **{str(period): f"{period} rounds" for period in PERIODS}}
    pairs = list(zip(names, list(names)[1:], strict=False))
    return [
        below(f"time with syncs every {names[longer]} over {names[shorter].removeprefix('every ')}",
              over(found[longer], "total_s", found[shorter]), "x")
        for shorter, longer in pairs
    ]  # fmt: skip


def hundred_saves_synchronisation(setting: Setting) -> Asking[list[Part]]:
    found = yield from by_period(setting)
    saved = 100.0 * (1.0 - over(found["100"], "sync_s", found["change"]))
    return [Part("time of synchronisation saved by a period of 100 rounds", saved, 70.0, math.inf, "%")]


# Figs. 10, 11 and 16: learning.


def first_rounds(setting: Setting, links: Sequence[str] = tuple(RATES)) -> Asking[dict[tuple[str, str], Found]]:
    keys = [(model, link) for link in links for model in PAPER_MODELS]
    seeds = seeds_of(setting, 20, 5)
    found = yield [
        Job(early, {"scenario": f"{model}-{link}", "lanes": seeds, "inputs": setting.inputs}, 0.5)
        for model, link in keys
    ]
    return dict(zip(keys, found, strict=True))


def predicts_after_40_rounds(setting: Setting) -> Asking[list[Part]]:
    found = yield from first_rounds(setting)
    return [
        Part(f"{TITLES[model]}, {RATES[link]}", 100.0 * np.array(one["error"]), 0.0, 10.0, "%")
        for (model, link), one in found.items()
    ]


def converges_in_50_rounds(setting: Setting) -> Asking[list[Part]]:
    found = yield from first_rounds(setting, ("gpu-60",))
    return [Part(TITLES[model], one["over_optimum"], 0.95, 1.05, "x") for (model, _), one in found.items()]


def forced_and_not(setting: Setting) -> Asking[dict[tuple[str, str], Found]]:
    keys = [(model, agent) for model in PAPER_MODELS for agent in ("linucb-e", "linucb")]
    seeds = seeds_of(setting, 50, 10)
    found = yield [total(f"{model}-gpu-100", agent, setting, seeds, 500) for model, agent in keys]
    return dict(zip(keys, found, strict=True))


def escaping_pays(setting: Setting) -> Asking[list[Part]]:
    found = yield from forced_and_not(setting)
    return [
        below(TITLES[model], over(found[model, "linucb-e"], "total_s", found[model, "linucb"]), "x")
        for model in PAPER_MODELS
    ]


def settled(setting: Setting) -> Asking[dict[str, Found]]:
    agents = ("linucb", "linucb-e")
    seeds = seeds_of(setting, 20, 5)
    found = yield [Job(trapped, {"agent": a, "lanes": seeds, "inputs": setting.inputs}, 0.7) for a in agents]
    return dict(zip(agents, found, strict=True))


def linucb_is_trapped(setting: Setting) -> Asking[list[Part]]:
    found = yield from settled(setting)
    stays = {agent: 100.0 * np.array(one["on_device"]) for agent, one in found.items()}
    return [
        Part("LinUCB's last unforced rounds on the device alone", stays["linucb"], 99.5, math.inf, "%"),
        Part("LinUCB-E's last unforced rounds on the device alone", stays["linucb-e"], 0.0, 50.0, "%"),
    ]


def regrets(setting: Setting) -> Asking[dict[str, dict[int, list[float]]]]:
    """Scenario -> horizon -> regret of every seed in seconds."""
    horizons = HORIZONS[:4] if setting.quick else HORIZONS
    keys = [(scenario, rounds) for scenario in REGRET_SCENARIOS for rounds in horizons]
    seeds = seeds_of(setting, 8, 4)
    found = yield [total(scenario, "linucb-e", setting, seeds, rounds) for scenario, rounds in keys]
    by_scenario: dict[str, dict[int, list[float]]] = {}
    for (scenario, rounds), one in zip(keys, found, strict=True):
        by_scenario.setdefault(scenario, {})[rounds] = one["regret_s"]
    return by_scenario


def bound_exponent(horizons: Sequence[int]) -> float:
    """How fast Theorem 1's bound grows between horizons, as the exponent of a power of T; mu = 0.25."""
    bound = [rounds**0.75 * math.log(rounds) for rounds in horizons]
    return float(np.polyfit(np.log(horizons), np.log(bound), 1)[0])


def regret_is_within_its_bound(setting: Setting) -> Asking[list[Part]]:
    found = yield from regrets(setting)
    parts = []
    for scenario, by_rounds in found.items():
        slopes = np.polyfit(np.log(list(by_rounds)), np.log(list(by_rounds.values())), 1)[0]
        name = f"exponent of regret over rounds, ResNet-34, {scenario.rpartition('-')[2]} Mbit/s"
        parts.append(Part(name, slopes, NONE, bound_exponent(list(by_rounds))))
    return parts


def deciding_is_light(setting: Setting) -> Asking[list[Part]]:
    arguments = {"agent": "l2s", "rounds": 500, "inputs": setting.inputs}
    (found,) = yield [Job(decision, arguments, 1.0, exclusive=True)]
    share = 100.0 * found["decision_s"] / found["round_s"]
    return [
        Part("a decision and its update, of a round on the device alone", [share], 0.0, 0.1, "%"),
        Part("numbers that are kept", [found["state_bytes"] / 1e3], 0.0, 1.0, "kB"),
    ]


# Fig. 12: delay by rate.

Sweep = Mapping[tuple[str, str, int], Found]


def sweep(setting: Setting) -> Asking[tuple[Sweep, dict[tuple[str, str, int], float]]]:
    """(network, edge, rate) -> L2S's trainings, and the delay of a cut that stays at P^c."""
    keys = [(model, edge, mbps) for model in PAPER_MODELS for edge in ("gpu", "cpu") for mbps in SWEEP_MBPS]
    rounds, seeds = rounds_of(setting, 2000, 1000), seeds_of(setting)
    jobs = [total(f"{model}-{edge}-{mbps}", "l2s", setting, seeds, rounds) for model, edge, mbps in keys]
    pairs = list(dict.fromkeys((model, edge) for model, edge, _ in keys))
    cut = {"inputs": setting.inputs, "mbps": list(map(float, SWEEP_MBPS)), "privacy_point": PRIVACY_POINT}
    fixed = [Job(points, {"scenario": f"{model}-{edge}-100", **cut}, 0.3) for model, edge in pairs]
    found = yield [*jobs, *fixed]
    at = dict(zip(pairs, found[len(jobs) :], strict=True))
    fpt = {(model, edge, mbps): at[model, edge]["delays_s"][str(mbps)][0] for model, edge, mbps in keys}
    return dict(zip(keys, found, strict=False)), fpt


def delay_over(found: Found, reference_s: float) -> np.ndarray:
    """(seeds,) mean delay of a round over a reference."""
    return np.array(found["delay_s"]) / reference_s


def close_to_pdt_when_slow(setting: Setting) -> Asking[list[Part]]:
    found, _ = yield from sweep(setting)
    slow = {model: found[model, "gpu", SWEEP_MBPS[0]] for model in PAPER_MODELS}
    return [Part(TITLES[model], delay_over(one, one["pdt_s"]), 0.95, 1.05, "x") for model, one in slow.items()]


def below_both_in_between(setting: Setting) -> Asking[list[Part]]:
    found, fpt = yield from sweep(setting)
    parts = []
    for model in PAPER_MODELS:
        keys = [(model, "gpu", mbps) for mbps in SWEEP_MBPS]
        each = [delay_over(found[key], min(fpt[key], found[key]["pdt_s"])) for key in keys]
        best = int(np.argmin([ratios.mean() for ratios in each]))
        parts.append(below(f"{TITLES[model]}, at {SWEEP_MBPS[best]} Mbit/s", each[best], "x"))
    return parts


def below_fpt_when_fast(setting: Setting) -> Asking[list[Part]]:
    found, fpt = yield from sweep(setting)
    return [
        below(f"{TITLES[model]}, {mbps} Mbit/s", delay_over(found[model, "gpu", mbps], fpt[model, "gpu", mbps]), "x")
        for mbps in (100, 200)
        for model in PAPER_MODELS
    ]


def most_saved(found: Sweep, model: str, edge: str) -> np.ndarray:
    """(seeds,) % of PDT's delay that is saved at the best rate."""
    each = [1.0 - delay_over(found[model, edge, m], found[model, edge, m]["pdt_s"]) for m in SWEEP_MBPS]
    return 100.0 * np.max(each, axis=0)


def faster_edges_gain_more(setting: Setting) -> Asking[list[Part]]:
    found, _ = yield from sweep(setting)
    gaps = {model: most_saved(found, model, "gpu") - most_saved(found, model, "cpu") for model in PAPER_MODELS}
    return [Part(TITLES[model], gap, 0.5, math.inf, "points") for model, gap in gaps.items()]


# Figs. 14, 15 and 17.


def by_privacy(setting: Setting) -> Asking[dict[int, np.ndarray]]:
    """Rate -> (points, seeds) % of PDT's delay that L2S saves by P^c."""
    keys = [(mbps, point) for mbps in PRIVACY_MBPS for point in PRIVACY_POINTS]
    rounds, seeds = rounds_of(setting, 2000, 500), seeds_of(setting)
    found = yield [total(f"resnet34-gpu-{mbps}-p{point}", "l2s", setting, seeds, rounds) for mbps, point in keys]
    saved = dict(zip(keys, [100.0 * (1.0 - delay_over(one, one["pdt_s"])) for one in found], strict=True))
    return {mbps: np.array([saved[mbps, point] for point in PRIVACY_POINTS]) for mbps in PRIVACY_MBPS}


def saves_less_with_more_privacy(setting: Setting) -> Asking[list[Part]]:
    parts = []
    for mbps, saved in (yield from by_privacy(setting)).items():
        rise = np.diff(saved, axis=0).max(axis=0)
        parts += [
            Part(f"saved with P^c = 0 beyond P^c = 14, {mbps} Mbit/s", saved[0] - saved[-1], 0.5, math.inf, "points"),
            Part(f"largest rise from a P^c to the next, {mbps} Mbit/s", rise, NONE, 0.5, "points"),
        ]
    return parts


def against_ppt(setting: Setting) -> Asking[tuple[dict[int, np.ndarray], Found]]:
    """(rate -> (seeds,) % of PPT's total time that L2S saves, recorded divergences of the network in its place)."""
    rounds, seeds = rounds_of(setting, 2000, 500), seeds_of(setting)
    jobs = [total(f"vgg16-gpu-{mbps}", agent, setting, seeds, rounds) for mbps in POOR_MBPS for agent in ("l2s", "ppt")]
    found = yield [*jobs, Job(divergences, {"images": IMAGES}, 0.5)]
    pairs = zip(found[:-1:2], found[1:-1:2], strict=True)
    saved = {mbps: 100.0 * (1.0 - over(l2s, "total_s", ppt)) for mbps, (l2s, ppt) in zip(POOR_MBPS, pairs, strict=True)}
    return saved, found[-1]["networks"][PPT_NETWORK]


def far_below_ppt(setting: Setting) -> Asking[list[Part]]:
    saved, _ = yield from against_ppt(setting)
    return [Part(f"time saved against PPT at {POOR_MBPS[0]} Mbit/s", saved[POOR_MBPS[0]], 94.0, math.inf, "%")]


def switching(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(switch, {"lanes": seeds_of(setting, 20, 5), "inputs": setting.inputs}, 3.0)]
    return found


def follows(change: int) -> Callable[[Setting], Asking[list[Part]]]:
    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from switching(setting)
        return [
            Part("rounds until it has adapted", found["adapted_after"][change], 0.0, 100.0, "rounds"),
            Part("delay from 100 rounds later on over the optimum's", found["over_optimum"][change], 0.95, 1.05, "x"),
        ]

    return measure
