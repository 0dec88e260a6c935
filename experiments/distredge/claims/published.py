"""What DistrEdge's paper prints of its settings and results; benchmarks/fit_distredge.py fits inputs to some of it."""

from __future__ import annotations

from collections.abc import Mapping

from ....envs.distredge.scenarios import GROUPS, TABLE_1, TABLE_2, TABLE_3

Band = tuple[float, float]

AOFL_BANDS: Mapping[str, Band] = {  # DistrEdge over AOFL, Sec. V-D; of a group's settings
    "DA": (1.2, 1.5), "DB": (1.5, 3.0), "DC": (1.5, 3.0),
    "NA": (1.2, 1.7), "NB": (1.1, 1.3), "NC": (1.1, 1.3), "ND": (1.2, 1.7),
    "LA": (1.3, 3.0), "LB": (1.3, 3.0), "LC": (1.3, 3.0), "LD": (1.3, 3.0),
}  # fmt: skip
BEST_BAND: Band = (1.1, 3.0)  # DistrEdge over the best baseline (abstract)
MODELS_BAND: Band = (1.1, 2.6)  # over the best baseline, other networks (Sec. V-E)
ONLINE_BAND: Band = (0.40, 0.65)  # latency of AOFL's (Sec. V-F)
FINETUNE_BAND: Band = (20.0, 210.0)  # seconds (Sec. V-F)
AOFL_UPDATE_S = 600.0  # (Sec. V-F)
SHIFTS_S = (1200.0, 2400.0)  # when traces change (Sec. V-F)
MEMORY_GB = 1.5  # of a network, at most (Sec. VI)
VOLUMES: Mapping[float, int] = {0.0: 16, 1.0: 2}  # of VGG-16 by alpha (Sec. V-C)
ALPHA = 0.75  # the best one in Fig. 4
DECISIONS = 100  # random split decisions from which on LC-PSS is stable (Fig. 5)

SETTINGS: Mapping[str, tuple[str, ...]] = {
    **{group: tuple(f"{group}-{rate}" for rate in (50, 300)) for group in TABLE_1},
    **{group: tuple(f"{group}-{kind}" for kind in ("nano", "xavier")) for group in TABLE_2},
}
FITTED = tuple(name for names in SETTINGS.values() for name in names)
LARGE = tuple(TABLE_3)
MODELS_DB, MODELS_NA = (tuple(name for name in GROUPS["models"] if name.startswith(b)) for b in ("DB", "NA"))
EVERY = (*FITTED, *LARGE, *GROUPS["models"])

LAYERWISE, EQUAL = ("coedge", "modnn", "mednn"), ("deepthings", "deeperthings")
NAMES: Mapping[str, str] = {  # as the paper writes them
    "coedge": "CoEdge", "modnn": "MoDNN", "mednn": "MeDNN", "deepthings": "DeepThings",
    "deeperthings": "DeeperThings", "aofl": "AOFL", "best": "best plan known", "osds": "OSDS", "offload": "Offload",
}  # fmt: skip
DEVICES: Mapping[str, str] = {"pi3": "Pi 3", "nano": "Nano", "tx2": "TX2", "xavier": "Xavier"}  # slowest first
