"""A scenario's bytes and seconds by budget."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cached_property
from math import ceil

import numpy as np

from ...models.compression import Interface, compressing_cut, decoder, encoder, layer_cut, widened
from ...models.lookup import get_model
from ...models.model import Model
from ...models.plans import CompressedPlan
from ...profiling.training import TrainingProfile, modelled_profile
from ...ui.errors import InputError
from .curves import Curves, get_curves
from .scenarios import SHARES, Scenario

LABEL_BYTES = 8  # int64
UNRECORDED_IMAGES = 50_000  # of an epoch where nothing says how many: CIFAR-10's


class System:
    """What an epoch costs at every budget.

    Args:
        scenario: the setting.
        model: another network than the zoo's.
        available: images there are to train on; None where nothing is trained here.

    Raises:
        InputError: the cut does not fit the model.

    Attributes:
        interface: the cut and what crosses it.
        budgets: (K,) maps.
        images, steps: of an epoch.
        map_bytes: (K,) feature maps and gradients of an epoch, both directions.
        sent_bytes: (K,) the same with filter, labels and what else goes with a step.
        full_bytes: maps and gradients of an epoch without compression, the unit of traffic.
        module_s: (K,) seconds of a step in encoder and decoder.
        compute_s: (K,) seconds of an epoch on client and server, one after the other.
    """

    def __init__(self, scenario: Scenario, model: Model | None = None, available: int | None = None) -> None:
        self.scenario = scenario
        self.model = get_model(scenario.model) if model is None else model
        where = f"scenario {scenario.name}"
        self.interface: Interface = self._interface(where)
        self.curves: Curves | None = get_curves(scenario.curves, where) if scenario.curves else None
        recorded = self.curves.images if self.curves else None
        images = scenario.images or recorded or available or UNRECORDED_IMAGES
        self.images = images if available is None else min(images, available)
        self.steps = _steps(self.images, scenario.batch)
        self.shares = tuple(scenario.shares) if scenario.module else (1.0,)
        budgets = [max(1, round(share * self.interface.phi)) for share in self.shares]
        self.budgets = tuple(dict.fromkeys(budgets))  # of few maps several shares are the same whole number
        if len(self.budgets) < len(budgets) and scenario.shares != SHARES:
            once = [round(budget / self.interface.phi, 4) for budget in self.budgets]
            raise InputError(
                f"{where}: shares {list(self.shares)} of {self.interface.phi} maps name a budget twice; these do not: "
                f"--env-kwargs shares={str(once).replace(' ', '')}"
            )
        self.shares = tuple(budget / self.interface.phi for budget in self.budgets)  # of whole maps
        ways = 1.0 if scenario.layer == 0 and not scenario.module else 2.0  # nothing to train in front of the cut
        one_way = float(self.images * self.interface.map_bytes)
        self.map_bytes = ways * one_way * np.array(self.budgets, dtype=float)
        self.full_bytes = ways * one_way * self.interface.phi
        step_bytes = self.interface.filter_bytes + scenario.overhead_bytes
        self.sent_bytes = self.map_bytes + self.steps * step_bytes + self.images * LABEL_BYTES
        devices = (scenario.client, scenario.server)
        self.profiles = [modelled_profile(self.model, device, (scenario.batch,)) for device in devices]
        self.module_s = np.array([self._module_s(budget) for budget in self.budgets])
        self.compute_s = self.steps * (self._halves_s() + self.module_s + scenario.overhead_s)

    def _interface(self, where: str) -> Interface:
        scenario = self.scenario
        cut = layer_cut(self.model, scenario.layer, where)
        if not scenario.module:
            return compressing_cut(self.model, cut, module=False, where=where)
        phi = widened(scenario.layer)
        return compressing_cut(self.model, cut, resolution=scenario.resolution, phi=phi, where=where)

    def _halves_s(self) -> float:
        """Forward, backward and update of a step: the client's steps in front of the cut, the server's behind it.

        A convolution that is cut off from its activation is the client's, and nearly all of its step.
        """
        cut = self.interface.cut
        at = cut.step + (1 if cut.modules else 0)
        client, server = (profile.step_s(self.scenario.batch) for profile in self.profiles)
        return float(client[:at].sum() / self.scenario.client_share + server[at:].sum())

    def _module_s(self, budget: int) -> float:
        """The same of the encoder, which is the client's, and of the decoder, both of the maps that they compute.

        The filter's own products are not counted, nor is anything where nodes cross.
        """
        if not self.interface.encoded:
            return 0.0
        encode_s, decode_s = (part.step_s(self.scenario.batch).sum() for part in self.module_profiles(budget))
        return float(encode_s / self.scenario.client_share + decode_s)

    def module_profiles(self, budget: int) -> tuple[TrainingProfile, TrainingProfile]:
        """Of the encoder and of the decoder, where maps are encoded."""
        scenario = self.scenario
        maps = self.interface.phi if scenario.dense or scenario.mask == "soft" else budget
        client, server = scenario.client, scenario.server
        encodes, decodes = encoder(self.interface, maps), decoder(self.interface, maps)
        return (
            modelled_profile(encodes, client, (scenario.batch,), trains_input=scenario.layer > 0),
            modelled_profile(decodes, server, (scenario.batch,), trains_input=True),
        )

    def transfer_s(self, budget: np.ndarray, mbps: np.ndarray) -> np.ndarray:
        """Seconds that an epoch's bytes take, indices and rates broadcast."""
        rate_bytes = mbps * (1e6 / 8.0 / self.scenario.clients)
        return self.sent_bytes[budget] / rate_bytes + self.steps * self.scenario.rtt_s

    @property
    def device_types(self) -> dict[str, str]:
        """Type of either side."""
        return {"client": self.scenario.client, "server": self.scenario.server}

    @property
    def provenance(self) -> tuple[str, ...]:
        """Where seconds and bytes come from, a line each."""
        profiles = (f"training of {p.model} on {p.provenance.label()}" for p in self.profiles)
        return (*self.scenario.provenance, *profiles, "bytes: counted from the cut; link: modelled")

    def plan_budgets(self, plan: CompressedPlan) -> np.ndarray:
        """(epochs,) indices of a plan's budgets.

        Raises:
            InputError: names the field that does not fit.
        """
        mine = {"cut": self.scenario.layer, "r": self.scenario.resolution}
        for name, value in mine.items():
            if getattr(plan, name) != value:
                raise InputError(f"{name} is {getattr(plan, name)}, allowed: {value}, that of the scenario")
        if len(plan.budgets) != self.scenario.epochs:
            raise InputError(f"budgets has {len(plan.budgets)} epochs, allowed: {self.scenario.epochs}")
        for i, budget in enumerate(plan.budgets):
            if budget not in self.budgets:
                raise InputError(f"budgets[{i}] is {budget}, allowed: {', '.join(map(str, self.budgets))}")
        return np.array([self.budgets.index(budget) for budget in plan.budgets])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every input that a result depends on."""
        fitted = (self.curves.model, self.curves.bare, self.curves.images) if self.curves else None
        step_s = self._halves_s(), self.module_s.tolist()
        text = f"{self.model.fingerprint}{sorted(asdict(self.scenario).items())}{fitted}{step_s}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _steps(images: int, batch: int) -> int:
    """Steps of an epoch; a last one of a single image joins the one before, as in training."""
    alone = images > batch and images % batch == 1
    return ceil(images / batch) - alone
