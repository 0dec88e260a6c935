"""Prune-Deprune's loops over lanes, compiled: what a net knows after an epoch, and what an episode books of one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...profiling.compiled import kernel


class Fit(NamedTuple):
    """What :class:`.curves.LearningModel` has fitted, apart from ceilings and what is kept; all floats."""

    chance: float
    tau: float
    alpha: float
    delta: float
    rest: float
    boost: float
    boosted_epochs: float
    loss_0: float
    loss_1: float
    loss_2: float


@kernel
def _expected(fit, ceiling, keep, epochs, at, lane):
    """A lane's accuracy at a budget without noise; what counts of other budgets is summed in two halves."""
    effective, other, trained = 0.0, 0.0, 0.0
    for budget in range(len(ceiling)):
        trained += epochs[budget, lane]
        if budget % 2:
            other += keep[at, budget] * epochs[budget, lane]
        else:
            effective += keep[at, budget] * epochs[budget, lane]
    own = epochs[at, lane]
    learnt = 1.0 - (1.0 + (effective + other) / fit.tau) ** -fit.alpha
    changed = 1.0 if own <= fit.boosted_epochs and own < trained else 0.0
    ready = (1.0 - fit.delta * np.exp(-own / fit.rest)) * (1.0 - fit.boost * changed)
    return fit.chance + (ceiling[at] - fit.chance) * learnt * ready


@kernel
def accuracies(fit, ceiling, keep, epochs, at):
    """(n,) accuracies without noise; see :meth:`.curves.LearningModel.accuracy_by`."""
    found = np.empty(len(at))
    for lane in range(len(at)):
        found[lane] = _expected(fit, ceiling, keep, epochs, at[lane], lane)
    return found


@kernel
def _loss(fit, accuracy):
    return max(fit.loss_0 + accuracy * (fit.loss_1 + accuracy * fit.loss_2), 0.0)


@kernel
def losses(fit, accuracy):
    """(n,) test losses that go with accuracies."""
    found = np.empty(len(accuracy))
    for lane in range(len(accuracy)):
        found[lane] = _loss(fit, accuracy[lane])
    return found


@kernel
def trained(fit, ceiling, keep, noise, lanes, budget, epochs, number):
    """An epoch of some lanes at budgets.

    Args:
        fit, ceiling, keep: of the learning model.
        noise: (T, n) of every epoch's accuracy.
        lanes, budget: (k,) which lanes, and indices of their budgets.
        epochs: (K, n) how many were trained at each budget, changed.
        number: (n,) how many in all, changed.

    Returns:
        (3, k) test accuracies, the same without noise, test losses.
    """
    found = np.empty((3, len(lanes)))
    for i in range(len(lanes)):
        lane = lanes[i]
        epochs[budget[i], lane] += 1.0
        expected = _expected(fit, ceiling, keep, epochs, budget[i], lane)
        accuracy = min(max(expected + noise[number[lane], lane], 0.0), 1.0)
        found[0, i], found[1, i], found[2, i] = accuracy, expected, _loss(fit, accuracy)
        number[lane] += 1
    return found


@kernel
def booked(lanes, budget, learnt, worth, costs, rates, seconds, step, last, counts, state, trace, rewards):
    """What an epoch amounts to in some lanes.

    Args:
        lanes, budget: (k,) which lanes, and indices of their budgets.
        learnt: (3, k) test accuracies, the same without noise, test losses.
        worth: of accuracy in the reward.
        costs: (5, K) of a budget: reward's bytes, share of all bytes, bytes sent, bytes of maps, maps.
        rates: (T, L) Mbit/s by epoch and lane, 1 each where they do not change.
        seconds: (2, K, T, L) reward's time, seconds of the epoch.
        step, last, counts, state, trace: of :class:`.dynamics.DepruneDynamics`, changed.
        rewards: (3, n) the reward's parts, changed.

    Returns:
        (rewards (n,), whether episodes are over (n,)).
    """
    reward, over = np.zeros(len(step)), np.zeros(len(step), np.bool_)
    for i in range(len(lanes)):
        lane, chosen, at = lanes[i], budget[i], step[lanes[i]]
        when, whose = at % rates.shape[0], lane % rates.shape[1]
        bytes_cost, time_cost = costs[0, chosen], seconds[0, chosen, when, whose]
        epoch_s = seconds[1, chosen, when, whose]
        gained = worth * (learnt[0, i] - state[0, lane])
        rewards[0, lane], rewards[1, lane], rewards[2, lane] = gained, -bytes_cost, -time_cost
        counts[chosen, lane] += 1.0
        last[lane], step[lane] = chosen, at + 1
        state[0, lane], state[1, lane], state[2, lane] = learnt[0, i], learnt[1, i], learnt[2, i]
        state[3, lane] += bytes_cost + time_cost
        state[4, lane] += costs[1, chosen]
        state[5, lane] += costs[2, chosen]
        state[6, lane] += epoch_s
        trace[0, at, lane], trace[1, at, lane], trace[2, at, lane] = costs[4, chosen], learnt[0, i], learnt[2, i]
        trace[3, at, lane], trace[4, at, lane] = costs[2, chosen], costs[3, chosen]
        trace[5, at, lane], trace[6, at, lane] = epoch_s, rates[when, whose]
        reward[lane] = gained - bytes_cost - time_cost
        over[lane] = at == trace.shape[1] - 1
    return reward, over


@kernel
def observed(epochs, step, last, counts, state, rates, nominal_mbps, guessing, limit):
    """(n, 5 + 2 K) float32 observations.

    Args:
        epochs: of an episode.
        step, last, counts, state: of :class:`.dynamics.DepruneDynamics`.
        rates: (T, L) Mbit/s by epoch and lane.
        nominal_mbps, guessing: what rates and losses are scaled by.
        limit: the most that is observed of them.
    """
    kinds = len(counts)
    found = np.zeros((len(step), 5 + 2 * kinds), np.float32)
    for lane in range(len(step)):
        at, row = step[lane], found[lane]
        row[0] = at / epochs
        row[1] = state[0, lane]
        loss = state[2, lane] / guessing
        row[2] = loss if loss < limit else limit  # a training may diverge to NaN
        row[3] = state[4, lane]
        row[4] = min(rates[at % rates.shape[0], lane % rates.shape[1]] / nominal_mbps, limit)
        for budget in range(kinds):
            row[5 + budget] = counts[budget, lane] / epochs
        if last[lane] >= 0:
            row[5 + kinds + last[lane]] = 1.0
    return found
