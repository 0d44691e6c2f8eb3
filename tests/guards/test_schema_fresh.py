"""Check that the generated files are up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from laurel import command
from tests.shipped import CONFIGS, ROOT, name
from trainer.experiment import schema
from trainer.experiment.config_model import config_model
from utils import config, files


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    return schema.texts()


@pytest.fixture(scope="module")
def validator(texts: dict[Path, str]) -> object:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(json.loads(texts[schema.SCHEMA]))


@pytest.mark.parametrize("path", [schema.SCHEMA, schema.REFERENCE], ids=lambda path: path.name)
def test_the_generated_file_is_fresh(path: Path, texts: dict[Path, str]) -> None:
    assert path.read_text(encoding="utf-8") == texts[path], "run python laurel.py schema"


def test_generating_twice_in_another_process_gives_the_same(texts: dict[Path, str]) -> None:
    code = (
        "from trainer.experiment import schema; from utils import files; "
        "print([files.hash_json(text) for text in schema.texts().values()])"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == str([files.hash_json(text) for text in texts.values()])


def test_check_names_the_stale_files_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], texts: dict[Path, str]
) -> None:
    monkeypatch.setattr(schema, "ROOT", tmp_path)
    monkeypatch.setattr(schema, "texts", lambda: {tmp_path / "schema.json": "new"})
    (tmp_path / "schema.json").write_text("old")
    assert command("schema", ["--check"]) == 1
    assert capsys.readouterr().out == "schema.json: stale; run python laurel.py schema\n"
    assert (tmp_path / "schema.json").read_text() == "old"


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_matches_the_schema(path: Path, validator) -> None:  # type: ignore[no-untyped-def]
    assert [error.message for error in validator.iter_errors(as_written(path))] == []


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_shipped_config_names_the_schema(path: Path) -> None:
    assert (path.parent / as_written(path)["$schema"]).resolve() == schema.SCHEMA


def as_written(path: Path) -> dict[str, object]:
    """Return the file's own keys, without the keys of the files that it extends."""
    values = config._parse(str(path), path.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def test_a_config_that_extends_another_may_leave_keys_out(validator) -> None:  # type: ignore[no-untyped-def]
    assert not list(validator.iter_errors({"extends": "other.json", "optimizer": {"args": {"lr": 0.1}}}))


def test_a_config_without_extends_may_not_leave_keys_out(validator) -> None:  # type: ignore[no-untyped-def]
    assert "'loss' is a required property" in [error.message for error in validator.iter_errors({"name": "a"})]


@pytest.mark.parametrize(
    "values",
    [
        {"extends": "a.json", "seeed": 1},
        {"extends": "a.json", "optimizer": {"type": "Adamm"}},
        {"extends": "a.json", "optimizer": {"type": "AdamW", "args": {"lrr": 0.1}}},
        {"extends": "a.json", "trainer": {"epochs": 0}},
        {"extends": 3},
    ],
)
def test_the_schema_refuses_wrong_values(values: dict[str, object], validator) -> None:  # type: ignore[no-untyped-def]
    assert list(validator.iter_errors(values))


def test_arguments_of_library_classes_have_descriptions(texts: dict[Path, str]) -> None:
    affine = json.loads(texts[schema.SCHEMA])["$defs"]["AffineArgs"]
    assert affine["properties"]["scale"]["description"].startswith("Scaling factor to use")


def test_every_link_within_the_reference_has_its_heading(texts: dict[Path, str]) -> None:
    text = texts[schema.REFERENCE]
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(#(.*?)\)", text))
    assert links and links <= headings


def test_the_reference_has_every_top_level_key(texts: dict[Path, str]) -> None:
    for key in config_model().model_fields:
        assert f"| `{key}` |" in texts[schema.REFERENCE]
