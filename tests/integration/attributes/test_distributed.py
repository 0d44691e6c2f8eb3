"""Several processes: the same training as one, the same evaluation to the last bit, and an end together."""

import dataclasses
import json
import math
import os
import signal
import time

import numpy as np
import pytest
import torch
from torch import nn

from base.base_loss import LOSSES, BaseLoss, mean_term
from tests.attributes.tiny import write_config
from tests.helpers import Script, build_trainer, on_ranks, run, run_folders, start_job
from utils import distributed
from utils.checkpoint import CheckpointFolder, weights_hash
from utils.checkpoint_names import BEST, LAST

# Layer norm instead of batch norm, whose statistics are those of a process's own samples; and no dropout, whose are too.
EXACT = {"arch.args.backbone": "test_convnext", "arch.args.drop_rate": 0.0, "trainer.epochs": 1}
EXACT |= {"data_loader.args.batch_size": 17}  # 5 batches of 17, 17, 17, 17, 16
CPU = torch.device("cpu")


@pytest.fixture
def config(masks_folder, tmp_path):
    """`config(changes, name)` writes a tiny config into a folder of that name."""

    def write(changes=None, name="a"):
        (tmp_path / name).mkdir(exist_ok=True)
        return write_config(tmp_path / name, masks_folder, changes)

    return write


# Training -----------------------------------------------------------------------------------------------------------


class CentreLoss(BaseLoss):
    """A loss with a parameter of its own, over labels of which a process may know few or none."""

    def __init__(self, unknown: int = 0):
        super().__init__()
        self.unknown = unknown
        self.centre = nn.Parameter(torch.zeros(3))

    def terms(self, outputs, target):
        logits, labels = outputs["mask"], target["mask"]
        values = (logits - self.centre).square().sum(1) * (labels + 1)
        others = (outputs["gender"].square().sum(1) + outputs["age"].square().sum(1)) * 0.1
        known = target.get("known", labels >= 0)
        return {"mask": mean_term(values, known.float()), "others": mean_term(others)}


def train(config, unknown=0, value=None):
    """Losses of every step of an epoch, the final weights, and the rows that this process trained on.

    Of every global batch the first `unknown` labels of the mask are not known. value: put into a picture of the last process.
    """
    if CentreLoss.__name__ not in LOSSES.classes:  # in a process of its own, so that no other test finds it registered
        LOSSES.register("attributes")(CentreLoss)
    trainer = build_trainer(config)
    losses, rows = [], []
    real = trainer.loader.train

    def batches(epoch, start=0):
        for number, batch in enumerate(real(epoch, start), start):
            positions = np.flatnonzero(np.isin(trainer.loader.order(epoch)[number], batch["index"].numpy()))
            batch["target"]["known"] = torch.from_numpy(positions) >= unknown
            rows.append(batch["index"].tolist())
            if value is not None and number == 2 and distributed.rank() == distributed.world_size() - 1:
                batch["image"] = batch["image"].float()
                batch["image"][0] = value
            yield batch

    trainer.loader.train = batches
    step = trainer.train_step
    trainer.train_step = lambda batch: losses.append(step(batch)) or losses[-1]
    problem = ""
    try:
        trainer.train_epoch()
        scores = trainer.score()
    except Exception as error:
        problem, scores = str(error), {}
    means = [distributed.sum_over_ranks(step["loss"]).item() / distributed.world_size() for step in losses]
    weights = weights_hash({**trainer.model.state_dict(), **trainer.loss.state_dict(), **trainer.ema.state_dict()})
    name = trainer.loader.table("train").id(rows[-1][0])
    return {"losses": means, "weights": weights, "rows": rows, "scores": scores, "problem": problem, "name": name}


@pytest.mark.parametrize(("number", "accumulate"), [(2, 1), (2, 3), (3, 3)])
def test_several_processes_train_as_one(config, tmp_path, number, accumulate):
    changes = {**EXACT, "trainer.accumulate": accumulate}
    (alone,) = on_ranks(tmp_path, 1, train, config(changes))
    together = on_ranks(tmp_path, number, train, config(changes, "b"))

    parts = zip(*(one["rows"] for one in together), strict=True)
    assert [[row for rows in part for row in rows] for part in parts] == alone["rows"]
    assert together[0]["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert together[0]["scores"]["val/loss"] == pytest.approx(alone["scores"]["val/loss"], rel=1e-4)
    assert len({one["weights"] for one in together}) == 1


def train_each(config, several):
    return [train(config, unknown) for unknown in several]


def test_a_loss_with_parameters_and_unknown_labels_equals_that_of_one_process(config, tmp_path):
    changes = {**EXACT, "loss": {"type": "CentreLoss"}, "trainer.accumulate": 1}
    several = [0, 5, 9, 16, 17]  # none, some, all of the first process's, all but one, all
    (alone,) = on_ranks(tmp_path, 1, train_each, config(changes), several)
    one, two = on_ranks(tmp_path, 2, train_each, config(changes, "b"), several)

    for expected, here, there in zip(alone, one, two, strict=True):
        assert here["problem"] == ""
        assert here["losses"] == pytest.approx(expected["losses"], rel=1e-4)
        assert here["weights"] == there["weights"]


def test_accumulation_over_unequal_shares_gives_the_losses_of_one_process(config, tmp_path):
    changes = {**EXACT, "data_loader.args.batch_size": 3, "trainer.accumulate": 2}  # two samples here, one there
    (alone,) = on_ranks(tmp_path, 1, train, config({**changes, "trainer.accumulate": 1}))
    together = on_ranks(tmp_path, 2, train, config(changes, "b"))

    assert together[0]["losses"] == pytest.approx(alone["losses"], rel=1e-3)


def test_a_picture_that_is_not_finite_on_one_process_stops_all_and_is_named_by_all(config, tmp_path):
    together = on_ranks(tmp_path, 2, train, config(EXACT), 0, math.nan)
    name = together[1]["name"]

    assert [f"not finite, for {name};" in one["problem"] for one in together] == [True, True], together


# Evaluation ---------------------------------------------------------------------------------------------------------


def evaluate(config, numbers):
    """Predictions and losses for the first so many validation samples, in batches of 2."""
    from trainer.training.predict import predict

    trainer = build_trainer(config)
    trainer.model.train()
    trainer.model(torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8) * distributed.rank())  # statistics drift apart
    trainer.ema.update(0)
    trainer.loader.batches.batch_size = 2
    samples, found = trainer.loader.samples, []
    sides = samples.sides
    for number in numbers:
        trainer.loader.close()
        samples._sides = dataclasses.replace(sides, valid=sides.valid.take(list(range(number))))
        distributed.same_everywhere(trainer.evaluated.buffers())
        predictions, losses = predict(trainer.evaluated, trainer.loader, "valid", CPU, trainer.inference, trainer.loss)
        columns = None if predictions is None else {n: predictions.array(n).tobytes() for n in predictions.names}
        found.append((predictions and predictions.ids(), columns, losses))
    return found


def test_the_evaluation_is_identical_to_that_of_one_process(config, tmp_path):
    numbers, uncached = [1, 2, 3, 5, 17], {"data_loader.args.cache_mb": 0}
    (alone,) = on_ranks(tmp_path, 1, evaluate, config(uncached), numbers)
    for processes in (2, 3):
        together = on_ranks(tmp_path, processes, evaluate, config(uncached, str(processes)), numbers)

        assert together[0] == alone
        assert all([losses for _, _, losses in other] == [losses for _, _, losses in alone] for other in together[1:])
        assert all(ids is None for other in together[1:] for ids, _, _ in other)


# Starting -----------------------------------------------------------------------------------------------------------


def start_again():
    """The second start of a job, whose process 1 comes late: process 0 has time to look for it."""
    number = distributed.rank()
    distributed.any_rank(False)  # all have started once
    distributed.finish()
    time.sleep(number)
    distributed.initialise("cpu")
    return distributed.gather(torch.tensor(number)).tolist()


def test_processes_of_a_restarted_job_find_each_other(tmp_path):
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's, kept all along
    kept = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": str(store.port)}

    assert on_ranks(tmp_path, 2, start_again, environment=kept) == [[0, 1], [0, 1]]


# Whole jobs ---------------------------------------------------------------------------------------------------------


def steps(folder):
    logs = list((folder / "saved" / "log").glob("*/*/log.jsonl"))
    return logs[0].read_text().count('"kind": "step"') if logs else 0


def result(folder):
    """Hashes of the final weights and average, and the log."""
    (models,) = run_folders(folder)
    state = CheckpointFolder(models).load(LAST)
    log = (folder / "saved" / "log" / "tiny" / models.name / "log.jsonl").read_text()
    return weights_hash(state["model"]), weights_hash(state["ema"]), log


@pytest.fixture(scope="module")
def uninterrupted(masks_folder, tmp_path_factory):
    """The folder of a job of two processes that nobody stops."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    for script in start_job(folder, 2, "train.py", "-c", write_config(folder, masks_folder)):
        assert script.wait().status == 0
    return folder


def test_a_job_of_which_one_process_is_asked_to_stop_stops_together_and_goes_on_exactly(config, tmp_path, uninterrupted):
    path, folder = config(), tmp_path / "a"
    job = start_job(folder, 2, "train.py", "-c", path)
    job[1].wait_for(lambda: steps(folder) >= 3)
    job[1].signal(signal.SIGTERM)

    assert [script.wait().status for script in job] == [75, 75]
    assert [script.wait().status for script in start_job(folder, 2, "train.py", "-c", path, "-r", "auto")] == [0, 0]
    assert result(folder) == result(uninterrupted)


def test_the_best_of_a_job_is_reproduced_by_one_process(uninterrupted, tmp_path):
    (models,) = run_folders(uninterrupted)
    assert run(tmp_path, "test.py", "-r", models, "--split", "valid", "-o", tmp_path / "out").status == 0
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())
    stored = CheckpointFolder(models).load(BEST)["scores"]

    assert {f"val/{name}": value for name, value in scores.items()} == {k: v for k, v in stored.items() if k.startswith("val/")}


def test_a_process_that_is_killed_ends_the_job_in_one_line(config, tmp_path):
    path, folder = config({"trainer.epochs": 50}), tmp_path / "a"
    job = start_job(folder, 2, "train.py", "-c", path)
    job[0].wait_for(lambda: steps(folder) >= 2)
    start = time.monotonic()
    job[1].signal(signal.SIGKILL)
    ended = job[0].wait(60)

    assert ended.status == 1
    assert time.monotonic() - start < 60
    assert len(ended.lines) == 1, ended.errors
    assert "process 0: another process of this run has ended" in ended.errors
    (models,) = run_folders(folder)
    assert CheckpointFolder(models).load_newest()[0] == LAST


def test_an_error_on_the_main_process_ends_all_processes_with_its_message(config, tmp_path):
    path, folder = config(), tmp_path / "a"
    (folder / "saved").write_text("a file where a folder should be")
    ended = [script.wait() for script in start_job(folder, 2, "train.py", "-c", path)]

    assert [(one.status, len(one.lines)) for one in ended] == [(2, 1), (2, 1)], ended
    assert all("cannot make a run folder" in one.errors for one in ended)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are found in /proc")
def test_torchrun_starts_a_job_again_when_a_process_is_killed(config, tmp_path, uninterrupted):
    path, folder = config(), tmp_path / "a"
    launcher = ["--standalone", "--nproc_per_node=2", "--max-restarts=1"]
    torchrun = Script(folder, "-m", "torch.distributed.run", *launcher, "train.py", "-c", path, "-r", "auto", "-d", "cpu")
    torchrun.wait_for(lambda: steps(folder) >= 3, 180)  # Python is started anew, and later once more
    os.kill(torchrun.children()[1], signal.SIGKILL)

    ended = torchrun.wait(180)
    assert ended.status == 0, ended.errors
    assert result(folder) == result(uninterrupted)
