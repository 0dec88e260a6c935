"""Types and ranges of hyperparameters that families share, and those of Stable-Baselines3's algorithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge

from ..ui.validation import Count, NonNegative, Positive, Share, Whole

SB3_OWN: Any = None  # may be left out: the default is Stable-Baselines3's; null is refused


@dataclass(frozen=True)
class Search:
    """Where a hyperparameter is looked for, beside what it may be: an annotation of its field.

    Attributes:
        low, high: both may come out.
        log: whether factors count rather than differences.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Hyperparams:
    """Without fields: an agent that has no hyperparameters. Subclasses are frozen dataclasses without more ado."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)


def search_space(kind: type[Hyperparams]) -> dict[str, tuple[Search, bool]]:
    """Hyperparameters that are searched: name -> (where, whether they are whole numbers)."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for mark in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
            if isinstance(mark, Search):
                found[name] = mark, get_args(hint)[0] is int
    return found


class Sb3(Hyperparams):
    """See :class:`splitgym.agents.sb3.Sb3Learner`; what is not named here goes to Stable-Baselines3 as it is."""

    __pydantic_config__ = {"extra": "allow"}

    episodes: Count
    lanes: Count
    gamma: Annotated[Share, Search(0.3, 1.0)]
    policy: Literal["MlpPolicy", "MultiInputPolicy"] = SB3_OWN
    policy_kwargs: dict[str, Any] = SB3_OWN
    learning_rate: Annotated[Positive, Search(1e-5, 1e-2, log=True)] = SB3_OWN


class OnPolicy(Sb3):
    """PPO and A2C."""

    n_steps: Count
    batch_size: Annotated[int, Ge(2)] = SB3_OWN  # PPO's; it normalises the advantages of a batch
    n_epochs: Count = SB3_OWN
    gae_lambda: Annotated[Share, Search(0.8, 1.0)] = SB3_OWN
    clip_range: Positive = SB3_OWN
    ent_coef: Annotated[NonNegative, Search(1e-5, 0.1, log=True)] = SB3_OWN
    vf_coef: NonNegative = SB3_OWN
    max_grad_norm: Positive = SB3_OWN


class OffPolicy(Sb3):
    """SAC, TD3, DDPG and DQN."""

    batch_size: Annotated[Count, Search(32, 512, log=True)]
    buffer_size: Count
    gradient_steps: Annotated[int, Ge(-1), Search(1, 8)]  # -1: as many as steps were played
    learning_starts: Whole = SB3_OWN
    train_freq: Count = SB3_OWN
    tau: Share = SB3_OWN
