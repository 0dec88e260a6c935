"""The hyperparameters of a training, and what one epoch leaves on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Interval

from ...models.compression import Cut, Interface, Mask, Padding, compressing_cut, layer_cut
from ...models.model import Model
from ...ui.errors import InputError
from ...ui.validation import Share

MAX_DELTA = 1000.0
Decay = Annotated[float, Interval(ge=1e-3, le=1)]
Gamma = Annotated[float, Interval(ge=1, le=1e3)]
LEAST_LAMBDA = 1e-12  # of those that are not 0; below it the minimum of pruneLoss would lie on a tangent


@dataclass(frozen=True)
class Settings:
    """How to train, apart from the budgets.

    Attributes:
        layer: where to cut, in modules of the ``features`` list (:func:`...models.compression.layer_cut`); a
            :class:`Cut` is taken as it is.
        module: False leaves the compression module out.
        resolution: r.
        phi: maps that may be sent; None: as many as there are at the cut.
        padding: of the encoder, "sound" or "paper".
        mask: "hard" (only the top B maps reach the decoder) or "soft" (all of them, weighted by f).
        images: training images an epoch, drawn without repetition until all were seen; None: all of them.
        batch: images a step.
        optimizer: "sgd" or "adam".
        learning_rate: the printed 1e-5 does not learn from random weights.
        decay: factor on the learning rate after every epoch; the paper names one rate and no decay (1).
        momentum: of SGD.
        weight_decay: the paper's; the filter has none.
        delta: δ · φ, so that the same value suits every φ.
        lam: λ.
        epsilon: ε.
        gamma: γ, factor on the learning rate after a change of budget.
        boosted_epochs: l_k, for how many epochs.
        flips: whether training images are mirrored at random.
        seed: of weights, order of the images, flips and the filter's draws.
    """

    layer: int | Cut = 5
    module: bool = True
    resolution: int = 1
    phi: int | None = None
    padding: Padding = "sound"
    mask: Mask = "hard"
    images: Annotated[int, Interval(ge=2, le=1 << 40)] | None = None
    batch: Annotated[int, Interval(ge=2, le=1 << 20)] = 64
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Interval(ge=1e-12, le=100)] = 0.01
    decay: Decay = 0.92
    momentum: Annotated[float, Interval(ge=0, le=0.9999)] = 0.9
    weight_decay: Share = 5e-4
    delta: Annotated[float, Interval(ge=1e-6, le=MAX_DELTA)] = 10.0
    lam: float = 1.0
    epsilon: Annotated[float, Interval(ge=0, le=1e6)] = 0.5
    gamma: Gamma = 3.0
    boosted_epochs: Annotated[int, Interval(ge=0, le=1 << 20)] = 2
    flips: bool = False
    seed: Annotated[int, Interval(ge=0, le=(1 << 63) - 1)] = 0

    def __post_init__(self) -> None:
        if not (self.lam == 0 or LEAST_LAMBDA <= self.lam <= 1):
            raise InputError(f"lam is {self.lam!r}, allowed: 0 or {LEAST_LAMBDA:g} to 1")

    def decisive(self, budgets: Sequence[int], phi: int) -> Settings:
        """Those that had a say in epochs at these budgets, the others as by default: what agrees on them is the same.

        Before any change of budget there is no boost; at full budget both masks let everything pass.
        """
        plain: dict[str, Any] = {}
        if len(set(budgets)) < 2:
            plain |= {"gamma": Settings.gamma, "boosted_epochs": Settings.boosted_epochs}
        if all(budget == phi for budget in budgets):
            plain["mask"] = Settings.mask
        return replace(self, **plain)

    def interface(self, model: Model) -> Interface:
        """The checked cut of a model.

        Raises:
            InputError: it does not fit the model.
        """
        cut = self.layer if isinstance(self.layer, Cut) else layer_cut(model, self.layer)
        if not self.module:
            return compressing_cut(model, cut, module=False)
        return compressing_cut(model, cut, resolution=self.resolution, phi=self.phi, padding=self.padding)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch was.

    Attributes:
        epoch: from 0.
        budget: maps sent.
        learning_rate: after selectLr.
        images, steps: of the epoch.
        train_loss, train_accuracy: means over the epoch, while it was learning; without pruneLoss.
        prune_loss: mean of Eq. 1, before ε.
        test_loss, test_accuracy: after the epoch, at its budget, behind the mask that it was trained with.
        wire_accuracy: the same behind a hard mask: what is left where only the top B maps cross.
        sent_bytes: by kind, over the epoch: maps, filter, labels, others up; gradients, other_gradients down.
        seconds: of the epoch without the test.
        module_s: seconds a step spends in encoder, filter and decoder, forward and backward; 0 where the halves are on
            workers.
        filter_sum, kept_sum: Σf at the end, of all maps and of the top B.
        entered_maps: how many of the kept maps were not kept when the epoch began.
    """

    epoch: int
    budget: int
    learning_rate: float
    images: int
    steps: int
    train_loss: float
    train_accuracy: float
    prune_loss: float
    test_loss: float
    test_accuracy: float
    wire_accuracy: float
    seconds: float
    module_s: float
    filter_sum: float
    kept_sum: float
    entered_maps: int
    sent_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def cut_bytes(self) -> int:
        """Bytes of feature maps and gradients, both directions: what a budget saves."""
        return self.sent_bytes["maps"] + self.sent_bytes["gradients"]

    @property
    def total_bytes(self) -> int:
        """Bytes of everything, both directions."""
        return sum(self.sent_bytes.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
