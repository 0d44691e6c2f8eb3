"""An upload is prepared as the pictures of the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch

from base.contracts import RunContext
from data_loader.crop.cut_pictures import NO_CROPPERS
from data_loader.prepare.section import build_loader
from trainer.evaluation.pictures import PictureModel
from utils import config


@pytest.mark.parametrize(
    ("croppers", "said"), [([{"type": "GrabCutCropper"}], "cut to what GrabCutCropper finds"), ([], NO_CROPPERS)]
)
def test_an_upload_is_cut_by_the_configs_croppers_and_that_is_said(tiny_config: Any, croppers: Any, said: str) -> None:
    changes = {"data_loader.args.crops": {"file": "boxes.csv"}, "data_loader.args.croppers": croppers}
    loader = build_loader(config.read(tiny_config(changes)), RunContext())
    model = PictureModel(cast(Any, SimpleNamespace()), loader.pictures, torch.device("cpu"))
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[30:72, 44:86] = 255
    ready = model.read(cv2.imencode(".png", picture)[1].tobytes(), 0)
    assert (ready.size, ready.prepared.note) == ((96, 128), said)
    assert (ready.prepared.image[..., 3:-3, 3:-3] == 255).all() == bool(croppers)
