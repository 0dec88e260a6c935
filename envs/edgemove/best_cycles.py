"""The fastest of all cycles from where a client is, compiled: exact, though few of them are followed to their end.

A cycle on a server takes no less than one at its least load and round trip, and at the rate of the nearest place that
the client can get to meanwhile. The period rises with load and round trip, falls with the rate, and rounding keeps the
order; so what is left out by that bound is no faster than what was found, to the last bit.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from ...profiling.compiled import kernel
from .city import RATE_STEPS
from .kernels import PIECES, distance_m, find_sites, load, one_cycle_s, position_m, rate_bits, rtt_s, slot_of
from .pipeline import period_s
from .servers import LOAD, RTT, SAMPLE_S, SAMPLES, sample
from .system import NOBODY
from .walks import STEP_M

ASKED = 32  # sites that a fast cycle is looked for on
AHEAD = 1.5  # the last piece's middle is searched for half a piece behind those that are done
_ROUNDING = 1e-9


@register_jitable
def _least(bank, start, from_s, until_s):
    """The least value of a trace within some seconds."""
    first, last = int(from_s * (1.0 / SAMPLE_S)), int(until_s * (1.0 / SAMPLE_S))
    least = bank[sample(start, from_s)]
    for at in range(first + 1, min(last, first + SAMPLES) + 1):
        least = min(least, bank[sample(start, at * SAMPLE_S)])
    return least


@register_jitable
def _at(w, server, cut, rate, load, rtt_s):
    """Seconds of an iteration under conditions."""
    link_s = w.link_bits[cut] / rate
    server_s = w.server_s[w.kind[server], cut] * load
    return period_s(w.client_s[cut], server_s, link_s, link_s, rtt_s, w.in_flight, w.half_duplex)


@register_jitable
def _in_vain(w, server, cut, best, iterations, horizon_s, limit_s, found_s):
    """Whether a cycle takes more than a limit, or no less than what was found; conditions are (rate, load, rtt_s)."""
    share = iterations / PIECES
    piece_s = share * _at(w, server, cut, *best)
    most_s = piece_s + piece_s + piece_s
    if most_s > limit_s or most_s >= found_s:
        return True
    most_s = most_s + piece_s
    if most_s <= limit_s and most_s < found_s:
        return False
    # the first piece's middle is searched for with the period at the beginning, whatever that is
    return 0.5 * share * _at(w, server, cut, w.rates[RATE_STEPS], w.most_load, w.most_rtt_s) <= horizon_s


@register_jitable
def _now(w, server, lane, elapsed_s, away_m):
    """Rate, load and round trip of a server."""
    return (
        rate_bits(w, server, lane, elapsed_s, away_m),
        load(w, server, lane, elapsed_s),
        rtt_s(w, server, lane, elapsed_s),
    )


@register_jitable
def _best(w, server, lane, elapsed_s, away_m, horizon_s):
    """No worse than what the server's are at any time until the horizon."""
    slot, clock_s = slot_of(w, server, lane), w.clock_s[lane] + elapsed_s
    nearest_m = max(0.0, away_m - w.speed_mps * horizon_s - 2.0 * STEP_M)
    rate = rate_bits(w, server, lane, elapsed_s, nearest_m)
    least_load = _least(w.load, w.starts[slot, LOAD], clock_s, clock_s + horizon_s)
    return rate, least_load, _least(w.rtt_s, w.starts[slot, RTT], clock_s, clock_s + horizon_s)


@register_jitable
def _good_s(w, sites, away_m, found, lane, elapsed_s, iterations):
    """A fast cycle: of the site, among some, that is now the fastest at a cut which is good on one of them."""
    last, good, good_s, cut = len(w.client_s) - 1, -1, np.inf, 0
    for place in range(min(found, ASKED)):
        rate, load, rtt_s = _now(w, sites[place], lane, elapsed_s, away_m[place])
        for at in range(1, last):
            if place == 0 or at == cut:
                now_s = _at(w, sites[place], at, rate, load, rtt_s)
                if now_s < good_s:
                    good, good_s, cut = sites[place], now_s, at
    good_s = np.inf
    if good >= 0:
        for at in range(1, last):
            good_s = min(good_s, one_cycle_s(w, at, good, lane, elapsed_s, iterations))
    return good_s


@kernel
def best_cycles(w, lane, elapsed_s, iterations, seconds, server, cut):
    """The fastest cycles over all servers in reach and all cuts; of equal ones the first.

    Args:
        w: :class:`.kernels.Tables`.
        lane, elapsed_s, iterations: (k,) each.
        seconds, server, cut: (k,) each, to be filled.
    """
    last, cloud = len(w.client_s) - 1, len(w.x_m) - 1
    sites, away_m = np.empty(w.most + 1, dtype=np.intp), np.empty(w.most + 1)
    for i in range(len(lane)):
        n, now_s = lane[i], elapsed_s[i]
        east_m, north_m = position_m(w, n, now_s)
        found = find_sites(w, east_m, north_m, sites, away_m)
        sites[found], away_m[found] = cloud, distance_m(w, cloud, east_m, north_m)
        seconds[i], server[i], cut[i] = w.client_s[last] * iterations[i], NOBODY, last
        limit_s = min(seconds[i], _good_s(w, sites, away_m, found, n, now_s, iterations[i]))
        horizon_s = AHEAD * limit_s * (1.0 + _ROUNDING)
        for place in range(found + 1):
            asked = sites[place]
            best = (0.0, 0.0, 0.0)
            if asked != cloud:
                best = _best(w, asked, n, now_s, away_m[place], horizon_s)
            for at in range(1, last):
                if asked != cloud and _in_vain(w, asked, at, best, iterations[i], horizon_s, limit_s, seconds[i]):
                    continue
                cycle_s = one_cycle_s(w, at, asked, n, now_s, iterations[i])
                if cycle_s < seconds[i]:
                    seconds[i], server[i], cut[i] = cycle_s, asked, at
