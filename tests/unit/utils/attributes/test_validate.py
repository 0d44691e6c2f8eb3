"""Test which configs are refused because their parts do not fit together."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base.base_data_loader import LOADERS
from base.base_loss import LOSSES, BaseLoss
from base.base_metric import METRICS, BaseMetric
from base.contracts import DataSpec, Outputs, Target, Term
from base.registry import Registry, registries
from tests.shipped import ROOT
from trainer.experiment import checking
from trainer.experiment.config_model import REPLACED, config_model
from utils import config
from utils.config import ConfigError, RawConfig


@pytest.fixture
def masks() -> dict[str, Any]:
    """Return the values of a valid config, to be changed."""
    return copy.deepcopy(config.read(ROOT / "configs" / "masks.json").values)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function: `registered(LOSSES, Class, "task")` registers a class until the end of the test."""
    config_model()

    def forget() -> None:
        config_model.cache_clear()
        for registry in registries():
            registry.forget()

    def add(registry: Registry[Any], cls: type, *tasks: str) -> None:
        monkeypatch.setattr(registry, "classes", dict(registry.classes))
        monkeypatch.setattr(registry, "_tasks", dict(registry._tasks))
        registry.register(*tasks)(cls)
        forget()

    yield add
    monkeypatch.undo()
    forget()


def problems(values: dict[str, Any]) -> list[str]:
    """Return the lines with which `check` refuses a config."""
    with pytest.raises(ConfigError) as error:
        checking.check(RawConfig(values, "a.json"))
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    "name",
    ["os.system", "__import__", "__init__", "torch.nn.Linear", "model.attributes.model.AttributeModel", "BaseModel",
     "../AttributeModel",
     "AttributeModel()", "attributemodel", "", "type", "Part"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["arch", "data_loader", "loss", "optimizer", "lr_scheduler", "submission"])
def test_a_type_from_outside_the_registry_is_refused(masks: dict[str, Any], key: str, name: str) -> None:
    masks[key]["type"] = name
    assert problems(masks)[0].startswith(f"a.json: {key}.type: unknown type {json.dumps(name)}")


@pytest.mark.parametrize("name", ["Lambda", "ReplayCompose", "Compose", "albumentations.Blur", "os.system", "OverlayElements"])
def test_a_transform_that_is_not_allowed_is_refused(masks: dict[str, Any], name: str) -> None:
    masks["data_loader"]["args"]["train_transforms"] = [{"type": name}]
    assert problems(masks)[0].startswith(f'a.json: data_loader.args.train_transforms[0].type: unknown type "{name}"')


def test_the_error_for_an_old_key_names_the_new_key(masks: dict[str, Any]) -> None:
    masks["n_gpu"] = 2
    masks["trainer"]["save_freq"] = 1
    assert problems(masks) == [
        "a.json: trainer.save_freq: is a key of older templates; use trainer.save_period",
        "a.json: n_gpu: is a key of older templates; leave it out and start the script with torchrun --nproc_per_node=N",
    ]


@pytest.mark.parametrize("key", REPLACED)
def test_no_old_key_is_a_current_key(key: str) -> None:
    assert key not in config_model().model_fields


def test_the_error_for_an_unknown_monitor_lists_all_scores(masks: dict[str, Any]) -> None:
    masks["trainer"]["monitor"] = "max val/f2"
    (line,) = problems(masks)
    assert line.startswith(
        'a.json: trainer.monitor: no score is called "val/f2" (did you mean "val/f1"?); this config computes: '
    )
    assert all(name in line for name in ("train/loss", "val/loss", "val/accuracy/mask", "val/f1/age"))


@pytest.mark.parametrize("monitor", ["val/f1", "most val/f1", "max", "max ", "max val/f1 ", "", "OFF"])
def test_a_monitor_is_min_or_max_and_a_name_or_off(masks: dict[str, Any], monitor: str) -> None:
    masks["trainer"]["monitor"] = monitor
    assert problems(masks)[0].startswith(f"a.json: trainer.monitor: found {json.dumps(monitor)}")


class OtherLoss(BaseLoss):
    """A part of another task."""

    def __init__(self) -> None:
        super().__init__()

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        return {}


class TwinScore(BaseMetric):
    """A metric with a score that another metric computes too."""

    @property
    def names(self) -> list[str]:
        return ["own", "f1"]

    def compute(self, predictions: Any, table: Any) -> dict[str, float]:
        return {}


def test_parts_of_different_tasks_are_refused_with_both_tasks(masks: dict[str, Any], registered: Any) -> None:
    registered(LOSSES, OtherLoss, "somersaults")
    masks["loss"] = {"type": "OtherLoss"}
    assert problems(masks) == ["a.json: loss.type: OtherLoss serves somersaults, but AttributeLoader gives attributes"]


@pytest.mark.parametrize("tasks", [("attributes",), ("somersaults", "attributes"), ()])
def test_parts_of_one_task_and_of_all_tasks_are_accepted_together(
    masks: dict[str, Any], registered: Any, tasks: tuple[str, ...]
) -> None:
    registered(LOSSES, OtherLoss, *tasks)
    masks["loss"] = {"type": "OtherLoss"}
    assert checking.check(RawConfig(masks, "a.json")).config.loss.type == "OtherLoss"


def test_a_loader_of_another_task_makes_every_other_part_a_problem(masks: dict[str, Any], registered: Any) -> None:
    registered(LOADERS, type("OtherLoader", (LOADERS.classes["AttributeLoader"],), {}), "somersaults")
    masks["data_loader"]["type"] = "OtherLoader"
    keys = [line.split(": ")[1] for line in problems(masks)]
    terms = [f"loss.args.terms.{label}.type" for label in ("mask", "gender", "age")]
    assert keys == ["arch.type", "loss.type", *terms, "metrics[0].type", "metrics[1].type", "submission.type"]


def test_two_metrics_with_a_score_of_the_same_name_are_refused(masks: dict[str, Any], registered: Any) -> None:
    registered(METRICS, TwinScore)
    masks["metrics"].append({"type": "TwinScore"})
    assert problems(masks) == ["a.json: metrics[2].type: computes f1, which metrics[0] computes already"]


def test_a_problem_that_a_class_reports_names_the_file_of_its_key(masks: dict[str, Any]) -> None:
    key = ("loss", "args", "terms", "mask", "args", "class_weights")
    masks["loss"]["args"]["terms"]["mask"]["args"]["class_weights"] = [1, 2]
    with pytest.raises(ConfigError) as error:
        checking.check(RawConfig(masks, "a.json", {("loss",): "parent.json", key: "child.json"}))
    assert str(error.value).startswith("child.json: loss.args.terms.mask.args.class_weights: found 2 weights")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trainer.monitor": "off", "trainer.early_stop": 3}, "trainer.early_stop: waits for a better score, but trainer.mon"),
        ({"trainer.monitor": "off", "lr_scheduler": {"type": "PlateauLR"}}, "lr_scheduler.type: PlateauLR waits for a better"),
        ({"trainer.accumulate": 65}, "trainer.accumulate: found 65; allowed: at most 64, which is data_loader.args.batch_size"),
        ({"callbacks": [{"type": "TensorBoardLogger"}]}, "callbacks[0].type: TensorBoardLogger is switched on already; keep one"),
        ({"callbacks": [{"type": "WandbLogger"}] * 2}, "callbacks[1].type: WandbLogger is switched on already"),
    ],
)  # fmt: skip
def test_contradicting_settings_are_refused(masks: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    raw = config.from_values(masks, "a.json", [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    with pytest.raises(ConfigError) as error:
        checking.check(raw)
    assert str(error.value).partition(": ")[2].startswith(said)
    assert len(str(error.value).splitlines()) == 1


def test_checking_reads_no_data(masks: dict[str, Any], tmp_path: Path) -> None:
    masks["data_loader"]["args"]["data_dir"] = str(tmp_path / "nowhere")
    assert checking.check(RawConfig(masks, "a.json")).hash == checking.check(RawConfig(copy.deepcopy(masks), "b.json")).hash


def test_a_declared_spec_has_no_counts(masks: dict[str, Any]) -> None:
    spec = checking.declared_spec(checking.check(RawConfig(masks, "a.json")).config)
    assert isinstance(spec, DataSpec) and list(spec.classes) == ["mask", "gender", "age"] and not spec.counts
