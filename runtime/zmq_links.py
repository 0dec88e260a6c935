"""Which of a listener's connections is whose, out of what ZeroMQ tells: messages by route, ends by descriptor. No I/O.

Messages are read later than they came, and a descriptor goes from one connection to the next. So the connections of
every descriptor are counted: what is heard of an end is about one of them and those before it, never a later one.
"""

from __future__ import annotations

from dataclasses import dataclass

from .transport import Event

MOST_LINKS = 8  # of one name: more than peers and their predecessors, whose ends are not noticed yet, ever have


@dataclass(frozen=True, eq=False)
class Link:
    """A connection.

    Attributes:
        peer: the verified name.
        route: what ZeroMQ calls it.
        descriptor: of its TCP socket.
        serial: it is this one, or an earlier one, of all the connections that had the descriptor.
    """

    peer: str
    route: bytes
    descriptor: int
    serial: int


class Links:
    """All connections of a listener that have brought a message.

    Attributes:
        current: the newest by name, the only one that counts.
    """

    def __init__(self) -> None:
        self.current: dict[str, Link] = {}
        self._by_route: dict[bytes, Link] = {}
        self._by_descriptor: dict[int, Link] = {}
        self._accepted: dict[int, int] = {}  # connections by descriptor
        self._ended: dict[int, int] = {}
        self._ends: list[tuple[int, int]] = []  # descriptor and serial

    def __len__(self) -> int:
        return len(self._by_route)

    def hear_accepted(self, descriptor: int) -> None:
        """A connection has come."""
        self._accepted[descriptor] = self._accepted.get(descriptor, 0) + 1

    def hear_end(self, descriptor: int) -> None:
        """A connection has gone; what it brought may still have to be read."""
        self._ends.append((descriptor, self._accepted.get(descriptor, 0)))

    def surplus(self, peer: str) -> list[int]:
        """The descriptors of a name's oldest connections beyond the most that it may have."""
        return [link.descriptor for link in self._by_route.values() if link.peer == peer][:-MOST_LINKS]

    def ends(self) -> list[tuple[int, int]]:
        """The ends heard of since the last call, to be told by :meth:`leave` once what came before them is read."""
        ends, self._ends = self._ends, []
        return ends

    def find(self, route: bytes, peer: str) -> Link | None:
        """The connection of a message, if it has brought one before."""
        link = self._by_route.get(route)
        return link if link is not None and link.peer == peer else None

    def join(self, route: bytes, peer: str, descriptor: int, events: list[Event]) -> Link | None:
        """A connection brings its first message; None if its end has been told already.

        Args:
            route, peer, descriptor: of the connection, which has been heard of.
            events: gets what there is to tell.
        """
        serial = self._accepted.get(descriptor, 0)
        if serial <= self._ended.get(descriptor, 0):
            return None
        for previous in (self._by_route.get(route), self._by_descriptor.get(descriptor)):
            if previous is not None:
                self._forget(previous, events)
        if peer in self.current:
            events.append(Event("down", peer))
        link = Link(peer, route, descriptor, serial)
        self._by_route[route] = self._by_descriptor[descriptor] = self.current[peer] = link
        events.append(Event("up", peer))
        return link

    def leave(self, descriptor: int, serial: int, events: list[Event]) -> None:
        """Tell of an end."""
        self._ended[descriptor] = serial
        link = self._by_descriptor.get(descriptor)
        if link is not None and link.serial <= serial:
            self._forget(link, events)

    def _forget(self, link: Link, events: list[Event]) -> None:
        if self._by_route.get(link.route) is link:
            del self._by_route[link.route]
        if self._by_descriptor.get(link.descriptor) is link:
            del self._by_descriptor[link.descriptor]
        if self.current.get(link.peer) is link:
            del self.current[link.peer]
            events.append(Event("down", link.peer))
