"""Test the training loop: which epochs are validated, how losses are averaged, when it stops and what it saves."""

import math

import pytest
import torch

from tests.helpers import build_trainer
from utils.checkpoint_names import BEST, LAST


@pytest.fixture
def trainer(tiny_config, monkeypatch):
    """Return a trainer with instant validation, whose monitored loss gets worse from epoch to epoch."""
    made = build_trainer(tiny_config({"trainer.epochs": 3, "trainer.validate_every": 2, "trainer.monitor": "min val/loss"}))
    monkeypatch.setattr(made, "evaluate", lambda: {"val/loss": float(made.progress.epoch)})
    return made


@pytest.mark.parametrize(("epoch", "validated"), [(0, False), (1, True), (2, True)])
def test_every_second_epoch_and_the_last_are_validated(trainer, epoch, validated):
    trainer.progress.epoch = epoch
    assert bool(trainer.score()) is validated


def test_the_training_loss_is_the_mean_over_samples(trainer, monkeypatch):
    sizes = [len(rows) for rows in trainer.loader.order(0)]
    sizes[0] -= 5  # as if a batch were shorter than the others
    rows = [batch[:size] for batch, size in zip(trainer.loader.order(0), sizes, strict=True)]
    monkeypatch.setattr(trainer.loader, "order", lambda epoch: rows)
    monkeypatch.setattr(trainer, "train_step", lambda batch: {"loss": torch.tensor(float(trainer.progress.batch))})
    trainer.train_epoch()

    expected = sum(number * size for number, size in enumerate(sizes)) / sum(sizes)
    assert trainer.meter.means()["loss"] == pytest.approx(expected)


def test_a_score_that_is_not_finite_is_stored_as_none(trainer):
    trainer.conclude({"val/loss": math.nan})
    assert trainer.scores["val/loss"] is None


def test_the_best_is_saved_if_the_score_improves_and_not_otherwise(trainer, monkeypatch):
    saved = []
    monkeypatch.setattr(trainer, "save", lambda names: saved.append(list(names)))
    trainer.conclude({"val/loss": 1.0})
    trainer.conclude({"val/loss": 2.0})

    assert [BEST in names for names in saved] == [True, False]
    assert all(names[-1] == LAST for names in saved)


def test_an_epoch_without_a_validation_keeps_the_patience(tiny_config, monkeypatch):
    made = build_trainer(tiny_config({"trainer.early_stop": 1, "trainer.epochs": 9, "trainer.monitor": "min val/loss"}))
    monkeypatch.setattr(made, "save", lambda names: None)
    made.conclude({"val/loss": 1.0})
    made.conclude({})
    assert not made.done
    made.conclude({"val/loss": 1.0})
    assert made.done


def test_a_monitored_score_that_is_not_computed_ends_the_run(trainer):
    with pytest.raises(Exception, match=r"trainer\.monitor"):
        trainer.conclude({"val/other": 1.0})


def test_scores_are_in_a_checkpoint_only_with_the_weights_they_belong_to(trainer, monkeypatch):
    monkeypatch.setattr(trainer, "save", lambda names: None)
    trainer.conclude({"val/loss": 1.0})
    assert trainer.state_dict()["scores"] == {"val/loss": 1.0}
    trainer.progress.step += 1
    assert trainer.state_dict()["scores"] == {}
