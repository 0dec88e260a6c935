"""HierTrain's loops over schedules, compiled: what actions stand for, what an iteration and a change of schedule take.

Rates are (2, n): device-edge and edge-cloud, bit/s. Workers, cuts and samples are as in :class:`.schedule.Schedules`.
"""

from __future__ import annotations

import numpy as np

from ...profiling.compiled import kernel

DEVICE_EDGE, EDGE_CLOUD = 1, 2  # physical links, as bits of a mask
PATH = np.array([[0, DEVICE_EDGE, 3], [DEVICE_EDGE, 0, EDGE_CLOUD], [3, EDGE_CLOUD, 0]])  # links between two workers


@kernel
def _rank(scores, worker, lane):
    """Workers by falling score, of equals the first first."""
    for who in range(3):
        place = 0
        for other in range(3):
            higher, same = scores[other, lane] > scores[who, lane], scores[other, lane] == scores[who, lane]
            place += higher or (same and other < who)
        worker[place, lane] = who


@kernel
def _deal(weights, b, batch, lane):
    """Whole samples by weight: rounded down, the largest remainders get one more."""
    total, left = weights[0, lane] + weights[1, lane] + weights[2, lane], float(batch)
    for role in range(3):
        exact = weights[role, lane] / total * batch
        b[role, lane] = int(np.floor(exact))
        weights[role, lane] = exact - b[role, lane]
        left -= b[role, lane]
    while left > 0.0:
        most = 0
        for role in range(1, 3):
            if weights[role, lane] > weights[most, lane]:
                most = role
        b[most, lane] += 1
        weights[most, lane] = -1.0
        left -= 1.0


@kernel
def decoded(scores, weights, n_layers, batch):
    """Schedules of actions, not yet canonical.

    Args:
        scores: (5, n) of device, edge and cloud, and two cuts, -1..1.
        weights: (3, n) of o, s and l, to which their shares of the batch are proportional; used up.
        n_layers, batch: N and B.

    Returns:
        (worker (3, n), m_s (n,), m_l (n,), b (3, n)).
    """
    lanes = scores.shape[1]
    worker, b = np.empty((3, lanes), np.intp), np.empty((3, lanes), np.intp)
    m_s, m_l = np.empty(lanes, np.intp), np.empty(lanes, np.intp)
    for lane in range(lanes):
        _rank(scores, worker, lane)
        one = int(np.rint((scores[3, lane] + 1.0) * (0.5 * n_layers)))
        other = int(np.rint((scores[4, lane] + 1.0) * (0.5 * n_layers)))
        m_s[lane], m_l[lane] = min(one, other), max(one, other)
        if m_s[lane] == 0:
            weights[1, lane] = 0.0
        if m_l[lane] == 0:
            weights[2, lane] = 0.0
        if weights[0, lane] + weights[1, lane] + weights[2, lane] == 0.0:  # nobody wants any: o takes them
            weights[0, lane] = 1.0
        _deal(weights, b, batch, lane)
    return worker, m_s, m_l, b


@kernel
def make_canonical(worker, m_s, m_l, b):
    """See :meth:`.schedule.Schedules.canonical`; the arrays are changed."""
    for i in range(len(m_s)):
        if b[2, i] == 0 and b[1, i] > 0:
            worker[1, i], worker[2, i] = worker[2, i], worker[1, i]
            b[1, i], b[2, i] = 0, b[1, i]
            m_l[i] = m_s[i]
        if b[1, i] == 0:
            m_s[i] = 0
        if b[2, i] == 0:
            m_l[i] = 0


@kernel
def link_bit_s(path, device_edge, edge_cloud, stream, flows_1, flows_2):
    """Seconds of one bit over a path of links, each divided by flows."""
    first = flows_1 / device_edge if path & DEVICE_EDGE else 0.0
    second = flows_2 / edge_cloud if path & EDGE_CLOUD else 0.0
    return max(first, second) if stream else first + second


@kernel
def bits_s(each, stream):
    """(n,) seconds of one bit; see :func:`.cost.bit_s`.

    Args:
        each: (5, n) paths, rates of device-edge and edge-cloud, flows that divide these.
        stream: whether the slower link's rate counts.
    """
    found = np.empty(each.shape[1])
    for i in range(len(found)):
        found[i] = link_bit_s(int(each[0, i]), each[1, i], each[2, i], stream, each[3, i], each[4, i])
    return found


@kernel
def _rates_of(worker, b, i, device_edge, edge_cloud, stream, shared, found):
    """Seconds of a bit from the device to o, s and l, between s and o, between l and o, into ``found`` (5, n)."""
    input_1 = input_2 = output_1 = output_2 = 0.0  # flows on either link
    if shared:
        for role in range(3):
            path = PATH[0, worker[role, i]]
            input_1 += b[role, i] > 0 and path & DEVICE_EDGE > 0
            input_2 += b[role, i] > 0 and path & EDGE_CLOUD > 0
        for role in range(1, 3):
            path = PATH[worker[role, i], worker[0, i]]
            output_1 += b[role, i] > 0 and path & DEVICE_EDGE > 0
            output_2 += b[role, i] > 0 and path & EDGE_CLOUD > 0
    input_1, input_2, output_1, output_2 = max(input_1, 1.0), max(input_2, 1.0), max(output_1, 1.0), max(output_2, 1.0)
    for role in range(3):
        path = PATH[0, worker[role, i]]
        found[role, i] = link_bit_s(path, device_edge, edge_cloud, stream, input_1, input_2)
    for role in range(1, 3):
        path = PATH[worker[role, i], worker[0, i]]
        found[2 + role, i] = link_bit_s(path, device_edge, edge_cloud, stream, output_1, output_2)


@kernel
def rates_of(worker, b, rates, stream, shared):
    """(5, n) seconds of a bit; see :func:`.cost.link_rates`."""
    found = np.empty((5, worker.shape[1]))
    for i in range(worker.shape[1]):
        _rates_of(worker, b, i, rates[0, i], rates[1, i], stream, shared, found)
    return found


@kernel
def terms_of(tables, worker, m_s, m_l, b, rates):
    """(22, n) the rows of :class:`.cost.Terms`, one behind the other, of canonical schedules."""
    forward, backward, update, weights = tables.forward_s, tables.backward_s, tables.update_s, tables.weight_bits
    found, last = np.empty((22, len(m_s))), len(weights) - 1
    bit_s = np.empty((5, len(m_s)))
    for i in range(len(m_s)):
        _rates_of(worker, b, i, rates[0, i], rates[1, i], tables.stream, tables.shared, bit_s)
        w_o, w_s, w_l, low, high = worker[0, i], worker[1, i], worker[2, i], m_s[i], m_l[i]
        batch = b[0, i] + b[1, i] + b[2, i]
        for role in range(3):
            who = worker[role, i]
            found[role, i] = b[role, i] * tables.sample_bits * bit_s[role, i]
            found[3 + role, i] = b[role, i] * forward[who, low]
            found[6 + role, i] = b[role, i] * backward[who, low]
        both = b[0, i] + b[1, i]
        found[9, i] = both * (forward[w_o, high] - forward[w_o, low])
        found[10, i] = b[2, i] * (forward[w_l, high] - forward[w_l, low])
        found[11, i] = both * (backward[w_o, high] - backward[w_o, low])
        found[12, i] = b[2, i] * (backward[w_l, high] - backward[w_l, low])
        found[13, i] = batch * (forward[w_o, last] - forward[w_o, high])
        found[14, i] = batch * (backward[w_o, last] - backward[w_o, high])
        found[15, i] = b[1, i] * tables.output_bits[low] * bit_s[3, i]
        found[16, i] = b[2, i] * tables.output_bits[high] * bit_s[4, i]
        found[17, i] = update[w_o, last]
        found[18, i] = update[w_s, low] if b[1, i] > 0 else 0.0
        found[19, i] = update[w_l, high] if b[2, i] > 0 else 0.0
        with_s = tables.always or (b[1, i] > 0 and (b[0, i] > 0 or b[2, i] > 0))
        with_l = tables.always or (b[2, i] > 0 and (b[0, i] > 0 or b[1, i] > 0))
        found[20, i] = weights[low] * bit_s[3, i] if with_s else 0.0
        found[21, i] = weights[high] * bit_s[4, i] if with_l else 0.0
    return found


@kernel
def paper_s(t):
    """(n,) T_total of Eq. 12 from :class:`.cost.Terms`."""
    found = np.empty(len(t.tail))
    for i in range(len(found)):
        out_s, out_l = t.output[0, i], t.output[1, i]
        arrived = max(t.input[0, i] + t.front[0, i], t.input[1, i] + t.front[1, i] + out_s)
        arrived = max(arrived, t.input[2, i] + t.front[2, i])
        returned = max(t.front_back[0, i], t.front_back[1, i] + out_s, t.front_back[2, i])
        forward = arrived + max(t.middle[0, i], t.middle[1, i] + out_l) + t.tail[i]
        backward = returned + max(t.middle_back[0, i], t.middle_back[1, i] + out_l) + t.tail_back[i]
        update = max(t.update[0, i], t.update[1, i], t.update[2, i])
        found[i] = forward + backward + update + 2.0 * max(t.gradient[0, i], t.gradient[1, i])
    return found


@kernel
def event_s(t):
    """(n,) makespan of the same work without barriers: everyone goes on as soon as what it needs is there.

    o runs its own samples first and takes in those of s behind m_s and those of l behind m_l; going back it serves l
    at m_l, then s at m_s. Weights are averaged when all gradients are in.
    """
    found = np.empty(len(t.tail))
    for i in range(len(found)):
        s_out = t.input[1, i] + t.front[1, i] + t.output[0, i]
        l_out = t.input[2, i] + t.front[2, i] + t.middle[1, i] + t.output[1, i]
        o_at_s = max(t.input[0, i] + t.front[0, i], s_out)
        o_at_l = max(o_at_s + t.middle[0, i], l_out)
        turned = o_at_l + t.tail[i] + t.tail_back[i]  # o is back at m_l
        l_done = turned + t.output[1, i] + t.middle_back[1, i] + t.front_back[2, i]
        at_s = turned + t.middle_back[0, i]
        s_done = at_s + t.output[0, i] + t.front_back[1, i]
        o_done = at_s + t.front_back[0, i]
        averaged = max(o_done, s_done + t.gradient[0, i], l_done + t.gradient[1, i])
        at_o, at_l = averaged + t.update[0, i], averaged + t.gradient[1, i] + t.update[2, i]
        found[i] = max(at_o, averaged + t.gradient[0, i] + t.update[1, i], at_l)
    return found


@kernel
def layers_s(tables, owner, rates, batch, scale):
    """(n,) seconds of an iteration; see :func:`.cost.layers_s`.

    Args:
        owner: (N, n) worker of every layer.
        scale: by which more bits than a sample's output cross a cut.
    """
    forward, backward, update, stream = tables.forward_s, tables.backward_s, tables.update_s, tables.stream
    found, update_s = np.empty(owner.shape[1]), np.empty(3)
    for i in range(len(found)):
        compute, sends = 0.0, 0.0
        update_s[0] = update_s[1] = update_s[2] = 0.0
        for layer in range(len(owner)):
            who = owner[layer, i]
            after, before = (
                forward[who, layer + 1] + backward[who, layer + 1],
                forward[who, layer] + backward[who, layer],
            )
            compute += after - before
            update_s[who] += update[who, layer + 1] - update[who, layer]
            if layer:
                moved = link_bit_s(PATH[owner[layer - 1, i], who], rates[0, i], rates[1, i], stream, 1.0, 1.0)
                sends += scale * tables.output_bits[layer] * moved
        arrives = link_bit_s(PATH[0, owner[0, i]], rates[0, i], rates[1, i], stream, 1.0, 1.0)
        arrives = arrives * batch * tables.sample_bits
        found[i] = arrives + batch * compute + sends + max(update_s[0], update_s[1], update_s[2])
    return found


@kernel
def layers_handed_s(tables, old, owner, rates):
    """(n,) seconds until all new owners have their layers' weights from the old ones, side by side."""
    found, received = np.empty(owner.shape[1]), np.empty(3)
    for i in range(len(found)):
        received[0] = received[1] = received[2] = 0.0
        for layer in range(len(owner)):
            who, bits = owner[layer, i], tables.weight_bits[layer + 1] - tables.weight_bits[layer]
            path = PATH[old[layer, i], who]
            received[who] += bits * link_bit_s(path, rates[0, i], rates[1, i], tables.stream, 1.0, 1.0)
        found[i] = max(received[0], received[1], received[2])
    return found


@kernel
def _alone_up_to(always, m_l, b, i):
    """m_l where l trains its layers alone and exchanges no weights with o, 0 elsewhere."""
    return 0 if always or b[0, i] > 0 or b[1, i] > 0 else m_l[i]


@kernel
def _between(weights, first, last):
    """Bits of the layers first..last, none where they are the wrong way round."""
    return weights[last] - weights[first] if last > first else 0.0


@kernel
def handed_s(tables, old_worker, old_m_s, old_m_l, old_b, worker, m_s, m_l, b, rates):
    """(n,) seconds; see :func:`.cost.hand_out_s`."""
    weights, always = tables.weight_bits, tables.always
    found, n_layers = np.empty(len(m_s)), len(weights) - 1
    for i in range(len(m_s)):
        border, longest = _alone_up_to(always, old_m_l, old_b, i), 0.0
        for role in range(3):
            who, before = worker[role, i], 0
            while old_worker[before, i] != who:
                before += 1
            held_first = border if before == 0 else 0
            held_last = (n_layers, old_m_s[i] * (old_b[1, i] > 0), old_m_l[i] * (old_b[2, i] > 0))[before]
            need_first = _alone_up_to(always, m_l, b, i) if role == 0 else 0
            need_last = (n_layers, m_s[i] * (b[1, i] > 0), m_l[i] * (b[2, i] > 0))[role]
            spent = 0.0
            for part in range(2):  # of the layers behind the border the old o is the source, in front of it the old l
                source, low = old_worker[0 if part == 0 else 2, i], border if part == 0 else 0
                high = n_layers if part == 0 else border
                first, last = max(need_first, low), min(need_last, high)
                lacking = _between(weights, first, last)
                lacking -= _between(weights, max(first, held_first), min(last, held_last))
                spent += lacking * link_bit_s(PATH[source, who], rates[0, i], rates[1, i], tables.stream, 1.0, 1.0)
            longest = max(longest, spent)
        found[i] = longest
    return found


@kernel
def planned(roles, lanes, worker, m_s, m_l, b, plan_worker, plan_m_s, plan_m_l, plan_b, n_layers, batch, last):
    """Keep schedules of some lanes (k,) as the last ones (n,), and as they are observed: (11, n) ``last``.

    ``roles`` (3, 6) are the workers of the six mappings.
    """
    for i in range(len(lanes)):
        lane = lanes[i]
        plan_m_s[lane], plan_m_l[lane] = m_s[i], m_l[i]
        last[6, lane], last[7, lane] = m_s[i] / n_layers, m_l[i] / n_layers
        for role in range(3):
            plan_worker[role, lane], plan_b[role, lane] = worker[role, i], b[role, i]
            last[8 + role, lane] = b[role, i] / batch
        for mapping in range(6):
            same = roles[0, mapping] == worker[0, i] and roles[1, mapping] == worker[1, i]
            last[mapping, lane] = 1.0 if same else 0.0  # two workers say who the third is


@kernel
def booked(lanes, rates, iteration_s, replan_s, optimal_s, iterations, reference_s, block, last_s, now, sums, trace):
    """What a block amounts to in some lanes.

    Args:
        lanes, rates, iteration_s, replan_s, optimal_s: (k,), (2, k), (k,) of the lanes that step.
        iterations, reference_s: of the reward.
        block, last_s, now, sums, trace: of :class:`.dynamics.HierTrainDynamics`, changed.

    Returns:
        (rewards (n,), whether episodes are over (n,)).
    """
    reward, over = np.zeros(len(block)), np.zeros(len(block), np.bool_)
    for i in range(len(lanes)):
        lane, at = lanes[i], block[lanes[i]]
        now[0, lane], now[1, lane], now[2, lane] = iteration_s[i], replan_s[i], optimal_s[i]
        for figure in range(3):
            sums[figure, lane] += now[figure, lane]
        sums[3, lane] += iteration_s[i] / optimal_s[i] - 1.0
        trace[0, at, lane], trace[1, at, lane] = rates[0, i] / 1e6, rates[1, i] / 1e6
        trace[2, at, lane], trace[3, at, lane], trace[4, at, lane] = iteration_s[i], replan_s[i], optimal_s[i]
        last_s[lane], block[lane] = iteration_s[i], at + 1
        reward[lane] = -(iteration_s[i] + replan_s[i] / iterations) / reference_s
        over[lane] = at == trace.shape[1] - 1
    return reward, over


@kernel
def observed(rates, nominal, profile, last, last_s, reference_s, block, blocks, limit):
    """(n, 4 + len(profile) + len(last)) float32 observations.

    Args:
        rates, nominal: (2, n), (2,) bit/s.
        profile: what plans depend on beside the rates.
        last, last_s, block: of :class:`.dynamics.HierTrainDynamics`.
        reference_s, limit: scale and bound of the last iteration.
        blocks: of an episode.
    """
    begin, end = 2 + len(profile), 2 + len(profile) + len(last)
    found = np.empty((len(block), end + 2), np.float32)
    for lane in range(len(block)):
        row = found[lane]
        row[0], row[1] = rates[0, lane] / nominal[0], rates[1, lane] / nominal[1]
        for i in range(len(profile)):
            row[2 + i] = profile[i]
        for i in range(len(last)):
            row[begin + i] = last[i, lane]
        row[end] = min(last_s[lane] / reference_s, limit)
        row[end + 1] = block[lane] / blocks
    return found
