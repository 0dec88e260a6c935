"""What an L2S scenario amounts to: delays, bytes and contextual features of every partition point.

Everything that a round's delay depends on, but for the rate and the load, is an array over the feasible points.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property

import numpy as np

from ...models.chain import Kernel
from ...models.cuts import cut_points
from ...models.layers import Conv, Conv3d, ConvTranspose, Linear, Pointwise
from ...models.lookup import get_model
from ...models.model import Model
from ...profiling.devices import get_device
from ...profiling.network import BandwidthTrace
from ...profiling.training import VALUE_BYTES, TrainingProfile, load_profile, modelled_profile
from ...ui.errors import InputError
from ..links import load_traces
from .scenarios import PRIVACY_POINT, Scenario, Side
from .staleness import get_curve

FEATURES = ("conv MACs", "fc MACs", "elementwise operations", "forward bytes", "backward bytes",
            "conv weights", "fc weights", "norm weights")  # fmt: skip
TransferS = Callable[[np.ndarray, np.ndarray], np.ndarray]  # seconds of bits that begin to flow at some times


class System:
    """A scenario with its model and profiles, as arrays over the K feasible points P^c..P.

    Args:
        scenario: the setting.
        model: another network than the zoo's.

    Raises:
        InputError: P^c lies outside 0..P, a profile does not fit the model or lacks the batch size.

    Attributes:
        points: steps in front of every point 0..P.
        names: name of every point 0..P: the step that it lies behind.
        front_s: (K,) d^m, forward, backward and update of the front part on the end device.
        forward_s: (K,) the forward pass of that.
        edge_s: (K,) the same of the back part on the idle edge server.
        link_bits: (K,) what both directions put on the link, as time at 1 bit/s.
        message_bits: (2, K) what either direction puts on the link.
        message_s: (K,) fixed and copy costs of both messages.
        message_costs_s: (2, K) the same of each message.
        contexts: (K, 8) x_p of Sec. IV-A, each feature divided by its maximum; the last row is 0.
        weight_bytes: (P + 1,) bytes of all weights in front of every point 0..P.
        stale_curve: what old copies cost, where recorded trainings are named for it.
        stale_costs: (T + 1,) share of accuracy that a round on old copies loses, by rounds since the last sync.
    """

    def __init__(self, scenario: Scenario, model: Model | None = None) -> None:
        self.model = get_model(scenario.model) if model is None else model
        self.points = cut_points(self.model)
        if scenario.privacy_point is None:
            scenario = replace(scenario, privacy_point=min(PRIVACY_POINT, max(0, self.last - 1)))
        self.scenario, self.first = scenario, scenario.privacy_point or 0
        if self.first > self.last:
            allowed = f"0..{self.last}, the partition points of {self.model.name}"
            raise InputError(f"scenario {scenario.name}: privacy_point is {scenario.privacy_point}, allowed: {allowed}")
        steps = self.model.steps
        self.names = ("input", *(steps[p - 1].name for p in self.points[1:]))
        self.device = self._profile("device", scenario.device)
        self.edge = self._profile("edge", scenario.edge_device)
        self.traces: list[BandwidthTrace] = load_traces(scenario.traces, scenario.trace_factor, 1)
        self.stale_curve = (
            get_curve(scenario.stale_curve, f"scenario {scenario.name}") if scenario.stale_curve else None
        )
        self.stale_costs = self._stale_costs()
        self._lay_out()

    def _stale_costs(self) -> np.ndarray:
        """An episode is taken as a whole training, of whose loss every round has its share."""
        if self.stale_curve is None:
            return np.full(self.scenario.rounds + 1, self.scenario.stale_cost)
        ages = np.arange(1, self.scenario.rounds + 1)
        return np.concatenate([[0.0], self.stale_curve.lost(ages) / len(ages)])

    def _profile(self, side: Side, device: str) -> TrainingProfile:
        scenario = self.scenario
        if side in scenario.profiles:
            return load_profile(scenario.profiles[side], self.model)
        return modelled_profile(
            self.model,
            device,
            (scenario.batch,),
            scenario.optimizer,
            scenario.tiles,
            scenario.backward,
            scenario.update_bytes,
        )

    def _lay_out(self) -> None:
        scenario, first = self.scenario, self.first
        before = np.array(self.points)
        on_device, on_edge = (p.step_s(scenario.batch) for p in (self.device, self.edge))
        self.front_s = _running(on_device)[before][first:]
        self.forward_s = _running(self.device.at(scenario.batch)[0])[before][first:]
        self.edge_s = (on_edge.sum() - _running(on_edge)[before])[first:]
        self.edge_s[-1] = 0.0
        self.weight_bytes = VALUE_BYTES * _running(self.device.params)[before]
        messages = np.array([self._messages(p) for p in range(first, self.last + 1)], dtype=float)
        ends = [get_device(scenario.device), get_device(scenario.edge_device)]
        self._copy_s = sum(1.0 / end.copy_bytes_per_s for end in ends)
        self._send_s = np.array([end.t_msg_s for end in ends])
        self.link_bits = 8.0 * messages.sum(axis=1) / scenario.eta
        self.message_bits = 8.0 * messages.T / scenario.eta
        self.message_s = (messages > 0) @ self._send_s + messages.sum(axis=1) * self._copy_s
        self.message_costs_s = ((messages > 0) * self._send_s + messages * self._copy_s).T
        self.contexts = self._contexts(messages)

    def _messages(self, point: int) -> tuple[int, int]:
        """Bytes of a round's two messages, psi^f (with labels) and psi^b; nothing crosses at P, no gradient at 0."""
        if point == self.last:
            return 0, 0
        batch, step = self.scenario.batch, self.points[point] - 1
        labels = batch * self.scenario.label_bytes
        if point == 0:
            return batch * self.model.cut_bytes(0, 1) * self.scenario.image_bytes + labels, 0
        forward, backward = self.device.activation_bytes[step], self.device.gradient_bytes[step]
        return batch * int(forward) + labels, batch * int(backward)

    def _contexts(self, messages: np.ndarray) -> np.ndarray:
        model, first = self.model, self.first
        work = np.array([_work(kernel) for kernel in model.kernels], dtype=float)
        steps = np.array([work[list(step.kernels)].sum(axis=0) for step in model.steps])
        back = np.stack([steps[p:].sum(axis=0) for p in self.points[first:]])  # MACs by kind, then weights by kind
        features = np.concatenate([back[:, :3], messages, back[:, 3:]], axis=1)
        features[-1] = 0.0
        most = features.max(axis=0)
        return np.divide(features, most, out=np.zeros_like(features), where=most > 0)

    @property
    def last(self) -> int:
        """P, all on the end device."""
        return len(self.points) - 1

    @property
    def device_types(self) -> dict[str, str]:
        """Type of either side."""
        return {"device": self.scenario.device, "edge": self.scenario.edge_device}

    @property
    def n_points(self) -> int:
        """K, the number of feasible points."""
        return len(self.points) - self.first

    def choice_of(self, cut: int) -> int:
        """Index of the feasible point with ``cut`` steps in front of it.

        Raises:
            InputError: there is none.
        """
        feasible = self.points[self.first :]
        if cut not in feasible:
            allowed = ", ".join(map(str, feasible))
            raise InputError(f"cut is {cut}, feasible in {self.scenario.name} are {allowed}")
        return feasible.index(cut)

    @property
    def pdt_s(self) -> float:
        """Expected delay of a round on the end device alone."""
        return float(self.front_s[-1])

    def link_costs(self, mbps: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """((fixed cost, seconds a byte) of a message up, the same down) at a rate."""
        byte_s = 8.0 / self.scenario.eta / (1e6 * mbps) + self._copy_s
        up_s, down_s = self._send_s.tolist()
        return (up_s, byte_s), (down_s, byte_s)

    def edge_delay_s(self, mbps: np.ndarray | float, load: np.ndarray | float, point: np.ndarray) -> np.ndarray:
        """Expected d^e at feasible points (0 is P^c), for held rates and loads that broadcast with them."""
        return self.message_s[point] + load * self.edge_s[point] + self.link_bits[point] / (1e6 * mbps)  # type: ignore[operator]

    def delay_s(self, mbps: np.ndarray, load: np.ndarray) -> np.ndarray:
        """Expected delay of a round at every feasible point, (K, n), for held rates and loads (n,)."""
        every = np.arange(self.n_points)[:, None]
        return self.front_s[:, None] + self.edge_delay_s(mbps[None], load[None], every)

    def messages_s(self, transfer_s: TransferS, start_s: np.ndarray, load: np.ndarray | float) -> np.ndarray:
        """Seconds of both messages at every feasible point, (K, n), on a link whose rate changes.

        psi^f leaves when the device has run its part forward, psi^b when the edge server is done. The bits of a
        message flow when its fixed and copy costs are over.

        Args:
            transfer_s: the link.
            start_s: (n,) when the rounds begin.
            load: (n,) the edge server's, or one for all.
        """
        up, down, up_cost_s, down_cost_s, forward_s, _, edge_s = self._columns
        flows_s = start_s + (forward_s + up_cost_s)
        up_s = transfer_s(up, flows_s)
        flows_s = flows_s + up_s + load * edge_s + down_cost_s
        return up_cost_s + down_cost_s + up_s + transfer_s(down, flows_s)

    @cached_property
    def _columns(self) -> np.ndarray:
        """(7, K, 1) bits of both messages, their fixed and copy costs, the device's parts, the edge server's."""
        sides = (self.forward_s, self.front_s, self.edge_s)
        return np.stack([*self.message_bits, *self.message_costs_s, *sides])[..., None]

    def changing_delay_s(self, transfer_s: TransferS, start_s: np.ndarray, load: np.ndarray | float) -> np.ndarray:
        """:meth:`delay_s` on a link whose rate changes; arguments as of :meth:`messages_s`."""
        *_, front_s, edge_s = self._columns
        return front_s + load * edge_s + self.messages_s(transfer_s, start_s, load)

    def sync_s(self, low: np.ndarray, high: np.ndarray, mbps: np.ndarray | float) -> np.ndarray:
        """Seconds to send the weights between points ``low`` and ``high`` (0..P each); 0 where they are equal."""
        moved = self.weight_bytes[high] - self.weight_bytes[low]
        send_s = self._send_s[0] + moved * (8.0 / self.scenario.eta / (1e6 * mbps) + self._copy_s)
        return np.where(moved > 0, send_s, 0.0)

    def changing_sync_s(
        self, low: np.ndarray, high: np.ndarray, transfer_s: TransferS, start_s: np.ndarray
    ) -> np.ndarray:
        """:meth:`sync_s` on a link whose rate changes, from ``start_s`` on; bits flow as those of messages."""
        moved = self.weight_bytes[high] - self.weight_bytes[low]
        cost_s = self._send_s[0] + moved * self._copy_s
        return np.where(moved > 0, cost_s + transfer_s(8.0 / self.scenario.eta * moved, start_s + cost_s), 0.0)

    @property
    def mbps(self) -> float:
        """Nominal rate: the scenario's, or the trace's mean."""
        return self.traces[0].mean_mbps if self.traces else self.scenario.mbps

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every input that a result depends on."""
        digest = hashlib.sha256(f"{self.model.fingerprint}{sorted(asdict(self.scenario).items())}".encode())
        arrays = [self.front_s, self.forward_s, self.edge_s, self.message_bits, self.message_costs_s, self.weight_bytes]
        arrays += [self.stale_costs, *(a for trace in self.traces for a in (trace.times_s, trace.mbps))]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def _running(values: np.ndarray) -> np.ndarray:
    """Sum of all that comes before every boundary, one entry more than values."""
    return np.concatenate([[0], np.cumsum(values)])


def _work(kernel: Kernel) -> tuple[int, int, int, int, int, int]:
    """MACs and weights by kind: (conv, fc, elementwise operations, conv weights, fc weights, norm weights).

    A norm or an activation is one operation for every value, a pool one for every value that it puts out.
    """
    layer, values = kernel.layer, kernel.out_shape.elements
    macs, params = layer.macs(kernel.in_shape), layer.params(kernel.in_shape)
    if isinstance(layer, Linear):
        return 0, macs, values * (layer.activation != "none"), 0, params, 0
    if isinstance(layer, Conv | Conv3d | ConvTranspose):
        norm = 2 * kernel.out_shape.channels * layer.norm
        return macs, 0, values * ((layer.activation != "none") + layer.norm), params - norm, 0, norm
    if isinstance(layer, Pointwise):
        return 0, 0, values * ((layer.activation != "none") + layer.norm), 0, 0, params
    return 0, 0, values, 0, 0, 0
