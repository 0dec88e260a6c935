"""Experiment tracking with Weights & Biases, offline unless asked, or with TensorBoard; never needed.

An offline run lies in ``wandb/`` inside the run folder; ``wandb leet`` reads it, ``wandb sync`` uploads it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..agents.run_folder import Tracked
from ..ui.console import note
from ..ui.errors import InputError
from ..ui.programs import needs, program

if TYPE_CHECKING:
    from .tensorboard import Board

MODES: tuple[Tracked, ...] = get_args(Tracked)
PROJECT = "splitgym"
_FROM_ENVIRONMENT: dict[str, Tracked] = {
    "disabled": "off",
    "off": "off",
    "offline": "offline",
    "dryrun": "offline",
    "online": "online",
    "run": "online",
}


def tracking_mode(asked: str | None) -> tuple[Tracked, str]:
    """How to track: with W&B, WANDB_MODE wins over what was asked, which defaults to offline.

    Returns:
        (mode, a line to tell why it is not what was asked, or nothing).

    Raises:
        InputError: WANDB_MODE is set to something unknown, or what is asked for is not installed.
    """
    if asked == "tensorboard":
        if importlib.util.find_spec("tensorboard") is None:
            raise InputError(f"--track tensorboard {needs('tensorboard')}")
        return asked, ""
    mode, told = _FROM_ENVIRONMENT[asked or "offline"], ""
    named = os.environ.get("WANDB_MODE", "")
    if named:
        if named not in _FROM_ENVIRONMENT:
            raise InputError(f"WANDB_MODE is {named!r}, allowed: {', '.join(_FROM_ENVIRONMENT)}")
        mode = _FROM_ENVIRONMENT[named]
        if asked is not None and asked != mode:
            told = f"tracking is {mode}: WANDB_MODE={named} wins over --track {asked}"
    if mode != "off" and importlib.util.find_spec("wandb") is None:
        if mode == "online":
            raise InputError(f"--track online {needs('wandb')}")
        return "off", "tracking is off: wandb is not installed"
    return mode, told


def new_track_id() -> str:
    """An id that a resumed run keeps."""
    return secrets.token_hex(4)


class Tracker:
    """A run in W&B or TensorBoard, or nothing at all in mode ``off``.

    Args:
        mode: off, offline, online or tensorboard.
        folder: the run folder; ``wandb/`` is made inside.
        name, run_id: of the run; the same id goes on with it.
        config: what to store with it.
        axis: the column of logged rows that is the axis of the curves.
        group: what the run is one of; empty for nothing.
        kind: what sort of run it is; runs can be filtered by it.
        tags: likewise.

    Raises:
        InputError: online without a login. An offline run that cannot begin is left out, with a line that says so.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        name: str,
        run_id: str,
        config: Mapping[str, Any],
        axis: str = "episodes",
        group: str = "",
        kind: str = "training",
        tags: Sequence[str] = (),
    ) -> None:
        self._run: Any = None
        self._board: Board | None = None
        if mode == "off":
            return
        if mode == "tensorboard":
            from .tensorboard import Board

            self._board = Board(folder, config, axis)
            return
        os.environ["WANDB_SILENT"] = "true"
        os.environ["WANDB_MODE"] = mode  # wandb checks it too, and an empty one is an error there
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_X_SERVICE_WAIT", "120")  # seconds; a busy machine takes long to start it
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            disable_git=True,
            disable_code=True,
            save_code=False,
        )
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=name,
                id=run_id,
                group=group or None,
                job_type=kind,
                tags=list(tags),
                resume="allow" if mode == "online" else None,
                dir=str(folder.resolve()),  # the service has a working directory of its own
                mode="online" if mode == "online" else "offline",
                reinit="finish_previous",
                config=dict(config),
                settings=settings,
            )
        except wandb.Error as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            if mode == "online":
                login = f"{program('wandb')} login"
                raise InputError(f"--track online: {reason} (log in with {login!r}, or use offline)") from None
            note(f"tracking is off: {reason}")  # not a reason to lose a training
            return
        self._run.define_metric("*", step_metric=axis)

    def log(self, row: Mapping[str, float]) -> None:
        """A point of the learning curve, the axis in it."""
        if self._run is not None:
            self._run.log(dict(row))
        if self._board is not None:
            self._board.log(row)

    def finish(
        self,
        columns: Sequence[str] = (),
        rows: Sequence[Sequence[Any]] = (),
        images: Mapping[str, Path] | None = None,
        summary: Mapping[str, Any] | None = None,
        exit_code: int = 0,
    ) -> None:
        """Add the final table, pictures and figures, and close the run. Doing it twice changes nothing."""
        if self._board is not None:
            self._board.finish(columns, rows, images or {}, summary or {})
            self._board = None
        if self._run is None:
            return
        import wandb

        final: dict[str, Any] = {name: wandb.Image(str(path)) for name, path in (images or {}).items()}
        if rows:
            final["results"] = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        if final:
            self._run.log(final)
        self._run.summary.update(dict(summary or {}))
        self._run.finish(exit_code=exit_code)
        self._run = None
