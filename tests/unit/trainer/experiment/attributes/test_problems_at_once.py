"""Test that a check reports all problems of a config together, each with the file that wrote it and the key that was meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base import registry
from tests.helpers import ROOT
from trainer.experiment import changing, checking, unregistered
from trainer.experiment.config_model import config_model
from trainer.runs.launch import plan
from utils import config
from utils.config import ConfigError

MASKS = str(ROOT / "configs" / "masks.json")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write({"trainer": …}, "a.json")` writes a config that extends masks.json, by default `child.json`."""

    def write_config(values: dict[str, Any], name: str = "child.json", extends: str = MASKS) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"extends": extends, **values}))
        return path

    return write_config


def lines(path: Path, *overrides: str) -> list[str]:
    """Return the lines with which a config is refused, without the folder of the config."""
    with pytest.raises(ConfigError) as error:
        checking.check(changing.read(path, overrides))
    return str(error.value).replace(f"{path.parent}/", "").splitlines()


def test_schema_class_score_and_conflict_are_reported_together(write: Write) -> None:
    found = lines(
        write(
            {
                "sede": 3,
                "trainer": {"monitor": "max val/f2", "accumulate": 100},
                "loss": {"args": {"terms": {"age": None}}},
                "data_loader": {"args": {"num_workres": 1}},
            }
        )
    )
    keys = [line.split(": ")[1] for line in found]
    assert keys == ["data_loader.args.num_workres", "sede", "loss.args.terms", "trainer.accumulate", "trainer.monitor"]


def test_labels_are_not_compared_where_a_problem_is_about_the_labels(write: Write) -> None:
    (line,) = lines(write({"data_loader": {"args": {"lern": ["mask"]}}}))
    assert line.startswith('child.json: data_loader.args.lern: unknown key (did you mean "learn"?)')


def test_a_part_with_a_problem_hides_none_in_other_parts(write: Write) -> None:
    found = lines(write({"optimizer": {"type": "Adamw"}, "loss": {"args": {"terms": {"hat": {"type": "CrossEntropy"}}}}}))
    assert [line.split(": ")[1] for line in found] == ["optimizer.type", "loss.args.terms.hat"]


def test_a_problem_of_an_object_is_blamed_on_the_file_that_wrote_last_in_it(write: Write) -> None:
    write({"data_loader": {"args": {"split": {"folds": 4}}}}, "parent.json")
    path = write({"data_loader": {"args": {"split": {"fold": 7}}}}, extends="parent.json")
    (line,) = lines(path)
    assert line.startswith("child.json: data_loader.args.split: found ") and "a fold from 0 to 3; found 7" in line
    (line,) = lines(path, "data_loader.args.split.fold=9")
    assert line.startswith("--set: data_loader.args.split: found ")


@pytest.mark.parametrize(
    ("override", "meant"),
    [("optimizer.lr=1", "optimizer.args.lr"), ("trainer.batch_size=8", "data_loader.args.batch_size")],
)
def test_a_key_at_the_wrong_place_proposes_its_place(write: Write, override: str, meant: str) -> None:
    (line,) = lines(write({}), override)
    assert line == f'--set: {override.split("=")[0]}: unknown key (did you mean "{meant}"?)'


def test_a_key_of_one_place_may_be_written_alone(write: Write) -> None:
    values = changing.read(write({}), ["lr=0.5", "epochs=3", "image_size=[64,48]", "name=mine"]).values
    assert values["optimizer"]["args"]["lr"] == 0.5 and values["trainer"]["epochs"] == 3 and values["name"] == "mine"
    assert values["data_loader"]["args"]["image_size"] == [64, 48] and "lr" not in values


def test_a_key_of_several_places_alone_names_them(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"^--set: label_smoothing: is at several places; write one of them: loss\.args\."):
        changing.read(write({}), ["label_smoothing=0.2"])


@pytest.mark.parametrize(("given", "meant"), [("masks", "configs/masks.json"), ("mask.json", "configs/masks.json")])
def test_a_config_that_is_not_there_proposes_a_file(monkeypatch: pytest.MonkeyPatch, given: str, meant: str) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=rf'^{given}: cannot be read: No such file or directory \(did you mean "{meant}"\?\)$'):
        plan(given)


# What older templates had ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"wandb": True}, "wandb: is a key of older templates; use trainer.wandb"),
        ({"visualize": True}, "visualize: is a key of older templates; use metrics with figures"),
        ({"trainer": {"submit_dir": "out"}}, "trainer.submit_dir: is a key of older templates; leave it out: test.py writes"),
        ({"info_dir": "x"}, "info_dir: is a key of older templates; use data_loader.args.data_dir"),
        ({"all_loss": []}, "all_loss: is a key of older templates; use loss"),
        ({"trainer": {"early_stop": 0}}, "trainer.early_stop: found 0; allowed: "),
        (
            {"arch": {"type": "TimmModelMulti"}},
            'arch.type: unknown type "TimmModelMulti"; use AttributeModel, with',
        ),
    ],
)
def test_a_key_or_type_of_older_templates_says_what_replaced_it(write: Write, values: dict[str, Any], line: str) -> None:
    assert lines(write(values))[0].startswith(f"child.json: {line}")


def test_the_zero_of_early_stop_is_null_now(write: Write) -> None:
    assert lines(write({"trainer": {"early_stop": 0}}))[0].endswith("; null for never, where older templates had 0")


# Classes that no registry knows ---------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose packages `model` and `trainer` are searched, and which has a folder `notes` beside them."""
    for folder in ("model/own", "model/bare", "trainer", "notes"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("model", "model/own", "trainer"):
        (tmp_path / folder / "__init__.py").touch()
    monkeypatch.setattr(unregistered, "ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model/own/net.py", "but without a decorator: put the one of its registry above it"),
        ("model/own/_net.py", "but files whose name begins with _ are not searched"),
        ("model/bare/net.py", "but model/bare has no __init__.py"),
        ("notes/net.py", "but only model, trainer are searched: move it there"),
        ("net.py", "but only model, trainer are searched: move it there"),
    ],
)
def test_a_class_that_is_not_registered_is_found_with_its_line_and_the_reason(project: Path, file: str, reason: str) -> None:
    (project / file).write_text('"""A network."""\n\n\nclass Netting: ...\n\n\nclass Net(Netting): ...\n')
    assert unregistered.whereabouts("Net", ("model", "trainer")).startswith(f"; {file}:7 defines it, {reason}")


def test_a_class_in_a_file_that_failed_names_the_failure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "model/own/net.py").write_text("class Net: ...\n")
    monkeypatch.setattr(registry, "failed", {"model.own.net": "SyntaxError: invalid syntax, line 3"})
    hint = unregistered.whereabouts("Net", ("model",))
    assert hint == "; model/own/net.py:1 defines it, but cannot be imported (SyntaxError: invalid syntax, line 3)"


def test_a_class_of_another_kind_is_told_so() -> None:
    config_model()
    assert unregistered.whereabouts("AttributeScores", ("model",)) == "; AttributeScores is a metric"


def test_a_class_of_nowhere_has_no_hint() -> None:
    assert unregistered.whereabouts("Nowhere", ("model",)) == "" and unregistered.whereabouts("../x", ("model",)) == ""


def test_the_line_for_an_unknown_type_has_the_hint(write: Write) -> None:
    (line,) = lines(write({"metrics": [{"type": "AttributeModel"}]}))
    assert 'metrics[0].type: unknown type "AttributeModel"; AttributeModel is a model; allowed: ' in line


def test_the_file_of_a_config_is_read_without_the_registry_if_no_key_stands_alone(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "config_model", lambda *given: pytest.fail("asked"))
    assert changing.read(write({}), ["trainer.epochs=2"]).values == config.read(write({}), ["trainer.epochs=2"]).values
