"""The app's logic without a browser: what is shown, what is refused, and what stands in the place of what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from base.saved.door import find
from base.saved.run_folder import RunFolder
from base.table import SampleTable
from inspection import jobs
from inspection.runs import Run
from tests.app_world import EVIL, write_answers, write_result, write_run
from tests.helpers import launch, run_folders
from tests.unit.inspection.test_jail import TRAVERSALS
from trainer.shipping.export import run_export
from utils import checkpoint


@pytest.fixture
def run_folder(tiny_config: Callable[..., Path]) -> Path:
    """A run of one epoch."""
    path = tiny_config({"trainer.epochs": 1})
    launch(path)
    return run_folders(path.parent)[0]


def picture() -> bytes:
    return cv2.imencode(".png", np.full((40, 30, 3), 128, np.uint8))[1].tobytes()


# Empty and broken ---------------------------------------------------------------------------------------------------


def test_without_predictions_it_says_which_command_makes_them(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_run(tmp_path / "saved", "a/20260101-000000-0000", {"name": "a"}, [])
    page = app("Mistakes")
    assert not page.exception
    assert page.code[0].value == "python test.py -r saved/models/a/20260101-000000-0000 --split valid"


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


def test_the_link_carries_the_run_that_was_chosen_by_default(app: Callable[..., AppTest], tmp_path: Path) -> None:
    two_runs(tmp_path)
    page = app("Runs")
    assert page.query_params["run"] in (["b/20260102-000000-0000"], "b/20260102-000000-0000")


def test_a_link_to_a_run_that_is_gone_says_so_and_shows_no_other(app: Callable[..., AppTest], tmp_path: Path) -> None:
    two_runs(tmp_path)
    page = app("Mistakes", run="gone/20250101-000000-0000")
    assert not page.exception
    (said,) = [error.value for error in page.error]
    assert "gone/20250101-000000-0000" in said and "this run is not there" in said
    assert page.sidebar.selectbox[0].value is None
    assert [info.value for info in page.info] == ["Choose a run at the side."]


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


def test_names_from_data_are_shown_literally(app: Callable[..., AppTest], tmp_path: Path) -> None:
    write_answers(tmp_path, [EVIL, "off"])
    page = app("Mistakes")
    assert not page.exception
    assert all("<img" not in text.value for text in (*page.markdown, *page.caption, *page.subheader, *page.title))
    assert any(EVIL in text.value for text in page.text)


# Predict ------------------------------------------------------------------------------------------------------------


def test_predict_answers_for_uploads_and_shows_where_the_answer_comes_from(run_folder: Path, app: Callable[..., AppTest]) -> None:
    page = app("Predict", why="true")
    page.file_uploader[0].upload("me.png", picture(), "image/png").run()
    assert not page.exception and not page.error
    said = [text.value.split(":")[0] for text in page.text]
    assert [label for label in ("mask", "gender", "age") if label in said] == ["mask", "gender", "age"]
    assert "warm: what speaks for it" in [text.value for text in page.caption]


def test_predict_answers_with_an_exported_file_as_with_its_checkpoint(run_folder: Path, app: Callable[..., AppTest]) -> None:
    run_export(find(run_folder), samples=4)
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


def two_runs(folder: Path) -> None:
    """Write two runs below `folder/saved`, the second a day later."""
    for name, day in (("a", "01"), ("b", "02")):
        write_run(folder / "saved", f"{name}/202601{day}-000000-0000", {"name": name}, [])
