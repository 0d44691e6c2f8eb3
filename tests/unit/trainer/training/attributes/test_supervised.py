"""The step of supervised training: its gradient, batch norms that rest, what is validated, what was fitted."""

import pytest
import torch

from model.fusion import MeanFusion
from model.views import ShiftView
from tests.helpers import build_trainer
from trainer.training.predict import Inference, predict
from utils.batch import pieces
from utils.device import to_device

CPU = torch.device("cpu")
PLAIN_SGD = {
    "optimizer": {"type": "SGD", "args": {"lr": 0.1}},
    "lr_scheduler": None,
    "arch.args.drop_rate": 0.0,
    "trainer.ema": None,
}


def first_batch(trainer):
    return to_device(next(iter(trainer.loader.train(0))), CPU)


def copies(parameters):
    return [parameter.detach().clone() for parameter in parameters]


def test_the_step_of_sgd_is_the_mean_gradient_of_the_pieces_of_a_batch(tiny_config):
    trainer = build_trainer(tiny_config({**PLAIN_SGD, "trainer.accumulate": 3}))
    batch = first_batch(trainer)
    sizes = [len(batch["index"])]
    before = copies(trainer.parameters)
    expected = [torch.zeros_like(weight) for weight in before]
    trainer.objective.train()
    for piece, share in pieces(batch, sizes, 0, 3):
        terms = trainer.objective(piece["image"], piece["target"])
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), trainer.parameters, allow_unused=True)
        for total, gradient in zip(expected, gradients, strict=True):
            total += share * (0 if gradient is None else gradient)
    trainer.train_step(batch)

    for old, gradient, new in zip(before, expected, trainer.parameters, strict=True):
        assert torch.allclose(new, old - 0.1 * gradient, atol=1e-6)


def test_frozen_layers_that_rest_keep_their_batch_norm_statistics(tiny_config):
    trainer = build_trainer(tiny_config(PLAIN_SGD))
    batch = first_batch(trainer)
    frozen = list(trainer.model.backbone.parameters())
    trainer.freeze(frozen, rest_norms=True)
    weights, statistics = copies(frozen), copies(trainer.model.backbone.buffers())
    trainer.train_step(batch)

    assert all(torch.equal(old, new) for old, new in zip(weights, frozen, strict=True))
    assert all(torch.equal(old, new) for old, new in zip(statistics, trainer.model.backbone.buffers(), strict=True))


def test_frozen_layers_that_do_not_rest_go_on_with_their_batch_norm_statistics(tiny_config):
    trainer = build_trainer(tiny_config(PLAIN_SGD))
    batch = first_batch(trainer)
    trainer.freeze(list(trainer.model.backbone.parameters()), rest_norms=False)
    statistics = copies(trainer.model.backbone.buffers())
    trainer.train_step(batch)

    assert not all(torch.equal(old, new) for old, new in zip(statistics, trainer.model.backbone.buffers(), strict=True))


def test_losses_of_validation_are_those_of_the_plain_pictures(tiny_config):
    trainer = build_trainer(tiny_config())
    views = Inference("fp32", [ShiftView(8, 8)], MeanFusion())
    _, plain = predict(trainer.model, trainer.loader, "valid", CPU, trainer.inference, trainer.loss)
    _, with_views = predict(trainer.model, trainer.loader, "valid", CPU, views, trainer.loss)

    assert with_views == plain


def test_what_was_fitted_belongs_to_the_weights_of_its_validation_alone(tiny_config):
    trainer = build_trainer(tiny_config({"metrics": [{"type": "AttributeScores"}, {"type": "Calibration"}]}))
    trainer.evaluate()
    assert trainer.fitted()["Calibration"]

    trainer.progress.step += 1
    assert trainer.fitted() == {}


def test_the_average_is_validated_if_there_is_one(tiny_config):
    with_average, without = (build_trainer(tiny_config({"trainer.ema": ema}, f"{ema}.json")) for ema in (0.9, None))

    assert with_average.evaluated is with_average.ema.module
    assert without.evaluated is without.model


def test_an_epoch_in_which_every_rate_was_0_is_a_warning(tiny_config):
    trainer = build_trainer(tiny_config(PLAIN_SGD))
    for rate, warned in ((0.1, False), (0.0, True)):
        trainer.optimizer.param_groups[0]["lr"] = rate
        for group in trainer.optimizer.param_groups[1:]:
            group["lr"] = 0.0
        trainer.schedule.undamped = trainer.schedule.rates()
        trainer.train_step(first_batch(trainer))
        trainer.warnings = []
        trainer.end_epoch({})

        assert any("every learning rate was 0" in line for line in trainer.warnings) is warned


@pytest.mark.parametrize("name", ["model", "loss", "optimizer", "schedule", "scaler", "guard", "ema"])
def test_every_part_with_a_state_is_in_the_checkpoint(tiny_config, name):
    assert name in build_trainer(tiny_config()).state_dict()
