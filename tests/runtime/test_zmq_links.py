"""Connections come and go, descriptors are used again, and all of it is read late: who is there is known anyway."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from splitgym.runtime.transport import Event
from splitgym.runtime.zmq_links import Links

UP_A, DOWN_A, UP_B, DOWN_B = (Event("up", "a"), Event("down", "a"), Event("up", "b"), Event("down", "b"))


@dataclass(eq=False)
class Connection:
    route: bytes
    peer: str
    descriptor: int


class World:
    """Connections as a listener's socket would tell of them, each greeting when it is there; read only when polled."""

    def __init__(self) -> None:
        self.links = Links()
        self.alive: list[Connection] = []
        self._n = 0
        self._heard: deque[tuple[bool, int]] = deque()
        self._messages: deque[Connection] = deque()

    def connect(self, peer: str, route: bytes = b"", greets: bool = True) -> Connection:
        self._n += 1
        used = {connection.descriptor for connection in self.alive}
        descriptor = min({*range(len(used) + 1)} - used)  # as the system does
        connection = Connection(route or b"%d" % self._n, peer, descriptor)
        self.alive.append(connection)
        self._heard.append((True, descriptor))
        if greets:
            self.say(connection)
        return connection

    def say(self, connection: Connection) -> None:
        self._messages.append(connection)

    def end(self, connection: Connection) -> None:
        self.alive.remove(connection)
        self._heard.append((False, connection.descriptor))

    def poll(self, most: int = 1000) -> list[Event]:
        """As the listener does; a message that counts is told by its route."""
        events: list[Event] = []
        self._hear()
        ends = self.links.ends()
        for _ in range(min(most, len(self._messages))):
            said = self._messages.popleft()
            link = self.links.find(said.route, said.peer)
            if link is None:
                self._hear()
                link = self.links.join(said.route, said.peer, said.descriptor, events)
            if link is not None and self.links.current.get(said.peer) is link:
                events.append(Event("message", said.peer, said.route))
        for end in ends:
            self.links.leave(*end, events)
        return events

    def _hear(self) -> None:
        while self._heard:
            came, descriptor = self._heard.popleft()
            (self.links.hear_accepted if came else self.links.hear_end)(descriptor)


def told(peer: str, route: bytes) -> list[Event]:
    """Of a connection that has come and greeted."""
    return [Event("up", peer), Event("message", peer, route)]


def test_a_visit_that_is_over_when_it_is_read() -> None:
    world = World()
    world.end(world.connect("a"))
    assert world.poll() == [*told("a", b"1"), DOWN_A]
    assert len(world.links) == 0


def test_one_descriptor_after_another() -> None:
    world = World()
    world.end(world.connect("a"))
    world.end(world.connect("nobody", greets=False))
    world.connect("b")
    assert world.poll() == [*told("a", b"1"), DOWN_A, *told("b", b"3")]
    assert list(world.links.current) == ["b"]


def test_an_end_of_one_is_not_of_the_next() -> None:
    world = World()
    a = world.connect("a")
    assert world.poll() == told("a", b"1")
    world.end(a)
    world.end(world.connect("nobody", greets=False))
    b = world.connect("b")
    assert world.poll() == [DOWN_A, *told("b", b"3")]
    world.say(b)
    world.end(b)
    assert world.poll() == [Event("message", "b", b"3"), DOWN_B]


def test_a_message_read_after_its_end_was_told_brings_nobody_back() -> None:
    world = World()
    world.end(world.connect("a"))
    assert world.poll(most=0) == []
    assert world.poll() == []
    world.connect("b")
    assert world.poll() == told("b", b"2")


def test_the_newest_of_a_name() -> None:
    world = World()
    old, new = world.connect("a"), world.connect("a")
    assert world.poll() == [*told("a", b"1"), DOWN_A, *told("a", b"2")]
    world.say(old)
    world.end(old)
    assert world.poll() == []
    world.end(new)
    assert world.poll() == [DOWN_A]
    assert len(world.links) == 0


def test_a_route_that_another_peer_takes() -> None:
    world = World()
    a = world.connect("a", b"same")
    world.poll()
    world.connect("b", b"same")
    assert world.poll() == [DOWN_A, *told("b", b"same")]
    world.end(a)
    assert world.poll() == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("say"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("poll"), st.just(0), st.booleans()),
    ),
    max_size=40,
)


@given(STEPS)
def test_whoever_is_there_is_known_and_nothing_is_said_by_who_is_not(steps: list[tuple[str, object, bool]]) -> None:
    world, events, newest = World(), list[Event](), dict[str, Connection]()
    for step, what, greets in steps:
        if step == "connect":
            connection = world.connect(str(what), greets=greets)
            if greets:
                newest[connection.peer] = connection
        elif step == "poll":
            events += world.poll()
        elif isinstance(what, int) and what < len(world.alive):
            connection = world.alive[what]
            if step == "end":
                world.end(connection)
            elif connection is newest.get(connection.peer):
                world.say(connection)
    events += world.poll() + world.poll()
    up: set[str] = set()
    for event in events:
        assert (event.peer in up) is (event.kind != "up")
        if event.kind != "message":
            up ^= {event.peer}
    assert up == set(world.links.current)
    expected = {peer: connection.route for peer, connection in newest.items() if connection in world.alive}
    assert {peer: link.route for peer, link in world.links.current.items()} == expected
    for connection in newest.values():
        assert any(event.header == connection.route for event in events)
