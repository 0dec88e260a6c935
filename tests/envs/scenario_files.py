"""Scenario files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def write(folder: Path, data: Any) -> str:
    """A scenario file with these fields, or with exactly this text or these bytes."""
    file = folder / "mine.yaml"
    if isinstance(data, bytes):
        file.write_bytes(data)
    else:
        file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return str(file)
