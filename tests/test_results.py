"""Pages of results and quoted numbers say what the committed results say."""

from __future__ import annotations

from typing import Any

import pytest

from splitgym.experiments.claims.findings import papers

from . import ROOT, script

quotes: Any = script("docs/quotes.py")
script("docs/make_pages.py")  # which the next ones import
results: Any = script("docs/committed.py")
make_results: Any = script("docs/make_results.py")
HERE = ROOT / "docs" / "results"


def test_a_quoted_number_is_replaced_and_the_rest_is_left() -> None:
    text = "It takes <!--= l2s:k -->1 s<!--/--> here, <!--= bench:n .1f -->2<!--/--> there, and 3 everywhere."
    assert quotes.keys(text) == ["l2s:k", "bench:n .1f"]
    now = quotes.filled(text, {"l2s:k": "4 s", "bench:n .1f": "5.0"}.__getitem__)
    assert now == "It takes <!--= l2s:k -->4 s<!--/--> here, <!--= bench:n .1f -->5.0<!--/--> there, and 3 everywhere."
    assert quotes.filled(now, lambda key: "4 s" if key == "l2s:k" else "5.0") == now
    with pytest.raises(KeyError):
        quotes.filled(text, {}.__getitem__)


@pytest.mark.parametrize("family", make_results.families())
def test_pages_say_what_the_committed_results_say(family: str) -> None:
    assert (HERE / f"{family}.md").read_text(encoding="utf-8") == make_results.page(family)


def test_nothing_else_is_out_of_date() -> None:
    assert make_results.out_of_date() == []


@pytest.mark.parametrize("family", make_results.families())
def test_what_does_not_hold_has_a_reason(family: str) -> None:
    found, _ = make_results.committed(family)
    silent = [e.key for e in make_results.entries_of(found) if e.findings[0].verdict != "holds" and not e.reason]
    assert silent == []


@pytest.mark.parametrize("family", make_results.families())
def test_no_job_of_the_committed_results_failed(family: str) -> None:
    found, data = make_results.committed(family)
    assert [job for job, record in data["records"].items() if record["error"]] == []
    assert {entry.family for entry in make_results.entries_of(found)} == {family}


def test_headlines_are_claims_that_there_are() -> None:
    known = {p.family.name: {c.key for e in p.exhibits for c in e.claims} for p in papers(["all"])}
    assert {name: set(keys) - known[name] for name, keys in make_results.HEADLINES.items()} == {
        name: set() for name in known
    }
