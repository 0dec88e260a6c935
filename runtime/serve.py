"""A worker on real sockets, from its identity and addresses to its end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..ui.addresses import split_address
from .about import boot_id, machine_words, software_version
from .blobs import BlobStore
from .drops import Drops
from .keys import Identity, Roster
from .power import power_meter
from .worker import Worker
from .worker_core import WorkerCore
from .zmq_transport import ZmqListener, ZmqNetwork


@dataclass(frozen=True)
class Post:
    """Where a worker stands.

    Attributes:
        identity: of this machine.
        roster: who may connect.
        control, data: ``host:port`` to listen at for the controller and for rows; port 0 for any that is free.
        weights: folder where weights are kept.
        insecure: neither encrypt nor verify; on this machine's own addresses only.
        backend: what runs parts, torch or tensorrt.
        measures: whether a controller may have it measure.
    """

    identity: Identity
    roster: Roster
    control: str
    data: str
    weights: Path
    insecure: bool = False
    backend: str = "torch"
    measures: bool = False


def serve(
    post: Post,
    on_ready: Callable[[str, str], None],
    until: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Be a worker until asked to stop.

    Args:
        on_ready: called with both addresses as bound.
        until: asked several times a second.
        tell: gets a line about what was dropped, at most once a minute where there is news, and at the end.

    Raises:
        InputError: an address that cannot be listened at.
    """
    drops = Drops()

    def over() -> bool:
        if line := drops.news(time.monotonic()):
            tell(line)
        return until()

    with ExitStack() as stack:
        control = ZmqListener(post.control, post.identity, post.roster, post.insecure, drops=drops)
        stack.callback(control.close)
        data = ZmqListener(post.data, post.identity, post.roster, post.insecure, drops=drops)
        stack.callback(data.close)
        network = stack.enter_context(ZmqNetwork(post.identity, post.roster, post.insecure))
        store, power = BlobStore(post.weights), power_meter()
        stack.callback(store.abandon)
        found = split_address(data.address, 1)
        assert found is not None
        name, incarnation, machine = post.identity.name, secrets.randbits(52), machine_words()
        core = WorkerCore(
            name, incarnation, software_version(), machine, found[1], store.has, power.name, boot=boot_id(),
            measures=post.measures, drops=drops,
        )  # fmt: skip
        roles = {name: member.role for name, member in post.roster.members.items()}
        worker = Worker(core, control, data, network, store, roles, power, post.backend)
        on_ready(control.address, data.address)
        try:
            worker.run(over)
        finally:
            if line := drops.rest(time.monotonic()):
                tell(line)
