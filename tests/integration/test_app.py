"""The app's logic without a browser: what is shown, what is refused, and what stands in the place of what is broken."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from base.run_folder import RunFolder
from base.table import SampleTable
from inspection import jobs
from inspection.runs import Run
from tests.app_world import write_result, write_run
from tests.helpers import ROOT, arguments, run_folders
from tests.unit.inspection.test_jail import TRAVERSALS
from trainer.runs.launch import launch
from trainer.shipping.export import run_export
from utils import checkpoint

EVIL = "<img src=x onerror=alert(1)> **bold** [a](http://a.b) :smile: `x`"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens the app in a folder whose runs are in `saved/`, at an address."""
    monkeypatch.chdir(tmp_path)

    def open_app(view: str = "Runs", **query: str) -> AppTest:
        page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        for name, value in {"view": view, **query}.items():
            page.query_params[name] = value
        return page.run()

    return open_app


@pytest.fixture
def run_folder(tiny_config: Callable[..., Path]) -> Path:
    """A run of one epoch."""
    path = tiny_config({"trainer.epochs": 1})
    launch(arguments(path))
    return run_folders(path.parent)[0]


def write_answers(folder: Path, names: list[str], config: object = None) -> Run:
    """A run with predictions of four samples, two of them wrong, whose pictures are not there."""
    run = write_run(folder / "saved", "a/20260101-000000-0000", {"name": "a", **(config if isinstance(config, dict) else {})}, [])
    ids = [f"{EVIL}{number}.jpg" for number in range(4)]
    samples = SampleTable.from_columns(folder / "data", {"id": ids, "path": ids, "mask": [0, 0, 1, 1], names[0]: ["x", "y"] * 2})
    said = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    write_result(run, "valid-best", samples, {"mask": said}, classes={"mask": names})
    return Run(run.models)


def picture() -> bytes:
    return cv2.imencode(".png", np.full((40, 30, 3), 128, np.uint8))[1].tobytes()


# Empty and broken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["Runs", "Predict", "Mistakes", "Pairs", "Boxes", "Data", "Fix", "Submission"])
def test_without_runs_every_view_says_what_to_do(app: Callable[..., AppTest], view: str) -> None:
    page = app(view)
    assert not page.exception
    assert "make train" in page.info[0].value


def test_without_predictions_it_says_which_command_makes_them(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_run(tmp_path / "saved", "a/20260101-000000-0000", {"name": "a"}, [])
    page = app("Mistakes")
    assert not page.exception
    assert page.code[0].value == "python test.py -r saved/models/a/20260101-000000-0000 --split valid"


def test_a_view_of_another_kind_of_prediction_says_so(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, ["on", "off"])
    page = app("Pairs")
    assert "predicts attributes; this view shows embedding" in page.info[0].value


@pytest.mark.parametrize("view", ["Runs", "Predict", "Mistakes", "Pairs", "Boxes", "Data", "Fix", "Submission"])
def test_a_run_in_which_everything_is_broken_is_a_message(app: Callable[..., AppTest], tmp_path: Path, view: str) -> None:
    run = write_answers(tmp_path, ["on", "off"])
    for path in (*run.folder.glob("*"), *run.log.rglob("*")):
        if path.is_file():
            path.write_bytes(b'PAR1{"a": [broken')
    assert not app(view).exception


def test_a_damaged_checkpoint_is_a_message_in_its_place(run_folder: Path, app: Callable[..., AppTest]) -> None:
    for path in run_folder.glob("*.pth"):
        path.write_bytes(b"damaged")
    page = app("Predict")
    assert not page.exception
    assert "cannot be loaded" in page.error[0].value and "is damaged" in page.error[1].value


def test_pictures_that_are_gone_are_messages_and_the_rest_is_shown(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, ["on", "off"])
    page = app("Mistakes")
    assert not page.exception
    assert [message.value for message in page.warning] == ["`is not there`"] * 4
    assert {metric.label: metric.value for metric in page.metric}["Accuracy"] == "50.0%"


# The address --------------------------------------------------------------------------------------------------------


def test_the_address_opens_run_view_and_filter(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, ["on", "off"])
    page = app("Mistakes", run="a/20260101-000000-0000", truth="on", predicted="off")
    assert page.title[0].value == "Mistakes"
    assert "**1** of 4 samples" in [text.value for text in page.markdown]


def test_a_filter_of_one_label_is_forgotten_with_another(app: Callable[..., AppTest], tmp_path: Path) -> None:
    run = write_run(tmp_path / "saved", "b/20260102-000000-0000", {"name": "b"}, [])
    samples = SampleTable.from_columns(tmp_path, {"id": ["a"], "path": ["a"], "mask": [0], "age": [0]})
    said = {"mask": torch.tensor([[0.9, 0.1]]), "age": torch.tensor([[0.9, 0.1]])}
    write_result(run, "valid-best", samples, said, classes={"mask": ["on", "off"], "age": ["young", "old"]})
    page = app("Mistakes", label="mask", truth="off")
    assert "**0** of 1 samples" in [text.value for text in page.markdown]
    page = page.selectbox(key="label").set_value("age").run()
    assert not page.exception
    assert "**1** of 1 samples" in [text.value for text in page.markdown]


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_no_traversal_in_any_field_of_the_address_reads_anything(app: Callable[..., AppTest], tmp_path: Path, start: int) -> None:
    write_answers(tmp_path, ["on", "off"])
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    fields = ("run", "of", "label", "truth", "value", "column", "file", "query", "part", "order", "with", "against", "earlier")
    for name in TRAVERSALS[start : start + 50 : 5]:
        page = app("Mistakes", **dict.fromkeys(fields, name))
        assert not page.exception
        assert "secret" not in "".join(str(text.value) for text in (*page.text, *page.code))


# Names from data ----------------------------------------------------------------------------------------------------


def test_names_from_data_are_text(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, [EVIL, "off"])
    page = app("Mistakes")
    assert not page.exception
    assert all("<img" not in text.value for text in (*page.markdown, *page.caption, *page.subheader, *page.title))
    assert any(EVIL in text.value for text in page.text)


def test_no_view_lets_html_through() -> None:
    sources = [*(ROOT / "inspection").rglob("*.py"), ROOT / "app.py"]
    texts = {path.name: path.read_text() for path in sources}
    assert [name for name, text in texts.items() if "unsafe_allow" in text or "st.html" in text or "components" in text] == []


# Predict ------------------------------------------------------------------------------------------------------------


def test_predict_answers_for_uploads_and_shows_where_the_answer_comes_from(run_folder: Path, app: Callable[..., AppTest]) -> None:
    page = app("Predict", why="true")
    page.file_uploader[0].upload("me.png", picture(), "image/png").run()
    assert not page.exception and not page.error
    said = [text.value.split(":")[0] for text in page.text]
    assert [label for label in ("mask", "gender", "age") if label in said] == ["mask", "gender", "age"]
    assert "warm: what speaks for it" in [text.value for text in page.caption]


def test_predict_answers_with_an_exported_file_as_with_its_checkpoint(run_folder: Path, app: Callable[..., AppTest]) -> None:
    given = {"format": "onnx", "half": False, "int8": False, "samples": 4, "allow": None, "set": []}
    run_export(Namespace(resume=str(run_folder), output=None, **given))
    label = f"{run_folder.parent.name}/{run_folder.name}"
    page = app("Predict", against=label, why="true", **{"against-model": "export/tiny.onnx"})
    page.file_uploader[0].upload("me.png", picture(), "image/png").run()
    assert not page.exception and not page.error
    said = [text.value for text in page.text]
    assert [f"{label}/best.pth" in said, f"{label}/tiny.onnx" in said] == [True, True]
    for name in ("mask", "gender", "age"):
        first, second = (text for text in said if text.startswith(f"{name}: "))
        assert first == second
    assert ["an ONNX file does not say where its answer comes from" in note.value for note in page.info] == [True]


def test_a_chosen_file_that_is_no_model_is_a_message_in_its_place(run_folder: Path, app: Callable[..., AppTest]) -> None:
    exported = RunFolder.at(run_folder).exported
    exported.mkdir()
    (exported / "tiny.onnx").touch()
    page = app("Predict", model="export/tiny.onnx")
    assert not page.exception
    assert "tiny.onnx: is no exported model of this project" in page.error[1].value


def test_predict_says_what_is_wrong_with_a_file_and_goes_on(run_folder: Path, app: Callable[..., AppTest]) -> None:
    page = app("Predict")
    page.file_uploader[0].upload("bad.png", b"no picture", "image/png").run()
    assert not page.exception
    assert "bad.png: is no picture" in page.error[0].value


def test_the_button_makes_the_predictions_that_test_py_makes(run_folder: Path, app: Callable[..., AppTest]) -> None:
    page = app("Mistakes")
    page.button[0].click().run()
    assert not page.exception and not page.error
    metrics = json.loads((Run(run_folder).log / "valid-best" / "metrics.json").read_text())
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Accuracy"] == f"{metrics['accuracy/mask']:.1%}"
    assert metrics["f1"] == checkpoint.load(run_folder / "best.pth")["monitor"]["best"]


def test_a_script_that_fails_says_why(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in run_folder.glob("*.pth"):
        path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is damaged"):
        jobs.predict(Run(run_folder), "valid", lambda done: None)
