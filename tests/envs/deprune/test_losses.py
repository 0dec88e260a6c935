"""What Deprune trains with: the loss of a budget, schedules, the reset of a filter."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.envs.deprune.schedules import (
    Schedule,
    deprune,
    from_scratch,
    high_compression,
    no_compression,
    parse,
    prune,
    without_module,
)
from splitgym.runtime.training.budget import (
    minimum,
    prune_gradient,
    prune_loss,
    reset_filter,
    scaled_delta,
    selected_lr,
    total_loss,
)
from splitgym.runtime.training.settings import MAX_DELTA
from splitgym.ui.errors import InputError

from ... import slow


@given(
    st.integers(1, 2048), st.floats(1e-6, MAX_DELTA), st.sampled_from([0.0, 1e-12, 0.3, 1.0]), st.floats(0.0, 1.0),
    st.sampled_from([-math.inf, -1e30, -30.0, 0.0, 30.0, 1e30, math.inf]),
)  # fmt: skip
def test_prune_loss_and_its_gradient_are_finite(phi: int, delta: float, lam: float, share: float, logit: float) -> None:
    logits = torch.full((phi,), logit)
    budget = max(1, round(share * phi))
    for d in (scaled_delta(delta, phi), delta):
        assert torch.isfinite(prune_loss(torch.sigmoid(logits), budget, d, lam))
        assert torch.isfinite(prune_gradient(logits, budget, d, lam)).all()


@given(st.integers(1, 200), st.floats(1e-3, 50.0), st.sampled_from([0.0, 1e-6, 0.3, 1.0]), st.integers(0, 5))
def test_gradient_is_the_derivative(phi: int, delta: float, lam: float, seed: int) -> None:
    logits = torch.randn(phi, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    loss = prune_loss(torch.sigmoid(logits), 1 + phi // 3, delta, lam)
    (expected,) = torch.autograd.grad(loss, logits)
    found = prune_gradient(logits, 1 + phi // 3, delta, lam)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(1, 2048), st.floats(1e-3, MAX_DELTA), st.floats(1e-12, 1.0), st.floats(0.0, 1.0))
def test_prune_loss_is_least_where_the_formula_says(phi: int, delta: float, lam: float, share: float) -> None:
    """Eq. 1: Σf = B + ln λ / (2δ), within 1e-3."""
    budget, d = max(1, round(share * phi)), scaled_delta(delta, phi)
    least = minimum(budget, d, lam)
    assert least == pytest.approx(budget + math.log(lam) / (2.0 * d))

    def slope(total: float) -> float:
        f = torch.tensor([total], dtype=torch.float64, requires_grad=True)
        return float(torch.autograd.grad(prune_loss(f, budget, d, lam), f)[0])

    assert slope(least - 1e-3) < 0 < slope(least + 1e-3)


def test_without_the_second_exponential_nothing_holds_the_filter_up() -> None:
    assert minimum(4, 0.1, 0.0) == -math.inf
    assert (prune_gradient(torch.randn(32), 30, 0.1, 0.0) > 0).all()


@pytest.mark.parametrize(("phi", "budget", "steps"), [(128, 4, 11_000), (128, 32, 2000), *slow((16, 15, 20_000))])
def test_descending_prune_loss_alone_brings_the_filter_to_its_budget(phi: int, budget: int, steps: int) -> None:
    logits = torch.randn(phi, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        logits -= 0.5 * prune_gradient(logits, budget, scaled_delta(10.0, phi))
    assert float(torch.sigmoid(logits).sum()) == pytest.approx(budget, abs=1e-3)


def test_total_loss_weighs_the_budget_by_epsilon() -> None:
    assert float(total_loss(torch.tensor(2.0), torch.tensor(3.0), 0.5)) == 3.5


# Schedules


def test_the_papers_schedules() -> None:
    assert deprune().budgets == (4,) * 15 + (128,) * 3
    assert deprune(25, 5).budgets == (4,) * 25 + (128,) * 5
    assert prune().budgets == (128,) * 30 + (32,) * 10 + (4,) * 10
    assert no_compression().budgets == (128,) * 18
    assert high_compression().budgets == from_scratch(4).budgets == (4,) * 18
    assert not without_module().module


def test_budgets_are_shares_of_what_a_cut_has() -> None:
    schedule = Schedule("s", (1, 4, 32, 127, 128))
    assert schedule.at(128) == (1, 4, 32, 127, 128)
    assert schedule.at(64) == (1, 2, 16, 64, 64)
    assert schedule.at(3) == (1, 1, 1, 3, 3)


def test_written_schedules() -> None:
    assert parse("4x15+128x3").budgets == deprune().budgets
    for text in ("", "4", "4x", "x3", "4x3+", "0x3", "129x3", "4x0", "4x-1", "4 x 3"):
        with pytest.raises(InputError, match=r"^schedule .*budget of 1 to 128"):
            parse(text)


def test_select_lr_raises_the_first_epochs_of_every_budget_but_the_first() -> None:
    budgets = [4, 4, 4, 128, 128, 128, 4]
    rates = [selected_lr(0.1, budgets[: i + 1], 3.0, 2) / 0.1 for i in range(len(budgets))]
    assert rates == pytest.approx([1, 1, 1, 3, 3, 1, 3])


def test_reset_draws_the_open_entries_anew_and_leaves_the_others() -> None:
    logits = torch.cat([torch.full((200,), 4.0), torch.full((50,), -4.0), torch.zeros(1)])
    before = logits.clone()
    reset_filter(logits, torch.Generator().manual_seed(0))
    assert torch.equal(logits[200:], before[200:])  # f = 0.5 is not above 0.5
    assert (logits[:200] != 4.0).all()
    assert abs(float(logits[:200].mean())) < 0.3
    assert float(logits[:200].std()) == pytest.approx(1.0, abs=0.2)
