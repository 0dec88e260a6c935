"""What L2S's paper claims, beside what comes out of its own inputs and of devices'.

No number was fitted to any of it; which of two AlexNets the paper means was chosen with Fig. 1 in view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from claims import Claim, Reason, Told, order
from l2s import MODELS, adapted_after, play_lanes

from splitgym.envs.l2s.scenarios import get_scenario
from splitgym.envs.l2s.system import System
from splitgym.envs.scenarios import Inputs

SWEEP_MBPS = (5.0, 20.0, 60.0, 100.0, 200.0)
PRIVACY_POINTS = (0, 2, 4, 6, 8, 10, 12, 14)


def system_of(name: str, inputs: Inputs, **fields: object) -> System:
    return System(get_scenario(name, inputs=inputs, **fields))


def delays_s(system: System, mbps: float) -> np.ndarray:
    """(K,) expected delays of all points."""
    return system.delay_s(np.array([mbps]), np.ones(1))[:, 0]


def saved(system: System, mbps: float) -> float:
    """Share of PDT's delay that the best point saves."""
    return 1.0 - float(delays_s(system, mbps).min()) / system.pdt_s


def percent(values: list[float]) -> str:
    return "/".join(f"{100 * value:.0f}" for value in values) + " %"


def best_cut_of_fig_1(inputs: Inputs) -> Told:
    system = system_of("alexnet-gpu-100", inputs, privacy_point=0)
    best = system.names[int(delays_s(system, 100.0).argmin())]
    return best == "pool5", best


def mean_saved(name: str) -> Callable[[Inputs], Told]:
    def claim(inputs: Inputs) -> Told:
        each = [
            float(play_lanes(f"{model}-{name}", "l2s", 3, {"rounds": 5000, "inputs": inputs}).metrics["saved"].mean())
            for model in MODELS
        ]
        return float(np.mean(each)) > 1 / 3, percent(each)

    return claim


def near_the_device_when_slow(inputs: Inputs) -> Told:
    each = [saved(system_of(f"{model}-gpu-5", inputs), 5.0) for model in MODELS]
    return max(each) < 0.05, percent(each)


def below_both_in_between(inputs: Inputs) -> Told:
    """The best point is another one than P^c and P at some rate of the sweep."""
    inside = 0
    for model in MODELS:
        system = system_of(f"{model}-gpu-100", inputs)
        bests = [int(delays_s(system, mbps).argmin()) for mbps in SWEEP_MBPS]
        inside += any(0 < best < system.n_points - 1 for best in bests)
    return inside == len(MODELS), f"{inside} of {len(MODELS)}"


def below_fixed_when_fast(inputs: Inputs) -> Told:
    each = []
    for model in MODELS:
        delays = delays_s(system_of(f"{model}-gpu-100", inputs), 100.0)
        each.append(1.0 - float(delays.min() / delays[0]))
    return min(each) > 0.0, percent(each)


def gains_more_from_a_faster_edge(inputs: Inputs) -> Told:
    gaps = []
    for model in MODELS:
        best = {
            edge: max(saved(system_of(f"{model}-{edge}-{m:g}", inputs), m) for m in SWEEP_MBPS)
            for edge in ("gpu", "cpu")
        }
        gaps.append(best["gpu"] - best["cpu"])
    return min(gaps) > 0.0, percent(gaps)


def less_is_saved_with_more_privacy(mbps: int) -> Callable[[Inputs], Told]:
    def claim(inputs: Inputs) -> Told:
        each = [saved(system_of(f"resnet34-gpu-{mbps}-p{point}", inputs), float(mbps)) for point in PRIVACY_POINTS]
        falls = bool((np.diff(each) <= 1e-12).all()) and each[0] > each[-1]
        return falls, f"{100 * each[0]:.0f} to {100 * each[-1]:.0f} %"

    return claim


def far_below_ppt(inputs: Inputs) -> Told:
    """The fastest link on which the best point takes 94 % less than a cut behind the first layer."""
    system = system_of("vgg16-gpu-20", inputs, privacy_point=1)
    rates = np.geomspace(1.0, 1000.0, 3001)
    delays = system.delay_s(rates, np.ones_like(rates))
    feasible = delays[3:].min(axis=0)  # from P^c = 4 on
    enough = rates[feasible < 0.06 * delays[0]]
    most = float(enough.max()) if len(enough) else 0.0
    return most >= SWEEP_MBPS[0], f"to {most:.0f} Mbps"


def escaping_pays(inputs: Inputs) -> Told:
    ratios = []
    for model in MODELS:
        pair = [
            play_lanes(f"{model}-gpu-100", agent, 50, {"inputs": inputs}).metrics["total_s"].mean()
            for agent in ("linucb-e", "linucb")
        ]
        ratios.append(float(pair[0] / pair[1]))
    return max(ratios) < 1.0, "/".join(f"{ratio:.3f}" for ratio in ratios)


def waiting_saves_synchronisation(inputs: Inputs) -> Told:
    fields = {"inputs": inputs, "rounds": 5000}
    every, period = (
        play_lanes("resnet34-gpu-100", agent, 5, fields).metrics["sync_s"].mean() for agent in ("l2s-fws", "l2s")
    )
    return bool(period < 0.3 * every), percent([float(1 - period / every)])


def full_synchronisation_is_slower(inputs: Inputs) -> Told:
    slower = []
    for model in MODELS:
        fields = {"inputs": inputs, "rounds": 2000}
        fws, usual = (
            play_lanes(f"{model}-gpu-100", agent, 3, fields).metrics["total_s"].mean() for agent in ("l2s-fws", "l2s")
        )
        slower.append(float(fws / usual - 1.0))
    return min(slower) > 0.0, percent(slower)


def predicts_after_40_rounds(inputs: Inputs) -> Told:
    each = []
    for model in MODELS:
        for mbps in (60, 100):
            run = play_lanes(f"{model}-gpu-{mbps}", "linucb-e", 10, {"inputs": inputs})
            each.append(float(np.nanmean(run.error[40:100])))
    return max(each) < 0.1, f"{100 * max(each):.1f} % at most"


def converges_in_50_rounds(inputs: Inputs) -> Told:
    each = []
    for model in MODELS:
        run = play_lanes(f"{model}-gpu-60", "linucb-e", 10, {"inputs": inputs})
        window = slice(50, 100)
        free = run.free[window]
        mean_s = (run.trace["delay_s"][window] * free).sum(axis=0) / free.sum(axis=0)
        each.append(float((mean_s / run.trace["oracle_delay_s"][window].mean(axis=0)).mean()))
    return max(each) < 1.05, f"{max(each):.3f} x oracle"


def adapts(at: int) -> Callable[[Inputs], Told]:
    def claim(inputs: Inputs) -> Told:
        rounds = adapted_after(play_lanes("resnet34-switch", "l2s", 10, {"inputs": inputs}), at)
        within = int((rounds <= 100).sum())
        return within >= 9, f"{within} of 10"

    return claim


def alike_at_60() -> str:
    system = system_of("resnet34-gpu-60", "paper")
    best, second = np.sort(delays_s(system, 60.0))[:2]
    return f"two cuts are {100 * (second / best - 1):.1f} % apart at 60 Mbps"


CLAIMS: tuple[tuple[str, str, Callable[[Inputs], Told], Reason], ...] = (
    ("Fig. 10 error of predictions, rounds 41-100", "small", predicts_after_40_rounds, ""),
    ("Fig. 11 rounds 51-100 at 60 Mbps", "converged", converges_in_50_rounds, ""),
    ("Fig. 12 at 5 Mbps L2S is close to PDT", "close", near_the_device_when_slow, ""),
    ("Fig. 12 a cut in between is best, networks", "all", below_both_in_between, ""),
    ("Fig. 12 at 100 Mbps below FPT by", "> 0", below_fixed_when_fast, "ResNet-34's best cut is P^c itself"),
    ("Fig. 12(d) GPU saves more than CPU by", "> 0", gains_more_from_a_faster_edge, ""),
    ("Fig. 13(b) saved at 100 Mbps, mean", "> 1/3", mean_saved("gpu-100"), ""),
    ("Fig. 13(b) saved at 60 Mbps, mean", "> 1/3", mean_saved("gpu-60"), "messages take what the edge saves"),
    ("Fig. 13(b) L2S-FWS slower by", "> 0", full_synchronisation_is_slower, ""),
    ("Fig. 14 saved by P^c, 100 Mbps", "falls", less_is_saved_with_more_privacy(100), ""),
    ("Fig. 14 saved by P^c, 200 Mbps", "falls", less_is_saved_with_more_privacy(200), ""),
    ("Fig. 15 94 % below PPT on a poor link", "yes", far_below_ppt, ""),
    ("Fig. 16 LinUCB-E over LinUCB", "< 1", escaping_pays, "where a cut is best, LinUCB is not trapped"),
    (
        "Fig. 8 period 100 saves synchronisation",
        "> 70 %",
        waiting_saves_synchronisation,
        "it synchronises before it adapts too",
    ),
    ("Fig. 17 seeds adapted to the drop in 100", "all", adapts(2000), ""),
    ("Fig. 17 seeds adapted to the recovery in 100", "all", adapts(4000), alike_at_60),
)


def claims() -> Iterator[Claim]:
    """Every claim of the paper that a delay or a decision can show."""
    yield order("l2s", "Fig. 1 best cut of AlexNet, 100 Mbps", "pool3 (our pool5)", best_cut_of_fig_1, fitted=True)
    for name, published, ours, reason in CLAIMS:
        yield order("l2s", name, published, ours, reason)
