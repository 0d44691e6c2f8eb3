"""What is handed in: a zip that makes the submission anew, byte for byte, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from base.saved.door import find
from tests.attributes.tiny import write_config
from tests.helpers import ENVIRONMENT, ROOT, launch
from trainer.evaluation.testing import run_test
from trainer.shipping import bundle
from trainer.shipping.bundle import run_bundle
from utils.errors import UserError


@pytest.fixture(scope="module")
def best(masks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    launch(write_config(folder, masks_folder, {"trainer.epochs": 1}))
    (found,) = folder.glob("saved/models/*/*/best.pth")
    return found


needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the project is in no git repository, which a bundle asks")


@pytest.fixture(scope="module")
def packed(best: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "bundle.zip"
    run_bundle([find(best)], path)
    return path


def rebuild(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": ""}
    return subprocess.run(
        [sys.executable, "rebuild.py", str(data), "-o", "out"], cwd=folder, env=environment, capture_output=True, text=True
    )


@needs_git
def test_an_unpacked_bundle_rebuilds_the_submission(packed: Path, best: Path, masks_folder: Path, tmp_path: Path) -> None:
    run_test([find(best)], torch.device("cpu"), split="test", output=tmp_path / "handed in")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "empty")
    ended = rebuild(tmp_path / "empty", masks_folder)
    assert ended.returncode == 0, ended.stderr
    assert "byte for byte the submission that was handed in" in ended.stdout
    assert (tmp_path / "empty/out/info.csv").read_bytes() == (tmp_path / "handed in/info.csv").read_bytes()


@needs_git
def test_a_changed_file_of_a_bundle_is_named(packed: Path, masks_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "model" / "attributes" / "model.py").write_text("")
    ended = rebuild(tmp_path, masks_folder)
    assert (ended.returncode, ended.stderr) == (2, "1 files are missing or not those of the bundle: model/attributes/model.py\n")


@needs_git
def test_the_bundle_has_code_and_weights_and_no_data(packed: Path) -> None:
    names = set(zipfile.ZipFile(packed).namelist())
    assert {"train.py", "requirements.txt", "rebuild.py", "SHA256SUMS", "bundle.json"} <= names
    assert {"submission/checkpoint-1.pth", "submission/config-1.json", "submission/info.csv"} <= names
    assert not [name for name in names if name.startswith(("saved/", "data/", ".venv/"))]


def test_the_same_contents_give_the_same_zip() -> None:
    assert bundle.packed({"b": b"2", "a": b"1"}) == bundle.packed({"a": b"1", "b": b"2"})


@needs_git
def test_without_data_the_bundle_says_that_no_submission_is_in_it(
    best: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = f'data_loader.args.data_dir="{tmp_path}/none"'
    run_bundle([find(best)], tmp_path / "bundle.zip", [missing])
    assert "no submission is packed" in capsys.readouterr().out
    assert "submission/info.csv" not in zipfile.ZipFile(tmp_path / "bundle.zip").namelist()


def test_outside_git_the_code_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    with pytest.raises(UserError, match="is no git repository"):
        bundle.code()
