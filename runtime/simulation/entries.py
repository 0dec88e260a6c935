"""Trainings that are drawn for a seed: of which kind, and their entries."""

from __future__ import annotations

import random

from ..training.cut import Ledger
from ..training.hybrid import rearrangement
from ..wire_training import AnyEntry, Minibatch, Move, Round, Share
from ..wire_training_plan import ROLES, Kind, Setup
from .symbols import BATCH, STEPS

DRAWN: tuple[Kind, ...] = ("cut", "pipeline", "hybrid")  # a compressed training's members talk as a cut's do
COUNT = 14
RATE = 0.5


def draw_setup(rng: random.Random) -> Setup:
    """What the members of a training agree on."""
    kind = rng.choice(DRAWN)
    piped = kind == "pipeline"
    return Setup(
        kind, ROLES[kind], {}, "sgd", 0.0, 0.0, BATCH, 0, 0, False, (0.0,), (1.0,), rng.choice((1, 2, 3, 5)),
        rng.randint(1, 3) if piped else 1, rng.randint(0, STEPS - 1) if piped else 0,
    )  # fmt: skip


def draw_entries(setup: Setup, rng: random.Random) -> list[AnyEntry]:
    """Entries of a training, some of which move layers; nothing is in flight behind the last."""
    match setup.kind:
        case "pipeline":
            return _piped(setup.cut, rng)
        case "hybrid":
            return _shared(setup.roles, rng)
        case _:
            return _cut(rng)


def _cut(rng: random.Random) -> list[AnyEntry]:
    ledger, entries = Ledger(STEPS, rng.randint(2, 5)), list[AnyEntry]()
    for number in range(COUNT):
        entry = Round(number, rng.randint(0, STEPS), RATE)
        ledger.book(entry)
        entries.append(entry)
        if (sync := ledger.due_behind()) is not None:
            ledger.book(sync)
            entries.append(sync)
    return entries


def _piped(cut: int, rng: random.Random) -> list[AnyEntry]:
    entries = list[AnyEntry]()
    for number in range(COUNT):
        entries.append(Minibatch(number, cut, RATE))
        if rng.random() < 0.2 or number == COUNT - 1:
            after = rng.randint(0, STEPS)
            entries.append(Move(cut, after))
            cut = after
    return entries


def _shared(roles: tuple[str, ...], rng: random.Random) -> list[AnyEntry]:
    entries, share = list[AnyEntry](), None
    for number in range(COUNT):
        if share is None or rng.random() < 0.2:
            before, share = share, _drawn_share(roles, rng)
            moved = None if before is None else rearrangement(before, share, STEPS)
            entries += [] if moved is None else [moved]
        entries.append(Share(number, RATE, share.roles, share.m_s, share.m_l, share.b))
    return entries


def _drawn_share(roles: tuple[str, ...], rng: random.Random) -> Share:
    played = tuple(rng.sample(roles, len(roles)))
    m_s, m_l = sorted(rng.randint(0, STEPS) for _ in range(2))
    shares = [0] * len(roles)
    for _ in range(BATCH):
        shares[rng.randrange(len(roles))] += 1
    shares = [n if m else 0 for n, m in zip(shares, (1, m_s, m_l), strict=True)]
    shares[0] += BATCH - sum(shares)
    return Share(0, RATE, played, m_s, m_l, tuple(shares))
