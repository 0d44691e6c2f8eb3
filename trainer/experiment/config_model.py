"""The keys of a config: one model of everything that is registered, which checks configs and describes them to editors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field, create_model

from base.base_callback import CALLBACKS
from base.base_data_loader import LOADERS
from base.base_fusion import FUSIONS
from base.base_loss import LOSSES
from base.base_metric import METRICS
from base.base_model import MODELS
from base.base_reader import SUBMISSIONS
from base.base_trainer import TRAINERS
from base.base_view import VIEWS
from base.registry import Part, Registry, TypeNames, import_all
from trainer.experiment.budget import Budget
from trainer.experiment.init_from import InitFrom
from trainer.experiment.unregistered import whereabouts
from trainer.training.optimizers import OPTIMIZERS
from trainer.training.schedulers import SCHEDULERS
from trainer.training.supervised import SupervisedTrainer
from utils.validate import Hints, Settings

PACKAGES = ("data_loader", "model", "logger", "trainer")

# Keys, values and types of pytorch-template and projects made from it, and what replaces them here.
REPLACED = {
    "n_gpu": "leave it out and start the script with torchrun --nproc_per_node=N",
    "device": "leave it out and use --device",
    "save_freq": "use trainer.save_period",
    "verbose": "use trainer.verbosity",
    "loss_name": 'use loss: {"type": …, "args": …}',
    "metric": "use metrics, a list",
    "train_loader": "use data_loader",
    "valid_data_loader": "use data_loader.args.split",
    "validation_split": "use data_loader.args.split.valid",
    "shuffle": "leave it out: training samples are always shuffled; see data_loader.args.sampler",
    "model": 'use arch: {"type": …, "args": …}',
    "architecture": 'use arch: {"type": …, "args": …}',
    "scheduler": "use lr_scheduler",
    "learning_rate": "use optimizer.args.lr",
    "max_epochs": "use trainer.epochs",
    "num_epochs": "use trainer.epochs",
    "patience": "use trainer.early_stop",
    "early_stopping": "use trainer.early_stop",
    "tensorboardX": "use trainer.tensorboard",
    "amp": 'use trainer.precision: "bf16" or "fp16"',
    "accumulation_steps": "use trainer.accumulate",
    "grad_clip": "use trainer.clip_norm",
    "resume": "use --resume",
    "wandb": "use trainer.wandb",
    "visualize": "use metrics with figures, such as SampleGrid, and trainer.tensorboard",
    "visualization": "use trainer.tensorboard",
    "submit_dir": "leave it out: test.py writes the submission into the log folder of the run, or where -o says",
    "info_dir": "use data_loader.args.data_dir, and the file of the reader below it",
    "all_loss": "use loss, with a term for each label in loss.args.terms",
}
REPLACED_VALUES = {("early_stop", "0"): "; null for never, where older templates had 0"}
REPLACED_TYPES = {"TimmModelMulti": "AttributeModel, with the timm name in args.backbone and a head for each label"}


def type_hint(name: str) -> str:
    """Return a hint on a type that no registry knows: what replaced it, or where its class is; an empty text if there is none."""
    return f"; use {REPLACED_TYPES[name]}" if name in REPLACED_TYPES else whereabouts(name, PACKAGES)


HINTS = Hints(REPLACED, REPLACED_VALUES, type_hint)


def with_trainer_type(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's values with the type of the trainer, which a config may leave out."""
    trainer = values.get("trainer")
    default = {"type": SupervisedTrainer.__name__}
    return {**values, "trainer": {**default, **trainer}} if isinstance(trainer, Mapping) else dict(values)


@cache
def config_model(among: TypeNames = None) -> type[Settings]:
    """Return the model of a whole config, from all registered classes; configs/schema.json is made from it.

    among: the classes to include, if no others are needed; None for all.
    """
    import_all(*PACKAGES)
    fields: dict[str, Any] = {
        "name": (
            Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")],
            Field(description="of the experiment: letters, digits, . _ - ; names its folders"),
        ),
        "seed": (
            Annotated[int, Field(ge=0, lt=2**63)],
            Field(default=0, description="of order, augmentation, dropout and weights"),
        ),
        "arch": (MODELS.annotation(among), Field(description="the model")),
        "data_loader": (LOADERS.annotation(among), Field(description="from files to batches")),
        "loss": (LOSSES.annotation(among), Field(description="what is minimised")),
        "metrics": (_list_of(METRICS, among), Field(default=[], description="scores on validation and test")),
        "optimizer": (OPTIMIZERS.annotation(among), Field(description="what moves the weights")),
        "lr_scheduler": (SCHEDULERS.annotation(among) | None, Field(default=None, description="what moves the learning rate")),
        "trainer": (
            TRAINERS.annotation(among),
            Field(description="how long, what to watch, when to save; the type is SupervisedTrainer if left out"),
        ),
        "callbacks": (_list_of(CALLBACKS, among), Field(default=[], description="beside training")),
        "views": (
            _list_of(VIEWS, among),
            Field(default=[], description="test-time augmentation: looked at beside the plain pictures"),
        ),
        "fusion": (
            FUSIONS.annotation(among) | None,
            Field(default=None, description="of views and checkpoints; by default their mean"),
        ),
        "init_from": (InitFrom | None, Field(default=None, description="weights of another run to begin with")),
        "budget": (Budget | None, Field(default=None, description="a larger model is not trained")),
        "submission": (SUBMISSIONS.annotation(among) | None, Field(default=None, description="the file that test.py writes")),
    }
    return create_model("Config", __base__=Settings, **fields)


def _list_of(registry: Registry[Any], among: TypeNames) -> Any:
    return list[registry.annotation(among)] if registry.classes else list[Part]  # type: ignore[misc]
