"""A cluster of two emulated boards on this machine, as files: what the tests of the live commands and envs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from splitgym.envs.distredge.scenarios import get_scenario
from splitgym.experiments.live.testbed_command import write_cluster
from splitgym.runtime.blobs import default_folder
from splitgym.runtime.testbed import Testbed

BOARDS = {"model": "lenet5", "devices": ["pi3", "pi3"], "mbps": [50.0, 50.0], "activation_type": "float32"}
SCALE = 20.0


def write_boards(path: Path, **changes: object) -> Path:
    """The scenario without addresses."""
    path.write_text(yaml.safe_dump({**BOARDS, **changes}))
    return path


@contextmanager
def boards(folder: Path) -> Iterator[Testbed]:
    """Workers, and ``cluster.yaml`` with their addresses in a folder; weights go there too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        scenario = get_scenario(str(write_boards(folder / "boards.yaml")))
        with Testbed(scenario.device_names, default_folder()) as testbed:
            fields = {**asdict(scenario), "emulate": "table", "time_scale": SCALE}
            write_cluster(folder, fields, testbed)
            yield testbed
