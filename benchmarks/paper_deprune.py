"""What Prune-Deprune's paper claims, beside what comes out of its own inputs and of devices'.

Bytes and seconds are those of VGG-11 in full width with 4 of 128 maps behind layer 5; accuracies those of recorded
trainings, three seeds on 4000 images, the same under either inputs. A difference of accuracies is as published where
all of its 95 % interval is; with one seed nothing would be resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from claims import Claim, Told, figure, order
from deprune import difference, epochs_to_reach, finals, runs_of
from fit_deprune import PUBLISHED_BYTES, PUBLISHED_TIME, bytes_gain, time_gain

from splitgym.envs.deprune.curves import Curves, get_curves
from splitgym.envs.deprune.scenarios import DEFAULT_SCENARIO, GROUPS, Scenario, get_scenario
from splitgym.envs.deprune.schedules import deprune
from splitgym.envs.deprune.system import System
from splitgym.envs.scenarios import Inputs

SEVERAL_SEEDS = f"{DEFAULT_SCENARIO}-4k"  # the recordings with three seeds of every schedule
LINKS = {"vgg11-cifar10-wifi8": "Wi-Fi", "vgg11-cifar10": "Ethernet"}
FIGURES = {"vgg11-cifar10-wifi8": (4, 5), "vgg11-cifar10": (6, 7)}  # of bytes and of time
PUBLISHED_EPOCHS = 6.0  # times fewer after the budget fell
BUDGET_EPOCHS, CIFAR_IMAGES = 3, 50_000  # deprune's last epochs, at all maps, and what they hold in the paper
SAME = 1.0  # point of accuracy; less apart is "similar" or "without loss"
CLOSE = 0.9  # of Σf in the kept maps: the others are close to zero


def curves_of(inputs: str) -> Curves:
    return get_curves(get_scenario(SEVERAL_SEEDS, inputs=inputs).curves, "claims")


def testbed_claims() -> Iterator[Claim]:
    """Figs. 4 to 7."""
    for name, link in LINKS.items():
        of_bytes, of_time = FIGURES[name]
        yield figure(
            "deprune", f"Fig. {of_bytes} fewer bytes, {link}", PUBLISHED_BYTES[name],
            lambda inputs, name=name: bytes_gain(name, inputs=inputs), fitted=True,
        )  # fmt: skip
        yield figure(
            "deprune", f"Fig. {of_time} less time, {link}", PUBLISHED_TIME[name],
            lambda inputs, name=name: time_gain(name, inputs=inputs), fitted=link == "Ethernet",
        )  # fmt: skip


def traffic_claims() -> Iterator[Claim]:
    """Figs. 8 and 9: maps and gradients, by epochs at few maps and at all."""
    for number, published, schedule in ((8, 4.2, deprune(15, 3)), (9, 4.18, deprune(25, 5))):

        def less(inputs: str, budgets: tuple[int, ...] = schedule.budgets) -> float:
            system = System(get_scenario(DEFAULT_SCENARIO, inputs=inputs, model="vgg11_32", curves=""))
            sent = sum(system.map_bytes[system.budgets.index(budget)] for budget in budgets)
            return float(system.full_bytes * len(budgets) / sent)

        name = f"Fig. {number} less traffic, {len(schedule.budgets)} epochs"
        yield figure("deprune", name, published, less)


def apart(inputs: Inputs, one: str, other: str) -> tuple[float, float, str]:
    """Difference of two schedules' final accuracies in points, half of its 95 % interval, and words for both."""
    mean, half, seeds = difference(*(finals(curves_of(inputs), schedule) for schedule in (one, other)))
    return mean, half, f"{mean:+.1f} +- {half:.1f}" if seeds > 1 else f"{mean:+.1f} (1 seed)"


def above(one: str, other: str) -> Callable[[Inputs], Told]:
    """A sign: the whole interval is above 0."""

    def claim(inputs: Inputs) -> Told:
        mean, half, words = apart(inputs, one, other)
        return mean - half > 0.0, words

    return claim


def alike(one: str, other: str) -> Callable[[Inputs], Told]:
    """No difference: the whole interval is within a point."""

    def claim(inputs: Inputs) -> Told:
        mean, half, words = apart(inputs, one, other)
        return abs(mean) + half < SAME, words

    return claim


def unresolved(one: str, other: str, otherwise: str = "") -> Callable[[], str]:
    """Why a difference is not as published: not resolved where its interval holds 0, else what is told."""

    def reason() -> str:
        mean, half, _ = apart("paper", one, other)
        return "not resolved" if abs(mean) <= half else otherwise

    return reason


def schedule_claims() -> Iterator[Claim]:
    """Figs. 8 and 14, and what compression costs in Fig. 12."""
    system = System(get_scenario(SEVERAL_SEEDS))
    few, phi = system.budgets[0], system.budgets[-1]
    steps, published_steps = (BUDGET_EPOCHS * s for s in (system.steps, CIFAR_IMAGES // system.scenario.batch))
    untrained = (
        f"{BUDGET_EPOCHS} epochs at all maps are {steps} steps here, {published_steps} of all images, "
        f"and {phi - few} of {phi} maps begin untrained"
    )
    for name, published, claim, one, other, otherwise in (
        ("Fig. 8 deprune - no compression, points", "0", alike, "deprune", "no-compression", untrained),
        ("Fig. 8 deprune - high compression, points", "+4", above, "deprune", "high-compression", untrained),
        ("Fig. 8 no compression - high, points", "+4", above, "no-compression", "high-compression", ""),
        ("Fig. 12 no compression - 32 maps, points", "> 0", above, "no-compression", "scratch-32", ""),
        ("Fig. 12 32 maps - 4 maps, points", "> 0", above, "scratch-32", "scratch-4", ""),
        ("Fig. 14 module - without, points", "0", alike, "no-compression", "without-module", ""),
    ):
        yield order("deprune", name, published, claim(one, other), unresolved(one, other, otherwise))


def epochs(inputs: Inputs, scratch: str) -> list[tuple[float, float]]:
    """Epochs until 98 % of what training from scratch reaches, from scratch and pruned, by seed."""
    curves = curves_of(inputs)
    prunes, scratches = runs_of(curves, "prune"), runs_of(curves, scratch)
    return [epochs_to_reach(scratches[seed], prunes[seed]) for seed in scratches if seed in prunes]


def pruning_claims() -> Iterator[Claim]:
    """Fig. 12, bottom."""
    for maps in (32, 4):

        def fewer(inputs: Inputs, maps: int = maps) -> float:
            return float(np.mean([scratch / pruned for scratch, pruned in epochs(inputs, f"scratch-{maps}")]))

        def reason(maps: int = maps) -> str:
            scratch, pruned = np.mean(epochs("paper", f"scratch-{maps}"), axis=0)
            return f"{pruned:.1f} epochs instead of {scratch:.1f}; in the paper 5 instead of 30"

        yield figure("deprune", f"Fig. 12 to {maps} maps, fewer epochs", PUBLISHED_EPOCHS, fewer, reason)


def filter_claims() -> Iterator[Claim]:
    """Sec. 3.1: f is close to zero or not; the share of Σf in the kept maps after high compression."""

    def share(inputs: Inputs) -> Told:
        scenario = get_scenario(DEFAULT_SCENARIO, inputs=inputs)  # recordings with its filter and rate have the share
        name = next(n for n in GROUPS["filters"] if alike_in(get_scenario(n), scenario, ("mask", "decay", "gamma")))
        runs = runs_of(get_curves(name, "claims"), "high-compression").values()
        kept = float(np.mean([run["kept_share"][-1] for run in runs]))
        return kept > CLOSE, f"{100 * kept:.0f} % kept"

    yield order(
        "deprune", "Sec. 3.1 f close to zero where not kept", "~ 100 % kept", share,
        "pruneLoss pulls alike on all maps, and none ever overtook a kept one",
    )  # fmt: skip


def alike_in(one: Scenario, other: Scenario, names: Sequence[str]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def claims() -> Iterator[Claim]:
    for part in (testbed_claims, traffic_claims, schedule_claims, pruning_claims, filter_claims):
        yield from part()
