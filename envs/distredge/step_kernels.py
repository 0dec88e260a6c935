"""What a step does beside the physics, compiled: from an action to rows, from where images stand to observations."""

from __future__ import annotations

import numpy as np

from .kernels import kernel, part
from .state import State


@kernel
def decide(
    action: np.ndarray,
    lanes: np.ndarray,
    stage: np.ndarray,
    heights: np.ndarray,
    splits: np.ndarray,
    posts: np.ndarray,
) -> bool:
    """Eq. 9: sort an action and map [-1, 1] to whole rows of the stage's last output.

    Args:
        action: (n, at least D - 1) float64 of all lanes.
        lanes: (m,) those that decide.
        stage: (n,) which decision is next.
        heights: (stages,) rows of each stage's last output.
        splits: (n, stages, D - 1), what is decided is written there.
        posts: (m, D + 1) fence posts are written there.

    Returns:
        Whether all of it is numbers; nothing is written otherwise.
    """
    inner = splits.shape[2]
    for lane in lanes:
        for k in range(inner):
            if np.isnan(action[lane, k]):
                return False
    for i in range(lanes.size):
        lane = lanes[i]
        s = stage[lane]
        posts[i, 0], posts[i, inner + 1] = 0, heights[s]
        for k in range(inner):
            row = int(np.rint((max(min(action[lane, k], 1.0), -1.0) + 1.0) * (0.5 * heights[s])))
            j = k
            while j > 0 and posts[i, j] > row:
                posts[i, j + 1] = posts[i, j]
                j -= 1
            posts[i, j + 1] = row
        for k in range(inner):
            splits[lane, s, k] = posts[i, k + 1]
    return True


@kernel
def observe(
    out: np.ndarray,
    at: State,
    stage: np.ndarray,
    opened: np.ndarray,
    facts: np.ndarray,
    macs_before: np.ndarray,
    mbps: np.ndarray,
    clock: np.ndarray,
    scales: tuple[float, float, float],
    full: bool,
    learned: bool,
) -> None:
    """Write observations; see :class:`.observation.Observer`.

    Args:
        out: (n, size) float32, what is written.
        at: all lanes.
        stage, opened: (n,) next decision, and first unit of the volume under way.
        facts: (stages + 1, 7) entries that depend on the stage alone.
        macs_before: (units + 1,) share of all MACs in front of each boundary.
        mbps: (1 or n, D) device rates.
        clock: (n,) as a share of the trace.
        scales: seconds and Mbit/s that count as 1, and the highest entry.
        full, learned: which of the entries there are.
    """
    t_ref, rate, limit = scales
    devices, units = mbps.shape[1], macs_before.size - 1
    for lane in range(out.shape[0]):
        s, first, height = stage[lane], opened[lane], max(at.posts[lane, devices], 1)
        for d in range(devices):
            out[lane, d] = clipped(at.done_s[lane, d] / t_ref, limit)
        k0 = devices
        for k in range(4):
            out[lane, k0 + k] = clipped(facts[s, k], limit)
        if not full:
            continue
        k0 += 4
        for d in range(devices - 1):
            out[lane, k0 + d] = clipped(at.posts[lane, d + 1] / height, limit)
        k0 += devices - 1
        for d in range(devices):
            backlog_s = max(at.free_s[lane, d] - at.done_s[lane, d], 0.0)
            out[lane, k0 + d] = clipped(backlog_s / t_ref, limit)
            out[lane, k0 + devices + d] = clipped(mbps[lane if mbps.shape[0] > 1 else 0, d] / rate, limit)
        k0 += 2 * devices
        for k in range(3):
            out[lane, k0 + k] = clipped(facts[s, 4 + k], limit)
        out[lane, k0 + 3] = clipped(clock[lane], limit)
        if learned:
            out[lane, k0 + 4] = (s - first) / units
            out[lane, k0 + 5] = clipped(macs_before[min(s + 1, units)] - macs_before[first], limit)
            out[lane, k0 + 6] = 1.0 if first == 0 else 0.0


@part
def clipped(value, limit):
    """Within 0 and what observations are at most."""
    return min(max(value, 0.0), limit)
