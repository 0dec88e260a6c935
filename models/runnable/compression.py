"""The compressing cut as torch modules: a client half that ends in encoder and filter, a server half behind a decoder.

The halves share nothing. What the client knows of the server, and the server of the client, is in a :class:`Message`
and a :class:`Reply`, which carry plain tensors without a graph and count their own bytes (paper, Sec. 3.1, Fig. 2, 3).

With a hard mask only the maps that the filter keeps are computed, sent and decoded, and only their gradients come
back: a map that is not sent feels nothing of the loss, so what moves its entry of the filter is the budget alone. With
a soft one all maps reach the decoder, each weighted by its f, and gradients reach all of them, while only as many as
the budget allows are counted: a simulation in one process, of a wire that would carry the kept ones alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..chain import MAIN
from ..compression import Interface, Mask
from ..model import Model
from .layers import ConvModule, LinearModule
from .units import Stage, TailModule, TorchModel, UnitModule, build

LossFunction = Callable[[Tensor, list[Tensor], Tensor], Tensor]  # (main output, side heads, labels) -> scalar


@dataclass(frozen=True)
class Message:
    """What the client sends for a batch.

    Attributes:
        maps: (batch, B, height, width) or (batch, B): the kept maps, multiplied by the filter, in their order.
        filter: (phi,) f after its sigmoid, from which the server reads which maps these are; None without the module.
        labels: (batch,) or as the loss wants them; None when nothing is to be learnt.
        others: tensors that pass the cut beside the maps as they are: saved for later joins, outputs of side heads.
        counted: how many maps count as sent, fewer than there are behind a soft mask; None: all of them.
    """

    maps: Tensor
    filter: Tensor | None
    labels: Tensor | None
    others: tuple[Tensor, ...] = ()
    counted: int | None = None

    @property
    def sent_bytes(self) -> dict[str, int]:
        """Bytes by kind."""
        return {
            "maps": _counted_bytes(self.maps, self.counted),
            "filter": self.filter.nbytes if self.filter is not None else 0,
            "labels": self.labels.nbytes if self.labels is not None else 0,
            "others": sum(tensor.nbytes for tensor in self.others),
        }


@dataclass(frozen=True)
class Reply:
    """What the server sends back for a batch.

    Attributes:
        gradients: those of ``Message.maps``; None where the client has nothing to train.
        others: those of ``Message.others``.
        counted: see :class:`Message`.
    """

    gradients: Tensor | None
    others: tuple[Tensor, ...] = ()
    counted: int | None = None

    @property
    def sent_bytes(self) -> dict[str, int]:
        """Bytes by kind."""
        gradients = _counted_bytes(self.gradients, self.counted) if self.gradients is not None else 0
        return {"gradients": gradients, "other_gradients": sum(tensor.nbytes for tensor in self.others)}


def _counted_bytes(maps: Tensor, counted: int | None) -> int:
    return maps.nbytes if counted is None else maps.nbytes // maps.shape[1] * counted


class Outcome(NamedTuple):
    """What the server makes of a message: the reply, the mean loss and the model's main output, (batch, classes)."""

    reply: Reply
    loss: Tensor
    output: Tensor


def kept_maps(filter_: Tensor, budget: int) -> Tensor:
    """Indices of the ``budget`` largest entries, rising; the first of equal ones counts as larger."""
    return torch.argsort(filter_.detach(), descending=True, stable=True)[:budget].sort().values


class Stopwatch:
    """Seconds that a module of the cut took, summed."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def __call__(self, tensor: Tensor) -> Iterator[None]:
        """Time a block of work on the tensor's device."""
        _wait(tensor)
        begin = time.perf_counter()
        yield
        _wait(tensor)
        self.seconds += time.perf_counter() - begin


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


class Compressor(nn.Module):
    """Encoder, batch norm and filter: l_n -> the maps that are sent, or all of them behind a soft mask.

    Attributes:
        budget: maps that are sent.
        mask: hard or soft; may be changed at any time.
    """

    def __init__(self, interface: Interface, mask: Mask = "hard") -> None:
        super().__init__()
        self.interface = interface
        self.mask: Mask = mask
        self.budget = interface.phi
        self.logits = nn.Parameter(torch.empty(interface.phi))
        if interface.encoded:
            channels = interface.shape.folded_channels
            window = (interface.kernel, interface.resolution, interface.padding)
            self.conv = nn.Conv2d(channels, interface.phi, *window, bias=False)
            self.norm = nn.BatchNorm2d(interface.phi)

    @property
    def filter(self) -> Tensor:
        """(phi,) f = sigmoid of the learnt logits."""
        return torch.sigmoid(self.logits)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(maps that pass the mask times their f, f)."""
        f = self.filter
        kept = kept_maps(f, self.budget if self.mask == "hard" else self.interface.phi)
        y = self._encode(x, kept) if self.interface.encoded else x[:, kept]
        scale = f[kept]
        return y * (scale[:, None, None] if y.dim() == 4 else scale), f

    def _encode(self, x: Tensor, kept: Tensor) -> Tensor:
        """The kept maps alone; the batch norm's running statistics of the others stay."""
        if len(kept) == self.interface.phi:
            return self.norm(self.conv(x))
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        mean, var = norm.running_mean[kept], norm.running_var[kept]
        y = F.conv2d(x, self.conv.weight[kept], None, self.conv.stride, self.conv.padding)
        y = F.batch_norm(y, mean, var, norm.weight[kept], norm.bias[kept], self.training, norm.momentum, norm.eps)
        if self.training:
            norm.running_mean[kept], norm.running_var[kept] = mean, var
        return y


class Decompressor(nn.Module):
    """The decoder: the maps that came -> l_d, of exactly the shape that l_n had; maps that did not come count as 0."""

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        if interface.encoded:
            channels = interface.shape.folded_channels
            window = (interface.kernel, interface.resolution, interface.padding)
            self.conv = nn.ConvTranspose2d(interface.phi, channels, *window)

    def forward(self, maps: Tensor, filter_: Tensor) -> Tensor:
        kept = kept_maps(filter_, maps.shape[1])
        shape = self.interface.shape
        if not self.interface.encoded:
            return maps.new_zeros(len(maps), shape.folded_channels).index_copy(1, kept, maps)
        size = [len(maps), shape.folded_channels, shape.height, shape.width]
        weight = self.conv.weight if len(kept) == self.interface.phi else self.conv.weight[kept]
        extra = self._output_padding()
        y = F.conv_transpose2d(maps, weight, self.conv.bias, self.conv.stride, self.conv.padding, extra)  # pyright: ignore[reportArgumentType]
        assert list(y.shape) == size
        return y

    def _output_padding(self) -> tuple[int, int]:
        """Rows and columns of l_n that no window of the encoder began in; always fewer than the stride."""
        i = self.interface

        def missing(sent: int, wanted: int) -> int:
            return wanted - ((sent - 1) * i.resolution - 2 * i.padding + i.kernel)

        return missing(i.height, i.shape.height), missing(i.width, i.shape.width)


class ClientHalf(nn.Module):
    """The steps in front of the cut and the compressor.

    Attributes:
        budget: maps that it sends; set it to change the budget.
        watch: seconds spent in the compressor, forward and backward.
    """

    def __init__(self, interface: Interface, body: Stage, rest: Sequence[nn.Module], mask: Mask = "hard") -> None:
        super().__init__()
        self.interface = interface
        self.body = body
        self.rest = nn.Sequential(*rest)
        self.compressor = Compressor(interface, mask) if interface.module else None
        self.watch = Stopwatch()
        self._sent: tuple[Tensor, ...] = ()  # with their graph

    @property
    def budget(self) -> int:
        """B."""
        return self.compressor.budget if self.compressor is not None else self.interface.phi

    @budget.setter
    def budget(self, value: int) -> None:
        self.interface.check_budget(value)
        if self.compressor is not None:
            self.compressor.budget = value

    @property
    def trains(self) -> bool:
        """Whether it has anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Message:
        """Run a batch, (batch, channels, rows, width), up to what is sent."""
        tensors, heads = self.body({MAIN: x})
        main = self.rest(tensors.pop(MAIN))
        others = (*tensors.values(), *heads)
        if self.compressor is None:
            self._sent = (main, *others)
            return Message(main.detach(), None, labels, tuple(tensor.detach() for tensor in others))
        with self.watch(main):
            leaf = main.detach().requires_grad_(main.requires_grad)
            maps, f = self.compressor(leaf)
        self._sent = (maps, main, leaf, *others)
        sent = tuple(tensor.detach() for tensor in others)
        return Message(maps.detach(), f.detach(), labels, sent, self.budget)

    def backward(self, reply: Reply, filter_gradient: Tensor | None = None) -> None:
        """Add the gradients of the last batch to the parameters.

        Args:
            reply: the server's.
            filter_gradient: (phi,) what the budget adds to the gradient of the filter's logits.
        """
        if reply.gradients is None:
            return
        if self.compressor is None:
            main, *others = self._sent
            gradient = reply.gradients
        else:
            maps, main, leaf, *others = self._sent
            with self.watch(maps):
                torch.autograd.backward(maps, reply.gradients)
                logits = self.compressor.logits
                if filter_gradient is not None:
                    logits.grad = filter_gradient.clone() if logits.grad is None else logits.grad + filter_gradient
            gradient = leaf.grad
        pairs = [(main, gradient), *zip(others, reply.others, strict=True)]
        pairs = [(tensor, grad) for tensor, grad in pairs if tensor.requires_grad]
        if pairs:
            torch.autograd.backward([tensor for tensor, _ in pairs], [grad for _, grad in pairs])
        self._sent = ()


class ServerHalf(nn.Module):
    """The decoder and the steps behind the cut.

    Attributes:
        watch: seconds spent in the decoder, forward and backward.
    """

    def __init__(self, interface: Interface, front: Sequence[nn.Module], body: Stage, names: Sequence[str]) -> None:
        super().__init__()
        self.interface = interface
        self.decompressor = Decompressor(interface) if interface.module else None
        self.front = nn.Sequential(*front)
        self.body = body
        self.names = tuple(names)
        self.watch = Stopwatch()

    def forward(self, message: Message) -> tuple[Tensor, list[Tensor]]:
        """(main output, side heads) of the whole model."""
        return self._behind(self._decode(message.maps, message.filter), message.others)

    def step(self, message: Message, loss_function: LossFunction | None = None, reply: bool = True) -> Outcome:
        """Run a batch forward and backward and say what goes back.

        Args:
            message: the client's, with labels.
            loss_function: of main output, side heads and labels; by default the cross entropy of the main output.
            reply: whether the client has anything to train.
        """
        assert message.labels is not None
        maps = message.maps.detach().requires_grad_(reply)
        others = tuple(tensor.detach().requires_grad_(reply) for tensor in message.others)
        if self.decompressor is None:
            decoded = leaf = maps
        else:
            with self.watch(maps):
                decoded = self._decode(maps, message.filter)
            leaf = decoded.detach().requires_grad_(decoded.requires_grad)
        output, heads = self._behind(leaf, others)
        loss = (loss_function or _cross_entropy)(output, heads, message.labels)
        loss.backward()
        if leaf is not decoded and leaf.grad is not None:
            with self.watch(maps):
                torch.autograd.backward(decoded, leaf.grad)
        if not reply:
            return Outcome(Reply(None), loss.detach(), output.detach())
        # A saved tensor that the loss does not reach (a join behind nothing) has a gradient of zeros.
        gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in (maps, *others)]
        answer = Reply(gradients[0], tuple(gradients[1:]), message.counted)
        return Outcome(answer, loss.detach(), output.detach())

    def _decode(self, maps: Tensor, filter_: Tensor | None) -> Tensor:
        if self.decompressor is None:
            return maps
        assert filter_ is not None
        return self.decompressor(maps, filter_)

    def _behind(self, x: Tensor, others: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        saved = dict(zip(self.names, others, strict=False))
        tensors, heads = self.body({MAIN: self.front(x), **saved})
        return tensors[MAIN], [*others[len(self.names) :], *heads]


def _cross_entropy(output: Tensor, heads: list[Tensor], labels: Tensor) -> Tensor:
    return F.cross_entropy(output, labels)


class Halves(NamedTuple):
    """A model that was cut in two."""

    client: ClientHalf
    server: ServerHalf


def split_model(
    model: Model, interface: Interface, seed: int = 0, network: TorchModel | None = None, mask: Mask = "hard"
) -> Halves:
    """Two separate halves of a model, in training mode, with B = phi.

    Args:
        model: the network.
        interface: the cut and its compression, from :func:`..compression.compressing_cut` of this model.
        seed: of the module's weights, and of the model's unless they are given. The model's are the same with and
            without the module.
        network: weights to start from; the halves take its modules over, so do not use it afterwards.
        mask: hard, as a wire has it, or soft.
    """
    if network is None:
        network = build(model, seed)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.reset_running_stats()
    cut = interface.cut
    inside = _modules(network.steps[cut.step]) if cut.modules else []
    begin = cut.step + bool(cut.modules)
    client = ClientHalf(interface, network[: cut.step], inside[: cut.modules], mask)
    server = ServerHalf(interface, inside[cut.modules :], network[begin:], model.carried(begin)[1:])
    if client.compressor is not None and server.decompressor is not None:
        _initialise(client.compressor, server.decompressor, torch.Generator().manual_seed(seed))
    return Halves(client.train(), server.train())


def _modules(step: nn.Module) -> list[nn.Module]:
    """The torch modules of a step that is one kernel, in order."""
    assert isinstance(step, UnitModule | TailModule)
    (kernel,) = step.layers
    if isinstance(kernel, ConvModule):
        parts = [kernel.conv, kernel.norm, kernel.act]
    else:
        assert isinstance(kernel, LinearModule)
        parts = [nn.Sequential(nn.Flatten(), kernel.linear), kernel.act]
    return [part for part in parts if not isinstance(part, nn.Identity)]


def draw_logits(count: int, generator: torch.Generator) -> Tensor:
    """Fresh entries of the filter before its sigmoid: standard normal, (count,)."""
    return torch.randn(count, generator=generator)


def _initialise(compressor: Compressor, decompressor: Decompressor, generator: torch.Generator) -> None:
    """Random weights that keep the scale of the maps through encoder and decoder."""
    i = compressor.interface
    with torch.no_grad():
        compressor.logits.copy_(draw_logits(i.phi, generator))
        if not i.encoded:
            return
        nn.init.kaiming_normal_(compressor.conv.weight, nonlinearity="linear", generator=generator)
        taps = i.phi * i.kernel**2 / i.resolution**2  # of the decoder that reach one pixel
        nn.init.normal_(decompressor.conv.weight, 0.0, 1.0 / math.sqrt(taps), generator=generator)
        assert decompressor.conv.bias is not None
        nn.init.zeros_(decompressor.conv.bias)
