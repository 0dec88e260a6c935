"""What follows from a budget (Deprune): pruneLoss, totalLoss (Sec. 3.1, Eq. 1-2), selectLr, resetprune (3.2, 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from ...models.runnable.compression import draw_logits

MAX_EXPONENT = 20.0  # beyond it an exponential goes on as its tangent: finite, and it still pulls


def scaled_delta(delta: float, phi: int) -> float:
    """The δ of Eq. 1 for phi maps: over phi, it weighs the share of maps by which Σf misses the budget."""
    return delta / phi


def minimum(budget: float, delta: float, lam: float) -> float:
    """The Σf at which pruneLoss is least, B + ln λ / (2δ); -inf where λ = 0 leaves nothing to hold it up."""
    return budget + math.log(lam) / (2.0 * delta) if lam > 0 else -math.inf


def prune_loss(f: Tensor, budget: float, delta: float, lam: float = 1.0) -> Tensor:
    """Eq. 1: exp(δ(Σf − B)) + λ exp(−δ(Σf − B)), with exponents past ``MAX_EXPONENT`` continued by their tangent.

    Args:
        f: (phi,) the filter, after its sigmoid.
        budget: B.
        delta: δ as it stands in Eq. 1 (see :func:`scaled_delta`).
        lam: λ, 0 or 1e-12 to 1.
    """
    x = delta * (f.sum() - budget)
    return _exp(x) + lam * _exp(-x)


def prune_gradient(logits: Tensor, budget: float, delta: float, lam: float = 1.0) -> Tensor:
    """∂pruneLoss/∂f̂, (phi,): the same pull on every entry, times f(1 − f)."""
    f = torch.sigmoid(logits.detach())
    x = delta * (f.sum() - budget)
    pull = delta * (_exp_slope(x) - lam * _exp_slope(-x))
    return pull * f * (1.0 - f)


def total_loss(loss: Tensor, prune: Tensor, epsilon: float) -> Tensor:
    """Eq. 2: Loss + ε · pruneLoss."""
    return loss + epsilon * prune


def selected_lr(base: float, budgets: Sequence[int], gamma: float, boosted_epochs: int) -> float:
    """selectLr: the learning rate of the last epoch in ``budgets``.

    Args:
        base: the learning rate that this epoch would have.
        budgets: those of the epochs so far, the present one last.
        gamma: factor for the first epochs at every budget but the first.
        boosted_epochs: l_k, how many these are.
    """
    runs = [len(list(run)) for _, run in groupby(budgets)]
    return base * gamma if len(runs) > 1 and runs[-1] <= boosted_epochs else base


def reset_filter(logits: Tensor, generator: torch.Generator) -> None:
    """resetprune, in place: draw the entries with f > 0.5 anew, so that they can go down.

    The paper resets those above 1, which no sigmoid reaches.
    """
    with torch.no_grad():
        high = torch.sigmoid(logits) > 0.5
        fresh = draw_logits(len(logits), generator).to(logits.device)
        logits.copy_(torch.where(high, fresh, logits))


def _exp(x: Tensor) -> Tensor:
    inside = x.clamp(max=MAX_EXPONENT)
    return torch.exp(inside.detach()) * (1.0 + x - inside.detach()) if x > MAX_EXPONENT else torch.exp(inside)


def _exp_slope(x: Tensor) -> Tensor:
    return torch.exp(x.clamp(max=MAX_EXPONENT))
