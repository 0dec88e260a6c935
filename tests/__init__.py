"""The tests, folder by folder as the source."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
