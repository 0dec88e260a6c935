"""What DistrEdge's paper claims, figure by figure (IPDPS 2022)."""

from __future__ import annotations

from ....envs.distredge.scenarios import TABLE_1, TABLE_2
from ...claims.statement import Exhibit
from . import bar_pictures, inside, online, partitions, pictures, sensitivity, speedups
from .published import AOFL_BANDS, BEST_BAND, DEVICES, EVERY, LARGE, MODELS_BAND, MODELS_DB, MODELS_NA, SETTINGS, Band
from .trained import LEADERBOARD

__all__ = ["EXHIBITS", "LEADERBOARD"]


def _over_aofl(name: str) -> Band:
    return AOFL_BANDS[name.partition("-")[0]]


_FIG_6 = {f"({at}) {rate} Mbit/s": [f"{g}-{rate}" for g in TABLE_1] for at, rate in (("a", 50), ("b", 300))}
_FIG_7 = {f"({at}) {DEVICES[kind]}s": [f"{g}-{kind}" for g in TABLE_2] for at, kind in (("a", "nano"), ("b", "xavier"))}
_FIG_8 = {"sixteen devices": LARGE}


def _models(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"classification and detection": names[:4], "detection, poses, point clouds": names[4:]}


EXHIBITS = (
    Exhibit("abstract", "Abstract", "Speed-up over the best baseline in all settings", speedups.ABSTRACT,
            bar_pictures.gains_by_setting(EVERY, BEST_BAND)),
    Exhibit("fig1", "Fig. 1", "Four forms of distribution on two devices",
            untested="a drawing of what a plan may look like, without a result"),
    Exhibit("fig2", "Fig. 2", "Workflow of DistrEdge", untested="a drawing of its parts, without a result"),
    Exhibit("fig3", "Fig. 3", "Testbed", untested="a photograph; no Jetson, Pi or router is at hand here"),
    Exhibit("challenges", "Sec. III-C", "Size of the search", inside.CHALLENGES),
    Exhibit("fig4", "Fig. 4, Sec. V-C", "Images per second by alpha", partitions.FIG_4, pictures.alphas),
    Exhibit("fig5", "Fig. 5", "Images per second by the number of random split decisions", partitions.FIG_5,
            pictures.spreads),
    Exhibit("table1", "Table I", "Groups of unequal devices", speedups.TABLE_I, bar_pictures.speeds),
    Exhibit("fig6", "Fig. 6", "Images per second with unequal devices, VGG-16", speedups.FIG_6,
            bar_pictures.images_per_s(_FIG_6, "group", "aofl", _over_aofl)),
    Exhibit("table2", "Table II", "Groups of unequal links", speedups.TABLE_II,
            bar_pictures.gains_by_setting([n for g in TABLE_2 for n in SETTINGS[g]], BEST_BAND)),
    Exhibit("fig7", "Fig. 7", "Images per second with unequal links, VGG-16", speedups.FIG_7,
            bar_pictures.images_per_s(_FIG_7, "group", "aofl", _over_aofl)),
    Exhibit("table3", "Table III", "Cases of sixteen devices", speedups.TABLE_III,
            bar_pictures.gains_by_setting(LARGE, BEST_BAND)),
    Exhibit("fig8", "Fig. 8", "Images per second with sixteen devices, VGG-16", speedups.FIG_8,
            bar_pictures.images_per_s(_FIG_8, "case", "aofl", _over_aofl)),
    Exhibit("fig9", "Fig. 9", "Images per second of seven other networks, DB at 50 Mbit/s", speedups.FIG_9,
            bar_pictures.images_per_s(_models(MODELS_DB), "network", "", lambda name: MODELS_BAND)),
    Exhibit("fig10", "Fig. 10", "Images per second of seven other networks, NA with Nanos", speedups.FIG_10,
            bar_pictures.images_per_s(_models(MODELS_NA), "network", "", lambda name: MODELS_BAND)),
    Exhibit("fig11", "Fig. 11", "Rates of highly dynamic links", online.FIG_11, pictures.traces),
    Exhibit("fig12", "Fig. 12, Sec. V-F", "Latency of every image on highly dynamic links", online.FIG_12,
            pictures.latencies),
    Exhibit("fig13", "Fig. 13", "Computing latency by a layer's output size", inside.FIG_13, pictures.staircases),
    Exhibit("fig14", "Fig. 14", "Largest transmission and computing time of a device, DB at 50 Mbit/s", inside.FIG_14,
            bar_pictures.busiest_devices),
    Exhibit("discussion", "Sec. V-F, VI", "Updates of a strategy, a slow device, memory", inside.DISCUSSION),
    Exhibit("sensitivity", "not in the paper", "Who wins, by what the paper does not print", sensitivity.SENSITIVITY,
            pictures.winners),
)  # fmt: skip
