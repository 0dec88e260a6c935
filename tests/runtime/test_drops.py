"""What was dropped is counted by reason, and told when there is news, not more than once a minute."""

from __future__ import annotations

import threading

from splitgym.runtime.drops import TELL_S, Drops


def test_all_threads_count_in_one_place() -> None:
    drops = Drops()
    threads = [threading.Thread(target=lambda: [drops.add("late") for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drops.add("malformed")
    assert drops.counts == {"late": 20_000, "malformed": 1}
    assert drops.total == 20_001


def test_news_is_told_at_most_once_a_minute_and_the_rest_at_the_end() -> None:
    drops = Drops()
    assert drops.news(0.0) == ""
    drops.add("late")
    assert drops.news(1.0) == "dropped so far: 1 late"
    drops.add("malformed")
    assert drops.news(TELL_S) == ""
    assert drops.news(1.0 + TELL_S) == "dropped so far: 1 late, 1 malformed"
    assert drops.news(9.0 * TELL_S) == drops.rest(9.0 * TELL_S) == ""
    drops.add("late")
    assert drops.rest(9.0 * TELL_S) == "dropped so far: 2 late, 1 malformed"
