"""The messages by which a controller has workers measure, and what they answer."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from .wire_types import Count, Message, Name, Small, Text, Token


class Request(Message, frozen=True):
    """Something to be measured by a worker that has no plan; one at a time, each gets one answer.

    Attributes:
        request: its number, new in the session.
    """

    session: Token
    request: Count


class PrepareKernels(Request, frozen=True, tag="prepare"):
    """Have a network ready for :class:`TimeKernel`; answered by :class:`KernelsPrepared`.

    Attributes:
        model: as plain data; its weights are random.
    """

    model: dict[str, Any]


class TimeKernel(Request, frozen=True, tag="time"):
    """Run something of the network that is ready, some times; answered by :class:`Timed`.

    Attributes:
        name: of a kernel, an extra, or the whole model.
        rows: of output.
        warmup, samples: runs before those that are timed, and those.
    """

    name: Text
    rows: Small
    warmup: Annotated[int, Meta(ge=0, le=1000)]
    samples: Annotated[int, Meta(ge=1, le=1000)]


class TimeCopies(Request, frozen=True, tag="copies"):
    """Measure copies between tensors and bytes; answered by :class:`Timed` with bytes per second out and in.

    Attributes:
        seconds: about how long.
    """

    seconds: Annotated[float, Meta(ge=0.0, le=10.0)]


class Answer(Message, frozen=True):
    """What became of a request."""

    session: Token
    request: Count


class KernelsPrepared(Answer, frozen=True, tag="prepared"):
    """A network is ready; what tables say about how it runs.

    Attributes:
        backend: what runs them, torch or tensorrt.
        passes: over all kernels.
        extras: (name, index of the kernel that it is charged to) of operations that are no kernels.
        whole: whether the whole network can be timed too.
    """

    backend: Name
    device: Text
    precision: Name
    software: Text
    note: Text
    passes: Annotated[int, Meta(ge=1, le=100)]
    extras: tuple[tuple[Text, Small], ...]
    whole: bool


class Timed(Answer, frozen=True, tag="timed"):
    """What was measured."""

    values: Annotated[tuple[float, ...], Meta(max_length=1000)]


class Unable(Answer, frozen=True, tag="unable"):
    """A request cannot be done, in one line.

    Attributes:
        memory: whether for want of memory.
    """

    reason: Text
    memory: bool = False


AnyRequest = PrepareKernels | TimeKernel | TimeCopies
AnyAnswer = KernelsPrepared | Timed | Unable
