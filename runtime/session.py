"""A session with workers over real sockets, opened and closed as one thing."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ..ui.addresses import address_text, split_address
from .blobs import BlobStore
from .controller import Controller, Member
from .keys import Identity, Roster
from .zmq_transport import ZmqListener, ZmqNetwork


@contextmanager
def open_session(
    members: Sequence[Member],
    identity: Identity,
    roster: Roster,
    store: BlobStore,
    insecure: bool = False,
    **options: Any,
) -> Iterator[Controller]:
    """Join workers; they are free again at the end.

    Args:
        members: the workers.
        identity: of this machine, a controller on the roster.
        roster: of all.
        store: where the weights are that workers may lack.
        insecure: neither encrypt nor verify.
        options: of :class:`.controller.Controller`.

    Raises:
        ClusterFailure: a worker refuses, or does not answer in time.
        InputError: a worker is not on the roster.
    """
    host = _own_address(members[0].address)
    with ExitStack() as stack:
        network = stack.enter_context(ZmqNetwork(identity, roster, insecure))
        data = stack.enter_context(ZmqListener(address_text(host, 0), identity, roster, insecure))
        yield stack.enter_context(Controller(members, network, data, store, **options))


def _own_address(peer: str) -> str:
    """This machine's address as a peer sees it."""
    found = split_address(peer)
    assert found is not None
    family = socket.AF_INET6 if ":" in found[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent
            probe.connect(found)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
