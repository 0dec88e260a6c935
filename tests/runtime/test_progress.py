"""Who keeps an item waiting, told from who waits for whom."""

from __future__ import annotations

import pytest

from splitgym.runtime.progress import culprit
from splitgym.runtime.wire import Heartbeat

SESSION = "ab" * 16


def beat(phase: str = "waiting", since_s: float = 0.0, lacks: str = "") -> Heartbeat:
    return Heartbeat(SESSION, phase=phase, since_s=since_s, item=3, lacks=lacks)


@pytest.mark.parametrize(
    ("beats", "worker", "words"),
    [
        ({"ann": beat("compute", 5.0)}, "ann", "has computed item 3 for 5.0 s, 1.0 s are allowed"),
        ({"ann": beat(lacks="bob"), "bob": beat("compute", 5.0)}, "bob", "has computed item 3"),
        ({"ann": beat(lacks="bob"), "bob": beat()}, "bob", "has sent nothing for 1.5 s, though it waits for nobody"),
        ({"ann": beat(lacks="desk")}, "ann", "does not get what the controller sends it"),
        ({"ann": beat(lacks="bob"), "bob": beat(lacks="ann")}, "bob", "has sent nothing"),
    ],
)
def test_the_end_of_the_chain_is_the_culprit(beats: dict[str, Heartbeat], worker: str, words: str) -> None:
    found = culprit("ann", beats, 1.0, 1.5)
    assert found is not None
    assert found.worker == worker
    assert found.reason.startswith(words)


def test_who_computes_is_given_twice_the_time() -> None:
    beats = {"ann": beat("compute", 0.5)}
    assert culprit("ann", beats, 1.0, 1.9) is None
    found = culprit("ann", beats, 1.0, 2.1)
    assert found is not None
    assert found.worker == "ann"


def test_nobody_is_accused_of_what_is_not_known() -> None:
    assert culprit("", {"ann": beat()}, 1.0, 9.0) is None
    assert culprit("bob", {"ann": beat()}, 1.0, 9.0) is None
