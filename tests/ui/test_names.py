"""What is said about unknown names."""

from __future__ import annotations

import pytest

from splitgym.ui.names import MOST_NAMED, meant, nearest

MANY = ("DA-50", "DB-50", "DB-300", "vgg11", "vgg16", "vgg19", "joint", "offload", "osds", "a", "b", "c", "d")


@pytest.mark.parametrize(
    ("name", "first"),
    [("DB50", "DB-50"), ("db-300", "DB-300"), ("vgg61", "vgg16"), ("jiont", "joint"), ("offlod", "offload")],
)
def test_the_nearest_name_comes_first(name: str, first: str) -> None:
    assert nearest(name, MANY)[0] == first


def test_few_names_are_all_told_as_they_are() -> None:
    few = MANY[:MOST_NAMED]
    assert meant("DB50", few, "--list", ", or a file") == f"known: {', '.join(few)}, or a file"


def test_of_many_names_the_nearest_are_told() -> None:
    assert len(MANY) > MOST_NAMED
    assert meant("DB50", MANY, "--list", ", or a file") == "did you mean DB-50, DA-50, DB-300? All of them: --list"
    assert meant("nowhere", MANY, "--list", ", or a file") == "known: those of --list, or a file"


def test_many_names_that_nothing_lists_are_told_behind_the_nearest() -> None:
    everything = ", ".join(MANY)
    assert meant("jiont", MANY) == f"did you mean joint? Known: {everything}"
    assert meant("nowhere", MANY) == f"known: {everything}"
