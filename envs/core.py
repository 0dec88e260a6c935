"""What every family shares: batched dynamics, the scalar and the vector env over them.

A family writes its physics once, as a :class:`Dynamics` that steps all lanes at once. :class:`ScalarEnv` is a
batch of one and :class:`BatchEnv` is Gymnasium's ``VectorEnv``; both own episodes, autoreset and ``info``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ..ui.errors import InputError

Info = dict[str, Any]


class Dynamics(ABC):
    """The physics of one family over ``num_lanes`` independent lanes.

    State arrays keep the lane axis last. ``advance`` is the only method that another backend replaces.

    Attributes:
        num_lanes: number of lanes.
        scenario_name: name of the setting.
        observation_space, action_space: of one lane.
        metric_kinds: every name in ``metrics`` with how the episodes' values are summarised: mean, sum, last, or
            harmonic (the mean of rates: total over total)
        is_random: whether two seeds can give different episodes under the same actions.
        plan_decides: whether a plan's episode depends on the plan alone, so that an agent that has seen a good one can
            simply carry it out again.
        eval_episodes: episodes that an evaluation plays when it is not told otherwise; 1 where all are alike.
        episode_steps: steps of an episode, an upper bound where they differ.
        slow_steps: whether a step takes seconds, so that playing an episode shows how far it is.
        exclusive: whether only one process at a time can play, since it is machines that play.
    """

    num_lanes: int
    scenario_name: str
    observation_space: spaces.Space
    action_space: spaces.Space
    metric_kinds: ClassVar[Mapping[str, Literal["mean", "sum", "last", "harmonic"]]]
    is_random: bool = True
    plan_decides: bool = True
    eval_episodes: int = 200
    episode_steps: int = 1
    slow_steps: bool = False
    exclusive: bool = False

    @property
    def alike(self) -> bool:
        """Whether the same actions make every episode the same, so that the best of many is no matter of luck."""
        return not self.is_random and self.eval_episodes == 1

    @property
    def provenance(self) -> tuple[str, ...]:
        """Where the numbers behind the physics come from, one line each: modelled, measured, imported, or inferred."""
        return ()

    @property
    def summary(self) -> str:
        """The setting in a few words, as it is now."""
        return ""

    @property
    def fingerprint(self) -> str:
        """Hash of all inputs that results depend on; empty where nothing but the settings does."""
        return ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The scenario with every field resolved, JSON-able."""
        return {}

    @abstractmethod
    def seed_lanes(self, lanes: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Restart everything random or time-dependent in ``lanes``, each from its own generator."""

    @abstractmethod
    def reset_lanes(self, lanes: np.ndarray) -> None:
        """Begin the next episode in ``lanes``; traces and clocks go on."""

    @abstractmethod
    def advance(self, action: np.ndarray, lanes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """One step of all lanes, or of some.

        Args:
            action: (num_lanes, ...) actions; rows of other lanes are ignored.
            lanes: indices of the lanes to step, None for all.

        Returns:
            (reward float64 (num_lanes,), terminated bool (num_lanes,)); 0 and False in lanes not stepped.
        """

    @abstractmethod
    def observe(self) -> Any:
        """Observation of every lane, (num_lanes, ...) in the layout of the batched space.

        Fresh arrays; what never changes may be :func:`read_only`.
        """

    @abstractmethod
    def metrics(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        """Flat figures of the episodes that just ended in ``lanes``: name -> (len(lanes),) float."""

    def arrays(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        """Figures per device or the like of the episodes that just ended: name -> (len(lanes), k)."""
        return {}

    def step_info(self, lane: int) -> Info:
        """What the scalar env tells of every step; nothing by default."""
        return {}

    def details(self, lane: int) -> Info:
        """What only the scalar env reports of an ended episode (a plan, say)."""
        return {}

    def plan(self, lane: int) -> Any:
        """The plan that the last ended episode of a lane amounts to; None where a family has none."""
        return None

    def plan_actions(self, plan: Any) -> np.ndarray:
        """(steps, ...) actions that carry out a plan, one per step of an episode."""
        raise InputError("this environment has no plans")

    def render_lane(self, lane: int) -> np.ndarray:
        """A picture of the last ended episode (or the one under way) of a lane, (height, width, 3) uint8."""
        raise InputError("this environment draws nothing")


class ScalarEnv(gym.Env[Any, Any]):
    """One lane of a family's dynamics as a ``gymnasium.Env``.

    When an episode ends, ``info`` holds ``metrics`` (flat floats, the rows of results.csv), the same figures at
    its top level, arrays per device, and details such as the plan.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 1}
    renders_steps = False  # whether a window shows every step, not only the ends of episodes

    def __init__(self, dynamics: Dynamics, render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode: {render_mode!r} is not one of {', '.join(self.metadata['render_modes'])}")
        self.dynamics = dynamics
        self.observation_space = dynamics.observation_space
        self.action_space = dynamics.action_space
        self.render_mode = render_mode
        self._lane = np.zeros(1, dtype=np.intp)
        self._seeded = False
        self._over = True
        self._window: Any = None

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self.dynamics.seed_lanes(self._lane, [self.np_random])
            self._seeded = True
        self.dynamics.reset_lanes(self._lane)
        self._over = False
        if self.render_mode == "human":
            self.render()
        return _first(self.dynamics.observe()), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Info]:
        if self._over:
            raise gym.error.ResetNeeded("call reset() before step(), and after an episode has ended")
        reward, terminated = self.dynamics.advance(np.asarray(action)[None])
        self._over = done = bool(terminated[0])
        info = self.dynamics.step_info(0)
        if done:
            info |= self._final_info()
        if self.render_mode == "human" and (done or self.renders_steps):
            self.render()
        return _first(self.dynamics.observe()), float(reward[0]), done, False, info

    def _final_info(self) -> Info:
        metrics = {k: float(v[0]) for k, v in self.dynamics.metrics(self._lane).items()}
        arrays = {k: v[0] for k, v in self.dynamics.arrays(self._lane).items()}
        return {"metrics": metrics, **metrics, **arrays, **self.dynamics.details(0)}

    def render(self) -> Any:
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode at gym.make: rgb_array or human")
            return None
        frame = self.dynamics.render_lane(0)
        if self.render_mode == "rgb_array":
            return frame
        self._window = show(frame, self._window)
        return None

    def close(self) -> None:
        if self._window is not None:
            import matplotlib.pyplot as plt

            plt.close(self._window)
            self._window = None


def lane_count(num_envs: Any) -> int:
    """The lanes of a vector env.

    Raises:
        InputError: it is no whole number, or there are none.
    """
    if not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
        raise InputError(f"num_envs is {num_envs!r}, allowed: whole numbers from 1")
    return int(num_envs)


class BatchEnv(VectorEnv[Any, Any, Any]):
    """All lanes of a family's dynamics as a ``gymnasium.vector.VectorEnv``.

    Lane i of ``reset(seed=s)`` equals the scalar env at seed s + i. ``autoreset_mode`` is ``"NextStep"``
    (Gymnasium's default: the step after an end resets and ignores the action), ``"SameStep"`` or
    ``"Disabled"`` (reset lanes with ``options={"reset_mask": mask}``). ``info`` is empty until a lane ends, then
    holds arrays with ``_key`` masks, inside ``final_info`` under same-step reset.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        dynamics: Dynamics,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        try:
            mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(m.value for m in AutoresetMode)
            raise InputError(f"autoreset_mode: {autoreset_mode!r} is not one of {allowed}") from None
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"render_mode: {render_mode!r} is not one of {', '.join(self.metadata['render_modes'])}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise InputError(f"max_episode_steps is {max_episode_steps}, allowed: 1 or more")
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.dynamics = dynamics
        self.num_envs = lane_count(dynamics.num_lanes)
        self.render_mode = render_mode
        self.single_observation_space = dynamics.observation_space
        self.single_action_space = dynamics.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._mode = mode
        self._ended: np.ndarray | None = None  # lanes that the next step resets
        self._seeded = False
        self._most_steps = max_episode_steps
        self._steps = np.zeros(self.num_envs, dtype=np.intp)  # of the episodes under way, where there is a limit
        self._never = np.zeros(self.num_envs, dtype=bool)

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: Info | None = None) -> tuple[Any, Info]:
        lanes = self._masked_lanes(options)
        if seed is not None or not self._seeded:
            self._seed(lanes, seed)
        if self._ended is not None:
            still = np.setdiff1d(self._ended, lanes)
            self._ended = still if still.size else None
        self._begin(lanes)
        return self.dynamics.observe(), {}

    def _begin(self, lanes: np.ndarray) -> None:
        self.dynamics.reset_lanes(lanes)
        self._steps[lanes] = 0

    def _masked_lanes(self, options: Info | None) -> np.ndarray:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.arange(self.num_envs)
        if not (isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == (self.num_envs,) and mask.any()):
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},) with at least one True")
        return np.flatnonzero(mask)

    def _seed(self, lanes: np.ndarray, seed: int | Sequence[int | None] | None) -> None:
        if seed is None or isinstance(seed, (int, np.integer)):
            first = seed
            if first is None:
                first = int(np.random.SeedSequence().generate_state(1)[0])
            seeds: Sequence[int | None] = [int(first) + i for i in range(self.num_envs)]
        else:
            seeds = seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"got {len(seeds)} seeds for {self.num_envs} lanes")
        if not self._seeded:
            lanes = np.arange(self.num_envs)
        self.dynamics.seed_lanes(lanes, [seeding.np_random(seeds[i])[0] for i in lanes])
        self._seeded = True

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, Info]:
        ended = self._ended
        if ended is not None and self._mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(f"lanes {ended.tolist()} ended: reset them with options={{'reset_mask': mask}}")
        running = None if ended is None else np.setdiff1d(np.arange(self.num_envs), ended)
        if running is None or running.size:
            reward, terminated = self.dynamics.advance(actions, running)
        else:
            reward, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        self._ended = None  # only now: a refused action changes nothing
        if ended is not None:
            self._begin(ended)
        truncated = self._truncated(running)
        over = terminated | truncated
        if not over.any():
            return self.dynamics.observe(), reward, terminated, truncated, {}
        lanes = np.flatnonzero(over)
        info = self._final_info(np.flatnonzero(terminated)) if terminated.any() else {}
        if self._mode is AutoresetMode.SAME_STEP:
            info = {
                "final_obs": self.dynamics.observe(), "_final_obs": over.copy(),
                "final_info": info, "_final_info": terminated.copy(),
            }  # fmt: skip
            self._begin(lanes)
        else:
            self._ended = lanes
        return self.dynamics.observe(), reward, terminated, truncated, info

    def _truncated(self, running: np.ndarray | None) -> np.ndarray:
        """Lanes whose episodes have lasted ``max_episode_steps``; unless they end there, too, they have no metrics."""
        if self._most_steps is None:
            return self._never.copy()
        self._steps[slice(None) if running is None else running] += 1
        return self._steps >= self._most_steps

    def _final_info(self, lanes: np.ndarray) -> Info:
        metrics = self.dynamics.metrics(lanes)
        nested: Info = {}
        for key, values in metrics.items():
            self._put(nested, key, values, lanes)
        info: Info = {"metrics": nested, "_metrics": self._mask(lanes)}
        for key, values in {**metrics, **self.dynamics.arrays(lanes)}.items():
            self._put(info, key, values, lanes)
        return info

    def _mask(self, lanes: np.ndarray) -> np.ndarray:
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[lanes] = True
        return mask

    def _put(self, info: Info, key: str, values: np.ndarray, lanes: np.ndarray) -> None:
        if lanes.size == self.num_envs:
            info[key] = values
        else:
            info[key] = np.zeros((self.num_envs, *values.shape[1:]))
            info[key][lanes] = values
        info[f"_{key}"] = self._mask(lanes)

    def render(self) -> tuple[Any, ...] | None:
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='rgb_array'")
            return None
        return tuple(self.dynamics.render_lane(i) for i in range(self.num_envs))


def _first(observation: Any) -> Any:
    """Lane 0 of a batched observation (an array or a flat dict of arrays), for the user to keep or change."""
    if isinstance(observation, dict):
        return {k: v[0] if v.flags.writeable else v[0].copy() for k, v in observation.items()}
    return observation[0]


def whole_numbers(action: Any, lanes: int, count: int) -> np.ndarray:
    """Actions of all lanes that must be one of some whole numbers, (lanes,) intp.

    Raises:
        ValueError: they are of another shape or type, or lie outside 0..count - 1.
    """
    action = np.asarray(action)
    if action.shape != (lanes,):
        raise ValueError(f"action has shape {action.shape[1:]}, it must be one whole number for each lane")
    if action.dtype.kind not in "iu":
        raise ValueError(f"action is of type {action.dtype}, it must be a whole number (NaN is none)")
    if np.minimum.reduce(action) < 0 or np.maximum.reduce(action) >= count:
        raise ValueError(f"action lies outside 0..{count - 1}")
    return np.ascontiguousarray(action, dtype=np.intp)


def read_only(values: np.ndarray) -> np.ndarray:
    """A view of an observation's constant part that nobody can write through, nor through a copy of who holds it."""
    view = values.view()
    view.flags.writeable = False
    return view


def seeds_of(rngs: Sequence[np.random.Generator]) -> list[int]:
    """The seeds that generators were made from, where a family's seed i means something; else numbers of their own."""
    entropies = [getattr(rng.bit_generator.seed_seq, "entropy", None) for rng in rngs]  # of 128 bits without a seed
    return [
        e % 2**62 if isinstance(e, int) else int(rng.integers(2**31)) for e, rng in zip(entropies, rngs, strict=True)
    ]


def show(frame: np.ndarray, window: Any = None) -> Any:
    """Show a frame in a matplotlib window, reusing ``window``; returns the figure."""
    import matplotlib.pyplot as plt

    figure = window or plt.figure(figsize=(frame.shape[1] / 100, frame.shape[0] / 100))
    figure.clear()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(frame)
    axes.set_axis_off()
    figure.canvas.draw_idle()
    plt.pause(0.001)
    return figure


def check_options(where: str, given: Mapping[str, Any], allowed: Mapping[str, Sequence[Any]]) -> None:
    """Refuse an option value outside its list.

    Raises:
        InputError: one line naming the option and what is allowed.
    """
    for name, values in allowed.items():
        if given[name] not in values:
            raise InputError(f"{where}: {name}={given[name]!r} is not one of {', '.join(map(str, values))}")
