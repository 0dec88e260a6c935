"""What Prune-Deprune's paper claims of accuracies and epochs, judged by recorded trainings.

They are of 10 000 images of CIFAR-10 and fewer, three seeds each, and the same under either inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from ...claims.statement import Asking, Claim, Exhibit, Inquiry, Job, Part, Setting, near
from . import pictures, runs
from .jobs import FILTERS, LAYER_9, of_filter_recordings, of_filters, of_recordings
from .runs import by_seed, epochs_to_reach, phase, points

POINT = 1.0  # of accuracy; less apart is "similar" or "without loss"
GAIN_POINTS = 4.0  # over high compression, as published
FEWER_EPOCHS = 6.0  # times, after the budget fell, as published
CLOSE = 0.9  # of Σf in the kept maps: the others are close to zero
EPOCH_OF_70, SHARE_AT_70 = 5, 0.7  # what training from scratch has reached by then
UNTRAINED = (
    "3 epochs at all maps are 189 steps here, 2343 on all of CIFAR-10, and 62 of 64 maps begin untrained, since unsent "
    "maps get no gradient"
)
SCATTER = "three seeds scatter by more than the difference"

Found = Mapping[str, Any]
Runs = list[Mapping[str, Any]]


def recorded(parts: Callable[[Found], list[Part]], job: Callable[[], Job] = of_recordings) -> Inquiry[list[Part]]:
    """Parts that follow from trainings that ship."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield [job()]
        return parts(found)

    return measure


def apart(found: Found, one: str, other: str, **at: Any) -> list[float]:
    """Points between the final accuracies of two schedules, a seed each."""
    return points(by_seed(found["runs"], schedule=one, **at), by_seed(found["runs"], schedule=other, **at))


def alike(name: str, samples: list[float]) -> Part:
    """Points of accuracy that are no difference."""
    return Part(name, samples, -POINT, POINT, "points")


# Figs. 8 and 9: deprune.


def _less_traffic(low: int, full: int, published: float) -> Inquiry[list[Part]]:
    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield [Job(runs.traffic, {"low_epochs": low, "full_epochs": full})]
        return [near("", [found["times"]], published, "times")]

    return measure


DEPRUNE = (
    Exhibit(
        "fig8", "Fig. 8", "Accuracy by epoch on CIFAR-10: deprune, no compression and high compression",
        (
            Claim(
                "less-traffic", "15 epochs at 4 of 128 maps and 3 at all of them use the network 4.2 times less than "
                "no compression (4 times in the abstract).", "4.2 times", _less_traffic(15, 3, 4.2), "arithmetic",
                alike=True,
            ),
            Claim(
                "deprune-none", "Deprune ends as accurate as no compression.", "similar (0 points)",
                recorded(lambda f: [alike("", apart(f, "deprune", "no-compression"))]), "trained", alike=True,
                reason=UNTRAINED,
            ),
            Claim(
                "deprune-high", "Deprune ends 4 points above high compression (also in the abstract).", "4 points",
                recorded(lambda f: [near("", apart(f, "deprune", "high-compression"), GAIN_POINTS, "points")]),
                "trained", alike=True, reason=SCATTER,
            ),
            Claim(
                "none-high", "No compression ends above high compression.", "about 4 points, more than 0",
                recorded(lambda f: [Part("", apart(f, "no-compression", "high-compression"), 0.0, inf, "points")]),
                "trained", alike=True,
            ),
        ),
        pictures.progress,
    ),
    Exhibit(
        "fig9", "Fig. 9", "Accuracy by epoch on ImageNet-100: deprune, no compression and high compression",
        (
            Claim(
                "less-traffic-imagenet",
                "25 epochs at 4 of 128 maps and 5 at all of them use the network 4.18 times less.", "4.18 times",
                _less_traffic(25, 5, 4.18), "arithmetic", alike=True,
            ),
        ),
        pictures.traffic_by_epoch,
        untested="accuracies, since ImageNet-100 is not among the images that were trained on here",
    ),
)  # fmt: skip


# Figs. 10, 11 and 14: where the cut lies.


def _module(found: Found) -> list[Part]:
    return [alike("", apart(found, "no-compression", "without-module"))]


def _behind_layer_9() -> Job:
    return of_recordings(LAYER_9)


PLACES = (
    Exhibit(
        "fig10", "Fig. 10", "Deprune where maps are shrunk by 1 × 1, 2 × 2 and 3 × 3",
        untested="no trainings with maps that are shrunk were recorded",
    ),
    Exhibit(
        "fig11", "Fig. 11", "Deprune with the cut in front of layer 1 and behind layers 6 and 9",
        (
            Claim(
                "layer-9", "Deprune ends as accurate as no compression behind layer 9, too.", "similar (0 points)",
                recorded(lambda f: [alike("", apart(f, "deprune", "no-compression"))], _behind_layer_9), "trained",
                alike=True, reason="one seed; as behind layer 5, most maps begin untrained 3 epochs before the end",
            ),
        ),
        pictures.layer_9,
        untested="cuts in front of layer 1 and behind layer 6, where no trainings were recorded",
    ),
    Exhibit(
        "fig14", "Fig. 14", "Accuracy by epoch with the module in several places and without it",
        (
            Claim(
                "module", "The module does not change how accurate the network becomes.", "0 points",
                recorded(_module), "trained", alike=True, reason=SCATTER,
            ),
        ),
        pictures.module,
        untested="places in front of layer 1 and behind layer 7, where the module was not recorded",
    ),
)  # fmt: skip


# Figs. 12, 13, 15 and 16: prune.


def _epochs(maps: int) -> Callable[[Found], list[Part]]:
    def parts(found: Found) -> list[Part]:
        prunes, scratches = (by_seed(found["runs"], schedule=name) for name in ("prune", f"scratch-{maps}"))
        seeds = sorted(prunes.keys() & scratches)
        pairs = [epochs_to_reach(scratches[seed], prunes[seed]) for seed in seeds]
        return [near("", [scratch / pruned for scratch, pruned in pairs], FEWER_EPOCHS, "times")]

    return parts


def _pruned_ends(found: Found) -> list[Part]:
    parts = []
    for maps in (32, 4):
        prunes, scratches = (by_seed(found["runs"], schedule=name) for name in ("prune", f"scratch-{maps}"))
        off = [
            100.0 * (phase(prunes[seed], scratch["budgets"][-1])[-1] - scratch["accuracy"][-1])
            for seed, scratch in scratches.items()
            if seed in prunes
        ]
        parts.append(Part(f"{maps} of 128 maps", off, -POINT, inf, "points over training from scratch"))
    return parts


def _early(found: Found) -> list[Part]:
    scratches = by_seed(found["runs"], schedule="scratch-32").values()
    shares = [run["accuracy"][EPOCH_OF_70 - 1] / max(run["accuracy"]) for run in scratches]
    return [near("", [100 * share for share in shares], 100 * SHARE_AT_70, "% of the most")]


def _by_maps(found: Found) -> list[Part]:
    return [
        Part("all maps over 32 of 128", apart(found, "no-compression", "scratch-32"), 0.0, inf, "points"),
        Part("32 over 4 of 128", apart(found, "scratch-32", "scratch-4"), 0.0, inf, "points"),
    ]


PRUNE = (
    Exhibit(
        "fig12", "Fig. 12", "Accuracy by epoch on CIFAR-10: prune and training from scratch",
        (
            Claim(
                "epochs-32", "After the budget fell to 32 maps prune needs 6 times fewer epochs (as in the abstract).",
                "6 times (5 epochs, not 30)", recorded(_epochs(32)), "trained", alike=True,
                reason="18 epochs are all that was trained from scratch, so there are fewer to spare; seeds scatter",
            ),
            Claim(
                "epochs-4", "After the budget fell to 4 maps prune needs 6 times fewer epochs.", "6 times",
                recorded(_epochs(4)), "trained", alike=True,
                reason="18 epochs are all that was trained from scratch: 3 epochs take the place of 13 there",
            ),
            Claim(
                "prune-ends", "Prune ends as accurate as training from scratch at either budget.", "matched",
                recorded(_pruned_ends), "trained", alike=True, reason=SCATTER,
            ),
            Claim(
                "scratch-early", "After 5 epochs training from scratch is at 70 % of what it reaches.", "70 %",
                recorded(_early), "trained", alike=True, reason=SCATTER,
            ),
            Claim(
                "fewer-maps", "The fewer maps are sent, the less accurate is training from scratch.",
                "all above 32 above 4 of 128 maps", recorded(_by_maps), "trained", alike=True,
                reason="32 of 128 maps cost less than three seeds resolve",
            ),
        ),
        pictures.pruning,
    ),
    Exhibit(
        "fig13", "Fig. 13", "Accuracy by epoch on STL-10: prune and training from scratch (4 times fewer epochs)",
        untested="STL-10 is not among the images that were trained on here",
    ),
    *PLACES[2:],
    Exhibit(
        "fig15", "Fig. 15", "Prune where maps are shrunk by 3 × 3 (4 epochs instead of 34)",
        untested="no trainings with maps that are shrunk were recorded",
    ),
    Exhibit(
        "fig16", "Fig. 16", "Prune at 64 times compression and maps shrunk by 3 × 3",
        untested="no trainings with maps that are shrunk were recorded",
    ),
)  # fmt: skip


# Sec. 3: the filter, the raised rate, how much compression costs.

RATES = dict(zip(FILTERS, ("soft filter, constant", "soft filter, falling", "hard filter, constant",
                           "hard filter, falling"), strict=True))  # fmt: skip


def _kept(setting: Setting) -> Asking[list[Part]]:
    found = yield of_filter_recordings()
    parts = []
    for name, one in zip(FILTERS, found, strict=True):
        shares = [100 * run["kept_share"][-1] for run in by_seed(one["runs"], schedule="high-compression").values()]
        parts.append(Part(RATES[name], shares, 100 * CLOSE, 100.0, "% of the sum"))
    return parts


def _raised(setting: Setting) -> Asking[list[Part]]:
    found = yield of_filter_recordings()
    parts = []
    for name, one in zip(FILTERS, found, strict=True):
        raised, plain = (by_seed(one["runs"], schedule="deprune", gamma=gamma) for gamma in (None, 1.0))
        parts.append(Part(f"{RATES[name]} rate", points(raised, plain), 0.0, inf, "points"))
    return parts


def _more_compression(found: Found) -> list[Part]:
    names = ("all maps", "8 maps", "4 maps", "2 maps", "1 map")
    ends = [by_seed(found["runs"], schedule=name, mask="hard") for name in names]
    parts = []
    for more, fewer, one, other in zip(names, names[1:], ends, ends[1:], strict=False):
        parts.append(Part(f"{more} over {fewer}", points(one, other), 0.0, inf, "points"))
    return [*parts, Part("all maps over 1 map", points(ends[0], ends[-1]), 0.0, inf, "points")]


METHOD = (
    Exhibit(
        "sec31", "Sec. 3.1", "The filter",
        (
            Claim(
                "filter", "The filter's values of maps that are not sent are trained to be close to zero.",
                "close to zero (90 % of the sum in the kept maps is taken for it)", _kept, "trained", alike=True,
                reason="pruneLoss pulls alike on all maps, and none ever overtook a kept one",
            ),
        ),
        pictures.filters,
    ),
    Exhibit(
        "sec32", "Sec. 3.2", "The raised learning rate after a change of budget",
        (
            Claim(
                "raised-rate", "Raising the learning rate after a change of budget helps to reach a higher accuracy.",
                "a higher accuracy", _raised, "trained", alike=True,
                reason="here three times the rate meets maps that were not trained before, and costs accuracy",
            ),
        ),
    ),
    Exhibit(
        "sec33", "Sec. 3.3", "What compression costs",
        (
            Claim(
                "more-compression", "The more maps are left out, the less accurate is the network.",
                "falling with fewer maps", recorded(_more_compression, of_filters), "trained", alike=True,
                reason="a step of twice the maps is less than three seeds resolve; from one map to all it is not",
            ),
        ),
        pictures.by_maps,
    ),
)  # fmt: skip
