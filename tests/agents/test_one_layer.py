"""A network of one layer leaves nothing to cut; every planner says so by playing, or in one line."""

from math import isfinite
from typing import Any

import pytest
from torch import nn

from splitgym.agents.registry import agents_of
from splitgym.envs import FAMILIES, get_family
from splitgym.experiments.play import build_agent, make_env, options_for, play
from splitgym.models.layers import Shape
from splitgym.ui.errors import InputError

from ..models.own.nets import exported

OPTIONS: dict[str, dict[str, Any]] = {"l2s": {"privacy_point": 0, "rounds": 60}, "edgemove": {"on_device_s": 60.0}}
QUICK: dict[str, dict[str, Any]] = {
    "joint": {"population": 64, "parents": 8, "patience": 2, "rounds": 1},
    "online": {"episodes": 8, "finetune_episodes": 4, "actor_net": [16], "critic_net": [16]},
}


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("nets") / "one.onnx"
    return str(exported(nn.Conv2d(3, 4, 3, padding=1), path, Shape(3, 16, 16), dynamo=False))


@pytest.mark.parametrize(
    ("family", "agent"), [(f, a) for f in FAMILIES for a, spec in agents_of(f).items() if not spec.learns]
)
def test_one_layer_is_played_or_refused_in_one_line(family: str, agent: str, one_layer: str) -> None:
    found, spec = get_family(family), agents_of(family)[agent]
    options = options_for(spec, {"model": one_layer, **OPTIONS.get(family, {})})
    if family == "deprune":
        with pytest.raises(InputError, match="layer is 5, allowed for one: 0 to 0"):
            make_env(found, found.default_scenario, options)
        return
    env = make_env(found, found.default_scenario, options)
    assert isfinite(
        play(build_agent(found, agent, env, 0, QUICK.get(agent, {})), env, episodes=1).metrics[found.headline]
    )
    env.close()
