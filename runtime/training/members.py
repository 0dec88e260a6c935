"""The members of a training, made of what all of them agree on: the same in one process and on a worker."""

from __future__ import annotations

import torch

from ...models.model import Model
from ...models.runnable.compression import split_model
from ...ui.errors import InputError
from ...ui.validation import validated
from ..wire_training_plan import ROLES, Setup
from .back import Back
from .compressed import CompressedClient, CompressedRules, CompressedServer, others_of
from .core import Rules
from .cut import CutRules, Device
from .data import Dataset
from .half import Half, Recipe, Scale, untrained
from .hybrid import HybridRules, JoiningHalf, Worker
from .member import CONTROLLER, Member
from .order import Batches
from .pipeline import Client, PipelineRules
from .settings import Settings


def rules_of(setup: Setup, steps: int) -> Rules:
    """How the entries of a training go.

    Args:
        steps: of the model.

    Raises:
        InputError: its roles are none of its kind's.
    """
    _check_roles(setup)
    match setup.kind:
        case "cut":
            return CutRules(setup.roles, steps)
        case "pipeline":
            return PipelineRules(setup.roles, steps, setup.in_flight)
        case "hybrid":
            return HybridRules(setup.roles)
        case "compressed":
            return CompressedRules(setup.roles)


def make_member(setup: Setup, model: Model, role: str, data: Dataset | None) -> Member:
    """A member as it is at the beginning.

    Args:
        data: for the first role.

    Raises:
        InputError: what was agreed on makes no sense.
    """
    _check_roles(setup)
    if setup.cut > len(model.steps):
        raise InputError(f"cut is {setup.cut}, allowed: 0 to {len(model.steps)}")
    if len(setup.mean) not in (1, model.input.folded_channels) or len(setup.mean) != len(setup.deviation):
        raise InputError(f"mean and deviation are of {len(setup.mean)} channels, {model.name} takes {model.input}")
    owner = role == setup.roles[0]
    if owner != (data is not None):
        raise InputError(f"{role}: must {'' if owner else 'not '}have the data")
    match setup.kind:
        case "compressed":
            return _compressed(setup, model, role, data)
        case "hybrid":
            half = JoiningHalf(untrained(model, setup.seed), _recipe(setup), _scale(setup))
            return Worker(role, half, setup.batch, _batches(setup, data, whole=True), recovers=bool(setup.every))
        case kind:
            return _front_or_back(setup, model, role, _batches(setup, data), piped=kind == "pipeline")


def _check_roles(setup: Setup) -> None:
    """A hybrid training's workers may be called as they like, but not as the controller; "/" parts names in files."""
    due = ROLES[setup.kind]
    fits = len(set(setup.roles)) == len(setup.roles) == len(due)
    named = all(role and role != CONTROLLER and "/" not in role for role in setup.roles)
    if not fits or not named or (setup.kind != "hybrid" and setup.roles != due):
        raise InputError(f"roles are {', '.join(setup.roles)}, allowed: as in {', '.join(due)}")


def _front_or_back(setup: Setup, model: Model, role: str, batches: Batches | None, piped: bool) -> Member:
    """A member of a training with one cut."""
    recovers, largest = bool(setup.every), setup.batch + 1  # no batch is left with one image
    stashes = piped and batches is not None and setup.in_flight > 1
    half = Half(untrained(model, setup.seed), _recipe(setup), _scale(setup), stashes)
    if batches is None:
        cut = setup.cut if piped else 0
        return Back(role, half, largest, cut, at_once=piped, every=setup.every if piped else 0, recovers=recovers)
    if piped:
        return Client(half, batches, setup.cut, setup.in_flight, setup.every, recovers)
    return Device(half, batches, recovers)


def _compressed(setup: Setup, model: Model, role: str, data: Dataset | None) -> Member:
    settings = validated(Settings, setup.settings, "settings")
    if settings.mask != "hard":
        raise InputError("mask is 'soft', allowed over a wire: 'hard'")
    if (settings.batch, settings.seed, settings.flips) != (setup.batch, setup.seed, setup.flips):
        raise InputError("settings: batch, seed or flips are not those of the training")
    halves = split_model(model, settings.interface(model), settings.seed, mask=settings.mask)
    recovers, batches = bool(setup.every), _batches(setup, data)
    if batches is not None:
        return CompressedClient(halves.client, settings, batches, _scale(setup), recovers)
    return CompressedServer(halves.server, settings, others_of(halves.client), setup.batch + 1, recovers)


def _recipe(setup: Setup) -> Recipe:
    return Recipe(setup.optimizer, setup.momentum, setup.weight_decay)


def _scale(setup: Setup) -> Scale:
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (setup.mean, setup.deviation))
    return Scale(mean, deviation)


def _batches(setup: Setup, data: Dataset | None, whole: bool = False) -> Batches | None:
    if data is None:
        return None
    return Batches(data, setup.batch, setup.seed, setup.images or None, setup.flips, whole=whole)
