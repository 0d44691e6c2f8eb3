"""An evaluation on disk."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from base.bootstrap import Interval
from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest, read_header, read_scores, write_scores
from base.predictions import Predictions
from base.table import SampleTable
from tests.helpers import ROOT
from utils.errors import UserError

SPEC = DataSpec({"mask": ["on", "off"]}, {"mask": [3, 4]}, {"age": [0, 0, 1]}, (32, 24), {"all": {"mask": ["on", "off"]}})
MANIFEST = Manifest(
    "valid", [{"path": "x.pth", "sha256": "ab"}], "12", "34", [0.5, 0.5], SPEC, {"F1": {"threshold": 0.25}},
    [{"type": "Accuracy"}], "max val/f1", "person", [{"type": "FlipView"}], "/data",
)  # fmt: skip


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    ids = ["a", "b"]
    samples = SampleTable.from_columns(Path("/pictures"), {"id": ids, "path": ids, "person": ["p", "q"]})
    predictions = Predictions.of(ids, {"mask": torch.tensor([[0.25, 0.75], [1.0, 0.0]])})
    found = Evaluation(tmp_path, predictions, MANIFEST, samples)
    found.write()
    return found


def manifest_with(folder: Path, **changes: Any) -> None:
    """The predictions in a folder, under another manifest; `...` takes a key away."""
    predictions, values = Predictions.read(folder / "predictions.parquet")
    values |= changes
    predictions.write(folder / "predictions.parquet", {key: value for key, value in values.items() if value is not ...})


def test_what_was_written_is_read(evaluation: Evaluation, tmp_path: Path) -> None:
    found = Evaluation.read(tmp_path)
    assert found.manifest == MANIFEST and found.spec.image_size == (32, 24)
    assert found.predictions.columns.equals(evaluation.predictions.columns)
    assert found.samples.ids() == ["a", "b"] and found.samples.root == Path("/pictures")
    assert (found.split, found.group, found.monitor) == ("valid", "person", "max f1")


def test_its_header_is_read_without_the_predictions(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "samples.parquet").unlink()
    schema, manifest = read_header(tmp_path)
    assert manifest == MANIFEST and schema.names == ["id", "error", "mask"]


def test_a_subclass_is_read_as_such(evaluation: Evaluation, tmp_path: Path) -> None:
    class Shown(Evaluation):
        pass

    assert type(Shown.read(tmp_path)) is Shown


def test_the_spec_is_kept_as_a_checkpoint_keeps_it(evaluation: Evaluation, tmp_path: Path) -> None:
    values = json.loads((tmp_path / "predictions.manifest.json").read_text())
    assert DataSpec.from_json(values["spec"]) == SPEC and values["spec"] == json.loads(json.dumps(SPEC.as_json()))


def test_a_group_that_the_samples_do_not_have_is_none(evaluation: Evaluation) -> None:
    other = dataclasses.replace(evaluation, manifest=dataclasses.replace(MANIFEST, group="family"))
    assert other.group is None


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Manifest)])
@pytest.mark.parametrize("value", [..., 3.5])
def test_a_manifest_that_lacks_something_is_refused_by_key(evaluation: Evaluation, tmp_path: Path, key: str, value: Any) -> None:
    manifest_with(tmp_path, **{key: value})
    with pytest.raises(UserError, match=rf"predictions.parquet: does not say .*\({key} is missing, or damaged\)") as refused:
        Evaluation.read(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("spec", [{"classes": 3}, {"classes": {"mask": 3}}, {"unknown": {}}, {"merged": []}, {"image_size": 3}])
def test_a_damaged_spec_is_refused_in_one_line(evaluation: Evaluation, tmp_path: Path, spec: dict[str, Any]) -> None:
    manifest_with(tmp_path, spec=spec)
    with pytest.raises(UserError, match="predictions.parquet: spec is damaged") as refused:
        Evaluation.read(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("manifest", [b"[]", b"3", b"null", b"{", b"", b"[" * 100_000])
def test_a_manifest_of_something_else_is_refused(evaluation: Evaluation, tmp_path: Path, manifest: bytes) -> None:
    import pyarrow.parquet as pq

    columns = evaluation.predictions.columns.replace_schema_metadata({b"laurel": manifest})
    pq.write_table(columns, tmp_path / "predictions.parquet")
    for read in (Evaluation.read, read_header):
        with pytest.raises(UserError, match=r"predictions.parquet: (is not a predictions file|does not say)"):
            read(tmp_path)


@pytest.mark.parametrize("name", ["predictions.parquet", "samples.parquet"])
def test_a_damaged_file_is_named(evaluation: Evaluation, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UserError, match=name):
        Evaluation.read(tmp_path)


def test_without_samples_it_says_what_to_do(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "samples.parquet").unlink()
    with pytest.raises(UserError, match="run test.py again"):
        Evaluation.read(tmp_path)


def test_predictions_of_other_samples_are_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.samples.take([0]).write(tmp_path / "samples.parquet")
    with pytest.raises(UserError, match="predictions do not match the samples"):
        Evaluation.read(tmp_path)


def test_scores_are_kept_with_their_intervals_and_without_what_is_not_finite(tmp_path: Path) -> None:
    write_scores(tmp_path, {"f1": 0.5, "eer": float("nan")}, {"f1": Interval(0.25, 0.75)})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"f1": 0.5, "eer": None, "intervals": {"f1": [0.25, 0.75]}}
    assert read_scores(tmp_path) == {"f1": 0.5}


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"f1": "good"}', b'{"f1": NaN}', b"\xff"])
def test_scores_that_cannot_be_read_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_bytes(content)
    assert read_scores(tmp_path) == {}


def test_reading_needs_no_torch(evaluation: Evaluation, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from base.evaluation import Evaluation;"
        f"Evaluation.read(Path({str(tmp_path)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_numbers_are_those_that_were_written(evaluation: Evaluation, tmp_path: Path) -> None:
    assert np.array_equal(Evaluation.read(tmp_path).predictions.array("mask"), [[0.25, 0.75], [1.0, 0.0]])
