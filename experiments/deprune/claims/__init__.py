"""What Prune-Deprune's paper claims, figure by figure, and what is measured here to judge it.

Bytes and seconds are those of VGG-11 in full width with 4 of 128 maps behind layer 5.
"""

from __future__ import annotations

from math import inf

from ....envs.deprune.scenarios import GROUPS
from ...claims.leaderboard import Leaderboard, of_groups
from ...claims.statement import Asking, Claim, Exhibit, Inquiry, Job, Part, Setting, near
from . import pictures, runs
from .jobs import of_testbed, of_testbeds
from .runs import TESTBEDS, Testbed
from .trained import DEPRUNE, METHOD, PLACES, PRUNE

TIE = 0.005  # relative difference that counts as none
DRAWN = "it is a drawing of how the method works and states no quantity"


# Figs. 4 to 7: the testbeds.


def _gain(number: int, what: str, published: float) -> Inquiry[list[Part]]:
    def measure(setting: Setting) -> Asking[list[Part]]:
        (found,) = yield [of_testbed(number, setting)]
        return [near("", [found[what]["without"] / found[what]["with"]], published, "times")]

    return measure


def _bandwidth(setting: Setting) -> Asking[list[Part]]:
    found = yield of_testbeds(setting)
    parts = []
    for bed, one in zip(TESTBEDS, found, strict=True):
        rates = {name: one["bytes"][name] / one["seconds"][name] for name in ("with", "without")}
        parts.append(Part(bed.link, [rates["with"] / rates["without"]], -inf, 1.0 - TIE, "times"))
    return parts


def _slower(setting: Setting) -> Asking[list[Part]]:
    (found,) = yield [Job(runs.slower_links, {"inputs": setting.inputs})]
    gains = {mbps: gain / found["fast"] for mbps, gain in found["gains"].items()}
    unit = "times the gain at 10 Gbit/s"
    return [Part(f"{mbps} Mbit/s", [more], 1.0 + TIE, inf, unit) for mbps, more in gains.items()]


BANDWIDTH = Claim(
    "bandwidth", "With the module fewer bytes a second are sent.", "a lower slope, both testbeds", _bandwidth,
)  # fmt: skip
SLOW_LINKS = Claim(
    "slow-links", "The module saves more time where the network is the bottleneck.",
    "more than over Ethernet of 10 Gbit/s", _slower,
)  # fmt: skip


def _testbed(number: int, bed: Testbed) -> tuple[Exhibit, Exhibit]:
    key, more = bed.link.lower().replace("-", ""), (BANDWIDTH, SLOW_LINKS)[number]
    of_bytes = Claim(
        f"{key}-bytes", f"Over {bed.link} the module uses the network {bed.fewer_bytes:g} times less.",
        f"{bed.fewer_bytes:g} times", _gain(number, "bytes", bed.fewer_bytes), fitted=True,
        reason="nothing but maps, filter and labels is counted with a step under these inputs",
    )  # fmt: skip
    of_time = Claim(
        f"{key}-time", f"Over {bed.link} the same epochs take {bed.less_time:g} times less time with the module.",
        f"{bed.less_time:g} times", _gain(number, "seconds", bed.less_time), fitted=bed.link == "Ethernet",
        reason="at 100 Mbit/s all maps take longest by far",
    )  # fmt: skip
    traffic = f"Traffic over {bed.link} by time, with the module and without"
    samples = f"Samples by time over {bed.link}, with the module and without"
    of_bytes_claims = (of_bytes, BANDWIDTH) if more is BANDWIDTH else (of_bytes,)
    of_time_claims = (of_time, SLOW_LINKS) if more is SLOW_LINKS else (of_time,)
    numbers = bed.bytes_figure, bed.time_figure
    return (
        Exhibit(f"fig{numbers[0]}", f"Fig. {numbers[0]}", traffic, of_bytes_claims, pictures.traffic(number)),
        Exhibit(f"fig{numbers[1]}", f"Fig. {numbers[1]}", samples, of_time_claims, pictures.samples(number)),
    )


EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit("fig1", "Fig. 1", "Weaker devices beside computers nearby", untested=DRAWN),
    Exhibit("fig2", "Fig. 2", "Overview of the system", untested=DRAWN),
    Exhibit("fig3", "Fig. 3", "Compression and decompression", untested=DRAWN),
    *METHOD,
    *_testbed(0, TESTBEDS[0]),
    *_testbed(1, TESTBEDS[1]),
    *DEPRUNE,
    *PLACES[:2],
    *PRUNE,
)

LEADERBOARD = Leaderboard(
    family="deprune",
    scenarios=of_groups(GROUPS, "cuts", "links"),
    agents=(
        "deprune", "prune", "from-scratch", "no-compression", "high-compression", "without-module", "ppo", "dqn",
    ),
    reference="best-schedule",
    seconds={"ppo": 15.0, "dqn": 11.0},
    seconds_each=0.2,
    train_episodes=300,
)  # fmt: skip
