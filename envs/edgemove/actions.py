"""Actions as placements: which cut, which server, whether to probe."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from .adaptation import Placement
from .kernels import TOLD
from .listing import Listing
from .observation import LISTED
from .planning import balanced_cut
from .system import NOBODY
from .world import World

STAY = 0  # a server choice; 1..M is a listed server
CLOUD = LISTED + 1


def action_space(form: str, n_layers: int) -> spaces.Space[Any]:
    """Of one lane.

    ``absolute``: cut 1..L less 1, server choice, probe or not. ``flat``: the same as one number. ``paper``: cut down,
    the same or up, server choice without the cloud, probe or not. ``oracle``: nothing to choose.
    """
    if form == "oracle":
        return spaces.Discrete(1)
    if form == "paper":
        return spaces.MultiDiscrete([3, LISTED + 1, 2])
    if form == "flat":
        return spaces.Discrete(n_layers * (LISTED + 2) * 2)
    return spaces.MultiDiscrete([n_layers, LISTED + 2, 2])


def flattened(actions: np.ndarray) -> np.ndarray:
    """(n,) numbers of the flat form for actions (n, 3) of the absolute one."""
    return (actions[:, 0] * (LISTED + 2) + actions[:, 1]) * 2 + actions[:, 2]


class Choices:
    """What actions of a form mean where clients are.

    Args:
        world: servers in reach.
        listing: the list that server choices point into.
        form: of the actions; see :func:`action_space`.
    """

    def __init__(self, world: World, listing: Listing, form: str) -> None:
        self._world, self._listing, self._form = world, listing, form

    def checked(self, action: np.ndarray, lanes: int, space: spaces.Space[Any]) -> np.ndarray:
        """Actions of all lanes, if they have the right shape and kind and lie in the space.

        Raises:
            ValueError: they do not.
        """
        action = np.asarray(action)
        if action.shape != (lanes, *space.shape):  # type: ignore[misc]
            raise ValueError(f"action has shape {action.shape[1:]}, it must be {space.shape} for each lane")
        if not np.issubdtype(action.dtype, np.integer):
            raise ValueError(f"action is of {action.dtype}, it must hold whole numbers (NaN is none)")
        most = space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n  # type: ignore[attr-defined]
        if (action < 0).any() or (action >= most).any():
            raise ValueError(f"action is outside {space}")
        return action

    def of(
        self, action: np.ndarray, old: Placement, lane: np.ndarray, elapsed_s: np.ndarray
    ) -> tuple[Placement, np.ndarray]:
        """(placements, whether to probe) that actions (k, ...) of lanes (k,) ask for.

        An empty place of the list means staying. A worker out of reach cannot be kept: then the client trains alone, as
        it does with cut L, or without a worker.
        """
        n_layers = self._world.system.n_layers
        if self._form == "flat":
            choice, probe = np.divmod(action, 2)
            action = np.stack([*np.divmod(choice, LISTED + 2), probe], axis=1)
        first, server = action[:, 0].astype(np.intp), self._server(action[:, 1], old, lane)
        if self._form == "paper":
            cut = np.clip(old.cut + first - 1, 1, max(n_layers - 1, 1))
            cut = np.where(server == old.server, cut, self._first_cut(server, lane, elapsed_s))
        else:
            cut = first + 1
        alone = (server == NOBODY) | (cut == n_layers)
        return Placement(np.where(alone, n_layers, cut), np.where(alone, NOBODY, server)), action[:, 2] == 1

    def _server(self, choice: np.ndarray, old: Placement, lane: np.ndarray) -> np.ndarray:
        listing, place = self._listing, np.clip(choice - 1, 0, LISTED - 1)
        listed = (choice > STAY) & (choice < CLOUD) & listing.covers[lane, place]
        kept = np.where(listing.reached[lane], old.server, NOBODY)
        chosen = np.where(listed, listing.server[lane, place], kept)
        return np.where(choice == CLOUD, self._world.system.cloud, chosen)

    def _first_cut(self, server: np.ndarray, lane: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        """Alg. 1's cut for new workers; a server that was never probed counts as an empty one."""
        world, n_layers = self._world, self._world.system.n_layers
        if n_layers == 1:
            return np.full(len(server), n_layers)
        asked = np.maximum(server, 0)
        rate, rtt_s, _ = world.conditions(asked, lane, elapsed_s)
        probed_s = self._listing.probes[world.servers.slot(asked, lane), TOLD]
        return balanced_cut(world.system, np.where(np.isfinite(probed_s), probed_s, rtt_s), rate, rtt_s)[0]
