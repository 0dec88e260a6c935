"""A leaderboard's scores are of the inputs that are asked for, and of each agent's own budget."""

from __future__ import annotations

import pytest

from splitgym.experiments.claims.leaderboard import Leaderboard, score
from splitgym.experiments.claims.statement import Setting

BOARD = Leaderboard("distredge", ("DB-50",), ("osds", "risk-seeking"), "offload", train_episodes={"osds": 30})


def test_scores_are_of_the_inputs_that_are_asked_for() -> None:
    found = []
    for inputs in ("paper", "devices"):
        job = BOARD.job("offload", "DB-50", 0, Setting(inputs, True))
        result = score(**job.arguments)
        assert result["headline"] == result["metrics"]["latency_s"]
        assert result["plan"]["model"] == "vgg16"
        found.append(result["headline"])
    assert found[0] > 2 * found[1]  # images of floats take longer to send than of bytes


@pytest.mark.parametrize(("budget", "expected"), [({"osds": 30}, (30, None)), (30, (30, 30)), (None, (None, None))])
def test_budgets_are_of_all_agents_or_by_agent_and_of_quick_runs_only(
    budget: dict[str, int] | int | None, expected: tuple[int | None, int | None]
) -> None:
    board = Leaderboard("distredge", ("DB-50",), BOARD.agents, "offload", train_episodes=budget)
    for quick in (True, False):
        jobs = [board.job(agent, "DB-50", 0, Setting("paper", quick)) for agent in BOARD.agents]
        assert tuple(job.arguments["train_episodes"] for job in jobs) == (expected if quick else (None, None))
