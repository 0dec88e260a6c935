"""Pages of results and quoted numbers say what the committed results say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitgym.experiments.claims.findings import papers

from . import ROOT, refused, script

quotes: Any = script("docs/quotes.py")
script("docs/make_pages.py")  # which the next ones import
benchmarked: Any = script("docs/benchmarked.py")
results: Any = script("docs/committed.py")
script("docs/studied.py")
make_results: Any = script("docs/make_results.py")
HERE = ROOT / "docs" / "results"


def test_a_quoted_number_is_replaced_and_the_rest_is_left() -> None:
    text = "It takes <!--= l2s:k -->1 s<!--/--> here, <!--= bench:n .1f -->2<!--/--> there, and 3 everywhere."
    assert quotes.keys(text) == ["l2s:k", "bench:n .1f"]
    now = quotes.filled(text, {"l2s:k": "4 s", "bench:n .1f": "5.0"}.__getitem__)
    assert now == "It takes <!--= l2s:k -->4 s<!--/--> here, <!--= bench:n .1f -->5.0<!--/--> there, and 3 everywhere."
    assert quotes.filled(now, lambda key: "4 s" if key == "l2s:k" else "5.0") == now
    with refused("l2s:k, bench:n .1f"):
        quotes.filled(text, {}.__getitem__)


def test_a_table_is_replaced_and_the_rest_is_left() -> None:
    text = (
        "before\n<!-- table: one -->\n<!-- /table -->\nbetween\n<!-- table: two -->\n| old |\n<!-- /table -->\nbehind\n"
    )
    now = quotes.with_tables(text, lambda name: f"| {name} |")
    one, two = (f"<!-- table: {name} -->\n| {name} |\n<!-- /table -->\n" for name in ("one", "two"))
    assert now == f"before\n{one}between\n{two}behind\n"
    assert quotes.with_tables(now, lambda name: f"| {name} |") == now


def test_a_page_that_quotes_what_there_is_not_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for asked in (
        "<!--= bench:nothing at all .1f -->1<!--/-->",
        "<!--= l2s:nothing -->1<!--/-->",
        "<!--= none:k -->1<!--/-->",
    ):
        page.write_text(asked, encoding="utf-8")
        with refused(*quotes.keys(asked), start="page.md: "):
            make_results.quoted(page)
    page.write_text("<!-- table: study:l2s.nothing -->\n<!-- /table -->", encoding="utf-8")
    with refused("study:l2s.nothing", start="page.md: "):
        make_results.quoted(page)


def test_the_check_says_which_page_quotes_what_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!--= bench:nothing -->1<!--/-->", encoding="utf-8")
    monkeypatch.setattr(make_results, "quoting", lambda: [page])
    assert make_results.main(["--check"]) == 1
    assert capsys.readouterr().err == "page.md: quotes what no committed result has: bench:nothing\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that measures, with a group of two figures."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    program: Any = script("benchmarks/run.py")

    def speeds() -> Iterator[Any]:
        """How fast it is.

        On this machine.
        """
        yield program.Figure("env: fast", 3_234_567.0, "steps/s", 0.25, "CartPole")
        yield program.Figure("bandit", 22.4, "us")

    monkeypatch.setattr(program, "GROUPS", {**program.GROUPS, "speeds": speeds})
    return program


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where figures are kept for a while."""
    monkeypatch.setattr(benchmarked, "FILE", tmp_path / "benchmarks.json")
    benchmarked.groups.cache_clear()
    yield benchmarked.FILE
    benchmarked.groups.cache_clear()


def test_what_is_recorded_is_quoted(bench: Any, kept: Path) -> None:
    bench.main(["--only", "speeds", "--record", str(kept)])
    assert results.look_up("bench:env: fast") == "3.2 M steps/s"
    assert results.look_up("bench:env: fast .0f") == "3234570"  # six digits are kept
    assert results.look_up("bench:env: fast:ratio .2f") == "0.25"
    assert results.look_up("bench:bandit") == "22 µs"
    page = benchmarked.page()
    for words in (
        "## speeds\n\nHow fast it is.\n",
        "`benchmarks/run.py --only speeds`",
        "| env: fast | 3.2 M steps/s | 0.25 x",
    ):
        assert words in page
    for unknown in ("bench:other", "bench:bandit:ratio", "bench:env: fast:value"):
        with pytest.raises(KeyError):
            results.look_up(unknown)


def test_growth_is_a_line_a_series_with_its_sizes(bench: Any, kept: Path) -> None:
    values = {"units=10 aofl: plan": 2.0, "units=20 aofl: plan": 8.0, "units=10 joint: memory": 90.0}
    figures = [bench.Figure(name, value, "MB" if "memory" in name else "s") for name, value in values.items()]
    exponents = [bench.Figure("units^e aofl: plan, ends: over 20 s at 20", 2.0, "= e")]
    bench.record(kept, "growth-units", "of units", figures + exponents)
    assert "|  | 10 | 20 | *e* |" in benchmarked.page()
    assert "| aofl: plan | 2 s | 8 s | 2.00 |" in benchmarked.page()
    assert "| joint: memory | 90 MB |  |  |" in benchmarked.page()


def test_recording_again_replaces_a_group_and_leaves_others(bench: Any, kept: Path) -> None:
    figure = bench.Figure
    bench.record(kept, "one", "first", [figure("a", 1.0, "s"), figure("b", 2.0, "s")])
    bench.record(kept, "two", "other", [figure("c", 3.0, "s")])
    bench.record(kept, "one", "first", [figure("a", 4.0, "s")])
    groups = json.loads(kept.read_text(encoding="utf-8"))["groups"]
    assert {name: group["figures"] for name, group in groups.items()} == {
        "one": {"a": {"value": 4.0, "unit": "s"}}, "two": {"c": {"value": 3.0, "unit": "s"}},
    }  # fmt: skip
    with pytest.raises(ValueError, match="'a'"):
        bench.record(kept, "two", "other", [figure("a", 1.0, "s"), figure("a", 2.0, "s")])
    assert json.loads(kept.read_text(encoding="utf-8"))["groups"] == groups


def test_every_group_says_what_it_is(bench: Any) -> None:
    assert all(bench.about(group) for group in bench.GROUPS.values())


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (3_234_567.0, "steps/s", "3.2 M steps/s"), (533_400.0, "steps/s", "533 k steps/s"), (2e6, "1/s", "2 M 1/s"),
        (0.52, "GB/s", "0.52 GB/s"), (22.4, "us", "22 µs"), (0.291, "ms", "0.29 ms"), (0.0132, "s", "13 ms"),
        (0.134, "s", "0.13 s"), (1.04, "s", "1.0 s"), (9.97, "s", "10 s"), (382.6, "s", "383 s"), (200.0, "", "200"),
        (0.0, "of 1000", "0 of 1000"), (10430.0, "", "10430"), (0.336, "%", "0.34 %"),
        (1.4e-6, "of max", "1.4e-06 of max"), (float("nan"), "%", "– %"), (-5.22, "points", "-5.2 points"),
    ],
)  # fmt: skip
def test_values_are_told_in_two_or_three_digits(value: float, unit: str, words: str) -> None:
    assert benchmarked.told(value, unit) == words


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
