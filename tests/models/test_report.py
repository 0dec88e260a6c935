"""``python -m splitgym.models``: what it says of a network is what the model has, and nothing is run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from splitgym.models import __main__ as command
from splitgym.models.lookup import get_model
from splitgym.models.own.read import import_onnx
from splitgym.models.picture import network_figure
from splitgym.models.report import cuts_worth_a_look, image_bytes, rows_of
from splitgym.models.zoo.catalogue import MODELS

from .own.refusals import small_net


@pytest.mark.parametrize("name", MODELS)
def test_rows_add_up_to_the_network(name: str) -> None:
    model = get_model(name)
    rows = rows_of(model)
    assert [row.name for row in rows] == [step.name for step in model.steps]
    assert sum(row.macs for row in rows) == model.macs
    assert sum(row.params for row in rows) == model.params
    assert rows[-1].done == pytest.approx(1.0)
    assert all(row.cut_bytes == model.cut_bytes(i + 1, 4) for i, row in enumerate(rows))


def test_cuts_worth_a_look_send_less_and_less() -> None:
    model = get_model("vgg16")
    rows = rows_of(model)
    sent = [rows[i].cut_bytes for i in cuts_worth_a_look(model, rows)]
    assert sent == sorted(set(sent), reverse=True)
    assert sent[0] < image_bytes(model)
    for i, row in enumerate(rows[:-1]):
        if i not in cuts_worth_a_look(model, rows):
            assert any(rows[j].cut_bytes <= row.cut_bytes for j in range(i)) or row.cut_bytes >= image_bytes(model)


def test_json_says_what_the_model_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_net(tmp_path / "net.onnx")
    assert command.main([str(path), "--json"]) == 0
    found, imported = json.loads(capsys.readouterr().out), import_onnx(path)
    assert found["fingerprint"] == imported.model.fingerprint
    assert found["units"] == len(imported.model.units)
    assert [step["name"] for step in found["steps"]] == [step.name for step in imported.model.steps]
    assert found["steps"][0]["nodes"] == ["the Conv", "the Relu"]
    assert found["outputs"] == [{"name": "y", "sizes": [1, 3]}]
    assert found["steps"][-1]["rows"] == "tail"


def test_text_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_net(tmp_path / "net.onnx", (1, 2, "h", "w"))
    assert command.main([str(path), "--input", "2x20x16", "--picture", str(tmp_path / "net.png")]) == 0
    out = capsys.readouterr().out
    assert "2 units that can be split by height" in out
    assert "from node the GlobalAveragePool, which reads every row" in out
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")


def test_the_image_has_the_type_of_what_is_compared_with_it() -> None:
    model = get_model("vgg16")
    rows = rows_of(model)
    assert image_bytes(model) == 4 * 3 * 224 * 224
    assert {rows[i].name for i in cuts_worth_a_look(model, rows)} == {"pool4", "pool5", "fc1"}
    figure = network_figure(model, rows, "vgg16")
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert set(line.get_ydata()) == {image_bytes(model)}
    figure.draw_without_rendering()
    legend = figure.legends[0]
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert "the image itself, float32" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("name", ["lenet5", "vgg16", "resnet50"])
def test_bytes_in_the_picture_have_a_unit_that_reads(name: str) -> None:
    model = get_model(name)
    figure = network_figure(model, rows_of(model), name)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert len(labels) >= 2
    assert all(re.fullmatch(r"\d{1,3} [kM]?B", label) for label in labels), labels


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.onnx"], "net.onnx: no such file"),
        (["vgg17"], "unknown model 'vgg17'"),
        (["vgg16", "--input", "3x8x8"], "has an input of its own"),
        (["vgg16", "--output", "y"], "has outputs of its own; --output is for ONNX files"),
        (["net.onnx", "--output", "a,b"], "output 'a,b': allowed are names without comma and #"),
        (["net.onnx", "--picture", "x.xyz"], "argument --picture: is 'x.xyz', allowed: a .png file in a folder that"),
        (["lenet5", "--picture", "nowhere/x.png"], "is 'nowhere/x.png', allowed: a .png file in a folder that exists"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert message in capsys.readouterr().err


def test_a_zoo_model_needs_no_torch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.main(["lenet5"]) == 0
    assert "lenet5" in capsys.readouterr().out
