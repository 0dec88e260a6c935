"""Every registered agent answers as the protocol says, and says what is wrong with what it is asked."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml

from splitgym.agents import registry
from splitgym.agents.protocol import Agent, Learner, follow
from splitgym.agents.registry import AgentSpec, agents_module, agents_of, get_spec, hyperparams_of, make_agent
from splitgym.envs import FAMILIES
from splitgym.envs.l2s.env import L2SEnv
from splitgym.experiments.play import make_env, play
from splitgym.ui.errors import InputError
from splitgym.ui.names import MOST_NAMED
from splitgym.ui.programs import needs

from .quick import make_batch, quick_agent

DISTREDGE = FAMILIES["distredge"]
# Short episodes, but with all that agents do in them: L2S's modes change after 100 rounds.
SHORT: dict[str, dict[str, Any]] = {
    FAMILIES["l2s"].default_scenario: {"rounds": 120},
    "resnet34-recovery": {"rounds": 200, "mbps_changes": ((125, 120.0),)},
    FAMILIES["edgemove"].default_scenario: {"on_device_s": 800.0},
    FAMILIES["hiertrain"].default_scenario: {"blocks": 10},
}
# The default scenario of each family, then scenarios that make agents behave in another way.
DEFAULTS = [(f.name, name, f.default_scenario) for f in FAMILIES.values() for name in agents_of(f.name)]
SETTINGS = [
    *DEFAULTS,
    *(("distredge", name, "dynamic-nano") for name in agents_of("distredge")),
    *(("l2s", name, "resnet34-recovery") for name in agents_of("l2s") if not get_spec("l2s", name).learns),
]


WHOLE = {
    "distredge": ["offload"],
    "l2s": ["pdt"],
    "edgemove": ["on-device"],
    "hiertrain": ["all-device", "all-edge", "all-cloud"],
    "deprune": [],
}


@cache
def shared_envs(family: str, scenario: str, options: tuple[tuple[str, Any], ...], lanes: int = 5) -> tuple[Any, Any]:
    """(scalar env, batch of it) for many agents: each begins anew with a seeded reset."""
    env = make_env(FAMILIES[family], scenario, dict(options))
    return env, make_batch(family, lanes, scenario=scenario, **dict(options))


def default_env(family: str, name: str) -> Any:
    """The scalar env that one of a family's agents is made for."""
    return shared_envs(family, FAMILIES[family].default_scenario, tuple(get_spec(family, name).env_kwargs.items()))[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_who_leaves_the_network_whole_is_marked(family: str) -> None:
    assert [name for name, spec in agents_of(family).items() if spec.whole] == WHOLE[family]


@pytest.mark.parametrize(("family", "name", "scenario"), SETTINGS)
def test_every_agent_decides_for_batches_and_plays(family: str, name: str, scenario: str) -> None:
    spec = get_spec(family, name)
    env, batch = shared_envs(family, scenario, (*SHORT.get(scenario, {}).items(), *spec.env_kwargs.items()))
    agent, lanes = quick_agent(family, name, env), batch.num_envs
    assert isinstance(agent, Agent)
    assert isinstance(agent, Learner) == spec.learns
    for deterministic in (True, False):
        observation, _ = batch.reset(seed=7)
        state, starts, ended = None, np.ones(lanes, dtype=bool), 0
        for _ in range(env.unwrapped.dynamics.episode_steps + 2):
            actions, state = agent.predict(observation, state, starts, deterministic=deterministic)
            assert actions.shape == batch.action_space.shape
            assert all(env.action_space.contains(action) for action in actions)
            observation, _, starts, _, _ = batch.step(actions)
            ended += starts.sum()
        assert ended >= lanes
    metrics = play(agent, env, episodes=1).metrics
    assert set(metrics) == set(env.unwrapped.dynamics.metric_kinds)
    assert np.isfinite(metrics[FAMILIES[family].headline])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_registry_is_whole(family: str) -> None:
    module, specs = agents_module(family), agents_of(family)
    assert len(specs) == len(module.AGENTS)
    default = specs[module.DEFAULT_AGENT]
    assert not default.baseline
    assert not default.reference
    assert set(getattr(module, "EVAL_AGENTS", ())) <= set(specs)
    assert any(spec.baseline for spec in specs.values())
    assert any(spec.reference for spec in specs.values())
    assert not any(spec.baseline and spec.learns for spec in specs.values())
    assert all(spec.summary and "\n" not in spec.summary for spec in specs.values())


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_entry_of_the_hyperparameter_file_belongs_to_an_agent(family: str) -> None:
    path = Path(registry.__file__).parent / "hyperparams" / f"{family}.yaml"
    table = yaml.safe_load(path.read_text()) if path.is_file() else {}
    assert set(table) <= set(agents_of(family))
    assert all("default" in entry for entry in table.values())


def test_hyperparameters_of_a_scenario() -> None:
    """The paper's: sigma^2 is 0.1 with four providers, 1 with sixteen."""
    paper = {
        "episodes": 4000,
        "variance": 0.1,
        "delta_eps": 1 / 250,
        "actor_rate": 1e-4,
        "critic_rate": 1e-3,
        "actor_net": [400, 200, 100],
        "critic_net": [400, 200, 100, 100],
        "batch_size": 64,
        "gamma": 0.99,
        "buffer_size": 100_000,  # ours: room for every step
    }
    assert hyperparams_of("distredge", "osds", "DB-50") == paper
    for scenario in ("LA", "LB", "LC", "LD", "LD-resnet50"):
        assert hyperparams_of("distredge", "osds", scenario) == {**paper, "variance": 1.0}
    for scenario in ("LAboard", "L", "LE", "laboratory", "my-LA"):
        assert hyperparams_of("distredge", "osds", scenario) == paper
    assert hyperparams_of("distredge", "offload", "DB-50") == {}


def test_longest_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"a": {"default": {"x": 0, "y": 0}, "D": {"x": 1}, "DB-50": {"x": 2}, "DB": {"x": 3}}}
    monkeypatch.setattr(registry, "_hyperparams", lambda family: table)
    scenarios = ("DB-50-yolov2", "DB-300", "DB-500", "DC-50", "NA-nano")
    found = {s: hyperparams_of("distredge", "a", s)["x"] for s in scenarios}
    assert found == {"DB-50-yolov2": 2, "DB-300": 3, "DB-500": 3, "DC-50": 0, "NA-nano": 0}
    assert hyperparams_of("distredge", "a", "DB-50") == {"x": 2, "y": 0}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_unknown_agent_lists_the_known_or_says_what_does(family: str) -> None:
    known = agents_of(family)
    told = known if len(known) <= MOST_NAMED else ("known: those of --list",)
    for call in (get_spec, lambda f, n: make_agent(f, n, None)):
        with pytest.raises(InputError) as caught:
            call(family, "nobody")
        message = str(caught.value)
        assert "\n" not in message
        assert all(word in message for word in ("'nobody'", *told))


@pytest.mark.parametrize(
    ("name", "near"), [("jiont", "joint"), ("offlod", "offload, aofl"), ("risk_seeking", "risk-seeking")]
)
def test_a_misspelt_agent_is_answered_with_the_nearest(name: str, near: str) -> None:
    told = f"--agent: unknown agent {name!r} for distredge; did you mean {near}? All of them: --list"
    with pytest.raises(InputError) as caught:
        get_spec("distredge", name)
    assert str(caught.value) == told


@pytest.mark.parametrize(("family", "name"), [(f, n) for f in FAMILIES for n in agents_of(f)])
def test_unknown_hyperparameter_is_named(family: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        make_agent(family, name, default_env(family, name), colour="red")
    assert str(caught.value).startswith(f"agent {name}: unknown hyperparameter 'colour'")


NOT_ALLOWED: list[tuple[str, str, Any, str]] = [
    ("osds", "batch_size", -1, "batch_size is -1, allowed: 1 or more"),
    ("osds", "batch_size", 1.5, "batch_size is 1.5, allowed: a whole number, 1 or more"),
    ("osds", "batch_size", True, "batch_size is True, allowed: a whole number, 1 or more"),
    ("osds", "variance", -1, "variance is -1, allowed: 0 or more"),
    ("osds", "variance", float("nan"), "variance is nan, allowed: a finite number, 0 or more"),
    ("osds", "actor_net", ["a"], "actor_net[0] is 'a', allowed: a whole number, 1 or more"),
    ("osds", "actor_net", [4, -3], "actor_net[1] is -3, allowed: 1 or more"),
    ("osds", "buffer_size", "abc", "buffer_size is 'abc', allowed: a whole number, 1 or more"),
    ("osds", "gamma", 5, "gamma is 5, allowed: 0..1"),
    ("osds", "actor_rate", -1, "actor_rate is -1, allowed: 0 or more"),
    ("osds", "episodes", 0, "episodes is 0, allowed: 1 or more"),
    ("risk-seeking", "quantile", 2, "quantile is 2, allowed: a finite number above 0, at most 1"),
    ("risk-seeking", "patience", 0, "patience is 0, allowed: 1 or more"),
    ("risk-seeking", "lanes", 0, "lanes is 0, allowed: 1 or more"),
    ("risk-seeking", "lanes", 1.5, "lanes is 1.5, allowed: a whole number, 1 or more"),
    ("risk-seeking", "memory", -3, "memory is -3, allowed: 0 or more"),
    ("ppo", "policy", "Foo", "policy is 'Foo', allowed: MlpPolicy, MultiInputPolicy"),
    ("ppo", "lanes", 0, "lanes is 0, allowed: 1 or more"),
    ("ppo", "learning_rate", None, "learning_rate is None, allowed: a finite number above 0"),
    ("ddpg", "gradient_steps", -2, "gradient_steps is -2, allowed: -1 or more"),
    ("joint", "population", 0, "population is 0, allowed: 1 or more"),
    ("joint", "parents", 0, "parents is 0, allowed: 1 or more"),
    ("joint", "rounds", 0, "rounds is 0, allowed: 1 or more"),
    ("aofl", "replan_delay_s", -1, "replan_delay_s is -1, allowed: 0 or more"),
]


@pytest.mark.parametrize(("name", "hyperparam", "value", "message"), NOT_ALLOWED)
def test_hyperparameter_out_of_range_is_one_line(name: str, hyperparam: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_agent("distredge", name, default_env("distredge", name), **{hyperparam: value})
    assert str(caught.value) == f"agent {name}: {message}"


def test_whole_numbers_may_be_written_as_powers_of_ten() -> None:
    env = make_env(DISTREDGE, "DB-50", {})
    learner: Any = make_agent("distredge", "osds", env, episodes=1e3)
    assert learner.episodes == 1000
    assert isinstance(learner.episodes, int)


@pytest.mark.parametrize(("name", "hyperparam"), [("ppo", "device"), ("sac", "algorithm"), ("offload", "threshold")])
def test_what_is_not_for_the_user_is_unknown(name: str, hyperparam: str) -> None:
    with pytest.raises(InputError) as caught:
        make_agent("distredge", name, default_env("distredge", name), **{hyperparam: 1})
    assert str(caught.value).startswith(f"agent {name}: unknown hyperparameter {hyperparam!r}")


def test_smallest_joint_search_allowed_works() -> None:
    env = make_env(DISTREDGE, "NA-nano", get_spec("distredge", "joint").env_kwargs)
    agent: Any = make_agent("distredge", "joint", env, population=1, parents=1, patience=1, rounds=1)
    offload: Any = make_agent("distredge", "offload", env)
    latency_s = env.unwrapped.dynamics.system.evaluate([agent.best_plan, offload.best_plan])
    assert latency_s[0] <= latency_s[1]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["stable_baselines3"] = None
from splitgym.agents.registry import get_spec, make_agent
from splitgym.experiments.play import make_env
from splitgym.envs import FAMILIES
from splitgym.ui.errors import InputError
for name in ("aofl", "osds", "risk-seeking", "ppo"):
    env = make_env(FAMILIES["distredge"], "DB-50", get_spec("distredge", name).env_kwargs)
    try:
        print(type(make_agent("distredge", name, env)).__name__)
    except InputError as error:
        print(error)
"""


def test_without_torch_planners_work_and_learners_say_what_they_need() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    planner, *learners = done.stdout.splitlines()
    assert planner == "PlanAgent"
    assert len(learners) == 3
    for name, line in zip(("osds", "risk-seeking", "ppo"), learners, strict=True):
        assert line in [f"agent {name} {needs(package)}" for package in ("torch", "stable_baselines3")]


def test_unknown_hyperparameter_is_named_by_newer_pythons_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(env: Any, seed: int) -> Agent:
        raise TypeError("f() got an unexpected keyword argument 'rat'. Did you mean 'rate'?")

    monkeypatch.setattr(registry, "get_spec", lambda family, name: AgentSpec(name, "", make))
    with pytest.raises(InputError, match=r"unknown hyperparameter 'rat'$"):
        make_agent("distredge", "a", make_env(DISTREDGE, "DB-50", {}))


OTHER_OPTIONS: list[tuple[str, str, dict[str, Any], str]] = [
    ("deprune", "without-module", {}, "module=False, not True"),
    ("l2s", "l2s", {}, "sync=ask, not period"),
    ("l2s", "l2s-fws", {"sync": "ask"}, "sync=change, not ask"),
    ("l2s", "ppt", {}, "privacy_point=1, not 4"),
    ("edgemove", "oracle", {}, "action=oracle, not absolute"),
    ("edgemove", "edgemove", {"action": "flat"}, "action=absolute, not flat"),
    ("edgemove", "dqn", {}, "action=flat, not absolute"),
    ("hiertrain", "jalad", {}, "plans=layers, not hybrid"),
    ("hiertrain", "jalad", {"plans": "layers"}, "activation_bits=8, not 32"),
    ("hiertrain", "exact", {"plans": "layers"}, "plans=hybrid, not layers"),
    ("hiertrain", "sac", {"plans": "layers"}, "plans=hybrid, not layers"),
    ("distredge", "joint", {}, "partition=learned, not lc-pss"),
    ("distredge", "offload", {"partition": np.array([6, 14])}, "partition=learned, not [ 6 14]"),
    ("distredge", "online", {"partition": "learned", "observation": "paper"}, "observation=full, not paper"),
    (
        "distredge", "coedge", {"scenario": "dynamic-nano", "partition": "learned", "observation": "paper"},
        "observation=full, not paper",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "name", "options", "needed"), OTHER_OPTIONS)
@pytest.mark.parametrize("lanes", [0, 2])
def test_an_env_with_other_options_is_refused(
    family: str, name: str, options: dict[str, Any], needed: str, lanes: int
) -> None:
    env: Any = make_batch(family, lanes, **options) if lanes else gym.make(FAMILIES[family].env_id, **options)
    with pytest.raises(InputError) as caught:
        make_agent(family, name, env)
    assert str(caught.value) == f"agent {name}: its env needs {needed}"


@pytest.mark.parametrize(
    ("family", "name", "options"),
    [
        ("distredge", "osds", {"observation": "full"}),
        ("distredge", "risk-seeking", {"partition": "learned", "observation": "paper", "optimum": False}),
        ("distredge", "coedge", {"partition": "learned", "observation": "paper"}),  # constant links
        ("hiertrain", "ppo", {"plans": "layers"}),
        ("edgemove", "ppo", {"action": "paper"}),
    ],
)
def test_options_that_an_agent_can_do_without_are_the_users(family: str, name: str, options: dict[str, Any]) -> None:
    env = make_env(FAMILIES[family], FAMILIES[family].default_scenario, options)
    assert isinstance(quick_agent(family, name, env), Agent)


def test_an_env_made_without_gymnasium_is_taken_as_it_is() -> None:
    env = L2SEnv(sync="ask", rounds=5, privacy_point=1)
    assert play(make_agent("l2s", "l2s", env), env, 1).episodes == 1
    with pytest.raises(InputError, match="agent ppt: its env needs privacy_point=1, not 3"):
        make_agent("l2s", "ppt", L2SEnv(privacy_point=3))


def test_other_type_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(env: Any, seed: int) -> Agent:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(registry, "get_spec", lambda family, name: AgentSpec(name, "", make))
    with pytest.raises(TypeError, match="unsupported operand"):
        make_agent("distredge", "a", make_env(DISTREDGE, "DB-50", {}))


def test_follow_goes_through_a_plan_lane_by_lane() -> None:
    plan = np.arange(3.0)[:, None]
    state, seen = None, []
    for starts in ([True, True], [False, False], [False, True], [False, False], None):
        actions, state = follow(plan, 2, state, starts)
        seen.append(actions[:, 0].tolist())
    assert seen == [[0, 0], [1, 1], [2, 0], [0, 1], [1, 2]]
