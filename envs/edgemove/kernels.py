"""EdgeMove's physics, compiled: what clients meet, cycles, moves, the list of servers, probes, observations.

Functions marked ``register_jitable`` are written once and used twice: by kernels for one lane and one server, compiled,
and by :mod:`.world` over arrays that broadcast. Numba keeps what it compiled as long as this file stays as it is:
touch it after a change to what it imports.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from ...profiling.compiled import kernel
from .city import RATE_STEPS, cell_of
from .observation import AGE_UNIT_S, DISTANCE_UNIT_M, LIMIT, LISTED, OLDEST, RTT_UNIT_S
from .pipeline import path_s, period_s
from .servers import BANK, LOAD, RTT, normal_at, sample
from .walks import place_at

PIECES = 4  # of a cycle; rates and loads are those in the middle of each
NOTIFY = 0.8  # a probed server notifies when it has become this much faster (assumption)
TOLD, WHEN = range(2)  # of probes
MOST_SIGMAS = 4.0  # of noise
_NEVER_S = 1e4  # ranks servers that were never probed behind all others, by distance
_DISTANCE_WEIGHT = 1e-3
_RANKED = ~np.int64(0xFFF)  # bits of a rank that count; those below would be the place in the cell

for text in (cell_of, normal_at, path_s, period_s, place_at, sample):
    register_jitable(text)


class Tables(NamedTuple):
    """A scenario's world over n lanes, as kernels read it.

    Attributes:
        walk, clock_s, noise_at: (n,) of lanes; see :class:`.world.World` and :class:`.servers.Servers`.
        rank, starts: (S + 1,) of servers and (n (S + 1), 2) of slots; see :class:`.servers.Servers`.
        load, rtt_s: banks of traces.
        most_load, most_rtt_s: the largest of sites.
        rates: bit/s of sites by steps of distance over coverage, then the cloud's bank.
        normals: bank of normal numbers.
        x_m, y_m, radius_m, steps_per_m, kind, whole_s: (S + 1,) of servers.
        low_m, per_m, rows, most, first, site: of :class:`.city.Neighbourhood`.
        places_m, last: of :class:`.walks.Walks`.
        client_s, link_bits, weight_bits: (L + 1,) of cuts.
        server_s: (kinds, L + 1).
        speed_mps, backhaul_bits, in_flight, half_duplex: of the scenario; backhaul in bit/s.
    """

    walk: Any
    clock_s: Any
    noise_at: Any
    rank: Any
    starts: Any
    load: Any
    rtt_s: Any
    most_load: float
    most_rtt_s: float
    rates: Any
    normals: Any
    x_m: Any
    y_m: Any
    radius_m: Any
    steps_per_m: Any
    kind: Any
    whole_s: Any
    low_m: Any
    per_m: float
    rows: int
    most: int
    first: Any
    site: Any
    places_m: Any
    last: Any
    client_s: Any
    link_bits: Any
    weight_bits: Any
    server_s: Any
    speed_mps: float
    backhaul_bits: float
    in_flight: int
    half_duplex: bool


# What clients meet: of one lane and server, or of arrays of them. `lane` and `server` are indices, the cloud's is S.


@register_jitable
def position_m(w: Tables, lane: Any, elapsed_s: Any) -> tuple[Any, Any]:
    """East and north of clients after a time of their episode."""
    return place_at(w.places_m, w.last, w.walk[lane], w.speed_mps * elapsed_s)


@register_jitable
def distance_m(w: Tables, server: Any, east_m: Any, north_m: Any) -> Any:
    x, y = w.x_m[server] - east_m, w.y_m[server] - north_m
    return np.sqrt(x * x + y * y)


@register_jitable
def slot_of(w: Tables, server: Any, lane: Any) -> Any:
    return lane * len(w.x_m) + w.rank[server]


@register_jitable
def rate_bits(w: Tables, server: Any, lane: Any, elapsed_s: Any, distance_m: Any) -> Any:
    cloud = len(w.x_m) - 1
    by_distance = np.intp(np.minimum(distance_m * w.steps_per_m[server], RATE_STEPS))
    by_time = RATE_STEPS + 1 + sample(w.starts[slot_of(w, cloud, lane), RTT], w.clock_s[lane] + elapsed_s) - BANK
    return w.rates[np.maximum(by_distance, (server == cloud) * by_time)]


@register_jitable
def load(w: Tables, server: Any, lane: Any, elapsed_s: Any) -> Any:
    return w.load[sample(w.starts[slot_of(w, server, lane), LOAD], w.clock_s[lane] + elapsed_s)]


@register_jitable
def rtt_s(w: Tables, server: Any, lane: Any, elapsed_s: Any) -> Any:
    return w.rtt_s[sample(w.starts[slot_of(w, server, lane), RTT], w.clock_s[lane] + elapsed_s)]


@register_jitable
def test_iteration_s(w: Tables, server: Any, lane: Any, elapsed_s: Any) -> Any:
    """What a probe measures: an iteration of the whole (test) network on a server, and the round trip."""
    return w.whole_s[server] * load(w, server, lane, elapsed_s) + rtt_s(w, server, lane, elapsed_s)


@register_jitable
def stages(w: Tables, cut: Any, server: Any, lane: Any, elapsed_s: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Seconds of a minibatch on client, server, up, down and in round trips."""
    asked = np.maximum(server, 0)
    east_m, north_m = position_m(w, lane, elapsed_s)
    link_s = w.link_bits[cut] / rate_bits(w, asked, lane, elapsed_s, distance_m(w, asked, east_m, north_m))
    server_s = w.server_s[w.kind[asked], cut] * load(w, asked, lane, elapsed_s)  # none behind the last layer
    away_s = (server >= 0) * rtt_s(w, asked, lane, elapsed_s)
    return w.client_s[cut], server_s, link_s, link_s, away_s


@register_jitable
def steady_s(w: Tables, cut: Any, server: Any, lane: Any, elapsed_s: Any) -> Any:
    """Seconds of an iteration in steady state."""
    client, served, up, down, away = stages(w, cut, server, lane, elapsed_s)
    return period_s(client, served, up, down, away, w.in_flight, w.half_duplex)


@register_jitable
def filling_s(w: Tables, cut: Any, server: Any, lane: Any, elapsed_s: Any) -> Any:
    """What an empty pipeline loses: the first minibatch takes its whole way."""
    client, served, up, down, away = stages(w, cut, server, lane, elapsed_s)
    whole_s = path_s(client, served, up, down, away)
    return whole_s - period_s(client, served, up, down, away, w.in_flight, w.half_duplex)


# Of one lane.


@register_jitable
def one_cycle_s(w: Tables, cut: int, server: int, lane: int, elapsed_s: float, iterations: float) -> float:
    """Seconds of some iterations, whose period is found anew in the middle of every piece."""
    share = iterations / PIECES
    period, done_s = steady_s(w, cut, server, lane, elapsed_s), 0.0
    for _ in range(PIECES):
        period = steady_s(w, cut, server, lane, elapsed_s + done_s + 0.5 * share * period)
        done_s = done_s + share * period
    return done_s


@register_jitable
def find_sites(w: Tables, east_m: float, north_m: float, sites: Any, away_m: Any) -> int:
    """Write the sites that cover a place, and how far they are (most + 1,) each; returns how many they are."""
    cell, found = cell_of(w.low_m, w.per_m, w.rows, east_m, north_m), 0
    for at in range(w.first[cell], w.first[cell + 1]):
        site = np.intp(w.site[at])
        site_away_m = distance_m(w, site, east_m, north_m)
        sites[found], away_m[found] = site, site_away_m
        found += site_away_m <= w.radius_m[site]  # without a branch, which would be hard to predict
    return found


@register_jitable
def _transfer_s(w: Tables, cut: int, server: int, new_cut: int, new_server: int, lane: int, elapsed_s: float) -> float:
    """Seconds until weights are where they belong; see :func:`.adaptation.adaptation_s`."""
    east_m, north_m = position_m(w, lane, elapsed_s)
    cloud = len(w.x_m) - 1
    bits, new_bits = w.weight_bits[-1] - w.weight_bits[cut], w.weight_bits[-1] - w.weight_bits[new_cut]
    away_m = distance_m(w, max(server, 0), east_m, north_m)
    old_rate = rate_bits(w, max(server, 0), lane, elapsed_s, away_m)
    new_away_m = distance_m(w, max(new_server, 0), east_m, north_m)
    new_rate = rate_bits(w, max(new_server, 0), lane, elapsed_s, new_away_m)
    fetched_s = bits / old_rate if server >= 0 else 0.0
    if server >= 0 and server == new_server:
        return abs(new_bits - bits) / new_rate
    if server >= 0 and server != cloud and away_m > w.radius_m[server]:
        onwards_s = abs(new_bits - bits) / new_rate if new_server >= 0 else fetched_s
        return bits / w.backhaul_bits + onwards_s
    return fetched_s + (new_bits / new_rate if new_server >= 0 else 0.0)


@register_jitable
def _probed(w, probes, server, lane, clock_s, iteration_s):
    """What a server's last probe told, and its age, scaled; 0 and ``OLDEST`` if there was none."""
    slot = slot_of(w, server, lane)
    told_s = probes[slot, TOLD]
    if told_s == np.inf:
        return 0.0, OLDEST
    age = (clock_s - probes[slot, WHEN]) * (1.0 / AGE_UNIT_S)
    return min(told_s * (1.0 / iteration_s), LIMIT), min(age, OLDEST)


# Kernels: of the lanes (k,) that are asked about; results go to the arrays behind.


@kernel
def cycles(w, cut, server, lane, elapsed_s, iterations, out):
    """Seconds of some iterations."""
    for i in range(len(lane)):
        out[i] = one_cycle_s(w, cut[i], server[i], lane[i], elapsed_s[i], iterations[i])


@kernel
def moves(w, cut, server, new_cut, new_server, lane, elapsed_s, out):
    """Seconds until new pipelines run as fast as they will, 0 where nothing changes."""
    for i in range(len(lane)):
        out[i] = 0.0
        if cut[i] != new_cut[i] or server[i] != new_server[i]:
            moved_s = _transfer_s(w, cut[i], server[i], new_cut[i], new_server[i], lane[i], elapsed_s[i])
            out[i] = moved_s + filling_s(w, new_cut[i], new_server[i], lane[i], elapsed_s[i])


@kernel
def list_servers(w, probes, lane, elapsed_s, worker, place_m, reached, server, distance, covers):
    """Where clients are, whether their workers cover them, and their lists; see :class:`.listing.Listing`."""
    ranks, cloud = np.empty(LISTED, dtype=np.int64), len(w.x_m) - 1
    sites, away_m, told = np.empty(w.most + 1, dtype=np.intp), np.empty(w.most + 1), np.empty(w.most + 1)
    for i in range(len(lane)):
        n, listed = lane[i], 0
        east_m, north_m = position_m(w, n, elapsed_s[i])
        mine = max(worker[n], 0)
        place_m[n, 0], place_m[n, 1] = east_m, north_m
        reached[n] = mine == cloud or distance_m(w, mine, east_m, north_m) <= w.radius_m[mine]
        found = find_sites(w, east_m, north_m, sites, away_m)
        for at in range(found):  # first all that lies apart in memory, so that one waits for another's arrival less
            told[at] = probes[slot_of(w, sites[at], n), TOLD]
        for at in range(found):
            told_s = told[at]
            rank = min(told_s, _NEVER_S) + (told_s == np.inf) * (_DISTANCE_WEIGHT * away_m[at])
            bits = np.float64(rank).view(np.int64) & _RANKED  # of positive numbers, and so in order
            place = min(listed, LISTED - 1)
            if listed == LISTED and ranks[place] <= bits:
                continue
            listed = min(listed + 1, LISTED)
            while place > 0 and ranks[place - 1] > bits:
                ranks[place], server[n, place] = ranks[place - 1], server[n, place - 1]
                distance[n, place] = distance[n, place - 1]
                place -= 1
            ranks[place], server[n, place], distance[n, place] = bits, sites[at], away_m[at]
        for place in range(LISTED):
            covers[n, place] = place < listed
            if place >= listed:
                server[n, place], distance[n, place] = cloud, 0.0


@kernel
def probe(w, lane, elapsed_s, number, noise, probes):
    """Ask all servers in reach, and the cloud, for the time of a test model, with noise."""
    sites, away_m = np.empty(w.most + 1, dtype=np.intp), np.empty(w.most + 1)
    for i in range(len(lane)):
        n = lane[i]
        east_m, north_m = position_m(w, n, elapsed_s[i])
        found = find_sites(w, east_m, north_m, sites, away_m)
        sites[found] = len(w.x_m) - 1
        for at in range(found + 1):
            normal = w.normals[normal_at(w.noise_at[n], number[i], sites[at] + 1)]
            wrong = 1.0 + noise * min(max(normal, -MOST_SIGMAS), MOST_SIGMAS)
            slot = slot_of(w, sites[at], n)
            probes[slot, TOLD] = test_iteration_s(w, sites[at], n, elapsed_s[i]) * wrong
            probes[slot, WHEN] = w.clock_s[n] + elapsed_s[i]


@kernel
def observe_clients(w, units, own, memory, probes, state):
    """Write the state that each client observes; see :data:`.observation.STATE` for its columns.

    Args:
        units: rate near a site in bit/s, one over it, seconds of an iteration on the client, share of a step.
        own: (n,) each: cut, server, whether it covers the client, step, elapsed seconds.
        memory: (3 + 2 HISTORY, n) last, worst, adaptation, then the history.
        probes: (n (S + 1), 2) of slots; see :class:`.listing.Listing`.
        state: (n, 16 + 2 HISTORY), to be filled.
    """
    near, _, iteration_s, share = units
    cut, worker, reached, step, elapsed_s = own
    cloud = len(w.x_m) - 1
    for n in range(len(cut)):
        now_s, mine, clock_s = elapsed_s[n], worker[n], w.clock_s[n] + elapsed_s[n]
        for column in range(1, 8):
            state[n, column] = 0.0
        if mine >= 0:
            east_m, north_m = position_m(w, n, now_s)
            away_m = distance_m(w, mine, east_m, north_m)
            state[n, 1], state[n, 2] = mine != cloud, mine == cloud
            state[n, 3] = reached[n]
            state[n, 4] = rate_bits(w, mine, n, now_s, away_m) / near
            state[n, 5] = rtt_s(w, mine, n, now_s) / np.float32(RTT_UNIT_S)
            state[n, 6], state[n, 7] = _probed(w, probes, mine, n, clock_s, iteration_s)
        state[n, 0], state[n, 11] = cut[n] / (len(w.client_s) - 1), 1.0 - step[n] * share
        state[n, 12] = np.float32(rate_bits(w, cloud, n, now_s, 0.0)) / np.float32(near)
        state[n, 13] = rtt_s(w, cloud, n, now_s) / np.float32(RTT_UNIT_S)
        state[n, 14], state[n, 15] = _probed(w, probes, cloud, n, clock_s, iteration_s)
        for i in range(len(memory)):
            state[n, i + (8 if i < 3 else 13)] = memory[i, n]
        for column in range(state.shape[1]):
            state[n, column] = min(max(state[n, column], np.float32(0.0)), np.float32(LIMIT))


@kernel
def observe_servers(w, units, worker, elapsed_s, listing, probes, servers):
    """Write what each client observes of listed servers; see :data:`.observation.SERVER` for the columns.

    Args:
        units, probes: as those of :func:`observe_clients`.
        worker, elapsed_s: (n,) each.
        listing: (n, M) each: servers, distances, whether they cover.
        servers: (n, M, 8), to be filled.
    """
    _, per_near, iteration_s, _ = units
    listed, distance, covers = listing
    loads, away_s = np.empty(LISTED, np.float32), np.empty(LISTED, np.float32)
    told, when = np.empty(LISTED), np.empty(LISTED)
    for n in range(len(worker)):
        now_s, clock_s = elapsed_s[n], w.clock_s[n] + elapsed_s[n]
        found = 0  # as in list_servers
        while found < LISTED and covers[n, found]:
            server = listed[n, found]
            loads[found], away_s[found] = load(w, server, n, now_s), rtt_s(w, server, n, now_s)
            slot = slot_of(w, server, n)
            told[found], when[found] = probes[slot, TOLD], probes[slot, WHEN]
            found += 1
        for place in range(found):
            server, away_m = listed[n, place], distance[n, place]
            told_s = told[place]
            known = told_s < np.inf
            servers[n, place, 0], servers[n, place, 1] = 1.0, server == worker[n]
            servers[n, place, 2] = min(away_m * (1.0 / DISTANCE_UNIT_M), LIMIT)
            servers[n, place, 3] = min(rate_bits(w, server, n, now_s, away_m) * per_near, LIMIT)
            servers[n, place, 4] = min(away_s[place] * np.float32(1.0 / RTT_UNIT_S), np.float32(LIMIT))
            servers[n, place, 5] = min(told_s * (1.0 / iteration_s), LIMIT) if known else 0.0
            servers[n, place, 6] = min((clock_s - when[place]) * (1.0 / AGE_UNIT_S), OLDEST) if known else OLDEST
            test_s = w.whole_s[server] * loads[place] + away_s[place]
            servers[n, place, 7] = known & (test_s < NOTIFY * told_s)
        for place in range(found, LISTED):
            for column in range(servers.shape[2]):
                servers[n, place, column] = 0.0
