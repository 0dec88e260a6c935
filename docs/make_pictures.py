"""Draw docs/pictures/<family>.png: what every environment shows at the end of an episode.

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitgym.agents.registry import get_spec, make_agent
from splitgym.envs import get_family
from splitgym.experiments.play import make_env, options_for, play
from splitgym.ui.files import replacing

PICTURES = Path(__file__).resolve().parent / "pictures"
SHOWN = {"distredge": "aofl", "l2s": "l2s", "edgemove": "lookahead", "hiertrain": "exact", "deprune": "deprune"}


def frame(name: str, agent: str) -> np.ndarray:
    """The picture of an episode on a family's default scenario, (height, width, 3) uint8."""
    family = get_family(name)
    env = make_env(
        family, family.default_scenario, {**options_for(get_spec(name, agent), {}), "render_mode": "rgb_array"}
    )
    play(make_agent(name, agent, env), env, episodes=1)
    drawn = env.render()
    env.close()
    return drawn


def main() -> None:
    from PIL import Image

    PICTURES.mkdir(exist_ok=True)
    for name, agent in SHOWN.items():
        with replacing(PICTURES / f"{name}.png") as temporary:
            Image.fromarray(frame(name, agent)).save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main()
