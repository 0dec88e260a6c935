"""L2S's loops over lanes, compiled: what a round books, what has changed sides, and what agents see."""

from __future__ import annotations

import numpy as np

from ...profiling.compiled import kernel


@kernel
def any_begins(rounds, block):
    """Whether any of some rounds is the first of a block."""
    begins = 0
    for at in rounds:
        begins += at % block == 0
    return begins > 0


@kernel
def held_conditions(rounds, choice, stage, mbps, expected_s, oracle_s):
    """(3, k) rate, expected delay of the choice, and the optimum's, where rates and loads hold through rounds.

    Args:
        rounds, choice: (k,) which rounds, and feasible points.
        stage: (T,) index of a round's rate and load.
        mbps, expected_s, oracle_s: (S,), (K, S), (S,) of these.
    """
    found = np.empty((3, len(rounds)))
    for i in range(len(rounds)):
        now = stage[rounds[i]]
        found[0, i], found[1, i], found[2, i] = mbps[now], expected_s[choice[i], now], oracle_s[now]
    return found


@kernel
def noisy(expected_s, sigma, noise, rounds, lanes):
    """(k,) delays with relative noise, row by row of (block, n) draws."""
    found = np.empty(len(lanes))
    for i in range(len(lanes)):
        found[i] = expected_s[i] * (1.0 + sigma * noise[rounds[i] % len(noise), lanes[i]])
    return found


@kernel
def moved(lanes, point, rounds, period, every_change, state):
    """Book the partition points of some lanes' rounds.

    Args:
        lanes, point, rounds: (k,) which lanes, their partition points 0..P, their rounds.
        period, every_change: when a synchronisation is due.
        state: (6, n) of :class:`.ledger.SyncLedger`, changed.

    Returns:
        (whether any synchronisation is due, low (k,), high (k,)); the points between which weights are sent, equal
        where none is due.
    """
    due_somewhere = False
    low, high = np.zeros(len(lanes), np.intp), np.zeros(len(lanes), np.intp)
    for i in range(len(lanes)):
        lane, now = lanes[i], point[i]
        first, last = state[1, lane], state[2, lane]
        if first == last:
            first = last = now if state[0, lane] < 0 else state[0, lane]
        first, last = min(first, now), max(last, now)
        apart = first != last
        due = apart if every_change else (rounds[i] + 1) % period == 0
        state[3, lane] = apart and not every_change
        state[4, lane] = 1 if state[5, lane] else state[4, lane] + 1
        state[5, lane] = due
        if due:
            due_somewhere = True
            low[i], high[i] = first, last
            first = last = now
        state[0, lane], state[1, lane], state[2, lane] = now, first, last
    return due_somewhere, low, high


@kernel
def booked(
    lanes, rounds, choice, conditions, delay_s, sync_s, front_s, first, stale_costs, pdt_s, worth, total_reward,
    varies, ledger, chosen, edge_s, begun, clock_s, now, sums, points, trace,
):  # fmt: skip
    """What a round amounts to in some lanes.

    Args:
        lanes, rounds, choice: (k,) which lanes, their rounds, their feasible points.
        conditions: (3, k) rates, expected delays, the optimum's.
        delay_s, sync_s: (k,) delays, and what synchronisation took.
        front_s, first: (K,) the device's part of points, and the first of them.
        stale_costs: (T + 1,) accuracy that a round on old copies loses.
        pdt_s, worth, total_reward: of the reward.
        varies: whether clocks go on.
        ledger: (6, n) of :class:`.ledger.SyncLedger`.
        chosen, edge_s, begun, clock_s, now, sums, points, trace: of :class:`.dynamics.L2SDynamics`, changed.

    Returns:
        (rewards (n,), whether episodes are over (n,)).
    """
    reward, over = np.zeros(len(chosen)), np.zeros(len(chosen), np.bool_)
    for i in range(len(lanes)):
        lane, at, point = lanes[i], rounds[i], choice[i]
        mbps, expected_s, oracle_s = conditions[0, i], conditions[1, i], conditions[2, i]
        edge = 0.0 if point == len(front_s) - 1 else delay_s[i] - front_s[point]  # as observed
        lost = stale_costs[ledger[4, lane]] if ledger[3, lane] else 0.0
        now[0, lane], now[1, lane], now[2, lane], now[3, lane] = delay_s[i], edge, oracle_s, sync_s[i]
        now[4, lane], now[5, lane], now[6, lane] = expected_s - oracle_s, ledger[3, lane], lost
        for figure in range(len(now)):
            sums[figure, lane] += now[figure, lane]
        chosen[lane], edge_s[lane], begun[lane] = point, edge, at + 1
        if varies:
            clock_s[lane] += delay_s[i] + sync_s[i]
        if len(points):
            points[at, lane] = point + first
            trace[0, at, lane], trace[1, at, lane], trace[2, at, lane] = delay_s[i], expected_s, edge
            trace[3, at, lane], trace[4, at, lane], trace[5, at, lane] = oracle_s, sync_s[i], mbps
        charged_s = delay_s[i] + sync_s[i] if total_reward else delay_s[i]
        reward[lane] = charged_s / -pdt_s - worth * lost
        over[lane] = at == len(stale_costs) - 2
    return reward, over


@kernel
def observed(last_layer, n_points, ledger, chosen, edge_s, begun, pdt_s, episode_steps, limit):
    """What changes of observations, float32: last_edge_delay (n, 1), last_point (n, K), round (n, 1), stale (n, P)."""
    lanes = len(chosen)
    edge, share = np.empty((lanes, 1), np.float32), np.empty((lanes, 1), np.float32)
    point, stale = np.zeros((lanes, n_points), np.float32), np.zeros((lanes, last_layer), np.float32)
    for lane in range(lanes):
        edge[lane, 0] = min(max(edge_s[lane] / pdt_s, -limit), limit)
        share[lane, 0] = begun[lane] / episode_steps
        if chosen[lane] >= 0:
            point[lane, chosen[lane]] = 1.0
        for layer in range(ledger[1, lane], ledger[2, lane]):
            stale[lane, layer] = 1.0
    return edge, point, share, stale
