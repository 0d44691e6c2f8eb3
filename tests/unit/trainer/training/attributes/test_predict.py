"""The one evaluation loop."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from base.base_model import BaseModel
from model.fusion import MeanFusion
from model.views import FlipView, ShiftView
from tests.helpers import build_trainer
from trainer.training.predict import Inference, evaluating, predict, predict_pictures

CPU = torch.device("cpu")
IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


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
        predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference)

    assert all(modes(trainer.model))


def test_there_is_one_row_for_every_sample_in_order_of_id(trainer):
    predictions, losses = predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference)

    assert predictions.ids() == trainer.loader.table("valid").ids()
    assert predictions.failed() == {}
    assert losses == {}


@pytest.mark.parametrize("size", [1, 5, 28, 100])
def test_losses_and_predictions_do_not_depend_on_the_size_of_batches(trainer, size):
    expected, expected_losses = predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference, trainer.loss)
    trainer.loader.batches.batch_size = size
    predictions, losses = predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference, trainer.loss)

    assert losses == pytest.approx(expected_losses, rel=1e-5)
    for name in expected.names:
        assert np.allclose(predictions.array(name), expected.array(name), atol=1e-5)


def test_a_loss_is_the_mean_over_samples_and_not_over_batches(trainer):
    trainer.loader.batches.batch_size = 27  # and a batch of one
    _, losses = predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference, trainer.loss)
    trainer.loader.batches.batch_size = 1
    sums = dict.fromkeys(("mask", "gender", "age"), 0.0)
    with evaluating(trainer.model, trainer.loss):
        for _, batch in trainer.loader.evaluation("valid"):
            for name, term in trainer.loss.terms(trainer.model(batch["image"]), batch["target"]).items():
                sums[name] += float(term.total / term.weight)
    means = {f"loss/{name}": value / 28 for name, value in sums.items()}

    assert losses == pytest.approx({"loss": sum(means.values()), **means}, rel=1e-5)


def test_the_callback_is_told_of_every_batch(trainer):
    told = []
    predict(
        trainer.model, trainer.loader, "valid", CPU, trainer.inference, on_batch=lambda done, total: told.append((done, total))
    )

    assert told == [(1, 2), (2, 2)]


def test_a_test_picture_that_cannot_be_read_is_a_row_with_its_reason(tiny_config, masks_folder, tmp_path):
    shutil.copytree(masks_folder, tmp_path / "masks")
    trainer = build_trainer(tiny_config({"data_loader.args.data_dir": str(tmp_path / "masks")}))
    table = trainer.loader.table("test")
    empty, gone = table.path(3), table.path(17)
    empty.write_bytes(b"")
    gone.unlink()
    predictions, _ = predict(trainer.model, trainer.loader, "test", CPU, trainer.inference)

    assert predictions.ids() == table.ids()
    assert set(predictions.failed()) == {table.id(3), table.id(17)}
    assert "empty" in predictions.failed()[table.id(3)]
    bad = np.isnan(predictions.array("mask")).any(axis=1)
    assert np.flatnonzero(bad).tolist() == [3, 17]


class Corner(BaseModel):
    """Says where the brightest pixel is, and how bright the left half: one with coordinates, one without."""

    def forward(self, image, target=None):
        return {"image": image.float().mean(1)}

    def decode(self, outputs):
        image = outputs["image"]
        place = image.flatten(1).argmax(1)
        points = torch.stack([place % image.shape[2] + 0.5, place // image.shape[2] + 0.5], 1)
        return {"point": points, "left": image[:, :, : image.shape[2] // 2].mean((1, 2))}

    def move(self, prediction, affine):
        points = torch.cat([prediction["point"], torch.ones(len(affine), 1)], 1)
        return {**prediction, "point": (affine @ points[:, :, None])[:, :, 0]}


def one_bright_pixel():
    image = torch.zeros(3, 8, 10, dtype=torch.uint8)
    image[:, 2, 3] = 200
    return image


def test_views_are_moved_back_before_they_are_fused():
    inference = Inference("fp32", [FlipView(), ShiftView(2, 1)], MeanFusion())
    geometry = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    predictions = predict_pictures(Corner(), [("a", one_bright_pixel(), geometry)], CPU, inference)
    assert predictions.array("point").tolist() == [[7.0, 7.5]]  # (3.5, 2.5) in pixels of the original


def test_every_view_counts():
    plain = predict_pictures(Corner(), [("a", one_bright_pixel(), IDENTITY)], CPU, Inference("fp32", [], MeanFusion()))
    both = predict_pictures(Corner(), [("a", one_bright_pixel(), IDENTITY)], CPU, Inference("fp32", [FlipView()], MeanFusion()))
    assert both.array("left")[0] == pytest.approx(plain.array("left")[0] / 2)


def test_pictures_come_back_in_the_order_in_which_they_are_given():
    pictures = [(name, one_bright_pixel(), IDENTITY) for name in ("b", "a", "c")]
    assert predict_pictures(Corner(), pictures, CPU, Inference("fp32", [], MeanFusion())).ids() == ["b", "a", "c"]


def test_predictions_with_views_do_not_depend_on_the_size_of_batches(trainer, tiny_config):
    inference = Inference("fp32", [FlipView()], MeanFusion())
    expected, _ = predict(trainer.model, trainer.loader, "valid", CPU, inference)
    trainer.loader.batches.batch_size = 5
    predictions, _ = predict(trainer.model, trainer.loader, "valid", CPU, inference)
    assert np.allclose(predictions.array("mask"), expected.array("mask"), atol=1e-6)
