"""Checkpoints of trainings by what they were trained on, so that those that begin alike share their first epochs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ...ui.files import writing
from .settings import EpochRecord
from .trainer import OnStep, Training


def checkpoint_of(training: Training, budgets: Sequence[int], folder: Path) -> Path:
    """Where a training's weights after epochs at these budgets lie."""
    text = repr((sorted(training.identity(budgets).items()), tuple(budgets)))
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}-{len(budgets)}.safetensors"


def next_epoch(
    training: Training, budget: int, folder: Path | None = None, on_step: OnStep | None = None
) -> EpochRecord:
    """Train for another epoch, or load it where it was trained before.

    Raises:
        InputError: the cut has no such budget, a checkpoint cannot be read or written.
    """
    if folder is None:
        return training.epoch(budget, on_step)
    budgets = (*training.budgets, budget)
    path = checkpoint_of(training, budgets, folder)
    if path.exists():
        training.load(path)
    else:
        with writing(f"checkpoints: {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        training.epoch(budget, on_step)
        training.save(path)
    return training.records[-1]
