"""Deprune's env where it really trains: the trainer's results, checkpoints, going on after a stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitgym.agents.registry import make_agent
from splitgym.models.lookup import get_model
from splitgym.runtime.training.data import load_images
from splitgym.runtime.training.settings import Settings
from splitgym.runtime.training.trainer import Training
from splitgym.ui.errors import InputError

from ... import refused
from .episodes import make, make_batch, play, same_weights, weights

TINY: dict[str, Any] = {
    "backend": "train", "model": "lenet5", "layer": 5, "shares": (0.125, 0.5, 1.0), "epochs": 2, "images": 64,
    "batch": 16, "inputs": "devices",
}  # fmt: skip
FOUR = {**TINY, "epochs": 4}
SCHEDULE = (0, 0, 2, 1)


def training_of(env: Any, lane: int = 0) -> Training:
    return env.dynamics.learner._trainings[lane]


def by_hand(seed: int, budgets: Sequence[int], **changes: Any) -> Training:
    """What the env should have trained."""
    model = get_model("lenet5")
    fields: dict[str, Any] = {"layer": 5, "phi": 16, "images": 64, "batch": 16, "flips": False, "seed": seed, **changes}
    training = Training(model, load_images(None, model.input), Settings(**fields))
    for budget in budgets:
        training.epoch(budget)
    return training


@pytest.fixture
def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Budgets of all epochs that were really trained."""
    trained: list[int] = []
    original = Training._epoch

    def counted(self: Training, budget: int, on_step: Any) -> Any:
        trained.append(budget)
        return original(self, budget, on_step)

    monkeypatch.setattr(Training, "_epoch", counted)
    return trained


def test_training_is_the_trainers() -> None:
    env = make(**TINY)
    env.reset(seed=7)
    before = weights(training_of(env))
    _, infos = play(env, (1, 2), seed=7)
    expected, found = by_hand(7, (8, 16)), training_of(env)
    assert found.settings == expected.settings
    assert same_weights(found, expected)
    after = weights(found)
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("weight"))
    for info, record in zip(infos, expected.records, strict=True):
        assert info["epoch"]["accuracy"] == record.test_accuracy
        assert info["epoch"]["loss"] == record.test_loss
        assert info["budget"] == record.budget
    assert infos[-1]["accuracy"] == found.evaluate()[1]
    assert np.isnan(infos[-1]["regret"])
    assert env.dynamics.learner.chance == pytest.approx(0.1)
    assert any("trained here on scikit-learn digits" in line for line in env.dynamics.provenance)
    assert env.dynamics.eval_episodes == 1
    assert env.dynamics.slow_steps


@pytest.mark.parametrize(
    "changes",
    [{}, {"images": 65}, {"images": 70, "batch": 32}, {"module": False}, {"resolution": 2}, {"images": 10_000}],
    ids=str,
)
def test_bytes_are_those_that_crossed(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_images(None, get_model("lenet5").input, train_limit=130, test_limit=20)
    monkeypatch.setattr("splitgym.runtime.training.data.load_images", lambda *args, **kwargs: data)
    env = make(**{**TINY, **changes})
    last = len(env.dynamics.system.budgets) - 1
    info = play(env, (0, last))[1][-1]
    records = training_of(env).records
    assert info["trace"]["map_bytes"].tolist() == [record.cut_bytes for record in records]
    assert info["trace"]["sent_bytes"].tolist() == [record.total_bytes for record in records]
    assert env.dynamics.system.steps == records[0].steps
    assert env.dynamics.system.images == records[0].images


def test_every_seed_and_every_episode_has_its_own_net() -> None:
    env, again = make(**TINY), make(**TINY)
    found = []
    for seed in (3, None, None, 4):
        env.reset(seed=seed)
        again.reset(seed=seed)
        assert same_weights(training_of(env), training_of(again))
        found.append(training_of(env))
    assert (found[0].settings.seed, found[3].settings.seed) == (3, 4)
    assert len({training.settings.seed for training in found}) == 4  # the second of seed 3 is not the first of seed 4
    assert all(not same_weights(found[0], training) for training in found[1:])


def test_lanes_train_as_scalar_envs_do() -> None:
    batch, actions = make_batch(2, **TINY, autoreset_mode="SameStep"), np.array([[0, 2], [1, 1]])
    batch.reset(seed=5)
    infos: dict[str, Any] = {}
    for row in actions:
        *_, infos = batch.step(row)
    scalars = [make(**TINY) for _ in range(2)]
    for lane, env in enumerate(scalars):
        info = play(env, actions[:, lane], 5 + lane)[1][-1]
        assert infos["final_info"]["accuracy"][lane] == info["accuracy"]
        assert infos["final_info"]["sent_bytes"][lane] == info["sent_bytes"]
        env.reset()
        assert same_weights(training_of(batch, lane), training_of(env))  # the next episode's net


def test_trainings_that_begin_alike_share_their_first_epochs(tmp_path: Path, epochs_trained: list[int]) -> None:
    env = make(**FOUR, checkpoints=str(tmp_path / "kept"))
    first = play(env, SCHEDULE, seed=1)[1][-1]
    assert epochs_trained == [2, 2, 16, 8]
    assert len(list((tmp_path / "kept").iterdir())) == 4
    again = play(env, SCHEDULE, seed=1)[1][-1]
    assert again["trace"]["accuracy"].tolist() == first["trace"]["accuracy"].tolist()
    assert len(epochs_trained) == 4
    play(env, (0, 0, 1, 1), seed=1)  # parts after two epochs
    assert epochs_trained[4:] == [8, 8]
    assert same_weights(training_of(env), by_hand(1, (2, 2, 8, 8)))
    del epochs_trained[:]
    play(env, SCHEDULE, seed=2)
    assert len(epochs_trained) == 4
    other = make(**{**FOUR, "learning_rate": 0.02}, checkpoints=str(tmp_path / "kept"))
    play(other, SCHEDULE, seed=1)
    assert len(epochs_trained) == 8


def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, epochs_trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(**FOUR)
    expected = play(whole, SCHEDULE, seed=9)[1][-1]
    del epochs_trained[:]
    kept, steps = tmp_path / "kept", iter(range(1000))
    original = Training._step

    def stopped(self: Training, *args: Any) -> None:
        if next(steps) == 10:  # in the third epoch, after two of its four steps
            raise KeyboardInterrupt
        original(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            play(make(**FOUR, checkpoints=str(kept)), SCHEDULE, seed=9)
    assert epochs_trained == [2, 2, 16]
    del epochs_trained[:]
    env = make(**FOUR, checkpoints=str(kept))
    info = play(env, SCHEDULE, seed=9)[1][-1]
    assert epochs_trained == [16, 8]
    assert same_weights(training_of(env), training_of(whole))
    for one, other in zip(*(training_of(e).members.members.values() for e in (env, whole)), strict=True):
        mine, theirs = one.state(), other.state()
        assert any("momentum_buffer" in name for name in mine)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    for name, rows in expected["trace"].items():
        assert info["trace"][name].tolist() == rows.tolist()


def test_a_broken_checkpoint_is_one_line_that_names_it(tmp_path: Path) -> None:
    env = make(**TINY, checkpoints=str(tmp_path))
    play(env, (0, 1), seed=1)
    file = next(path for path in tmp_path.iterdir() if path.name.endswith("-1.safetensors"))
    file.write_bytes(b"broken")
    env.reset(seed=1)
    with refused("is not a checkpoint", start=f"{file}: "):
        env.step(0)


def test_a_higher_rate_learns_something_else() -> None:
    slow, fast = (make(**TINY, learning_rate=rate) for rate in (0.0, 0.05))
    for env in (slow, fast):
        play(env, (2, 2), seed=1)
    assert training_of(slow).settings.learning_rate == Settings.learning_rate
    assert training_of(fast).settings.learning_rate == 0.05
    assert not same_weights(training_of(slow), training_of(fast))


def test_the_best_schedule_is_not_known_where_nothing_was_recorded() -> None:
    env = make(**TINY, curves="")
    with pytest.raises(InputError, match=r"^best-schedule needs recorded curves"):
        make_agent("deprune", "best-schedule", env)
