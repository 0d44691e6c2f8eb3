"""Rehearse configs that cannot run, and parts of a user's own that are wrong; a rehearsal changes nothing."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from base.base_loss import LOSSES, BaseLoss
from base.base_metric import METRICS, BaseMetric
from base.base_model import MODELS
from base.base_trainer import BaseTrainer
from base.contracts import DataSpec, Term
from base.registry import Registry
from model.attributes.model import AttributeModel
from tests.helpers import launch, run_folders
from trainer.experiment import checking
from trainer.experiment.config_model import config_model
from trainer.runs import run
from trainer.runs.launch import plan, require_runnable
from utils.errors import UserError

ONE = {"trainer.epochs": 1, "trainer.accumulate": 1}
Write = Callable[..., Path]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Registry[Any], type], None]]:
    """`own(MODELS, Net)` registers a class of attributes for the test."""
    touched: list[Registry[Any]] = []

    def register(registry: Registry[Any], cls: type) -> None:
        monkeypatch.setattr(registry, "classes", dict(registry.classes))
        monkeypatch.setattr(registry, "_tasks", dict(registry._tasks))
        registry.register("attributes")(cls)
        touched.append(registry)
        config_model.cache_clear()

    yield register
    config_model.cache_clear()
    for registry in touched:
        registry.forget()


def refusal(config: Path) -> str:
    """Return the one line with which training is refused before it makes a folder."""
    with pytest.raises(UserError) as error:
        launch(config)
    assert not run_folders(config.parent)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# Nothing is changed ---------------------------------------------------------------------------------------------------


def test_a_run_with_a_rehearsal_is_bitwise_the_run_without(
    tiny_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"trainer.epochs": 2, "data_loader.args.num_workers": 1}

    def weights(name: str) -> dict[str, Any]:
        assert launch(tiny_config({**changes, "trainer.save_dir": str(tmp_path / name / "saved")})) == 0
        state = torch.load(run_folders(tmp_path / name)[0] / "last.pth", weights_only=True)
        state["optimizer"].pop("param_groups")
        return {key: state[key] for key in ("model", "optimizer", "ema", "scores", "progress")}

    with_rehearsal = weights("with")
    monkeypatch.setattr(run, "rehearse", lambda *given: [])
    torch.testing.assert_close(with_rehearsal, weights("without"), rtol=0, atol=0)


def test_a_rehearsal_leaves_every_random_generator_as_it_was(tiny_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse, states = run.rehearse, []

    def state() -> list[Any]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]

    def watched(*given: Any) -> list[str]:
        states.append(state())
        warnings = rehearse(*given)
        states.append(state())
        return warnings

    monkeypatch.setattr(run, "rehearse", watched)
    assert launch(tiny_config(ONE)) == 0
    assert states[0] == states[1]


def test_a_resumed_run_is_not_rehearsed_again(tiny_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch(tiny_config(ONE)) == 0
    monkeypatch.setattr(run, "rehearse", lambda *given: pytest.fail("rehearsed"))
    assert launch(tiny_config({**ONE, "trainer.epochs": 2}), run_folders(tmp_path)[0]) == 0


# Configs that cannot run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["vit_small_patch16_dinov3", "levit_128", "hiera_tiny_224", "maxvit_pico_rw_256"])
def test_a_backbone_for_another_size_is_refused_by_shapes_alone_with_the_size_to_set(tiny_config: Write, backbone: str) -> None:
    config = tiny_config({"arch.args.backbone": backbone, "data_loader.args.image_size": [112, 84]})
    with pytest.raises(UserError) as error:
        require_runnable(plan(config).experiments)
    text = str(error.value)
    assert f"{config}: arch.args.backbone: AttributeModel.forward fails with 8 pictures of 112 x 84 (" in text
    assert f'"{backbone}" is made for pictures of 2' in text and "set data_loader.args.image_size to [2" in text
    assert len(text.splitlines()) == 1


def test_a_backbone_for_another_size_leaves_no_run_folder(tiny_config: Write) -> None:
    line = refusal(tiny_config({"arch.args.backbone": "levit_128", "data_loader.args.image_size": [112, 84]}))
    assert line.startswith("arch.args.backbone: AttributeModel.forward fails with 8 pictures of 112 x 84 (")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data_loader.args.batch_size": 1, "trainer.accumulate": 1}, r"data_loader\.args\.batch_size: found 1; a piece of "),
        ({"data_loader.args.batch_size": 16, "trainer.accumulate": 16}, r"trainer\.accumulate: found 16; a piece of a batch"),
    ],
)
def test_a_piece_of_one_sample_is_refused_for_batch_norm(tiny_config: Write, changes: dict[str, Any], line: str) -> None:
    config = tiny_config(changes | {"data_loader.args.image_size": [24, 24]})
    with pytest.raises(UserError, match=line):
        require_runnable(plan(config).experiments)
    with pytest.raises(UserError, match=line):
        launch(config)
    assert not run_folders(config.parent)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"submission.args.sample": "eval/none.csv"}, r"^warning: submission: .*none\.csv: cannot be read"),
        (
            {"data_loader.args.test_reader.args.file": "eval/none.csv", "submission": None},
            r"^warning: data_loader\.args\.test_reader: .*none\.csv: cannot be read",
        ),
    ],
)
def test_a_submission_that_could_not_be_written_is_a_warning_before_training(
    tiny_config: Write, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], line: str
) -> None:
    assert launch(tiny_config({**ONE, **changes, "trainer.verbosity": 1})) == 0
    assert [len(re.findall(line, each)) for each in capsys.readouterr().out.splitlines()].count(1) == 1


def test_memory_that_is_too_small_names_batch_and_pieces(tiny_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AttributeModel, "forward", full)
    line = refusal(tiny_config(ONE))
    assert line.startswith("data_loader.args.batch_size: 8 pictures of 32 x 32 need more memory than there is; lower it, or ")


# Parts of a user's own ------------------------------------------------------------------------------------------------


class Logits(AttributeModel):
    def decode(self, outputs: Any) -> Any:
        return dict(outputs)


class OverSamples(AttributeModel):
    def decode(self, outputs: Any) -> Any:
        return {label: logits.softmax(dim=0) for label, logits in outputs.items()}


class Nothing(AttributeModel):
    def decode(self, outputs: Any) -> Any:
        outputs["mask"].softmax(dim=1)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            Logits,
            r'arch: Logits\.decode returns "\w+" with values from .*; allowed: probabilities in \[0, 1\] \(are they logits\?\)',
        ),
        (OverSamples, r'arch: OverSamples\.decode returns "mask" with rows that sum to .*over the samples: take dim=1'),
        (Nothing, r"arch: Nothing\.decode returns nothing; allowed: name -> tensor"),
    ],
)
@pytest.mark.parametrize("shapes", [True, False])
def test_a_decoder_that_breaks_its_contract_is_named(
    tiny_config: Write, own: Callable[..., None], model: type, line: str, shapes: bool
) -> None:
    own(MODELS, model)
    config = tiny_config({"arch.type": model.__name__, "arch.args": {"backbone": "test_resnet"}})
    with pytest.raises(UserError, match=line) as error:
        require_runnable(plan(config).experiments) if shapes and model is not Logits else launch(config)
    assert "test_rehearsal.py:" in str(error.value)


class WholeLoss(BaseLoss):
    """A loss that returns `value(outputs)`."""

    value: Callable[[Any], Any]

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def terms(self, outputs: Any, target: Any) -> Any:
        return type(self).value(outputs["mask"].square().sum())


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda total: total, r"a tensor \(\)"),
        (lambda total: total.item(), "a float"),
        (lambda total: {"mask": total}, r"a tensor \(\) for 'mask'"),
        (lambda total: {}, "no term"),
        (lambda total: {"mask": Term(total, 3)}, r"a tensor \(\) and a int as total and weight of 'mask'"),
        (lambda total: {"mask": Term(total, total)}, "a weight of 'mask' that has a gradient"),
    ],
)
def test_a_loss_that_returns_anything_but_terms_is_named(
    tiny_config: Write, own: Callable[..., None], value: Callable[[Any], Any], found: str
) -> None:
    WholeLoss.value = staticmethod(value)
    own(LOSSES, WholeLoss)
    with pytest.raises(UserError, match=rf"loss: WholeLoss\.terms returns {found} \(.*test_rehearsal\.py:\d+\); allowed: name"):
        require_runnable(plan(tiny_config({"loss": {"type": "WholeLoss"}})).experiments)


class Sure(BaseMetric):
    """A metric with a score of its own, of a label that it does not check."""

    def __init__(self, spec: DataSpec, label: str, score: str = "sure") -> None:
        self.label, self.score = label, score

    @property
    def names(self) -> list[str]:
        return ["sure"]

    def compute(self, predictions: Any, table: Any) -> dict[str, float]:
        return {self.score: float(predictions.array(self.label).max())}


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ({"label": "hat"}, r"^metrics\[1\]: Sure\.compute fails \(KeyError: .*hat.*; .*test_rehearsal\.py:\d+\)"),
        ({"label": "mask", "score": "x"}, r'^metrics\[1\]: Sure\.compute returns a score "x", which its `names` does not list'),
    ],
)
def test_a_metric_that_fails_is_named_with_its_file_and_line(
    tiny_config: Write, own: Callable[..., None], args: dict[str, Any], line: str
) -> None:
    own(METRICS, Sure)
    with pytest.raises(UserError, match=line):
        launch(tiny_config({"metrics": [{"type": "AttributeScores"}, {"type": "Sure", "args": args}]}))


class Absent(Sure):
    """A metric whose score no sample has."""

    def compute(self, predictions: Any, table: Any) -> dict[str, float]:
        return {}


def test_a_monitored_score_that_no_sample_can_have_is_refused(tiny_config: Write, own: Callable[..., None]) -> None:
    own(METRICS, Absent)
    metrics = [{"type": "Absent", "args": {"label": "mask"}}]
    line = refusal(tiny_config({"metrics": metrics, "trainer.monitor": "max val/sure"}))
    assert line.startswith("trainer.monitor: no validation sample has what val/sure compares with; these samples give: no score;")


def test_a_step_of_a_trainer_that_fails_is_named(tiny_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.training.supervised import SupervisedTrainer

    def broken(self: BaseTrainer, batch: Any) -> dict[str, Any]:
        return {"loss": 1 / 0}

    monkeypatch.setattr(SupervisedTrainer, "train_step", broken)
    line = refusal(tiny_config(ONE))
    assert line.startswith("trainer: SupervisedTrainer.broken fails with 14 pictures of 32 x 32 (ZeroDivisionError: division by ")


def test_the_shapes_of_a_config_are_checked_without_its_data(tiny_config: Write, tmp_path: Path) -> None:
    config = tiny_config({"data_loader.args.data_dir": str(tmp_path / "none")})
    require_runnable([checking.check(plan(config).experiments[0].raw)])
    assert [path.name for path in tmp_path.iterdir()] == [config.name]
