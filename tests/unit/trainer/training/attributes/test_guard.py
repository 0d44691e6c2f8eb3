"""Values that are not finite, in pictures, losses, gradients and scores."""

import math

import pytest
import torch

from base.base_callback import BaseCallback
from tests.helpers import build_trainer
from trainer.training.guard import FiniteGuard, NotFinite
from utils.checkpoint import weights_hash
from utils.checkpoint_names import BEST, LAST

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of")
CPU = torch.device("cpu")


class Watch(BaseCallback):
    """Remembers what there is to know after each step."""

    def __init__(self):
        self.hashes, self.losses = [], []

    def on_step(self, trainer, losses):
        self.hashes.append(everything(trainer))
        self.losses.append(losses)


def everything(trainer):
    """Hashes of weights and batch-norm statistics, of their average, and of the optimiser's moments."""
    moments = {f"{n} {k}": v for n, state in enumerate(trainer.optimizer.state.values()) for k, v in state.items()}
    return weights_hash(trainer.model.state_dict()), weights_hash(trainer.ema.module.state_dict()), weights_hash(moments)


def poison(monkeypatch, trainer, batches, row=None, value=math.nan):
    """Put `value` into the pictures of these training batches: those of one row, or all."""
    real = trainer.loader.train

    def train(epoch, start=0):
        for number, batch in enumerate(real(epoch, start), start):
            if number in batches:
                image = batch["image"].float()
                image[slice(None) if row is None else row] = value
                batch = {**batch, "image": image}
            yield batch

    monkeypatch.setattr(trainer.loader, "train", train)


@pytest.fixture
def trainer_of(tiny_config):
    def build(**changes):
        trainer = build_trainer(tiny_config({"trainer.epochs": 1, **{f"trainer.{key}": value for key, value in changes.items()}}))
        trainer.watch = Watch()
        trainer.callbacks.append(trainer.watch)
        return trainer

    return build


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_picture_that_is_not_finite_stops_the_run_and_is_named(trainer_of, monkeypatch, value):
    trainer = trainer_of()
    poison(monkeypatch, trainer, {2}, row=3, value=value)
    name = trainer.loader.table("train").id(int(trainer.batches[2][3]))

    with pytest.raises(NotFinite, match=r"epoch 1, batch 2: the loss or its gradient is not finite, for ") as error:
        trainer.fit()
    assert f"not finite, for {name};" in str(error.value)
    assert error.value.status == 1
    assert trainer.folder.status.startswith("NotFinite")


def test_a_run_that_stopped_leaves_weights_from_before(trainer_of, monkeypatch):
    trainer = trainer_of(save_steps=1)
    poison(monkeypatch, trainer, {2})
    with pytest.raises(NotFinite):
        trainer.fit()
    state = trainer.folder.checkpoints.load(LAST)

    assert state["progress"]["step"] == 2
    assert weights_hash(state["model"]) == trainer.watch.hashes[1][0]
    assert not (trainer.folder.models / BEST).exists()


def test_a_gradient_that_is_not_finite_names_the_whole_batch(trainer_of):
    trainer = trainer_of()
    trainer.parameters[0].register_hook(lambda gradient: gradient * math.inf if trainer.progress.batch == 1 else gradient)
    first = trainer.loader.table("train").id(int(trainer.batches[1][0]))

    with pytest.raises(NotFinite, match=r"batch 1: .* and 9 more;") as error:
        trainer.fit()
    assert first in str(error.value)


def test_a_step_that_is_skipped_moves_nothing(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip")
    poison(monkeypatch, trainer, {2, 3})
    assert trainer.fit() == 0

    hashes = trainer.watch.hashes
    assert hashes[1] == hashes[2] == hashes[3]
    assert len(set(hashes)) == len(hashes) - 2
    assert [bool(losses) for losses in trainer.watch.losses] == [True, True, False, False, True, True]
    assert all(math.isfinite(value) for value in trainer.scores.values())


def test_too_many_steps_skipped_in_a_row_end_the_run(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip", max_skips=2)
    poison(monkeypatch, trainer, {1, 2, 3})

    with pytest.raises(NotFinite, match="epoch 1, batch 3"):
        trainer.fit()


def test_skips_with_good_steps_between_them_do_not_add_up(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip", max_skips=1)
    poison(monkeypatch, trainer, {0, 2, 4})

    assert trainer.fit() == 0


def test_skips_before_a_resume_count(trainer_of, monkeypatch, tiny_config):
    trainer = trainer_of(nonfinite="skip", max_skips=2, save_steps=1)
    poison(monkeypatch, trainer, {1, 2, 3})
    with pytest.raises(NotFinite):
        trainer.fit()
    resumed = build_trainer(tiny_config({"trainer.epochs": 1, "trainer.nonfinite": "skip", "trainer.max_skips": 2}))
    resumed.load_state_dict(trainer.folder.checkpoints.load(LAST))
    poison(monkeypatch, resumed, {3})

    with pytest.raises(NotFinite, match="batch 3"):
        resumed.fit()


def test_where_the_device_is_not_waited_for_the_bad_step_is_found_before_anything_is_saved(trainer_of, monkeypatch):
    trainer = trainer_of(log_every=5, save_steps=4)
    trainer.guard.at_once = False  # as on a GPU
    poison(monkeypatch, trainer, {1})
    names = [trainer.loader.table("train").id(int(row)) for row in trainer.batches[1]]

    with pytest.raises(NotFinite, match="epoch 1, batch 1: ") as error:
        trainer.fit()
    assert names[0] in str(error.value)
    assert trainer.folder.checkpoints.load(LAST)["progress"]["step"] == 0


def test_where_the_device_is_not_waited_for_nothing_is_validated_after_a_bad_step(trainer_of, monkeypatch):
    trainer = trainer_of(log_every=100)
    trainer.guard.at_once = False
    poison(monkeypatch, trainer, {5})
    monkeypatch.setattr(trainer, "evaluate", lambda: pytest.fail("validated"))

    with pytest.raises(NotFinite, match="epoch 1, batch 5: "):
        trainer.fit()


def poison_validation(monkeypatch, trainer):
    """Spoil the first batch of the second epoch's validation."""
    real = trainer.loader.evaluation

    def evaluation(split):
        for number, batch in real(split):
            bad = trainer.progress.epoch == 1 and number == 0
            yield number, {**batch, "image": batch["image"] * math.nan} if bad else batch

    monkeypatch.setattr(trainer.loader, "evaluation", evaluation)


@pytest.mark.parametrize("monitor", ["min val/loss", "max val/f1"])
def test_a_validation_that_is_not_finite_is_never_the_best(trainer_of, monkeypatch, monitor):
    trainer = trainer_of(epochs=2, monitor=monitor, nonfinite="skip")
    poison_validation(monkeypatch, trainer)
    assert trainer.fit() == 0

    assert trainer.monitor.best_epoch == 0
    assert trainer.folder.checkpoints.load(BEST)["progress"]["epoch"] == 1
    assert trainer.scores[monitor.split()[1]] is None


def test_a_run_in_which_every_step_was_skipped_says_that_no_weight_has_moved_and_fails(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip", monitor="max val/f1")
    poison(monkeypatch, trainer, set(range(len(trainer.batches))))
    assert trainer.fit() == 1

    text = (trainer.folder.log / "log.txt").read_text()
    assert "warning: no weight has moved: the loss or its gradient was not finite in any batch" in text
    assert "nothing learned after 1 epochs" in text and "-r auto" not in text
    assert trainer.folder.status == "nothing learned" and not trainer.folder.finished


def test_a_run_without_a_best_epoch_fails(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip", monitor="max val/f1")
    monkeypatch.setattr(trainer, "evaluate", lambda: {"val/f1": math.nan})
    assert trainer.fit() == 1

    assert "warning: no epoch has a val/f1 that is a number" in (trainer.folder.log / "log.txt").read_text()


def test_a_validation_that_is_not_finite_stops_the_run_where_nothing_is_skipped(trainer_of, monkeypatch):
    trainer = trainer_of(epochs=2)
    poison_validation(monkeypatch, trainer)

    with pytest.raises(NotFinite, match=r"epoch 2: the predictions for 0000.* and 11 more are not finite"):
        trainer.fit()
    assert trainer.folder.checkpoints.load(BEST)["progress"]["epoch"] == 1


def test_the_scaler_of_fp16_goes_on_after_a_skipped_step(trainer_of, monkeypatch):
    trainer = trainer_of(nonfinite="skip", precision="fp16")
    poison(monkeypatch, trainer, {1, 2})

    assert trainer.fit() == 0
    assert trainer.scaler.get_scale() < 2.0**16


def test_an_fp16_run_whose_gradients_never_fit_ends(trainer_of):
    trainer = trainer_of(precision="fp16", epochs=6)
    trainer.parameters[0].register_hook(lambda gradient: gradient * math.inf)

    with pytest.raises(NotFinite, match=r'trainer\.precision: in "fp16" the gradients overflow'):
        trainer.fit()


@pytest.mark.parametrize(("loss", "norm", "fine"), [(1.0, 1.0, True), (math.nan, 1.0, False), (1.0, math.inf, False)])
def test_loss_and_norm_must_both_be_finite(loss, norm, fine):
    guard = FiniteGuard("stop", 0, CPU)

    assert guard.passes(torch.tensor(loss), torch.tensor(norm), 0) is fine


def test_the_first_bad_step_is_remembered_where_nobody_waits():
    guard = FiniteGuard("stop", 0, CPU)
    guard.at_once = False
    losses = [1.0, math.nan, 1.0, math.nan]

    assert all(guard.passes(torch.tensor(loss), torch.tensor(1.0), step) for step, loss in enumerate(losses))
    assert guard.first_bad() == 1
