"""The rehearsal of a run: everything that the run will do, once, on copies, before the run's folder is made."""

from __future__ import annotations

import io
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.base_data_loader import BaseDataLoader
from base.base_trainer import BaseTrainer
from base.monitor import Monitor
from base.predictions import Predictions, not_finite
from base.saved.run_folder import RunFolder
from base.table import some
from trainer.experiment import build
from trainer.experiment.blame import Tried, blaming
from trainer.experiment.checking import Experiment
from trainer.training.contract import checked_terms, require_prediction, require_scores
from trainer.training.predict import evaluating
from trainer.training.supervised import Parts
from utils import distributed, seed
from utils.batch import cut
from utils.device import to_device
from utils.errors import UserError

EXAMPLES = 8  # validation samples that are predicted; all others get copies of their predictions


def rehearse(experiment: Experiment, loader: BaseDataLoader, device: torch.device) -> list[str]:
    """Do once what a run of the experiment does, with real samples on the device; keep nothing of it. Return warnings.

    A trainer of its own, in a temporary folder, takes a step with the largest and with the smallest batch of the first epoch.
    Some validation samples are predicted, through every view; metrics and submission get copies of these predictions for all
    their samples. The states of the random generators are restored. Every process must call it.

    Raises UserError, one line that names the key to change, for everything that fails; samples to predict that cannot be read,
    or a submission that could not be made of them, are warnings: training does without.
    """
    quiet = {"compile": False, "nonfinite": "skip", "tensorboard": False, "wandb": False, "verbosity": 0}
    changes = {"callbacks": [], "trainer": experiment.config.trainer.model_copy(update=quiet)}
    short = replace(experiment, config=experiment.config.model_copy(update=changes))
    with (
        same_random_numbers(),
        tempfile.TemporaryDirectory() as folder,
        build.deterministic(experiment.config.trainer.deterministic),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        with blaming(experiment, "arch"):
            parts, parents = build.build_parts(short, loader.spec)
        with blaming(experiment, "trainer"):
            trainer = build.assemble(short, loader, RunFolder.at(Path(folder)), device, parts, parents)
        parts.loss.__dict__["terms"] = checked_terms(parts.loss)  # of this loss alone
        predictions = _predict(experiment, loader, device, parts)
        _train(experiment, loader, device, trainer)
        if predictions is None:
            return []
        return distributed.on_main(lambda: _judge(experiment, loader, parts, predictions))


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Restore the states of the generators of Python, NumPy and torch, on every device, at the end of the `with` block."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _predict(experiment: Experiment, loader: BaseDataLoader, device: torch.device, parts: Parts) -> Predictions | None:
    """Return predictions of some validation samples, None if there is none; check them and the losses against the contracts."""
    order = loader.evaluation_order("valid")
    if not order:
        return None
    with blaming(experiment, "data_loader"):
        batch = loader.example("valid", max(order, key=len)[:EXAMPLES])
    ids = [str(row) for row in batch["index"].tolist()]
    by_view: list[Predictions] = []
    with blaming(experiment, "arch", Tried.of(batch)), evaluating(parts.model, parts.loss):
        looks = parts.inference.look(parts.model, batch["image"].to(device), batch.get("geometry"))
        try:
            for outputs, prediction in looks:
                require_prediction(parts.model, prediction, len(ids), loader.spec)
                if not by_view and batch["target"]:
                    parts.loss.terms(outputs, to_device(batch["target"], device))
                by_view.append(Predictions.of(ids, prediction))
        except (RuntimeError, AssertionError, IndexError) as error:
            if not by_view:  # the plain view: not a matter of test-time augmentation
                raise
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"views[{len(by_view) - 1}]: the model does not take such pictures ({reason})") from None
    with blaming(experiment, "fusion"):
        return parts.inference.fuse(by_view)


def _train(experiment: Experiment, loader: BaseDataLoader, device: torch.device, trainer: BaseTrainer) -> None:
    """Take a step with the largest batch of the first epoch, and with so much of it as the smallest batch has."""
    order = loader.order(0)
    sizes = [len(rows) for rows in order]
    number, smallest = int(np.argmax(sizes)), int(np.argmin(sizes))
    own = np.array_split(order[number], distributed.world_size())[distributed.rank()]
    with blaming(experiment, "data_loader"):
        batch = to_device(loader.example("train", own), device)
    for place in dict.fromkeys((number, smallest) if sizes[smallest] < sizes[number] else (number,)):
        piece = cut(batch, 0, distributed.shares(sizes[place])[distributed.rank()])
        trainer.progress.batch = place  # the trainer looks up the size of the global batch
        seed.seed_everything(experiment.config.seed, "step", 0, distributed.rank())
        with blaming(experiment, "trainer", Tried.of(piece)):
            trainer.train_step(piece)


def _judge(experiment: Experiment, loader: BaseDataLoader, parts: Parts, predictions: Predictions) -> list[str]:
    """Compute every metric, look for the monitored score, and make the submission, from copies of some predictions.

    Returns warnings about the submission.
    """
    if not_finite(predictions):
        return []  # the loop names the samples
    table = loader.table("valid")
    whole = _copies(predictions, table.ids())
    fitted: dict[str, Any] = {}
    scores: dict[str, float] = {}
    for index, metric in enumerate(parts.metrics):
        with blaming(experiment, f"metrics[{index}]"):
            fitted[metric.state_key] = metric.fit(whole, table)
            metric.use(fitted[metric.state_key])
            made = metric.compute(whole, table)
            require_scores(f"metrics[{index}]", metric, made)
            scores |= made
    _require_monitored(experiment, parts, scores)
    return _submit(experiment, loader, parts, fitted, predictions)


def _require_monitored(experiment: Experiment, parts: Parts, scores: Mapping[str, float]) -> None:
    """Raise UserError if the monitored score is one that the validation samples cannot have."""
    monitor = Monitor(experiment.config.trainer.monitor)
    name = monitor.name.removeprefix("val/")
    possible = {name for metric in parts.metrics for name in metric.names}
    if monitor.mode != "off" and name in possible and name not in scores:
        given = some([f"val/{each}" for each in sorted(scores)], 8) or "no score"
        raise UserError(
            f"trainer.monitor: no validation sample has what {monitor.name} compares with; these samples give: {given}; "
            "validate on other samples (data_loader.args), or watch another score"
        )


def _submit(
    experiment: Experiment, loader: BaseDataLoader, parts: Parts, fitted: Mapping[str, Any], predictions: Predictions
) -> list[str]:
    """Make the content of the submission from copies of predictions; return warnings."""
    if "test" not in loader.splits:
        return []
    key = "data_loader.args.test_reader"
    try:
        with blaming(experiment, key):
            table = loader.table("test")
        key = "submission"
        with blaming(experiment, key):
            submission = build.build_submission(experiment, loader.spec)
            answers = _copies(predictions, table.ids())
            for metric in parts.metrics:
                answers = metric.adjust(answers)
            if submission is not None:
                submission.content(answers, table, fitted, loader.data_dir)
    except UserError as error:
        if error.__cause__ is not None:  # no matter of the data: the code failed
            raise
        return [f"warning: {key}: {str(error).removeprefix(f'{key}: ')}"]
    return []


def _copies(predictions: Predictions, ids: Sequence[str]) -> Predictions:
    """Return predictions for all these samples: those of a few, again and again."""
    rows = np.arange(len(ids)) % len(predictions)
    return predictions.take(rows).renamed(ids)
