"""Models in memory, and where their answers come from."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from base.base_model import BaseModel
from base.base_pictures import Prepared
from base.contracts import DataSpec, Outputs, Prediction, Target
from inspection import models
from inspection.cache import by_file
from model.fusion import MeanFusion
from trainer.evaluation.pictures import PictureModel
from utils.errors import UserError

SIZE = 32


class Corner(BaseModel):
    """Says how red the upper left quarter is, through a map or straight from the pixels."""

    def __init__(self, maps: bool = True) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(4)
        self.maps = maps

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        red = image.float()[:, :1] / 255
        seen = self.pool(red) if self.maps else red
        side = seen.shape[-1] // 2
        return {"red": seen[:, 0, :side, :side].mean(dim=(1, 2))}

    def decode(self, outputs: Outputs) -> Prediction:
        red = outputs["red"]
        return {"colour": torch.stack([red, 1 - red], dim=1), "fixed": torch.ones(len(red), 1)}


def ready(model: BaseModel) -> PictureModel:
    """With a loader that gives a picture with a red corner whatever the bytes."""
    fusion = SimpleNamespace(build=lambda spec: MeanFusion())
    settings = SimpleNamespace(
        config=SimpleNamespace(trainer=SimpleNamespace(precision="fp32"), views=[], fusion=fusion, metrics=[])
    )
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[: SIZE // 2, : SIZE // 2, 0] = 200
    affine = torch.eye(2, 3)
    pictures: Any = SimpleNamespace(
        decode=lambda content: picture, preprocess=lambda image: Prepared(torch.from_numpy(image).permute(2, 0, 1), affine)
    )
    loaded: Any = SimpleNamespace(model=model.eval(), experiment=settings, spec=DataSpec())
    return PictureModel(loaded, pictures, torch.device("cpu"))


@pytest.mark.parametrize("maps", [True, False])
def test_the_map_is_warm_where_the_answer_comes_from(maps: bool) -> None:
    heat = models.saliency(ready(Corner(maps)), b"", lambda prediction: prediction["colour"][0, 0])
    half = heat.shape[0] // 2
    assert heat[:half, :half].min() == pytest.approx(1.0)
    assert heat[half:].max() == 0.0 and heat[:, half:].max() == 0.0


def test_a_score_that_does_not_come_from_the_picture_is_an_error() -> None:
    with pytest.raises(UserError, match="cannot be traced back"):
        models.saliency(ready(Corner()), b"", lambda prediction: prediction["fixed"][0, 0])


def test_looking_for_reasons_leaves_the_model_as_it_was() -> None:
    model = ready(Corner())
    models.saliency(model, b"", lambda prediction: prediction["colour"][0, 0])
    network = model.loaded.model
    assert not network.training and all(not part._forward_hooks for part in network.modules())
    assert models.answer(model, b"").prediction["colour"].tolist() == pytest.approx([200 / 255, 55 / 255])


def test_sessions_that_ask_for_one_model_at_once_load_it_once(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    loads = []
    inside = threading.Barrier(20)

    @by_file(entries=2)
    def load(path: Path) -> object:
        loads.append(path)
        threading.Event().wait(0.2)
        return object()

    found: list[object] = []

    def ask() -> None:
        inside.wait()
        found.append(load(tmp_path / "a"))

    sessions = [threading.Thread(target=ask) for _ in range(20)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(loads) == 1 and len(set(map(id, found))) == 1


def test_no_more_models_stay_in_memory_than_are_compared(tmp_path: Path) -> None:
    calls = []

    @by_file(entries=2)
    def load(path: Path) -> str:
        calls.append(path.name)
        return path.name

    for name in ("a", "b", "c", "c", "b", "a"):
        load(tmp_path / name)
    assert calls == ["a", "b", "c", "a"]


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    results = iter([UserError("broken"), "whole"])

    @by_file(entries=2)
    def load(path: Path) -> str:
        value = next(results)
        if isinstance(value, Exception):
            raise value
        return str(value)

    with pytest.raises(UserError):
        load(tmp_path)
    assert load(tmp_path) == "whole"
