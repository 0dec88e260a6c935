"""What HierTrain's paper claims, figure by figure, and what is measured here to judge it."""

from __future__ import annotations

from ....envs.hiertrain.scenarios import GROUPS
from ...claims.leaderboard import Leaderboard
from ...claims.statement import Exhibit
from .by_rate import LAYERWISE, PARALLELISM, SINGLE_WORKERS
from .machines import CORES, MACHINES, PLANNING, VALIDITY

DRAWN = "it is a drawing of how the method works and states no quantity"

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit("fig1", "Fig. 1", "Horizontal and hierarchical training", untested=DRAWN),
    PARALLELISM,
    Exhibit("fig3", "Fig. 3", "Overview of the system", untested=DRAWN),
    Exhibit("fig4", "Fig. 4", "Samples and layers of the three workers", untested=DRAWN),
    Exhibit("fig5", "Fig. 5", "The six mappings of workers", untested=DRAWN),
    Exhibit("table1", "Table 1", "Notations", untested="it lists symbols"),
    *PLANNING,
    *MACHINES,
    VALIDITY,
    *SINGLE_WORKERS,
    *LAYERWISE,
    CORES,
)

# Learners are not among them: in the paper's setting rates are known, and planning is all there is to it.
LEADERBOARD = Leaderboard(
    family="hiertrain",
    scenarios=(*GROUPS["alexnet"][::2], *GROUPS["lenet5"][::2], *GROUPS["drifting"]),
    agents=("hiertrain", "all-device", "all-edge", "all-cloud", "jointdnn", "jointdnn+", "jalad"),
    reference="exact",
    seconds={"hiertrain": 10.0},
)
