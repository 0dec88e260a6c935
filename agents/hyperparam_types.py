"""Types and ranges of hyperparameters that families share, and those of Stable-Baselines3's algorithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ..ui.validation import Count, NonNegative, Positive, Share, Whole

SB3_OWN: Any = None  # may be left out: the default is Stable-Baselines3's; null is refused


@dataclass(frozen=True)
class Hyperparams:
    """Without fields: an agent that has no hyperparameters. Subclasses are frozen dataclasses without more ado."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)


class Sb3(Hyperparams):
    """See :class:`splitgym.agents.sb3.Sb3Learner`; what is not named here goes to Stable-Baselines3 as it is."""

    __pydantic_config__ = {"extra": "allow"}

    episodes: Count
    lanes: Count
    gamma: Share
    policy: Literal["MlpPolicy", "MultiInputPolicy"] = SB3_OWN
    policy_kwargs: dict[str, Any] = SB3_OWN
    learning_rate: Positive = SB3_OWN


class OnPolicy(Sb3):
    """PPO and A2C."""

    n_steps: Count
    batch_size: Annotated[int, Ge(2)] = SB3_OWN  # PPO's; it normalises the advantages of a batch
    n_epochs: Count = SB3_OWN
    gae_lambda: Share = SB3_OWN
    clip_range: Positive = SB3_OWN
    ent_coef: NonNegative = SB3_OWN
    vf_coef: NonNegative = SB3_OWN
    max_grad_norm: Positive = SB3_OWN


class OffPolicy(Sb3):
    """SAC, TD3, DDPG and DQN."""

    batch_size: Count
    buffer_size: Count
    gradient_steps: Annotated[int, Ge(-1)]  # -1: as many as steps were played
    learning_starts: Whole = SB3_OWN
    train_freq: Count = SB3_OWN
    tau: Share = SB3_OWN
