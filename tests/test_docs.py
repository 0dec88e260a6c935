"""The pages of docs/: generated from the code, complete for every family, and never behind it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from gymnasium.envs.registration import load_env_creator

from splitgym.agents.registry import agents_of
from splitgym.envs import FAMILIES, Family
from splitgym.profiling.devices import device_names, get_device

from . import ROOT, script
from .envs.toy_family import registered

SCRIPT = ROOT / "docs" / "make_pages.py"
FIELDS = "## Fields of a scenario"


make_pages: Any = script("docs/make_pages.py")


@pytest.fixture
def toy() -> Iterator[Family]:
    with registered() as family:
        yield family


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every page, up to date."""
    make_pages.write(tmp_path)
    return tmp_path


def section(page: str, title: str) -> str:
    """What stands below a heading that the script writes, up to the next one; the last such heading counts."""
    return page.rpartition(f"## {title}\n")[2].partition("\n## ")[0]


def cells(line: str) -> list[str]:
    """The cells of a table's row as a Markdown reader sees them."""
    return [text.strip().replace("\\|", "|") for text in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def rows(page: str, title: str, key: int = 0) -> dict[str, list[str]]:
    """Rows of the table in a section by the name in a column."""
    lines = [cells(line) for line in section(page, title).splitlines() if line.startswith("|")][2:]
    return {re.findall(r"`(.*?)`", line[key])[0]: line for line in lines}


def test_pages_are_up_to_date() -> None:
    wrong = make_pages.out_of_date()
    assert not wrong, f"docs/ is behind the code ({', '.join(wrong)}): run make docs"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_page_names_env_agents_and_scenarios(name: str) -> None:
    family = FAMILIES[name]
    page = make_pages.page(family)
    assert page.startswith(f"# {family.title}\n")
    assert f'gym.make("{family.env_id}", scenario="{family.default_scenario}")' in page
    assert set(rows(page, "Agents")) == set(agents_of(name))
    scenarios = rows(page, "Scenarios", key=1 if family.groups else 0)
    assert set(scenarios) >= set(family.scenarios)
    assert {scenario: row[-1] for scenario, row in scenarios.items()} == {
        scenario: family.summaries.get(scenario, "") for scenario in scenarios
    }
    assert page.endswith(make_pages.FOOTER)


@pytest.mark.parametrize("path", sorted((ROOT / "agents" / "hyperparams").glob("*.yaml")), ids=lambda path: path.stem)
def test_default_hyperparameters_are_those_of_the_file(path: Path) -> None:
    agents = rows(make_pages.page(FAMILIES[path.stem]), "Agents")
    for agent, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for name, value in entry.get("default", {}).items():
            assert f"`{name}: {json.dumps(value)}`" in agents[agent][-1]


def test_hyperparameters_that_a_scenario_changes_are_listed_with_it() -> None:
    joint = rows(make_pages.page(FAMILIES["distredge"]), "Agents")["joint"][-1]
    assert "`parents: 96`" in joint
    assert "`parents: 192` on `LA` `LB` `LC` `LD`" in joint


@pytest.mark.parametrize("name", FAMILIES)
def test_the_env_docstring_is_on_the_page_as_it_is(name: str) -> None:
    module, _, cls = FAMILIES[name].entry_point.partition(":")
    text = inspect.cleandoc(getattr(importlib.import_module(module), cls).__doc__)
    page = make_pages.page(FAMILIES[name])
    summary, _, specification = text.partition("\n\n")
    assert f"\n\n{summary}\n\n" in page
    assert f"\n\n{specification}\n\n" in page


def test_fields_of_a_scenario_tell_values_defaults_and_assumptions() -> None:
    fields = rows(make_pages.page(FAMILIES["distredge"]), "Fields of a scenario")
    assert fields["model"][1:3] == ["text", "required"]
    assert fields["tables"][1:3] == ["null or a mapping", "`None`"]
    assert "(assumption)" in fields["requester_mbps"][3]


def test_metrics_tell_unit_rank_and_summary() -> None:
    metrics = rows(make_pages.page(FAMILIES["distredge"]), "Metrics")
    assert metrics["latency_s"] == ["`latency_s`", "s", "latency; ranks agents, less is better", "mean"]
    assert metrics["ips"][1:] == ["", "images/s", "harmonic mean"]


def test_a_family_from_elsewhere_has_a_page(toy: Family) -> None:
    page = make_pages.pages()["toy.md"]
    assert "Scalar." in page
    assert "import tests.envs\n" in page
    assert FIELDS not in page
    assert list(rows(page, "Scenarios", key=1)) == ["near", "far", "noisy"]
    assert rows(page, "Scenarios", key=1)["near"] == ["`all-fixed`", "`near` (default)", "a target close by"]
    kinds = {name: row[1] for name, row in rows(page, "Agents").items()}
    assert kinds == {
        "climber": "learns", "exact": "reference", "middle": "baseline", "edge": "baseline", "refuser": "agent",
    }  # fmt: skip
    over = {name: row[-1] for name, row in rows(page, "Metrics").items()}
    assert over == {"cost_s": "mean", "regret_s": "mean", "moves": "sum", "first_action": "the last episode's"}


def test_without_groups_the_scenarios_have_no_group_column(toy: Family) -> None:
    page = make_pages.page(replace(toy, groups={}))
    assert rows(page, "Scenarios")["far"] == ["`far`", ""]


def test_a_changed_page_fails_the_check_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_pages.main(["--check"], folder) == 0
    path = folder / "distredge.md"
    changed = path.read_text(encoding="utf-8").replace("requester", "sender")
    path.write_text(changed, encoding="utf-8")
    assert make_pages.main(["--check"], folder) == 1
    assert "distredge.md" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == changed  # nothing is written
    assert make_pages.main([], folder) == 0
    assert make_pages.main(["--check"], folder) == 0


def test_a_changed_docstring_fails_the_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splitgym.envs.distredge.env import DistrEdgeEnv

    monkeypatch.setattr(DistrEdgeEnv, "__doc__", "Something else.")
    assert make_pages.out_of_date(folder) == ["distredge.md"]


def test_a_missing_page_fails_the_check(folder: Path) -> None:
    (folder / "distredge.md").unlink()
    assert make_pages.out_of_date(folder) == ["distredge.md"]


def test_the_page_of_a_family_that_is_gone_is_removed_and_others_stay(tmp_path: Path) -> None:
    with registered():
        make_pages.write(tmp_path)
    (tmp_path / "notes.md").write_text("by hand\n", encoding="utf-8")
    assert make_pages.out_of_date(tmp_path) == ["toy.md"]
    make_pages.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*make_pages.pages(), "notes.md"}


def test_every_device_tells_its_quality_and_its_anchors() -> None:
    page = make_pages.device_page()
    for name in device_names():
        device = get_device(name)
        about = section(page, name)
        assert device.quality() in about
        assert device.quality(tiles=False) in about
        assert device.message_origin in about
        assert f"(#{name})" in page
    assert "| 5 of 5 anchors, ms | resnet18 320, resnet50 726, vgg16 1772, " in section(page, "pi3")
    assert "anchors, ms" not in section(page, "orin-agx")


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    *_, row = make_pages.table(("a", "b"), [("x | y", "two\nlines")]).splitlines()
    assert row == "| x \\| y | two lines |"
    assert cells(row) == ["x | y", "two lines"]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_row_of_a_table_has_the_cells_of_its_header(name: str) -> None:
    width = 0
    for line in make_pages.page(FAMILIES[name]).splitlines():
        found = len(cells(line)) if line.startswith("|") else 0
        assert found == 0 or width in (0, found), line
        width = found


def test_texts_of_fields_are_read_from_the_docstring() -> None:
    text = """Thing.

Args:
    a, b: both of
        them: long.
    c (tuple[int, ...]): one that sets d_s.

Raises:
    InputError: never.
"""
    notes = make_pages.field_notes(text)
    assert notes == {"a": "both of them: long.", "b": "both of them: long.", "c": "one that sets d_s."}
    assert make_pages.note_of("d_s", notes) == "see `c`"
    assert make_pages.note_of("d", notes) == ""


def test_fields_without_docstring_keep_name_values_and_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "undocumented"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "scenarios.py").write_text(
        "from dataclasses import dataclass, field\n\n\n"
        "@dataclass\nclass Scenario:\n    rates: list[float] = field(default_factory=lambda: [1.0])\n"
        "    call: object = object()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    page = "\n".join(make_pages.scenario_fields("undocumented.env"))
    assert rows(page, "Fields of a scenario") == {
        "rates": ["`rates`", "a list of finite numbers", "`[1.0]`", ""],
        "call": ["`call`", "anything", "`<object object>`", ""],
    }


def test_the_command_finds_the_same_in_another_process(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = (sys.executable, SCRIPT, "--check")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    wrong = make_pages.out_of_date()
    assert done.returncode == (1 if wrong else 0), done.stderr
    assert all(name in done.stderr for name in wrong)


def test_the_optimum_is_computed_by_default_where_the_quickstart_says() -> None:
    defaults = {}
    for family in FAMILIES.values():
        makers: list[Any] = [load_env_creator(p) for p in (family.entry_point, family.vector_entry_point)]
        found = [inspect.signature(maker).parameters.get("optimum") for maker in makers]
        if all(found):
            defaults[family.title.partition(":")[0]] = [parameter.default for parameter in found if parameter]
    assert defaults == {name: [True, False] for name in ("DistrEdge", "EdgeMove", "HierTrain")}
    told = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    assert f"In {', '.join(list(defaults)[:2])} and HierTrain finding the optimum" in " ".join(told.split())
