"""Test how a checkpoint becomes a model again: which weights it takes, what may be changed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import build_trainer
from trainer.experiment.loading import load_model
from utils.config import Override
from utils.errors import UserError

Config = Callable[..., Path]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, masks_folder: Path) -> Path:
    """A checkpoint whose averaged weights differ from its weights."""
    from tests.attributes.tiny import write_config

    folder = tmp_path_factory.mktemp("loading")
    trainer = build_trainer(write_config(folder, masks_folder, {"trainer.ema": 0.5}))
    with torch.no_grad():
        for parameter in trainer.parameters:
            parameter.add_(0.25)
    trainer.save(["last.pth"])
    return Path(trainer.folder.models) / "last.pth"


@pytest.fixture
def altered(saved: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """`altered(change)` writes the checkpoint anew, its state changed by a function."""

    def write(change: Callable[[dict[str, Any]], Any]) -> Path:
        state = torch.load(saved, weights_only=True)
        change(state)
        torch.save(state, tmp_path / "other.pth")
        return tmp_path / "other.pth"

    return write


def test_the_averaged_weights_are_taken_if_there_are_any(saved: Path) -> None:
    loaded, state = load_model(saved, CPU), torch.load(saved, weights_only=True)
    name = next(iter(state["ema"]))
    assert torch.equal(loaded.model.state_dict()[name], state["ema"][name])
    assert any(not torch.equal(state["ema"][key], state["model"][key]) for key in state["ema"])


def test_the_weights_are_taken_if_no_average_was_kept(altered: Callable[..., Path]) -> None:
    path = altered(lambda state: state.update(ema=None))
    state = torch.load(path, weights_only=True)["model"]
    loaded = load_model(path, CPU)
    assert all(torch.equal(value, state[key]) for key, value in loaded.model.state_dict().items())


def test_a_model_is_loaded_ready_to_predict(saved: Path) -> None:
    loaded = load_model(saved, CPU)
    assert not loaded.model.training and not loaded.exported
    assert list(loaded.spec.classes) == ["mask", "gender", "age"]


def test_a_value_of_its_config_may_be_changed(saved: Path) -> None:
    loaded = load_model(saved, CPU, [Override("data_loader.args.data_dir", "elsewhere", "--set")])
    assert loaded.experiment.config.data_loader.args.data_dir == "elsewhere"


@pytest.mark.parametrize("key", ["config", "spec", "model"])
def test_a_file_that_lacks_a_part_is_refused_by_name(key: str, altered: Callable[..., Path]) -> None:
    def change(state: dict[str, Any]) -> None:
        state.pop(key)
        state["ema"] = None

    with pytest.raises(UserError, match=rf"other\.pth: is no checkpoint of this project \(it lacks '?{key}'?\)"):
        load_model(altered(change), CPU)


def test_weights_of_another_shape_are_refused(altered: Callable[..., Path]) -> None:
    def change(state: dict[str, Any]) -> None:
        state["ema"] = None
        name = next(name for name, tensor in state["model"].items() if tensor.ndim == 4)
        state["model"][name] = state["model"][name][:1]

    with pytest.raises(UserError, match=r"other\.pth: holds the weights of another model \("):
        load_model(altered(change), CPU)


def test_an_exported_program_is_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"anything")
    with pytest.raises(UserError, match="is an exported program, which torch unpickles"):
        load_model(tmp_path / "model.pt2", CPU)
