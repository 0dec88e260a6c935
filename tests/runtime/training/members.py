"""Trainings over members in one process, of small networks."""

from __future__ import annotations

from typing import Any

from splitgym.models.model import Model
from splitgym.runtime.training.back import Back
from splitgym.runtime.training.cut import EDGE, CutRules, Device
from splitgym.runtime.training.data import Dataset
from splitgym.runtime.training.half import Half, Recipe, Scale, untrained
from splitgym.runtime.training.hybrid import HybridRules, JoiningHalf, Worker
from splitgym.runtime.training.local import LocalTraining
from splitgym.runtime.training.order import Batches
from splitgym.runtime.training.pipeline import SERVER, Client, PipelineRules
from splitgym.runtime.wire_training import Minibatch, Move, Round, Share

from .reference import BATCH, DECAY, MOMENTUM, RATE

RECIPE = Recipe("sgd", MOMENTUM, DECAY)


def half(model: Model, data: Dataset, **options: Any) -> Half:
    return Half(untrained(model), RECIPE, Scale.of(data), **options)


def cut_training(model: Model, data: Dataset, **options: Any) -> LocalTraining:
    make = {
        "device": lambda: Device(half(model, data), Batches(data, BATCH)),
        "edge": lambda: Back(EDGE, half(model, data), BATCH),
    }
    return LocalTraining(CutRules(("device", "edge"), len(model.steps)), make, **options)


def pipeline_training(
    model: Model, data: Dataset, cut: int, in_flight: int = 2, every: int = 5, **options: Any
) -> LocalTraining:
    make = {
        "client": lambda: Client(half(model, data, stashes=in_flight > 1), Batches(data, BATCH), cut, in_flight, every),
        "server": lambda: Back(SERVER, half(model, data), BATCH, cut, at_once=True, every=every),
    }
    rules = PipelineRules(("client", "server"), len(model.steps), in_flight)
    return LocalTraining(rules, make, every, **options)


def hybrid_training(model: Model, data: Dataset, **options: Any) -> LocalTraining:
    def worker(name: str) -> Worker:
        joining = JoiningHalf(untrained(model), RECIPE, Scale.of(data))
        return Worker(name, joining, BATCH, Batches(data, BATCH, whole=True) if name == "device" else None)

    names = ("device", "edge", "cloud")
    make = {name: lambda name=name: worker(name) for name in names}
    return LocalTraining(HybridRules(names), make, **options)


def rounds(cut: int, first: int, count: int) -> list[Round]:
    return [Round(number, cut, RATE) for number in range(first, first + count)]


def minibatches(segments: list[tuple[int, int]]) -> list[Minibatch | Move]:
    """Minibatches of every segment, and the move behind it."""
    entries: list[Minibatch | Move] = []
    number = 0
    for i, (cut, count) in enumerate(segments):
        entries += [Minibatch(number + k, cut, RATE) for k in range(count)]
        number += count
        entries.append(Move(cut, segments[i + 1][0] if i + 1 < len(segments) else cut))
    return entries


def shares(first: int, count: int, m_s: int, m_l: int, b: tuple[int, int, int], roles: Any = None) -> list[Share]:
    return [
        Share(number, RATE, roles or ("edge", "device", "cloud"), m_s, m_l, b) for number in range(first, first + count)
    ]
