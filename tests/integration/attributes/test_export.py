"""From a checkpoint to one file that test.py takes as well."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import laurel
from base.predictions import Predictions
from base.saved.door import find
from benchmarks import export as benchmark
from tests.attributes.tiny import write_config
from tests.helpers import launch, run
from trainer.evaluation.testing import run_test
from trainer.experiment import build, loading
from trainer.shipping import card, export, parity
from trainer.shipping.export import run_export
from utils import files
from utils.errors import UserError


@pytest.fixture(scope="module")
def best(masks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a tiny run."""
    folder = tmp_path_factory.mktemp("trained")
    launch(write_config(folder, masks_folder, {"trainer.epochs": 1, "budget": {"max_params": 1e6}}))
    (found,) = folder.glob("saved/models/*/*/best.pth")
    return found


def exported(best: Path, output: Path | None, **options: Any) -> Path:
    return run_export(find(best), output, **{"samples": 16, **options})


def scores(checkpoint: Path, output: Path | None) -> dict[str, float]:
    run_test([find(checkpoint)], torch.device("cpu"), split="valid", output=output)
    return {} if output is None else dict(json.loads((output / "metrics.json").read_text()))


@pytest.fixture(scope="module")
def onnx(best: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    exported(best, folder)
    return folder / "tiny.onnx"


def test_test_py_scores_the_exported_file_as_the_checkpoint(best: Path, onnx: Path, tmp_path: Path) -> None:
    before, after = scores(best, tmp_path / "before"), scores(onnx, tmp_path / "after")
    assert after == {name: value for name, value in before.items() if not name.startswith("loss")}
    first, second = (Predictions.read(tmp_path / name / "predictions.parquet")[0] for name in ("before", "after"))
    assert abs(first.array("mask") - second.array("mask")).max() < 1e-5


def test_the_card_says_where_the_model_is_from(best: Path, onnx: Path) -> None:
    shown = json.loads(onnx.with_name("tiny.onnx.card.json").read_text())
    state = loading.load_model(best, torch.device("cpu")).state
    assert shown["config_hash"] == state["config_hash"] and shown["split_hash"] == state["split_hash"]
    assert shown["data"]["hash"] == files.hash_json(state["config"]["data_loader"])
    assert shown["parity"]["changed"] == 0 and shown["parity"]["decisions"] == 3 * shown["parity"]["samples"]
    assert shown["budget"] == {"max_params": 1e6, "max_model_mb": None}
    assert 0 < shown["latency"]["torch"]["p50_ms"] <= shown["latency"]["torch"]["p95_ms"]
    assert "## Scores" in onnx.with_name("tiny.onnx.card.md").read_text()


def test_the_lines_of_the_card_predict_with_onnxruntime_alone_what_the_model_predicts(
    onnx: Path, masks_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card_text = onnx.with_name("tiny.onnx.card.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card_text, re.DOTALL)
    assert len(code.splitlines()) <= 15 and "laurel" not in code
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    (tmp_path / "picture.jpg").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())  # without loss: decoders agree
    shutil.copy(onnx, tmp_path)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec(code, space)

    model = laurel.load(onnx, device="cpu")
    (expected,) = model.model.predictions(["picture.jpg"]).array("mask")
    assert space["outputs"]["out.mask"] == pytest.approx(expected, abs=1e-5)
    assert json.loads(onnx.with_name("tiny.onnx.card.json").read_text())["outputs"] == list(space["outputs"])


def test_the_card_says_whether_opencv_runs_the_file(onnx: Path) -> None:
    about = json.loads(onnx.with_name("tiny.onnx.card.json").read_text())["opencv"]
    assert re.match(r"version 4\.\S+ (runs it; its outputs differ by at most|cannot run it \()", about)


def test_the_card_gives_intervals_of_the_scores_by_drawing_people(best: Path, onnx: Path) -> None:
    scores = json.loads(onnx.with_name("tiny.onnx.card.json").read_text())["scores"]
    for name in ("val/accuracy", "val/f1", "val/accuracy/mask"):
        assert scores[f"{name}/low"] <= scores[name] <= scores[f"{name}/high"]
    assert scores["val/accuracy/low"] < scores["val/accuracy/high"]
    assert "| val/accuracy | 0." in onnx.with_name("tiny.onnx.card.md").read_text()
    assert "(95 % interval 0" in onnx.with_name("tiny.onnx.card.md").read_text()


def test_the_intervals_come_from_predictions_that_are_there(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(card, "PREDICTED", 0)
    exported(best, tmp_path)
    assert "no intervals of the scores: 28 samples are to be predicted; run python test.py" in capsys.readouterr().out
    scores(best, None)
    exported(best, tmp_path)
    assert "no intervals" not in capsys.readouterr().out


def test_a_checkpoint_without_what_training_needs_predicts_the_same(best: Path, tmp_path: Path) -> None:
    exported(best, tmp_path, form="torch")
    written = tmp_path / "tiny.pth"
    assert written.stat().st_size < best.stat().st_size / 3  # no optimiser, no average
    before, after = scores(best, tmp_path / "before"), scores(written, tmp_path / "after")
    assert after == {name: value for name, value in before.items() if not name.startswith("loss")}


def test_an_exported_program_is_written(best: Path, tmp_path: Path) -> None:
    exported(best, tmp_path, form="exported-program")
    extra = {"laurel.json": ""}
    program = torch.export.load(tmp_path / "tiny.pt2", extra_files=extra)
    assert json.loads(extra["laurel.json"])["spec"]["classes"]["mask"] == ["worn", "incorrect", "not worn"]
    assert len(program.module()(torch.zeros(3, 3, 32, 32, dtype=torch.uint8))) == 3


def test_the_table_of_all_kinds_has_size_agreement_and_time_of_each(best: Path) -> None:
    head, columns, *lines = benchmark.rows(best, [], 8)
    assert "pictures compared (validation)" in head and columns.split()[:2] == ["MB", "p50"]
    found = {line[:24].strip(): line[24:].split() for line in lines}
    assert list(found) == ["torch", *(f"{form} {kind}" for form, kinds in export.KINDS.items() for kind in kinds)]
    assert float(found["onnx int8"][0]) < float(found["onnx fp16"][0]) < float(found["onnx fp32"][0])
    assert all(float(row[1]) <= float(row[2]) for row in found.values())
    assert found["onnx fp32"][5:] == ["0", "of", "24"]


def test_an_exported_program_is_not_loaded_since_that_may_execute_anything(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt2").write_bytes(b"whatever")
    with pytest.raises(
        UserError, match=r"tiny.pt2: is an exported program, .* give the checkpoint, or an export as onnx or torch"
    ):
        scores(tmp_path / "tiny.pt2", tmp_path)


def test_a_model_that_disagrees_is_not_written(best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.convert, "to_half", lambda proto: shifted(proto))
    with pytest.raises(UserError, match=r"tiny-fp16.onnx: not written, it disagrees with the original"):
        exported(best, tmp_path, kind="fp16")
    assert list(tmp_path.iterdir()) == []


def shifted(proto):  # type: ignore[no-untyped-def]
    """The graph with one weight tensor of zeros."""
    import numpy as np
    from onnx import numpy_helper

    largest = max(proto.graph.initializer, key=lambda one: np.prod(one.dims))
    largest.CopyFrom(numpy_helper.from_array(np.zeros(tuple(largest.dims), np.float32), largest.name))
    heads = [one for one in proto.graph.initializer if "head.bias" in one.name]
    for one in heads:
        one.CopyFrom(numpy_helper.from_array(9 * np.arange(np.prod(one.dims), dtype=np.float32), one.name))
    return proto


def test_without_data_drawn_pictures_are_compared(best: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(best, tmp_path, overrides=[f"data_loader.args.data_dir={json.dumps(str(tmp_path / 'none'))}"])
    assert "drawn ones stand for them" in capsys.readouterr().out
    assert json.loads((tmp_path / "tiny.onnx.card.json").read_text())["parity"]["source"] == "drawn"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"form": "torch", "kind": "int8"}, "--format torch: cannot be written in int8"),
        ({"samples": 0}, "--samples must be at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(best: Path, tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        exported(best, tmp_path, **given)


def test_an_exported_file_is_not_exported_again(onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is an exported model"):
        exported(onnx, tmp_path)


def test_an_exported_file_knows_the_data_it_was_trained_on(onnx: Path, tmp_path: Path) -> None:
    same = run(tmp_path, "test.py", "-r", onnx, "--split", "valid", "-o", tmp_path / "same")
    assert same.status == 0, same.errors
    assert "warning" not in same.output

    marks = tmp_path / "marks.csv"
    marks.write_text("where,is,set,to\nage,25,age,26\n")
    changes = ("--set", f"data_loader.args.corrections={marks}")
    other = run(tmp_path, "test.py", "-r", onnx, "--split", "valid", "-o", tmp_path / "other", *changes)
    assert "was trained on other data_loader.args.corrections" in other.output, other.errors


def test_pictures_of_another_size_end_the_script_with_one_line(onnx: Path, tmp_path: Path) -> None:
    ended = run(tmp_path, "test.py", "-r", onnx, "-o", tmp_path / "out", "--verbosity", "1",
                "--set", "data_loader.args.image_size=[48,32]")  # fmt: skip
    assert (ended.status, len(ended.lines)) == (2, 1)
    assert "takes pictures of 3x32x32 uint8, found 3x48x32" in ended.errors


def test_a_damaged_file_ends_the_script_with_one_line(onnx: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(onnx.read_bytes()[:-1000])
    ended = run(tmp_path, "test.py", "-r", broken, "-o", tmp_path / "out")
    assert (ended.status, len(ended.lines)) == (2, 1)


def test_ranges_of_int8_are_those_of_training_pictures_and_agreement_is_shown_on_others(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, to_int8 = [], export.convert.to_int8
    monkeypatch.setattr(export.convert, "to_int8", lambda proto, pictures: seen.append(pictures) or to_int8(proto, pictures))
    exported(best, tmp_path, kind="int8", samples=4, allow=1.0)
    loaded = loading.load_model(best, torch.device("cpu"))
    loader = build.build_loader(loaded.experiment, torch.device("cpu"))
    trained = torch.cat([batch["image"] for _, batch in loader.evaluation("train")])
    assert all((trained == torch.from_numpy(picture)).flatten(1).all(1).any() for picture in seen[0])
    card = json.loads((tmp_path / "tiny-int8.onnx.card.json").read_text())
    assert (card["calibration"], card["parity"]["source"]) == ("4 pictures (training)", "validation")


def test_golden_pictures_come_from_the_whole_split(best: Path) -> None:
    loaded = loading.load_model(best, torch.device("cpu"))
    loader = build.build_loader(loaded.experiment, torch.device("cpu"))
    shown = parity.golden(loader, (32, 32), 7)
    assert (shown.source, shown.pictures.shape) == ("validation", (7, 3, 32, 32))
    assert not torch.equal(shown.pictures[0], shown.pictures[-1])
