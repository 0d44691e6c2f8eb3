"""Layers that are unfrozen epoch by epoch: what is trained, what rests, and that resuming changes nothing."""

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tests.attributes.tiny import write_config
from tests.helpers import build_trainer, on_ranks, run_folders
from tests.integration.attributes.test_resume import LEARNED, STEPS, Ask, fingerprint, train
from utils.checkpoint import CheckpointFolder
from utils.checkpoint_names import LAST
from utils.errors import UserError

CALLBACK = {"type": "GradualUnfreezing"}
THAWING = {"callbacks": [CALLBACK], "trainer.epochs": 3, "optimizer.args.layer_decay": 0.5}


def state_of(folder):
    (models,) = run_folders(folder)
    state = fingerprint(CheckpointFolder(models).load(LAST))
    return {key: state[key] for key in LEARNED}


def moved(before, after):
    return {name for name, value in after.items() if not torch.equal(before[name], value)}


def snapshot(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def groups_of(trainer):
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    return [{names[id(parameter)] for parameter in group} for group in trainer.model.layer_groups()]


@pytest.fixture(scope="module")
def uninterrupted(masks_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(write_config(folder, masks_folder, THAWING)) == 0
    return state_of(folder)


@pytest.mark.parametrize("step", [STEPS - 1, STEPS, STEPS + 1, 2 * STEPS + 3])
def test_a_run_that_was_stopped_around_an_unfreezing_goes_on_exactly(tiny_config, tmp_path, uninterrupted, step):
    config = tiny_config(THAWING)

    assert train(config, ask=Ask(step)) == 75
    assert train(config, "auto") == 0
    assert state_of(tmp_path) == uninterrupted


def test_each_epoch_trains_one_group_more_from_the_end_on(tiny_config):
    trainer = build_trainer(tiny_config({**THAWING, "trainer.ema": None}))
    groups = groups_of(trainer)
    parameters = dict(trainer.model.named_parameters())
    head = set(parameters) - set().union(*groups)
    for epoch in range(2):
        trainer.progress.epoch, trainer.progress.batch = epoch, 0
        before = snapshot(trainer)
        trainer.train_epoch()
        trained = moved(before, snapshot(trainer))

        assert trained & set(parameters) == head.union(*groups[len(groups) - epoch :])
        assert {id(p) for p in trainer.optimizer.state} == {id(parameters[name]) for name in trained & set(parameters)}


@pytest.mark.parametrize("rest", [True, False])
def test_batch_norms_of_frozen_layers_keep_their_statistics_if_asked(tiny_config, rest):
    callback = {**CALLBACK, "args": {"rest_norms": rest}}
    trainer = build_trainer(tiny_config({**THAWING, "callbacks": [callback]}))
    before = snapshot(trainer)
    trainer.train_epoch()
    statistics = {name for name in before if "running" in name}

    assert statistics
    assert (moved(before, snapshot(trainer)) & statistics == set()) is rest
    trainer.progress.epoch, trainer.progress.batch = len(groups_of(trainer)), 0
    trainer.train_epoch()
    assert all(module.training for module in trainer.model.modules() if isinstance(module, _BatchNorm))


def test_the_rates_fall_from_group_to_group(tiny_config):
    trainer = build_trainer(
        tiny_config({**THAWING, "lr_scheduler": None, "optimizer.args.lr": 0.1, "optimizer.args.head_lr": 0.2})
    )
    rates = trainer.learning_rates()
    number = len(groups_of(trainer))

    assert rates["head"] == pytest.approx(0.2)
    found = [rates[f"layers {n}"] for n in range(1, number + 1)]
    assert found == pytest.approx([0.1 * 0.5 ** (number + 1 - n) for n in range(1, number + 1)])


def test_every_parameter_is_in_one_group_of_the_optimiser(tiny_config):
    trainer = build_trainer(tiny_config(THAWING))
    listed = [id(p) for group in trainer.optimizer.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(map(id, trainer.parameters))


def test_a_model_without_groups_is_refused_in_one_line(tiny_config, monkeypatch):
    from model.attributes.model import AttributeModel

    monkeypatch.setattr(AttributeModel, "layer_groups", lambda self: [])
    with pytest.raises(UserError, match=r"optimizer\.args\.layer_decay: AttributeModel does not say which of its layers"):
        build_trainer(tiny_config(THAWING))
    trainer = build_trainer(tiny_config({"callbacks": [CALLBACK]}))
    with pytest.raises(UserError, match="GradualUnfreezing: AttributeModel does not say which of its layers"):
        trainer.fit()


def two_epochs(config):
    """Losses of every step of two epochs with different frozen layers, and the weights."""
    from utils import distributed
    from utils.checkpoint import weights_hash

    trainer, losses = build_trainer(config), []
    step = trainer.train_step
    trainer.train_step = lambda batch: losses.append(step(batch)) or losses[-1]
    for epoch in range(2):
        trainer.progress.epoch, trainer.progress.batch = epoch, 0
        trainer.train_epoch()
    means = [distributed.sum_over_ranks(one["loss"]).item() / distributed.world_size() for one in losses]
    return means, weights_hash(dict(trainer.model.state_dict()))


def test_two_processes_unfreeze_as_one(masks_folder, tmp_path):
    exact = {**THAWING, "arch.args.backbone": "test_convnext", "arch.args.drop_rate": 0.0, "data_loader.args.batch_size": 17}
    mixed = {"data_loader.args.mix": [{"type": "MixUp"}]}  # partners are the same whatever process a sample is on
    paths = []
    for name in "ab":
        (tmp_path / name).mkdir()
        paths.append(write_config(tmp_path / name, masks_folder, exact | mixed))
    ((alone, _),) = on_ranks(tmp_path, 1, two_epochs, paths[0])
    (one, weights), (_, same) = on_ranks(tmp_path, 2, two_epochs, paths[1])

    assert one == pytest.approx(alone, rel=1e-4)
    assert weights == same
