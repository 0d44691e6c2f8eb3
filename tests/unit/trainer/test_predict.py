"""The one evaluation loop."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import build_trainer
from trainer.predict import evaluating, predict

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture
def trainer(tiny_config):
    return build_trainer(tiny_config())


def network():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    model[1].eval()  # frozen statistics
    return model


def modes(model):
    return [part.training for part in model.modules()]


def test_every_part_is_back_in_its_own_mode_afterwards():
    model = network()
    before = modes(model)
    with evaluating(model):
        assert not any(modes(model))

    assert modes(model) == before == [True, True, False, True]


def test_every_part_is_back_in_its_own_mode_after_an_exception():
    model = network()
    before = modes(model)
    with pytest.raises(KeyError), evaluating(model, None):
        raise KeyError

    assert modes(model) == before
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_model_that_fails_in_a_prediction_is_left_in_training_mode(trainer, monkeypatch):
    trainer.model.train()
    monkeypatch.setattr(trainer.model, "decode", lambda outputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(trainer.model, trainer.loader, "valid", CPU, "fp32")

    assert all(modes(trainer.model))


def test_there_is_one_row_for_every_sample_in_order_of_id(trainer):
    predictions, losses = predict(trainer.model, trainer.loader, "valid", CPU, "fp32")

    assert predictions.ids() == trainer.loader.table("valid").ids()
    assert predictions.failed() == {}
    assert losses == {}


@pytest.mark.parametrize("size", [1, 5, 28, 100])
def test_losses_and_predictions_do_not_depend_on_the_size_of_batches(trainer, size):
    expected, expected_losses = predict(trainer.model, trainer.loader, "valid", CPU, "fp32", trainer.loss)
    trainer.loader.batch_size = size
    predictions, losses = predict(trainer.model, trainer.loader, "valid", CPU, "fp32", trainer.loss)

    assert losses == pytest.approx(expected_losses, rel=1e-5)
    for name in expected.names:
        assert np.allclose(predictions.array(name), expected.array(name), atol=1e-5)


def test_a_loss_is_the_mean_over_samples_and_not_over_batches(trainer):
    trainer.loader.batch_size = 27  # and a batch of one
    _, losses = predict(trainer.model, trainer.loader, "valid", CPU, "fp32", trainer.loss)
    trainer.loader.batch_size = 1
    sums = dict.fromkeys(("mask", "gender", "age"), 0.0)
    with evaluating(trainer.model, trainer.loss):
        for _, batch in trainer.loader.evaluation("valid"):
            for name, term in trainer.loss.terms(trainer.model(batch["image"]), batch["target"]).items():
                sums[name] += float(term.total / term.weight)
    means = {f"loss/{name}": value / 28 for name, value in sums.items()}

    assert losses == pytest.approx({"loss": sum(means.values()), **means}, rel=1e-5)


def test_the_callback_is_told_of_every_batch(trainer):
    told = []
    predict(trainer.model, trainer.loader, "valid", CPU, "fp32", on_batch=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


def test_a_test_picture_that_cannot_be_read_is_a_row_with_its_reason(tiny_config, masks_folder, tmp_path):
    shutil.copytree(masks_folder, tmp_path / "masks")
    trainer = build_trainer(tiny_config({"data_loader.args.data_dir": str(tmp_path / "masks")}))
    table = trainer.loader.table("test")
    empty, gone = table.path(3), table.path(17)
    empty.write_bytes(b"")
    gone.unlink()
    predictions, _ = predict(trainer.model, trainer.loader, "test", CPU, "fp32")

    assert predictions.ids() == table.ids()
    assert set(predictions.failed()) == {table.id(3), table.id(17)}
    assert "empty" in predictions.failed()[table.id(3)]
    bad = np.isnan(predictions.array("mask")).any(axis=1)
    assert np.flatnonzero(bad).tolist() == [3, 17]
