"""What HierTrain's paper claims; its HierTrain is the exact optimum of its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from claims import Claim, Told, figure, order
from hiertrain import PUBLISHED

from splitgym.agents.hiertrain.layerwise import ASSIGNMENTS
from splitgym.envs.hiertrain.cost import iteration_s, layers_s
from splitgym.envs.hiertrain.planning import ExactPlanner
from splitgym.envs.hiertrain.scenarios import CORE_MBPS, SWEEP_MBPS, get_scenario
from splitgym.envs.hiertrain.schedule import alone
from splitgym.envs.hiertrain.system import CLOUD, DEVICE, EDGE, System

NAMES = {"alexnet": "AlexNet", "lenet5": "LeNet-5"}
FIGURES = {"alexnet": ("jointdnn", "jointdnn+"), "lenet5": ("jointdnn+",)}  # what HierTrain stands beside in each
SAME = 1e-3  # relative difference that counts as none
LOW_MBPS, HIGH_MBPS = (1.5, 2.0), (3.0, 3.5, 4.0, 4.5, 5.0)


@dataclass(frozen=True)
class Row:
    """Seconds of an iteration at a rate, by scheme; whether HierTrain shares samples; who trains JointDNN+'s layers."""

    seconds: dict[str, float]
    shares: bool
    joint: frozenset[int]


@cache
def row(model: str, mbps: float, inputs: str) -> Row:
    system = System(get_scenario(f"{model}-{mbps:g}", inputs=inputs))
    rates = system.nominal
    best = ExactPlanner(system).best(*rates)
    seconds = {"hiertrain": best.seconds}
    for name, worker in (("all-edge", EDGE), ("all-cloud", CLOUD)):
        seconds[name] = float(iteration_s(system, alone(worker, system.batch), *rates)[0])
    joint: frozenset[int] = frozenset()
    for name, assignment in ASSIGNMENTS.items():
        owner, bits = assignment(system)(*rates), 8 if name == "jalad" else 32
        seconds[name] = float(layers_s(system, owner[:, None], *rates, bits)[0])
        joint = frozenset(owner.tolist()) if name == "jointdnn+" else joint
    return Row(seconds, int((best.plan.b[:, 0] > 0).sum()) > 1, joint)


def rates_where(model: str, inputs: str, scheme: str, other: str) -> list[float]:
    """Rates at which a scheme is truly faster than another."""
    rows = {mbps: row(model, mbps, inputs).seconds for mbps in SWEEP_MBPS}
    return [mbps for mbps, s in rows.items() if s[scheme] < (1.0 - SAME) * s[other]]


def told(rates: list[float]) -> str:
    return f"{min(rates):g}-{max(rates):g} ({len(rates)})" if rates else "at none"


def speedup_claims() -> Iterator[Claim]:
    """Figs. 7 and 8."""
    for model, published in PUBLISHED.items():
        for value, other in zip(published, ("all-edge", "all-cloud"), strict=True):

            def largest(inputs: str, model: str = model, other: str = other) -> float:
                found = [row(model, mbps, inputs).seconds for mbps in SWEEP_MBPS]
                return max(s[other] / s["hiertrain"] for s in found)

            yield figure(
                "hiertrain", f"{NAMES[model]}, up to, over {other}", value, largest,
                "6.9 over All-Cloud at 1.5 Mbps and 1.7 over All-Edge cannot both be with a relay that streams",
                fitted=True,
            )  # fmt: skip
        for other in ("all-edge", "all-cloud"):

            def ahead(inputs: str, model: str = model, other: str = other) -> Told:
                found = rates_where(model, inputs, "hiertrain", other)
                return len(found) == len(SWEEP_MBPS), told(found)

            yield order("hiertrain", f"{NAMES[model]}: HierTrain < {other}, Mbps", "1.5-5 (8)", ahead)

        def shared(inputs: str, model: str = model) -> Told:
            found = [mbps for mbps in SWEEP_MBPS if row(model, mbps, inputs).shares]
            return set(LOW_MBPS) <= set(found), told(found)

        yield order(
            "hiertrain", f"{NAMES[model]}: samples shared at low rates, Mbps", "1.5-2 (2)", shared,
            "the Pi's front and the edge's rest of all samples are the optimum there",
        )  # fmt: skip


def baseline_claims() -> Iterator[Claim]:
    """Figs. 9 and 10."""
    for model in PUBLISHED:
        for other in FIGURES[model]:

            def ahead(inputs: str, model: str = model, other: str = other) -> Told:
                found = rates_where(model, inputs, "hiertrain", other)
                return len(found) == len(SWEEP_MBPS), told(found)

            yield order(
                "hiertrain", f"{NAMES[model]}: HierTrain < {other}, Mbps", "1.5-5 (8)", ahead,
                "at the lowest rates both are the Pi's front and the edge's rest",
            )  # fmt: skip

    def edge_helps(inputs: str) -> Told:
        found = rates_where("alexnet", inputs, "jointdnn+", "jointdnn")
        return tuple(found) == LOW_MBPS, told(found)

    def to_cloud(inputs: str) -> Told:
        found = [mbps for mbps in HIGH_MBPS if row("alexnet", mbps, inputs).joint == {CLOUD}]
        return found == list(HIGH_MBPS), told(found)

    def window(inputs: str) -> Told:
        found = rates_where("alexnet", inputs, "jalad", "hiertrain")
        return tuple(found) == LOW_MBPS, told(found)

    def overlap(inputs: str) -> Told:
        rows = [row("lenet5", mbps, inputs).seconds for mbps in SWEEP_MBPS]
        found = [m for m, s in zip(SWEEP_MBPS, rows, strict=True) if abs(s["jalad"] / s["jointdnn+"] - 1.0) < SAME]
        return len(found) == len(SWEEP_MBPS), told(found)

    def edge_then_cloud(inputs: str) -> Told:
        rows = [row("lenet5", mbps, inputs).seconds for mbps in SWEEP_MBPS]
        chosen = [s["all-cloud"] < s["all-edge"] for s in rows]
        least = [min(s["all-cloud"], s["all-edge"]) for s in rows]
        alike = [abs(s["jalad"] / alone_s - 1.0) < SAME for s, alone_s in zip(rows, least, strict=True)]
        ends = not chosen[0] and chosen[-1]
        return all(alike) and ends, "".join("C" if cloud else "E" for cloud in chosen) if all(alike) else "shared"

    yield order("hiertrain", "LeNet-5: JALAD is All-Edge, then All-Cloud", "E.. then ..C", edge_then_cloud)
    yield order("hiertrain", "AlexNet: JointDNN+ < JointDNN, Mbps", "1.5-2 (2)", edge_helps)
    yield order(
        "hiertrain", "AlexNet: JointDNN+ all in the cloud, Mbps", "higher ones", to_cloud,
        "the Pi is then as fast as the upload, and keeps the front",
    )  # fmt: skip
    yield order(
        "hiertrain", "AlexNet: JALAD < HierTrain, Mbps", "1.5-2 (2)", window,
        "4.5 over All-Cloud leaves HierTrain less time than JALAD's upload to the edge takes",
    )  # fmt: skip
    yield order(
        "hiertrain", "LeNet-5: JALAD = JointDNN+, Mbps", "1.5-5 (8)", overlap,
        "JointDNN+ may use the Pi, which saves the upload",
    )  # fmt: skip


def machine_claims() -> Iterator[Claim]:
    """Sec. VI-B and Fig. 11."""

    def ratios(inputs: str) -> tuple[float, float]:
        """How many times longer the edge and the device compute than the cloud."""
        system = System(get_scenario("alexnet-3", inputs=inputs))
        compute = (system.forward_s + system.backward_s)[:, -1]
        return float(compute[EDGE] / compute[CLOUD]), float(compute[DEVICE] / compute[CLOUD])

    def faster(inputs: str) -> Told:
        found = ratios(inputs)
        return all(10**0.5 <= ratio <= 10**1.5 for ratio in found), "{:.0f} and {:.0f} x".format(*found)

    def slower() -> str:
        over_edge, over_device = ratios("paper")
        return f"the Pi takes {over_device / over_edge:.0f} times as long as a core of the i3"

    yield order("hiertrain", "AlexNet: the cloud over edge and device", "about 10 x", faster, slower)

    def seconds(mbps: float, cores: int, inputs: str) -> float:
        system = System(get_scenario(f"alexnet-{mbps:g}-c{cores}", inputs=inputs))
        return ExactPlanner(system).best(*system.nominal).seconds

    def saved(mbps: float, inputs: str) -> list[float]:
        """Shares of the time that one, two and three further cores save, one after another."""
        found = [seconds(mbps, cores, inputs) for cores in (1, 2, 3, 4)]
        return [1.0 - after / before for before, after in pairwise(found)]

    def at_low(inputs: str) -> Told:
        found = saved(CORE_MBPS[0], inputs)
        return found[0] > 3.0 * found[2] and found[0] > 0.05, " ".join(f"{100 * s:.0f}" for s in found) + " %"

    yield order("hiertrain", "AlexNet, cores at 1.5 Mbps: the second helps", "most", at_low)
    for mbps in CORE_MBPS[1:]:

        def idle(inputs: str, mbps: float = mbps) -> Told:
            found = saved(mbps, inputs)
            return max(found) < 0.01, f"{100 * max(found):.0f} %"

        yield order(
            "hiertrain", f"AlexNet, cores at {mbps:g} Mbps: none helps", "0 %", idle,
            "the edge still trains most layers at this rate",
        )  # fmt: skip


def claims() -> Iterator[Claim]:
    for part in (speedup_claims, baseline_claims, machine_claims):
        yield from part()
