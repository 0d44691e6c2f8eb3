"""The composition root: from a checked experiment to running parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from pydantic import ValidationError

from base.base_callback import CALLBACKS, BaseCallback
from base.base_data_loader import BaseDataLoader
from base.base_fusion import FUSIONS, BaseFusion
from base.base_loss import BaseLoss
from base.base_metric import METRICS, BaseMetric
from base.base_model import BaseModel
from base.base_reader import BaseSubmission
from base.base_trainer import BaseTrainer, Loop
from base.contracts import DataSpec, RunContext
from base.saved.run_folder import RunFolder
from logger.console import ConsoleLogger
from logger.jsonl import JsonlLogger
from trainer.experiment import init_from
from trainer.experiment.budget import require_within
from trainer.experiment.checking import LOGGERS, Experiment
from trainer.experiment.config_model import config_model
from trainer.experiment.init_from import Report
from trainer.training.predict import Inference
from trainer.training.supervised import Parts
from utils import seed
from utils.errors import UserError
from utils.validate import Settings


def build_loader(experiment: Experiment, device: torch.device, spec: DataSpec | None = None) -> BaseDataLoader:
    """Return the loader; it reads no data yet. spec: the data's description in the checkpoint of a trained model."""
    context = RunContext(experiment.config.seed, device.type == "cuda", spec)
    loader: BaseDataLoader = experiment.config.data_loader.build(context)
    return loader


def build_model(experiment: Experiment, spec: DataSpec, fresh: bool = True) -> BaseModel:
    """Return the model with weights from the config's seed. fresh: False if a state will be loaded into the model."""
    seed.seed_everything(experiment.config.seed, "weights")
    arch = experiment.config.arch
    model: BaseModel = (arch if fresh else _without_pretraining(arch)).build(spec)
    return model


def _without_pretraining(value: Any) -> Any:
    """Return a model's part with every argument `pretrained`, at any depth, set to false, so that no weights are downloaded."""
    if isinstance(value, Settings):
        fields = type(value).model_fields
        changed = {name: False if name == "pretrained" else _without_pretraining(getattr(value, name)) for name in fields}
        return value.model_copy(update=changed)
    if isinstance(value, list):
        return [_without_pretraining(item) for item in value]
    return {name: _without_pretraining(item) for name, item in value.items()} if isinstance(value, dict) else value


def build_loss(experiment: Experiment, spec: DataSpec, model: BaseModel) -> BaseLoss:
    """Return the loss for a model, with parameters from the config's seed."""
    seed.seed_everything(experiment.config.seed, "loss")
    loss: BaseLoss = experiment.config.loss.build(spec, model.output_spec)
    return loss


def build_inference(experiment: Experiment, spec: DataSpec) -> Inference:
    """Return the settings of the config for predictions: precision, views and fusion."""
    chosen = experiment.config.fusion
    fusion: BaseFusion = chosen.build(spec) if chosen is not None else FUSIONS.classes["MeanFusion"]()
    return Inference(experiment.config.trainer.precision, [view.build(spec) for view in experiment.config.views], fusion)


def build_metrics(experiment: Experiment, spec: DataSpec) -> list[BaseMetric]:
    """Return the metrics, in the config's order."""
    return [part.build(spec) for part in experiment.config.metrics]


def metrics_of(values: Sequence[Any], spec: DataSpec) -> list[BaseMetric]:
    """Return the metrics of a config's `metrics` list alone. Raises UserError if one is not registered in this project."""
    config_model()  # registers them
    try:
        return [METRICS.part(value["type"]).model_validate(value).build(spec) for value in values]
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError(f"metrics: not known here ({' '.join(str(error).split())[:100]})") from None


def build_submission(experiment: Experiment, spec: DataSpec) -> BaseSubmission | None:
    """Return the writer of the competition's file, None if the config has none."""
    part = experiment.config.submission
    return part.build(spec) if part is not None else None


def submission_problems(experiment: Experiment, loader: BaseDataLoader) -> list[str]:
    """Return the reasons why the samples to predict could not be submitted as they are; none without a submission.

    They are known before training, which needs neither the test set nor the competition's sample file.
    """
    submission = build_submission(experiment, loader.spec)
    if submission is None or "test" not in loader.splits:
        return []
    try:
        submission.require_sample(loader.table("test"), loader.data_dir)
    except UserError as error:
        return [f"submission: {line}" for line in str(error).splitlines()]
    return []


def build_parts(experiment: Experiment, spec: DataSpec, fresh: bool = True) -> tuple[Parts, list[Report]]:
    """Return the parts of a trainer, and reports on the weights that the model begins with.

    fresh: True to begin, with the weights of `init_from` if it is set; False if a state will be loaded.
    """
    model = build_model(experiment, spec, fresh)
    if experiment.config.budget is not None:
        require_within(experiment.config.budget, model)
    begins = experiment.config.init_from if fresh else None
    parents = [] if begins is None else [init_from.initialise(model, begins)]
    loss = build_loss(experiment, spec, model)
    scheduler = experiment.config.lr_scheduler and experiment.config.lr_scheduler.build()
    metrics, inference = build_metrics(experiment, spec), build_inference(experiment, spec)
    return Parts(model, loss, experiment.config.optimizer.build(), scheduler, metrics, inference), parents


def assemble(
    experiment: Experiment,
    loader: BaseDataLoader,
    folder: RunFolder,
    device: torch.device,
    parts: Parts,
    parents: Sequence[Report],
) -> BaseTrainer:
    """Return the trainer of finished parts. parents: reports on the model's first weights."""
    metadata: dict[str, Any] = {
        "config": experiment.raw.values,
        "config_hash": experiment.hash,
        "split_hash": loader.split_hash,
        "fingerprint": loader.fingerprint(),
        "spec": loader.spec.as_json(),
        "parents": [asdict(report) for report in parents],  # the checkpoints of the run's first weights
    }
    loop = Loop(loader, folder, build_callbacks(experiment, loader.spec), device, experiment.config.seed, metadata)
    trainer: BaseTrainer = experiment.config.trainer.build(loop, parts)
    return trainer


def build_trainer(
    experiment: Experiment, loader: BaseDataLoader, folder: RunFolder, device: torch.device, fresh: bool = True
) -> BaseTrainer:
    """Return the trainer. fresh: True to begin, with the weights of `init_from` if it is set; False if a state will be loaded."""
    parts, parents = build_parts(experiment, loader.spec, fresh)
    return assemble(experiment, loader, folder, device, parts, parents)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Refuse operations that are not reproducible, or allow them, in the whole process; restore the former state at the end."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not reproducible, and torch refuses
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def build_callbacks(experiment: Experiment, spec: DataSpec) -> list[BaseCallback]:
    """Return the logs that are always on, the logs that the config switches on, then the config's callbacks."""
    settings = experiment.config.trainer
    chosen = [CALLBACKS.classes[name]() for key, name in LOGGERS.items() if getattr(settings, key)]
    own = [part.build(spec) for part in experiment.config.callbacks]
    return [ConsoleLogger(settings.verbosity), JsonlLogger(), *chosen, *own]
