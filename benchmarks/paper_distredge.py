"""What DistrEdge's paper claims; its DistrEdge is the best plan known, which ships, and no agent's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from claims import Claim, Told, band, figure, order
from fit_distredge import AOFL_BANDS, BEST_BAND, FITTED, SETTINGS

from splitgym.agents.distredge.baselines import PLANNERS
from splitgym.envs.distredge.best_known import BestKnown
from splitgym.envs.distredge.planning import ALPHA_GRID, lc_pss, system_scores
from splitgym.envs.distredge.scenarios import GROUPS, TABLE_1, TABLE_2, TABLE_3, get_scenario
from splitgym.envs.distredge.system import PlanBatch, System
from splitgym.models.plans import SpatialPlan

FAMILY = "distredge"
MODELS_BAND = (1.1, 2.6)  # over the best baseline, Sec. V-E
PAPERS = (*FITTED, *TABLE_3, *GROUPS["models"])
AHEAD = 1.005  # times faster, less is a tie
ALPHA = 0.75  # the best one in Fig. 4
ALPHA_ENVIRONMENTS = {"H-200": "equal devices", "DB-50": "DB", "NA-nano": "NA", "LC": "16 devices"}
LAYERWISE, EQUAL = ("coedge", "modnn", "mednn"), ("deepthings", "deeperthings")
AOFL_REASONS = {
    "DB": "at 300 Mbps AOFL leaves the Nanos out, too, and one Xavier is the best plan known",
    "DC": "the optimum of AOFL's model leaves the Pi out, too",
    "NB": "Xaviers: AOFL splits where one alone is as fast as the best plan known",
    "NC": "Xaviers: AOFL splits where one alone is as fast as the best plan known",
    "ND": "Nanos: AOFL gives the slowest link next to nothing, as the best plan known does",
}


@dataclass(frozen=True)
class Row:
    """A setting: its system, every baseline's plan and seconds, the best plan known and its."""

    system: System
    plans: dict[str, SpatialPlan]
    seconds: dict[str, float]
    best: SpatialPlan
    best_s: float

    @property
    def second(self) -> str:
        """The best baseline."""
        return min(self.seconds, key=lambda who: self.seconds[who])

    def over(self, who: str) -> float:
        return self.seconds[who] / self.best_s


@cache
def row(name: str, inputs: str) -> Row:
    system = System(get_scenario(name, inputs=inputs))
    plans = {who: planner(system) for who, planner in PLANNERS.items()}
    seconds = {who: float(s) for who, s in zip(plans, system.evaluate(list(plans.values())), strict=True)}
    (best,) = BestKnown(system).plans
    return Row(system, plans, seconds, best, float(system.evaluate([best])[0]))


def aofl_claims() -> Iterator[Claim]:
    """Figs. 6 to 8."""
    for group, names in SETTINGS.items():

        def over(inputs: str, names: Sequence[str] = names) -> list[float]:
            return [row(name, inputs).over("aofl") for name in names]

        yield band(FAMILY, f"{group}: over AOFL", AOFL_BANDS[group], over, AOFL_REASONS.get(group, ""))

    def large(inputs: str) -> list[float]:
        return [row(name, inputs).over("aofl") for name in TABLE_3]

    yield band(FAMILY, "LA to LD: over AOFL", AOFL_BANDS["LA"], large)

    def gain(groups: Sequence[str], inputs: str) -> float:
        found = [row(name, inputs).over("aofl") for group in groups for name in SETTINGS[group]]
        return float(np.exp(np.mean(np.log(found))))

    def more(unequal: Sequence[str], equal: Sequence[str], inputs: str) -> Told:
        left, right = gain(unequal, inputs), gain(equal, inputs)
        return left > right, f"{left:.2f} > {right:.2f}" if left > right else f"{left:.2f} < {right:.2f}"

    yield order(
        FAMILY, "over AOFL: DB and DC more than DA", ">", lambda inputs: more(("DB", "DC"), ("DA",), inputs),
        "AOFL leaves slow devices out, too",
    )  # fmt: skip
    yield order(
        FAMILY, "over AOFL: NA and ND more than NB and NC", ">",
        lambda inputs: more(("NA", "ND"), ("NB", "NC"), inputs), "AOFL leaves slow links out, too",
    )  # fmt: skip


def close_behind(names: Sequence[str], factor: float) -> str:
    """Which baseline is not behind the best plan known by a factor, and where."""
    found: dict[str, list[str]] = {}
    for name in names:
        at = row(name, "paper")
        if at.over(at.second) < factor:
            found.setdefault(at.second, []).append(name)
    return "; ".join(f"{who} is within {factor:g} times in {', '.join(where)}" for who, where in found.items())


def best_claims() -> Iterator[Claim]:
    """The abstract, Figs. 6 to 10."""
    groups = {
        "Table I": [n for g in TABLE_1 for n in SETTINGS[g]],
        "Table II": [n for g in TABLE_2 for n in SETTINGS[g]],
        "Table III": list(TABLE_3),
        "other models, DB": [n for n in GROUPS["models"] if n.startswith("DB")],
        "other models, NA": [n for n in GROUPS["models"] if n.startswith("NA")],
    }
    for what, names in groups.items():
        published = MODELS_BAND if "models" in what else BEST_BAND

        def over(inputs: str, names: Sequence[str] = names) -> list[float]:
            return [row(name, inputs).over(row(name, inputs).second) for name in names]

        yield band(
            FAMILY, f"{what}: over the best baseline", published, over,
            lambda names=names, published=published: close_behind(names, published[0]),
            fitted=set(names) <= set(FITTED),
        )  # fmt: skip

    def ahead(inputs: str) -> Told:
        found = [row(name, inputs).over(row(name, inputs).second) >= AHEAD for name in PAPERS]
        return all(found), f"{sum(found)} of {len(found)}"

    def aofl_second(inputs: str) -> Told:
        found = [row(name, inputs) for name in PAPERS]
        near = [r.seconds["aofl"] <= r.seconds[r.second] * AHEAD for r in found]
        return all(near), f"{sum(near)} of {len(near)}"

    every = f"{len(PAPERS)} of {len(PAPERS)}"
    yield order(FAMILY, "ahead of every baseline", every, ahead, lambda: close_behind(PAPERS, AHEAD))
    yield order(
        FAMILY, "AOFL is the best baseline (implied)", every, aofl_second,
        "Offload is, where one device is much faster than the others or links are slow",
    )  # fmt: skip

    def pi(inputs: str) -> Told:
        found = [row(name, inputs) for name in SETTINGS["DC"]]
        shares = [
            sum(int(r.system.heights[c - 1]) - s[-1] for c, s in zip(r.best.cuts, r.best.splits, strict=True))
            for r in found
        ]
        return not any(shares), f"{sum(shares)} rows"

    yield order(FAMILY, "DC: the Pi gets nothing (Sec. VI)", "0 rows", pi)


def split_s(system: System, stops: Sequence[int], seed: int = 0, population: int = 256, generations: int = 60) -> float:
    """The least latency that an evolutionary search over splits finds for a partition."""
    rng, inner, volumes = np.random.default_rng(seed), system.n_devices - 1, len(stops)
    heights, physics = system.heights[np.array(stops) - 1][:, None, None], system.physics(ranges_of(stops))
    shares = rng.dirichlet(np.full(system.n_devices, 0.3), (volumes, population)).transpose(0, 2, 1)
    alone = (np.arange(inner)[:, None] >= np.arange(system.n_devices)).astype(float)
    even = np.cumsum(system.capability / system.capability.sum())[:-1, None]
    posts = np.cumsum(shares, axis=1)[:, :-1]
    posts[:, :, : system.n_devices] = alone
    posts[:, :, system.n_devices : system.n_devices + 1] = even

    def seconds(posts: np.ndarray) -> np.ndarray:
        count, size = np.full(posts.shape[2], volumes), posts.shape[2]
        batch = PlanBatch(np.tile(np.array(stops)[:, None], size), count, np.rint(posts * heights).astype(np.intp))
        return system.evaluate(batch, physics)

    scores = seconds(posts)
    for _ in range(generations):
        first, other = (rng.integers(0, population // 4, population) for _ in range(2))
        children = np.where(rng.random((volumes, 1, population)) < 0.2, posts[:, :, other], posts[:, :, first])
        moved = rng.random((volumes, inner, population)) < rng.uniform(0.05, 0.5, population)
        children = children + moved * rng.normal(0.0, np.exp(rng.uniform(-5, -0.5, population)), children.shape)
        children = np.sort(np.clip(children, 0.0, 1.0), axis=1)
        posts, scores = np.concatenate([posts, children], axis=2), np.concatenate([scores, seconds(children)])
        keep = np.argsort(scores, kind="stable")[:population]
        posts, scores = posts[:, :, keep], scores[keep]
    return float(scores[0])


def ranges_of(stops: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip((0, *stops[:-1]), stops, strict=True))


@cache
def by_alpha(name: str, inputs: str) -> dict[float, float]:
    """Seconds with LC-PSS's partition at every alpha."""
    system = System(get_scenario(name, inputs=inputs))
    scores = system_scores(system)
    return {alpha: split_s(system, lc_pss(system.model, scores, alpha)) for alpha in ALPHA_GRID}


def alpha_claims() -> Iterator[Claim]:
    """Sec. V-C and Fig. 4."""

    def volumes(alpha: float, inputs: str) -> float:
        system = System(get_scenario("DB-50", inputs=inputs))
        return len(lc_pss(system.model, system_scores(system), alpha))

    for alpha, published in ((0.0, 16.0), (1.0, 2.0)):
        yield figure(
            FAMILY, f"VGG-16: volumes at alpha {alpha:g}", published,
            lambda inputs, alpha=alpha: volumes(alpha, inputs),
            "a cut saves halo of the image, which weighs more as float32", unit="",
        )  # fmt: skip
    for name, what in ALPHA_ENVIRONMENTS.items():

        def best(inputs: str, name: str = name) -> Told:
            found = by_alpha(name, inputs)
            near = [alpha for alpha, seconds in found.items() if seconds <= min(found.values()) * AHEAD]
            return ALPHA in near, ", ".join(f"{alpha:g}" for alpha in near)

        def apart(name: str = name) -> str:
            found = by_alpha(name, "paper")
            least = min(found, key=lambda alpha: found[alpha])
            more = 100 * (found[ALPHA] / found[least] - 1)
            return f"the partition of {ALPHA:g} takes {more:.1f} % longer than that of {least:g}"

        yield order(FAMILY, f"Fig. 4, {what}: the best alpha", f"{ALPHA:g}", best, apart)


def busiest_claims() -> Iterator[Claim]:
    """Fig. 14: the largest transmission and the largest compute time of a device, DB at 50 Mbit/s."""

    @cache
    def largest(inputs: str) -> dict[str, tuple[float, float]]:
        found = row("DB-50", inputs)
        totals = {who: found.system.replay(plan)[1] for who, plan in {**found.plans, "best": found.best}.items()}
        return {who: (float(p.transmit_s.max()), float(p.compute_s.max())) for who, p in totals.items()}

    def layerwise(inputs: str) -> Told:
        sent = {who: s for who, (s, _) in largest(inputs).items()}
        least, most = min(sent[who] for who in LAYERWISE), max(s for who, s in sent.items() if who not in LAYERWISE)
        return least > most, f"{1e3 * least:.0f} and {1e3 * most:.0f} ms"

    def equal(inputs: str) -> Told:
        computed = {who: s for who, (_, s) in largest(inputs).items()}
        least, most = min(computed[who] for who in EQUAL), max(s for who, s in computed.items() if who not in EQUAL)
        return least > most, f"{1e3 * least:.0f} and {1e3 * most:.0f} ms"

    def lowest(inputs: str) -> Told:
        found = largest(inputs)
        sums = {who: sent + computed for who, (sent, computed) in found.items()}
        words = " + ".join(f"{1e3 * s:.0f}" for s in found["best"])
        return sums["best"] <= min(sums.values()) * AHEAD, f"{words} ms"

    yield order(FAMILY, "Fig. 14: layer by layer sends longest", "yes", layerwise)
    yield order(FAMILY, "Fig. 14: equal parts compute longest", "yes", equal)
    yield order(FAMILY, "Fig. 14: DistrEdge's sum of both is the least", "yes", lowest)


def claims() -> Iterator[Claim]:
    for part in (aofl_claims, best_claims, alpha_claims, busiest_claims):
        yield from part()
