"""The quantities that the claims of EdgeMove's paper are judged by, from the jobs of :mod:`.runs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ....envs.edgemove.scenarios import PUBLISHED_SPEEDUPS, TASKS
from ...claims.statement import TIE, TOLERANCE, Asking, Inquiry, Job, Part, Setting, below, near
from .runs import Found, conditions, cycles, epoch, minibatch, progress, stale_trainings, training

SCHEMES = {  # of Table 1, in its order
    "on-device": "On-Device", "device-cloud": "Device-Cloud", "pipedream-e": "PipeDream-E",
    "edgemove-literal": "EdgeMove",
}  # fmt: skip
COLUMN = {"device-cloud": 0, "pipedream-e": 1, "edgemove-literal": 2}  # of PUBLISHED_SPEEDUPS
OURS = "edgemove"  # made to settle
TITLES = {
    "vgg16-cifar10": "VGG-16, CIFAR-10", "resnet50-cinic10": "ResNet-50, CINIC-10",
    "vgg16-agnews": "VGG-16, AG News", "resnet50-speech": "ResNet-50, Speech Commands",
}  # fmt: skip
IMAGES = "cifar10"  # of the recorded trainings
SECONDS = {"resnet50-speech": 2.0}  # of ten walks; the others take half a second
PUBLISHED_LONGER, PUBLISHED_COMMUNICATION = 44.2, 42.29  # %, Figs. 8 and 2
SAME = 5.0  # %, what is barely observed

Trainings = Mapping[tuple[str, str], list[Found]]  # (agent, scenario) -> by seed


def trainings(setting: Setting, agents: Sequence[str], scenarios: Sequence[str]) -> Asking[Trainings]:
    """Trainings by agent and scenario, one a seed."""
    seeds = setting.seeds(8, 3)
    keys = [(agent, scenario, seed) for agent in agents for scenario in scenarios for seed in seeds]
    found = yield [
        Job(training, {"agent": agent, "scenario": scenario, "seed": seed, "inputs": setting.inputs},
            SECONDS.get(scenario.removesuffix("-x2"), 0.5))
        for agent, scenario, seed in keys
    ]  # fmt: skip
    grouped: dict[tuple[str, str], list[Found]] = {}
    for (agent, scenario, _), one in zip(keys, found, strict=True):
        grouped.setdefault((agent, scenario), []).append(one)
    return grouped


def figures(found: Trainings, agent: str, scenario: str, metric: str = "elapsed_s") -> np.ndarray:
    """(seeds,) of a metric."""
    return np.array([one[metric] for one in found[agent, scenario]])


def over(found: Trainings, agent: str, other: str, task: str) -> np.ndarray:
    """(seeds,) an agent's training time over another's."""
    return figures(found, agent, task) / figures(found, other, task)


# Fig. 2: what sending costs.


def minibatches(setting: Setting) -> Asking[dict[str, Found]]:
    found = yield [Job(minibatch, {"task": task, "inputs": setting.inputs}, 0.5) for task in TASKS]
    return dict(zip(TASKS, found, strict=True))


def communication(parts: Found) -> float:
    """% of a minibatch's way."""
    return 100.0 * parts["communication_s"] / parts["way_s"]


def sends_for_two_fifths(setting: Setting) -> Asking[list[Part]]:
    found = yield from minibatches(setting)
    cuts = {"first": "cut behind the first layer", "best": "best cut"}
    shares = {cut: float(np.mean([communication(one[cut]["cloud"]) for one in found.values()])) for cut in cuts}
    return [
        near(f"mean of the tasks, {cuts[cut]}", [share], PUBLISHED_COMMUNICATION, "%") for cut, share in shares.items()
    ]


def minibatch_with_the_cloud(setting: Setting) -> Asking[list[Part]]:
    found = yield from minibatches(setting)
    return [
        Part(TITLES[task], [1e3 * one["best"]["cloud"]["way_s"]], 100.0, 500.0, "ms") for task, one in found.items()
    ]


def edge_is_much_faster(setting: Setting) -> Asking[list[Part]]:
    found = yield from minibatches(setting)
    ratios = {task: one["first"]["edge"]["period_s"] / one["first"]["cloud"]["period_s"] for task, one in found.items()}
    return [Part(TITLES[task], [ratio], -math.inf, 1.0 / TOLERANCE, "x") for task, ratio in ratios.items()]


# Fig. 5 and Sec. 4.1: cycles.


def cycle_times(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(cycles, {"seeds": len(setting.seeds(10, 5)), "inputs": setting.inputs}, 1.0)]
    return found


def cycles_vary_little(setting: Setting) -> Asking[list[Part]]:
    found = yield from cycle_times(setting)
    return [near("coefficient of variation over cycles of 500", found["variation"], 0.029)]


def epoch_takes_24_s(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [Job(epoch, {"device": "rtx3080ti", "inputs": setting.inputs}, 0.5)]
    return [near("an epoch of CIFAR-10", [found["epoch_s"]], 24.0, "s")]


# Table 1, the abstract, Sec. 1 and Sec. 6: speed-ups.


def table_1(setting: Setting) -> Asking[Trainings]:
    """The paper's schemes, and EdgeMove made to settle."""
    return (yield from trainings(setting, (*SCHEMES, OURS), tuple(TASKS)))


def speedups(agent: str) -> Inquiry[list[Part]]:
    """An agent's column of Table 1."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from trainings(setting, ("on-device", agent), tuple(TASKS))
        return [
            near(TITLES[task], over(found, "on-device", agent, task), published[COLUMN[agent]], "x")
            for task, published in PUBLISHED_SPEEDUPS.items()
        ]

    return measure


def faster(agents: Sequence[str], than: Sequence[str]) -> Inquiry[list[Part]]:
    """Every one of some agents takes less time than every one of others, task by task."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from trainings(setting, (*than, *agents), tuple(TASKS))
        return [
            below(f"{SCHEMES[agent]} over {SCHEMES[other]}, {TITLES[task]}", over(found, agent, other, task), "x")
            for task in TASKS
            for agent in agents
            for other in than
        ]

    return measure


def ahead_of_pipedream(ranges: Mapping[str, tuple[float, float]]) -> Inquiry[list[Part]]:
    """EdgeMove's speed-up over PipeDream-E, by task within a range."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from trainings(setting, ("pipedream-e", "edgemove-literal"), tuple(TASKS))
        return [
            Part(TITLES[task], over(found, "pipedream-e", "edgemove-literal", task), low, high, "x")
            for task, (low, high) in ranges.items()
        ]

    return measure


def up_to(setting: Setting) -> Asking[list[Part]]:
    found = yield from trainings(setting, ("on-device", "edgemove-literal"), tuple(TASKS))
    each = [over(found, "on-device", "edgemove-literal", task) for task in TASKS]
    return [near("speed-up on the task where it is largest", np.max(each, axis=0).tolist(), 2.4, "x")]


# Fig. 6: convergence.


def convergence(setting: Setting) -> Asking[dict[tuple[str, str], Found]]:
    """(agent, task) -> progress."""
    keys = [(agent, task) for agent in SCHEMES for task in TASKS]
    seeds = len(setting.seeds(10, 5))
    found = yield [
        Job(progress, {"agent": agent, "scenario": task, "seeds": seeds, "inputs": setting.inputs},
            SECONDS.get(task, 0.5))
        for agent, task in keys
    ]  # fmt: skip
    return dict(zip(keys, found, strict=True))


def behind_at_first(setting: Setting) -> Asking[list[Part]]:
    found = yield from convergence(setting)
    return [below(TITLES[task], _ratio(found, task, "done_early", "pipedream-e"), "x") for task in TASKS]


def ahead_after_warm_up(setting: Setting) -> Asking[list[Part]]:
    found = yield from convergence(setting)
    return [
        Part(f"over {SCHEMES[other]}, {TITLES[task]}", _ratio(found, task, "rate", other), 1.0 + TIE, math.inf, "x")
        for task in TASKS
        for other in ("device-cloud", "pipedream-e")
    ]


def _ratio(found: Mapping[tuple[str, str], Found], task: str, metric: str, other: str) -> list[float]:
    """(seeds,) of EdgeMove over another scheme."""
    ours, theirs = (np.array(found[agent, task][metric]) for agent in ("edgemove-literal", other))
    return (ours / theirs).tolist()


def recorded(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(stale_trainings, {"images": IMAGES}, 0.5)]
    return found


def accuracy_comes_sooner(setting: Setting) -> Asking[list[Part]]:
    found = yield from recorded(setting)
    pairs = zip(found["curve"]["2"], found["curve"]["0"], strict=True)
    ends_s, alone_s = found["at_s"]["2"][-1], found["at_s"]["0"]
    ahead = [two[-1] - float(np.interp(ends_s, alone_s, alone)) for two, alone in pairs]
    return [Part("accuracy ahead of the device alone when the pipeline is done", ahead, 0.0, math.inf, "points")]


# Figs. 8 and 9: speed of the client, and adaptations.


def both_speeds(setting: Setting) -> Asking[Trainings]:
    return (yield from trainings(setting, tuple(SCHEMES), tuple(name for t in TASKS for name in (t, f"{t}-x2"))))


def longer(found: Trainings, agent: str) -> np.ndarray:
    """(seeds,) % that twice the speed adds, mean of the tasks."""
    each = [figures(found, agent, f"{task}-x2") / figures(found, agent, task) - 1.0 for task in TASKS]
    return 100.0 * np.mean(each, axis=0)


def pipedream_takes_longer(setting: Setting) -> Asking[list[Part]]:
    return [near("", longer((yield from both_speeds(setting)), "pipedream-e"), PUBLISHED_LONGER, "%")]


def pipedream_suffers_more(setting: Setting) -> Asking[list[Part]]:
    found = yield from both_speeds(setting)
    more = longer(found, "pipedream-e") - longer(found, "edgemove-literal")
    return [
        Part("added to PipeDream-E's time beyond what is added to EdgeMove's", more, 100.0 * TIE, math.inf, "points")
    ]


def barely_longer(setting: Setting) -> Asking[list[Part]]:
    found = yield from both_speeds(setting)
    agents = ("on-device", "device-cloud", "edgemove-literal")
    return [Part(SCHEMES[agent], longer(found, agent), -SAME, SAME, "%") for agent in agents]


def mean_of_tasks(found: Trainings, agent: str, metric: str) -> np.ndarray:
    """(seeds,)"""
    return np.mean([figures(found, agent, task, metric) for task in TASKS], axis=0)


def exceeds(metric: str, name: str, unit: str) -> Inquiry[list[Part]]:
    """EdgeMove has more of something than PipeDream-E."""

    def measure(setting: Setting) -> Asking[list[Part]]:
        found = yield from table_1(setting)
        ours, theirs = (mean_of_tasks(found, agent, metric) for agent in ("edgemove-literal", "pipedream-e"))
        return [Part(f"{name}: EdgeMove's over PipeDream-E's", ours / theirs, 1.0 + TIE, math.inf, unit)]

    return measure


def still_faster(setting: Setting) -> Asking[list[Part]]:
    found = yield from table_1(setting)
    ours, theirs = (mean_of_tasks(found, agent, "elapsed_s") for agent in ("edgemove-literal", "pipedream-e"))
    return [below("EdgeMove's training time over PipeDream-E's, adaptations included", ours / theirs, "x")]


# Fig. 10: the best cut by network.


def cuts_by_network(setting: Setting) -> Asking[Found]:
    (found,) = yield [Job(conditions, {"inputs": setting.inputs}, 0.5)]
    return found


def best_cut_varies(setting: Setting) -> Asking[list[Part]]:
    periods = [np.array(one) for one in (yield from cuts_by_network(setting))["period_s"].values()]
    bests = [int(one.argmin()) for one in periods]
    wrong = max(float(one[cut] / one.min()) for one in periods for cut in bests)
    return [
        Part(
            "layers between the best cuts of two conditions, at most", [float(np.ptp(bests))], 2.0, math.inf, "layers"
        ),
        Part("time with another condition's best cut, at most", [wrong], TOLERANCE, math.inf, "x of the best"),
    ]
