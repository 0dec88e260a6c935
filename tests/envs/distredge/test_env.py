"""DistrEdge's environment: options, the trace's clock, rewards, partitions, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ... import refused
from ..made import colours, make, make_batch, random_action


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"observation": "some"}, "paper, full"),
        ({"reward": "none"}, "speedup, paper"),
        ({"partition": "fine"}, "learned"),
        ({"partition": [3, 2]}, "increase"),
        ({"partition": [0]}, "1..17"),
        ({"alpha": 2.0}, "0..1"),
        ({"devices": ("nano",), "mbps": (50.0,)}, "two"),
        ({"names": ("a", "a", "b", "c")}, "named twice"),
        ({"devices": ("nano", "toaster"), "mbps": (50.0, 50.0)}, "toaster"),
        ({"model": "vgg17"}, "vgg16"),
        ({"mbps": (50.0, -1.0, 50.0, 50.0)}, "mbps[1] is -1.0, allowed: 0.001..1e6"),
        ({"mbps": (50.0, "fast", 50.0, 50.0)}, "mbps"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_distredge_refuses_bad_options(kwargs: dict, words: str) -> None:
    with refused(words):
        make("distredge", **kwargs)


def test_clock_goes_on_and_restarts() -> None:
    """The trace continues across images, by latency plus gap, and reset(seed) restarts it."""
    env = make("distredge", scenario="dynamic-nano", observation="full", gap_s=100.0)
    clock = env.dynamics.observer.names.index("clock share")
    first, _ = env.reset(seed=1)
    expected = 0.0
    for _ in range(3):
        done = False
        while not done:
            _, _, done, _, info = env.step(np.zeros(3, dtype=np.float32))
        expected += info["latency_s"] + 100.0
        observation, _ = env.reset()
        assert observation[clock] == pytest.approx(expected / 3600.0, rel=1e-5)
        assert not np.array_equal(observation, first)
    assert np.array_equal(env.reset(seed=1)[0], first)


def test_rewards_are_what_they_say() -> None:
    for reward, value in (("speedup", "speedup"), ("paper", "ips")):
        env = make("distredge", reward=reward)
        env.reset(seed=0)
        got, done, info = [], False, {}
        while not done:
            _, r, done, _, info = env.step(np.zeros(3, dtype=np.float32))
            got.append(r)
        assert got[:-1] == [0.0] * (len(got) - 1)
        assert got[-1] == info[value]


def test_learned_partition_reaches_any_fixed_one() -> None:
    """Ending volumes at LC-PSS's cuts with the same splits gives the same latency as the fixed partition."""
    fixed, learned = make("distredge"), make("distredge", partition="learned")
    fixed.reset(seed=0)
    rng, done, info = np.random.default_rng(4), False, {}
    while not done:
        _, _, done, _, info = fixed.step(random_action(fixed, rng))
    plan = fixed.dynamics.plan(0)
    assert info["plan"] == plan.to_json()
    learned.reset(seed=0)
    for action in learned.dynamics.plan_actions(plan):
        *_, again = learned.step(action)
    assert again["latency_s"] == info["latency_s"]
    assert again["plan"] == info["plan"]


def test_an_evaluation_on_dynamic_links_sees_the_whole_hour() -> None:
    """Means shift at 20 and 40 minutes; the images of one evaluation must reach beyond both."""
    env = make("distredge", scenario="dynamic-nano", observation="full")
    env.reset(seed=0)
    dynamics = env.dynamics
    for _ in range(dynamics.eval_episodes):
        done = False
        while not done:
            _, _, done, _, info = env.step(np.zeros(3, dtype=np.float32))
        env.reset()
    assert dynamics.links.period_s * 0.99 < dynamics._clock[0] < dynamics.links.period_s * 1.1
    assert np.isfinite(info["regret_s"])


def test_offload_has_speedup_one_at_any_rates() -> None:
    env = make("distredge", scenario="dynamic-nano", partition="learned", optimum=False)
    dynamics = env.dynamics
    actions = dynamics.plan_actions(dynamics.system.everything_on(dynamics.system.best_provider))
    env.reset(seed=3)
    for _ in range(5):
        for action in actions:
            _, reward, _, _, info = env.step(action)
        assert info["speedup"] == reward == pytest.approx(1.0)
        env.reset()


def test_same_step_lanes_draw_the_image_that_just_ended() -> None:
    batch = make_batch("distredge", 2, autoreset_mode="SameStep", render_mode="rgb_array")
    batch.reset(seed=0)
    ended = False
    while not ended:
        _, _, terminated, _, _ = batch.step(batch.action_space.sample())
        ended = terminated.all()
    frames = batch.render()
    assert frames is not None
    assert all(colours(frame) > 300 for frame in frames)  # bars, not "no image yet"


def test_files_of_a_scenario_are_found_from_where_it_lies(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wifi.txt").write_text("0 50\n1 150\n")
    (tmp_path / "mine.yaml").write_text("model: vgg16\ndevices: [nano, nano]\nmbps: [100, 100]\ntraces: [wifi.txt]\n")
    monkeypatch.chdir("/")
    env = make("distredge", scenario=str(tmp_path / "mine.yaml"))
    assert env.dynamics.system.mbps.tolist() == [100.0, 100.0]
