"""What a step does beside the physics, compiled: from an action to rows, from where images stand to observations."""

from __future__ import annotations

import numpy as np

from ...profiling.compiled import kernel, part
from .state import State


@kernel
def decide(
    action: np.ndarray,
    lanes: np.ndarray,
    learned: bool,
    stops: np.ndarray,
    heights: np.ndarray,
    index: np.ndarray,
    stage: np.ndarray,
    opened: np.ndarray,
    closed: np.ndarray,
    splits: np.ndarray,
    posts: np.ndarray,
    volumes: np.ndarray,
) -> int:
    """Eq. 9: sort an action and map [-1, 1] to whole rows of the stage's last output; then the next stage is due.

    Args:
        action: (n, D - 1) float64 of all lanes, or (n, D) where partitions are learned.
        lanes: (m,) those that decide.
        learned: whether the last coordinate says if the volume ends.
        stops, heights: (stages,) units up to each stage's end, and rows of its last output.
        index: (units, units + 1) number of the volume (start, stop).
        stage, opened: (n,) next decision, and first unit of the volume under way.
        closed, splits: (n, stages) and (n, stages, D - 1), what is decided is written there.
        posts: (m, D + 1) fence posts are written there.
        volumes: (m,) numbers of the volumes that end are written there, -1 for none.

    Returns:
        How many lanes have decided all; -1 where something is not a number, and then nothing is written.
    """
    inner, stages = splits.shape[2], stops.size
    for lane in lanes:
        if stage[lane] >= stages:
            raise IndexError("all stages of a lane are behind it")
        for k in range(inner):
            if np.isnan(action[lane, k]):
                return -1
    through = 0
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
        stage[lane] = s + 1
        through += s + 1 == stages
        closed[lane, s] = not learned or s + 1 == stages or action[lane, inner] > 0
        volumes[i] = -1
        if closed[lane, s]:
            volumes[i] = index[opened[lane], stops[s]]
            opened[lane] = stops[s]
    return through


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
