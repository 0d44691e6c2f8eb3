"""Test what is built from a checked config: weights by seed, the order of callbacks, and what a trainer is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from base.saved.run_folder import RunFolder
from logger.console import ConsoleLogger
from logger.jsonl import JsonlLogger
from trainer.experiment import build
from trainer.experiment.checking import Experiment, check, declared_folds, declared_spec
from utils import config
from utils.errors import UserError

Config = Callable[..., Path]
CPU = torch.device("cpu")


def experiment(path: Path) -> Experiment:
    return check(config.read(path))


def test_a_loader_reads_no_data_before_a_split_is_used(tiny_config: Config, tmp_path: Path) -> None:
    loader = build.build_loader(experiment(tiny_config({"data_loader.args.data_dir": str(tmp_path / "gone")})), CPU)
    with pytest.raises(UserError, match="gone"):
        loader.table("train")


def test_the_data_are_described_without_reading_them(tiny_config: Config, tmp_path: Path) -> None:
    checked = experiment(tiny_config({"data_loader.args.data_dir": str(tmp_path / "gone")})).config
    assert list(declared_spec(checked).classes) == ["mask", "gender", "age"]
    folds = declared_folds(checked)
    assert folds is not None and (folds.number, folds.fold) == (5, 0)


def test_the_first_weights_depend_on_the_seed_alone(tiny_config: Config) -> None:
    def weights(seed: int, drawn_before: int) -> torch.Tensor:
        made = experiment(tiny_config({"seed": seed}))
        torch.rand(drawn_before)
        model = build.build_model(made, declared_spec(made.config))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(1, 0), weights(1, 5))
    assert not torch.equal(weights(1, 0), weights(2, 0))


def test_no_weights_are_fetched_for_a_model_whose_state_will_be_loaded(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    asked: list[Any] = []
    real = timm.create_model

    def create(name: str, pretrained: bool = False, **options: Any) -> Any:
        asked.append(pretrained)
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create)
    made = experiment(tiny_config({"arch.args.pretrained": True}))
    build.build_model(made, declared_spec(made.config), fresh=False)
    assert asked and not any(asked)


def test_the_logs_come_before_the_callbacks_of_the_config(tiny_config: Config) -> None:
    made = experiment(
        tiny_config({"trainer.tensorboard": True, "callbacks": [{"type": "GradualUnfreezing", "args": {"epochs": 1}}]})
    )
    kinds = [type(one).__name__ for one in build.build_callbacks(made, declared_spec(made.config))]
    assert kinds == [ConsoleLogger.__name__, JsonlLogger.__name__, "TensorBoardLogger", "GradualUnfreezing"]


def test_a_config_without_fusion_averages(tiny_config: Config) -> None:
    made = experiment(tiny_config())
    inference = build.build_inference(made, declared_spec(made.config))
    assert type(inference.fusion).__name__ == "MeanFusion" and inference.views == [] and inference.precision == "fp32"


def test_a_metric_of_another_project_is_refused(tiny_config: Config) -> None:
    made = experiment(tiny_config())
    with pytest.raises(UserError, match="metrics: not known here"):
        build.metrics_of([{"type": "TheirScores"}], declared_spec(made.config))


def test_a_trainer_knows_config_split_and_data_of_its_run(tiny_config: Config, tmp_path: Path) -> None:
    made = experiment(tiny_config())
    loader = build.build_loader(made, CPU)
    trainer = build.build_trainer(made, loader, RunFolder.create(tmp_path / "saved", "tiny"), CPU)
    given = trainer.metadata
    assert (given["config"], given["config_hash"], given["split_hash"]) == (made.raw.values, made.hash, loader.split_hash)
    assert given["fingerprint"] == loader.fingerprint() and given["parents"] == []


def test_a_model_over_the_budget_is_refused(tiny_config: Config, tmp_path: Path) -> None:
    made = experiment(tiny_config({"budget": {"max_params": 10}}))
    with pytest.raises(UserError, match=r"budget\.max_params"):
        build.build_trainer(made, build.build_loader(made, CPU), RunFolder.create(tmp_path / "saved", "tiny"), CPU)
