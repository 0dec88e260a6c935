"""Types and ranges of hyperparameters that families share, and those of Stable-Baselines3's algorithms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """1e6 is read as a float, and is meant as a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
SB3_OWN: Any = Field(default=None)  # may be left out: the default is Stable-Baselines3's; null is refused


class Hyperparams(BaseModel):
    """Without fields: an agent that has no hyperparameters."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Sb3(Hyperparams):
    """See :class:`splitgym.agents.sb3.Sb3Learner`; what is not named here goes to Stable-Baselines3 as it is."""

    model_config = ConfigDict(extra="allow")

    episodes: Count
    lanes: Count
    gamma: Share
    policy: Literal["MlpPolicy", "MultiInputPolicy"] = SB3_OWN
    policy_kwargs: dict[str, Any] = SB3_OWN
    learning_rate: Positive = SB3_OWN


class OnPolicy(Sb3):
    """PPO and A2C."""

    n_steps: Count
    batch_size: Annotated[Whole, Field(ge=2)] = SB3_OWN  # PPO's; it normalises the advantages of a batch
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
    gradient_steps: Annotated[Whole, Field(ge=-1)]  # -1: as many as steps were played
    learning_starts: Annotated[Whole, Field(ge=0)] = SB3_OWN
    train_freq: Count = SB3_OWN
    tau: Share = SB3_OWN
