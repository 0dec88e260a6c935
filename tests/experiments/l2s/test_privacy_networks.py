"""P^c of trained networks by target, and the networks themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitgym.experiments.l2s.divergence import point_for
from splitgym.experiments.l2s.privacy_networks import NETWORKS, TARGETS, network, private_points
from splitgym.experiments.l2s.private_point import private_point
from splitgym.models.cuts import cut_points
from splitgym.models.layers import Conv
from splitgym.models.lookup import get_model
from splitgym.ui.errors import InputError


def test_alexnets_variant_has_its_layers_and_a_quarter_of_its_maps() -> None:
    mine, whole = network("alexnet_32_quarter"), get_model("alexnet")
    assert [step.name for step in mine.steps] == [step.name for step in whole.steps]
    maps = [[k.out_shape.channels for k in m.kernels if isinstance(k.layer, Conv)] for m in (mine, whole)]
    assert [4 * count for count in maps[0]] == maps[1]
    assert (mine.input.channels, mine.input.height) == (3, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_points_are_those_of_the_divergences_averaged_over_seeds(name: str) -> None:
    model, rng = network(name), np.random.default_rng(0)
    count = len(cut_points(model)) - 1
    assert count == len(model.steps)
    runs: list[dict[str, Any]] = [
        {"network": name, "kl": np.sort(rng.random(count)).tolist(), "uniform": 0.8 + 0.1 * seed, "ppt": 1}
        for seed in range(3)
    ]
    kl = np.mean([run["kl"] for run in runs], axis=0)
    found = private_points({"runs": runs}, name)
    targets = [kl[0], *(0.9 * share for share in TARGETS)]
    for point, target in zip(found.values(), targets, strict=True):
        if point is None:
            with pytest.raises(InputError, match="no cut keeps"):
                point_for(model, kl, target)
        else:
            assert point == point_for(model, kl, target)


def test_a_later_dip_moves_the_point_behind_it() -> None:
    kl = np.array([0.1, 3.0, 2.0, 1.0, 4.0])
    assert [private_point(kl, target) for target in (0.05, 0.5, 1.5, 4.0, 4.1)] == [1, 2, 5, 5, None]
