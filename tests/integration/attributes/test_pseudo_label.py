"""Rounds of pseudo-labels: what they train on, what they leave alone, and that a kill at any moment changes nothing."""

import csv
import os
import signal

import pytest

from tests.attributes.tiny import write_config
from tests.helpers import build_trainer, on_ranks, run_folders
from tests.integration.attributes.test_resume import LEARNED, STEPS, Ask, fingerprint, train
from trainer.training import pseudo_label
from utils import distributed
from utils.checkpoint import CheckpointFolder, weights_hash
from utils.checkpoint_names import LAST
from utils.config import ConfigError
from utils.errors import UserError

# An epoch on the labelled samples, then two rounds of one epoch each.
ROUNDS = {
    "trainer.type": "PseudoLabelTrainer", "trainer.epochs": 3, "trainer.labelled_epochs": 1, "trainer.round_epochs": 1,
    "trainer.threshold": 0.0, "trainer.share": 0.5, "trainer.weight": 0.5,
}  # fmt: skip


def outcome(folder):
    """Weights, optimiser, choice and log of a run, and the files with what each round chose."""
    (models,) = run_folders(folder)
    state = fingerprint(CheckpointFolder(models).load(LAST))
    log = folder / "saved" / "log" / "tiny" / models.name / "log.jsonl"
    files = {path.name: path.read_text() for path in models.glob("pseudo-labels-*.csv")}
    return {key: state[key] for key in (*LEARNED, "pseudo_labels")}, log.read_text().splitlines(), files


@pytest.fixture(scope="module")
def uninterrupted(masks_folder, tmp_path_factory):
    """The outcome of a run that nobody stops."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(write_config(folder, masks_folder, ROUNDS)) == 0
    return outcome(folder)


@pytest.mark.parametrize("step", [STEPS, STEPS + 3, 2 * STEPS + 1], ids=["before the first round", "in it", "in the second"])
def test_a_run_that_was_stopped_goes_on_exactly(tiny_config, tmp_path, uninterrupted, step):
    config = tiny_config(ROUNDS)

    assert train(config, ask=Ask(step)) == 75
    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


def test_a_run_that_was_stopped_while_it_predicted_goes_on_exactly(tiny_config, tmp_path, uninterrupted, monkeypatch):
    config, real = tiny_config(ROUNDS), pseudo_label.predict

    def stopped(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **options)

    monkeypatch.setattr(pseudo_label, "predict", stopped)
    assert train(config) == 75
    monkeypatch.setattr(pseudo_label, "predict", real)
    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("moment", ["_surest", "_adopt"])
def test_a_run_that_crashed_while_it_chose_goes_on_exactly(tiny_config, tmp_path, uninterrupted, monkeypatch, moment):
    config, real = tiny_config(ROUNDS), getattr(pseudo_label.PseudoLabelTrainer, moment)

    def crash(trainer, *args):
        real(trainer, *args)
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(pseudo_label.PseudoLabelTrainer, moment, crash)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(config)
    monkeypatch.setattr(pseudo_label.PseudoLabelTrainer, moment, real)
    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


def test_each_round_says_what_it_chose(uninterrupted):
    files = uninterrupted[2]
    rows = list(csv.DictReader(files["pseudo-labels-2.csv"].splitlines()))

    assert sorted(files) == ["pseudo-labels-1.csv", "pseudo-labels-2.csv"]
    assert list(rows[0]) == ["id", "label", "class", "confidence"]
    assert {row["label"] for row in rows} == {"mask", "gender"}
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)


def test_pseudo_labelled_samples_never_reach_validation(tiny_config):
    trainer = build_trainer(tiny_config({**ROUNDS, "trainer.share": 1.0}))
    valid, shown, trained = trainer.loader.table("valid").ids(), [], set()
    real_evaluation, real_step = trainer.loader.evaluation, trainer.train_step

    def evaluation(split):
        for number, batch in real_evaluation(split):
            table = trainer.loader.table(split)
            shown.extend(table.id(row) for row in batch["index"].tolist() if split == "valid")
            yield number, batch

    def step(batch):
        table = trainer.loader.table("train")
        trained.update(table.id(row) for row in batch["index"].tolist())
        return real_step(batch)

    trainer.loader.evaluation, trainer.train_step = evaluation, step
    counts = trainer.loader.spec.counts
    assert trainer.fit() == 0

    pseudo = {name for name in trained if name.startswith("test:")}
    assert {name.removeprefix("test:") for name in pseudo} == set(trainer.loader.table("test").ids())
    assert shown == valid * 3
    assert not trained & set(valid)
    assert trainer.loader.spec.counts == counts
    assert trainer.predictions.ids() == valid


def test_labels_that_test_samples_have_are_not_looked_at(tiny_config, monkeypatch):
    trainer = build_trainer(tiny_config(ROUNDS))
    table = trainer.loader.table("test").with_column("mask", [0] * len(trainer.loader.table("test")))
    trainer.loader.samples._test = table
    monkeypatch.setattr(table, "numbers", lambda name: pytest.fail(f"looked at {name}"))
    assert trainer.fit() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer.split": "valid"}, r'trainer\.split: found "valid"; allowed, samples without labels: test'),
        ({"data_loader.args.test_reader": None}, r"trainer\.split: AttributeLoader has no samples to label"),
    ],
)
def test_a_split_that_may_not_be_labelled_is_refused(tiny_config, changes, message):
    with pytest.raises(UserError, match=message):
        build_trainer(tiny_config(ROUNDS | changes))


def test_a_run_without_any_round_is_refused(tiny_config):
    with pytest.raises(ConfigError, match="epochs above labelled_epochs, or there is no round"):
        build_trainer(tiny_config({**ROUNDS, "trainer.labelled_epochs": 3}))


def test_a_run_does_not_go_on_with_other_samples_to_label(tiny_config):
    trainer = build_trainer(tiny_config(ROUNDS))
    trainer.progress.epoch = 1
    trainer._choose()
    state = trainer.state_dict()
    other = build_trainer(tiny_config(ROUNDS))
    other.loader.samples._test = other.loader.table("test").take([0, 1])
    with pytest.raises(UserError, match="the samples of test are not those that the checkpoint has labels for"):
        other.load_state_dict(state)


def first_round(config):
    """The rows chosen with the first weights, the losses of an epoch with them, and the weights then."""
    trainer, losses = build_trainer(config), []
    step = trainer.train_step
    trainer.train_step = lambda batch: losses.append(step(batch)) or losses[-1]
    trainer.train_epoch()
    means = [distributed.sum_over_ranks(one["loss"]).item() / distributed.world_size() for one in losses]
    return trainer.chosen.labels.rows.tolist(), means, weights_hash(dict(trainer.model.state_dict()))


def test_two_processes_choose_and_train_as_one(masks_folder, tmp_path):
    exact = {**ROUNDS, "arch.args.backbone": "test_convnext", "arch.args.drop_rate": 0.0, "data_loader.args.batch_size": 17}
    exact |= {"trainer.labelled_epochs": 0, "trainer.accumulate": 1}
    paths = []
    for name in "ab":
        (tmp_path / name).mkdir()
        paths.append(write_config(tmp_path / name, masks_folder, exact))
    ((rows, alone, _),) = on_ranks(tmp_path, 1, first_round, paths[0])
    (ours, one, weights), (theirs, _, same) = on_ranks(tmp_path, 2, first_round, paths[1])

    assert rows and ours == theirs == rows
    assert one == pytest.approx(alone, rel=1e-4)
    assert weights == same
