"""How private a cut is: what a trained network still recognises in the data that leaves the device.

L2S (Sec. III-C, Fig. 4, after Gu et al., arXiv:1807.00969) shows the intermediate result of a cut to a pre-trained
network as if it were an input. The Kullback-Leibler (KL) divergence from the network's answer for the input to its
answer for the intermediate result is small where the two look alike; a larger one means more privacy.

The paper does not say how a result of many channels and another size becomes an input. Here every map (channel) becomes
an image: its values are stretched to the input's range, its size to the input's, and it is shown in all channels. The
value of a cut is the *minimum* over its maps, averaged over the images, since an adversary picks the map that reveals
most; ``reduce="mean"`` averages over the maps instead. A vector (behind a fully connected layer or a global pool) has
no maps: it is shown as one image, whose columns are its values.

The measure says how much an intermediate result *looks* like the input, not what can be computed from it: the logits
have a large KL although they give the class away, and an untrained front part has about the KL of a trained one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.chain import MAIN
from ...models.cuts import cut_points
from ...models.layers import Conv
from ...models.model import Model
from ...models.runnable.units import TorchModel
from ...ui.errors import InputError
from .digits import OnProgress
from .private_point import private_point

PIXELS_AT_ONCE = 2**16  # of the images that go through a network together: bounds memory, and fits the cache

Reduce = Literal["min", "mean"]


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats of distributions given as log-probabilities along the last axis; broadcasts."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def kl_by_cut(
    model: TorchModel,
    oracle: nn.Module | None,
    images: Tensor,
    cuts: Sequence[int] | None = None,
    reduce: Reduce = "min",
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """KL divergence from the judgement of the input to that of the intermediate result, for every cut.

    Everything that crosses a cut is judged: the main tensor and saved ones. Both networks run in eval mode.

    Args:
        model: the trained network that is cut.
        oracle: the pre-trained network that judges, images -> logits (batch, classes) (a :class:`TorchModel` will
            do); None is the model itself.
        images: (n, channels, height, width), as the model was trained on.
        cuts: numbers of steps in front of the cut, 1 to the number of steps; all when None.
        reduce: over the maps of an image: the most revealing one, or all alike.
        on_progress: called with the share that is done.

    Returns:
        (len(cuts),) nats, averaged over the images.

    Raises:
        InputError: a cut that the model does not have, images that are none or do not fit it, an unknown ``reduce``,
            an oracle that gives no logits.
    """
    wanted = list(range(1, len(model) + 1)) if cuts is None else [int(cut) for cut in cuts]
    _check_question(model, images, wanted, reduce)
    judge = model if oracle is None else oracle
    low, high = float(images.min()), float(images.max())
    totals = dict.fromkeys(sorted(wanted), 0.0)
    done = 0
    with _judging(model, judge):
        for batch in images.split(_batch_size(images)):
            log_p = _log_probabilities(judge, batch)
            tensors, start = {MAIN: batch}, 0
            for cut in totals:
                tensors, _ = model[start:cut](tensors)
                start = cut
                maps = [_unit_maps(tensor) for tensor in tensors.values()]
                found = [_map_divergences(judge, log_p, low + (high - low) * m, batch) for m in maps]
                by_map = torch.cat(found, 1)
                totals[cut] += float((by_map.amin(1) if reduce == "min" else by_map.mean(1)).sum())
                done += len(batch)
                if on_progress is not None:
                    on_progress(done / (len(images) * len(totals)))
    return np.array([totals[cut] for cut in wanted]) / len(images)


def kl_of_uniform(oracle: nn.Module, images: Tensor) -> float:
    """KL in nats from the judgement of the input to the uniform distribution, averaged over the images.

    A yardstick: an intermediate result in which the oracle sees nothing, and says so, has this value. One that it
    takes confidently for something else has a larger one.
    """
    with _judging(oracle):
        log_p = torch.cat([_log_probabilities(oracle, batch) for batch in images.split(_batch_size(images))])
    log_q = torch.full_like(log_p, -math.log(log_p.shape[1]))
    return float(kl_divergence(log_p, log_q).mean())


def point_for(model: Model, kl: np.ndarray, target: float) -> int:
    """The privacy constraint P^c for a target: the earliest partition point from which on all are private (Eq. 1).

    Partition points are the places where training may be cut (:func:`splitgym.models.cuts.cut_points`): behind every
    step of a chain, behind the residual blocks of a residual network. Cuts between them have no say.

    Args:
        model: the network.
        kl: (steps,) nats for the cuts 1, 2, ... (:func:`kl_by_cut`).
        target: nats that every allowed point must have.

    Returns:
        P^c as the env counts it, from 1 to P.

    Raises:
        InputError: the last cut has less, so no constraint reaches the target.
    """
    if len(kl) != len(model.steps) or not np.isfinite(kl).all():
        raise InputError(f"the KL divergence by cut must be finite numbers, one for each of {len(model.steps)} cuts")
    kl = kl[np.array(cut_points(model)[1:]) - 1]
    point = private_point(kl, target)
    if point is None:
        raise InputError(
            f"no cut keeps the KL divergence at {target:g} nats or more from there on; "
            f"the largest target that can be reached is that of the last cut, {kl[-1]:.4g}"
        )
    return point


def first_conv_point(model: Model) -> int:
    """The first partition point behind a convolution, where PPT (L2S, Sec. V-B.4) always cuts.

    Raises:
        InputError: the model has no convolution.
    """
    convs = [any(isinstance(model.kernels[k].layer, Conv) for k in step.kernels) for step in model.steps]
    for point, cut in enumerate(cut_points(model)):
        if any(convs[:cut]):
            return point
    raise InputError(f"model {model.name} has no convolution to cut behind")


def _check_question(model: TorchModel, images: Tensor, cuts: Sequence[int], reduce: str) -> None:
    if reduce not in get_args(Reduce):
        raise InputError(f"reduce is {reduce!r}, allowed: {', '.join(get_args(Reduce))}")
    for cut in cuts:
        if not 1 <= cut <= len(model):
            raise InputError(f"model {model.model.name} can be cut after 1 to {len(model)} steps, not {cut}")
    shape = model.model.input
    expected = (shape.folded_channels, shape.height, shape.width)
    if not len(images) or tuple(images.shape[1:]) != expected:
        raise InputError(
            f"model {model.model.name} needs images of shape (n, {', '.join(map(str, expected))}), n of at least 1, "
            f"not {tuple(images.shape)}"
        )


@contextmanager
def _judging(*networks: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; afterwards every module is in its own mode again."""
    before = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in before:
            module.training = training


def _log_probabilities(oracle: nn.Module, images: Tensor) -> Tensor:
    """(batch, classes), in double precision: small divergences are differences of nearly equal numbers."""
    found = oracle(images)
    logits = found[0] if isinstance(found, tuple) else found
    if logits.dim() != 2:
        raise InputError(f"the judging network must give logits (batch, classes), not {tuple(logits.shape)}")
    return F.log_softmax(logits.double(), 1)


def _unit_maps(tensor: Tensor) -> Tensor:
    """The maps of an intermediate result, each stretched to [0, 1]; a constant map is 0.

    Args:
        tensor: (batch, channels, rows, width), or (batch, features).

    Returns:
        (batch, maps, rows, width); a vector is one map of one row.
    """
    maps = tensor if tensor.dim() == 4 and tensor.shape[2:].numel() > 1 else tensor.flatten(1)[:, None, None]
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1.0)


def _map_divergences(judge: nn.Module, log_p: Tensor, maps: Tensor, images: Tensor) -> Tensor:
    """KL of every map shown as one of the images, whose size and channels it takes: (batch, maps)."""
    batch, count = maps.shape[:2]
    _, channels, height, width = images.shape
    log_q = []
    for part in maps.flatten(0, 1)[:, None].split(_batch_size(images)):
        shown = F.interpolate(part, (height, width), mode="bilinear", antialias=True)
        log_q.append(_log_probabilities(judge, shown.expand(-1, channels, -1, -1)))
    return kl_divergence(log_p[:, None], torch.cat(log_q).unflatten(0, (batch, count)))


def _batch_size(images: Tensor) -> int:
    return max(1, PIXELS_AT_ONCE // images.shape[2:].numel())
