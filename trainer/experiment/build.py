"""The composition root: from a config to a checked experiment, from an experiment to running parts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from base.base_callback import CALLBACKS, BaseCallback
from base.base_data_loader import LOADERS, BaseDataLoader, Folds
from base.base_fusion import FUSIONS, BaseFusion
from base.base_loss import BaseLoss
from base.base_metric import METRICS, BaseMetric
from base.base_model import BaseModel
from base.base_reader import BaseSubmission
from base.base_trainer import BaseTrainer, Loop
from base.contracts import DataSpec, RunContext
from base.monitor import Monitor
from base.registry import AnyPart, Checked, named
from base.saved.names import ONNX, PROGRAM
from base.saved.run_folder import RunFolder
from logger.console import ConsoleLogger
from logger.jsonl import JsonlLogger
from model.exporting import exported
from model.exporting.exported import ExportedModel, UndecodedModel
from trainer.experiment import init_from
from trainer.experiment.budget import require_within
from trainer.experiment.config_model import REPLACED, config_model, with_trainer_type
from trainer.experiment.conflicts import conflicts, same_scores
from trainer.training.predict import Inference
from trainer.training.supervised import Parts
from utils import checkpoint, config, files, seed
from utils.config import ConfigError, KeyPath, Overrides, Problem, RawConfig
from utils.errors import UserError
from utils.validate import Settings, validate

LOGGERS = {"tensorboard": "TensorBoardLogger", "wandb": "WandbLogger"}


@dataclass(frozen=True)
class Experiment:
    """A config that holds: every key known, every argument checked, every part of the same task."""

    raw: RawConfig
    config: Any  # the pydantic model of `config_model`

    @property
    def hash(self) -> str:
        """The SHA-256 of the config's values."""
        return files.hash_json(self.raw.values)


# Checking -----------------------------------------------------------------------------------------------------------


def check(raw: RawConfig) -> Experiment:
    """Return the experiment of a config; build no part and read no data. Raises ConfigError with all problems of the config."""
    raw = dataclasses.replace(raw, values=with_trainer_type(raw.values))
    checked = _validated(raw)
    problems = [*_mixed_tasks(raw, checked), *_inner_problems(raw, checked), *_conflicts(raw, checked)]
    if not problems:
        problems = [*_wrong_scores(raw, checked)]
    if problems:
        raise ConfigError(problems)
    return Experiment(raw, checked)


def _validated(raw: RawConfig) -> Any:
    """Return the config as a validated model of only the classes that it names, so that no other class is imported."""
    try:
        return validate(config_model(named(raw.values)), raw, REPLACED)
    except ConfigError:
        return validate(config_model(), raw, REPLACED)  # knows everything that could have been meant


def _placed_parts(value: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, AnyPart]]:
    """Yield every part of a config with its key, including the parts within parts."""
    if isinstance(value, AnyPart):
        yield key, value
        key, value = (*key, *value.place), value.arguments
    if isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from _placed_parts(getattr(value, name), (*key, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _placed_parts(item, (*key, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _placed_parts(item, (*key, index))


def _mixed_tasks(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the parts that do not serve the task of the data."""
    tasks = LOADERS.tasks(checked.data_loader.type)
    for key, part in _placed_parts(checked):
        serves = part.registry.tasks(part.type) if part.registry is not None else frozenset()
        if tasks and serves and not tasks & serves:
            given = f"{checked.data_loader.type} gives {', '.join(sorted(tasks))}"
            message = f"{part.type} serves {', '.join(sorted(serves))}, but {given}"
            yield Problem(raw.origin((*key, "type")), config.key_text((*key, "type")), message)


def _inner_problems(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the problems that the classes report between their arguments and the declared data."""
    spec = declared_spec(checked)
    for key, part in _placed_parts(checked):
        problems = part.cls.check(part.arguments, spec) if isinstance(part.cls, type) and issubclass(part.cls, Checked) else ()
        for below, message in problems:
            place = (*key, *part.place, *config.key_path(below))
            yield Problem(raw.origin(place), config.key_text(place), message)


def _conflicts(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    logs = [name for switch, name in LOGGERS.items() if getattr(checked.trainer, switch)]
    for key, message in conflicts(checked, logs):
        yield Problem(raw.origin(key), config.key_text(key), message)


def _wrong_scores(raw: RawConfig, checked: Any) -> Iterator[Problem]:
    """Yield the scores that two metrics compute, and the monitored score if nothing computes it."""
    spec = declared_spec(checked)
    metrics = [part.build(spec) for part in checked.metrics]
    for key, message in same_scores(metrics):
        yield Problem(raw.origin(key), config.key_text(key), message)
    try:
        Monitor(checked.trainer.monitor).require(score_names(metrics, checked.data_loader.cls.valid_targets))
    except UserError as error:
        text = str(error).removeprefix("trainer.monitor: ")
        yield Problem(raw.origin(("trainer", "monitor")), "trainer.monitor", text)


def declared_spec(checked: Any) -> DataSpec:
    """Return the data's description by the config alone, without reading the data."""
    spec: DataSpec = checked.data_loader.cls.declared(checked.data_loader.args)
    return spec


def declared_folds(checked: Any) -> Folds | None:
    """Return the folds of a config, None if it has none."""
    folds: Folds | None = checked.data_loader.cls.folds(checked.data_loader.args)
    return folds


def score_names(metrics: list[BaseMetric], valid_targets: bool) -> list[str]:
    """Return the names of all scores that can be monitored. valid_targets: True if validation samples have a loss."""
    losses = ["train/loss", "val/loss"] if valid_targets else ["train/loss"]
    return [*losses, *(f"val/{name}" for metric in metrics for name in metric.names)]


# Building -----------------------------------------------------------------------------------------------------------


def build_loader(experiment: Experiment, device: torch.device) -> BaseDataLoader:
    """Return the loader; it reads no data yet."""
    context = RunContext(experiment.config.seed, pin_memory=device.type == "cuda")
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


def build_trainer(
    experiment: Experiment, loader: BaseDataLoader, folder: RunFolder, device: torch.device, fresh: bool = True
) -> BaseTrainer:
    """Return the trainer. fresh: True to begin, with the weights of `init_from` if it is set; False if a state will be loaded."""
    settings = experiment.config.trainer
    spec = loader.spec
    metadata: dict[str, Any] = {
        "config": experiment.raw.values,
        "config_hash": experiment.hash,
        "split_hash": loader.split_hash,
        "fingerprint": loader.fingerprint(),
        "spec": spec.as_json(),
        "parents": [],  # the checkpoints of the run's first weights
    }
    model = build_model(experiment, spec, fresh)
    if experiment.config.budget is not None:
        require_within(experiment.config.budget, model)
    if experiment.config.init_from is not None and fresh:
        metadata["parents"] = [asdict(init_from.initialise(model, experiment.config.init_from))]
    loss = build_loss(experiment, spec, model)
    scheduler = experiment.config.lr_scheduler and experiment.config.lr_scheduler.build()
    parts = Parts(
        model,
        loss,
        experiment.config.optimizer.build(),
        scheduler,
        build_metrics(experiment, spec),
        build_inference(experiment, spec),
    )
    loop = Loop(loader, folder, build_callbacks(experiment, spec), device, experiment.config.seed, metadata)
    trainer: BaseTrainer = settings.build(loop, parts)
    return trainer


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


# Loading ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A trained model as a checkpoint holds it, with everything that belongs to it."""

    path: Path
    experiment: Experiment
    state: Mapping[str, Any]
    spec: DataSpec
    model: BaseModel
    digest: str  # SHA-256 of the file

    @property
    def fitted(self) -> dict[str, Any]:
        """Metric -> values fitted on the validation samples of the run."""
        return dict(self.state["fitted"])

    @property
    def exported(self) -> bool:
        """True if the file was written by `python laurel.py export`: the model predicts, and has no loss."""
        return "loss" not in self.state


def load_model(path: Path, device: torch.device, overrides: Overrides = ()) -> Loaded:
    """Return the model of a checkpoint or exported file, ready to predict, with averaged weights if the run kept an average.

    overrides: of its config, e.g. another data folder. Raises UserError.
    """
    session, state = exported.unseal(path) if path.suffix == ONNX else (None, _read(path))
    try:
        raw = config.from_values(state["config"], str(path), overrides)
        spec = DataSpec.from_json(state["spec"])
        weights = {} if session is not None else state.get("ema") or state["model"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: is no checkpoint of this project (it lacks {error})") from None
    experiment = check(raw)
    if session is not None:
        ran: ExportedModel = (
            ExportedModel(session, state, path)
            if state["decoded"]
            else UndecodedModel(session, state, path, build_model(experiment, spec, fresh=False))
        )
        return Loaded(path, experiment, state, spec, ran.to(device).eval(), files.sha256(path))
    model = build_model(experiment, spec, fresh=False)
    load_weights(model, weights, path, partial="exported" in state)
    layout = torch.channels_last if experiment.config.trainer.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout).eval()  # type: ignore[call-overload]
    return Loaded(path, experiment, state, spec, model, files.sha256(path))


def _read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's state, checked against its folder's manifest if the manifest lists the file."""
    if path.suffix == PROGRAM:
        raise UserError(
            f"{path}: is an exported program, which torch unpickles, so that loading it may execute anything; it is for programs "
            "of your own: give the checkpoint, or an export as onnx or torch"
        )
    return checkpoint.load(path, checkpoint.CheckpointFolder(path.parent).digests(path.name))


def load_weights(model: BaseModel, weights: Mapping[str, Any], path: Path, partial: bool = False) -> None:
    """Load weights into a model. partial: the weights for predicting are enough. Raises UserError if the weights do not fit."""
    own = model.state_dict()
    rest = {name: own[name] for name in training_only_names(model) if name not in weights} if partial else {}
    try:
        model.load_state_dict({**rest, **weights})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: holds the weights of another model ({reason})") from None


def training_only_names(model: BaseModel) -> set[str]:
    """Return the names of the weights and buffers that predicting does not need."""
    left_out = {id(tensor) for part in model.training_only() for tensor in part.state_dict(keep_vars=True).values()}
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in left_out}
