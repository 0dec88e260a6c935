"""What a training tells an experiment tracker of itself."""

from __future__ import annotations

from ..agents.run_folder import RunFolder
from .jobs import Job
from .tracking import Tracker


def tracker_of(mode: str, folder: RunFolder, job: Job, group: str = "") -> Tracker:
    """The tracked run of a job: everything of its config that decides what comes out, and where its numbers are from.

    Args:
        mode: off, offline or online.
        folder: of the run, whose name is that of the tracked one, below its group's where it has one.
        job: with the config.
        group: what it is one of, the seeds of one training say.
    """
    config = job.config
    shown = {
        **{k: getattr(config, k) for k in ("env", "agent", "seed", "episodes", "steps", "env_kwargs", "hyperparams")},
        "scenario": config.scenario_name,
        "settings": config.settings,
        "versions": config.versions,
        "numbers": list(job.env.unwrapped.dynamics.provenance),
    }
    axis = "episodes" if job.spec.learns else "round"
    name = f"{group}/{folder.path.name}" if group else folder.path.name
    tags = (config.env, config.scenario_name, config.agent)
    return Tracker(mode, folder.path, name, config.track_id, shown, axis, group, "training", tags)
