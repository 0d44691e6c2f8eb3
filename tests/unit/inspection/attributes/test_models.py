"""An upload is prepared as the pictures of the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from base.contracts import RunContext
from data_loader.crop.cut_pictures import NO_CROPPERS
from data_loader.prepare.section import build_loader
from inspection import models
from inspection.models import Ready
from utils import config


@pytest.mark.parametrize(
    ("croppers", "said"), [([{"type": "GrabCutCropper"}], "cut to what GrabCutCropper finds"), ([], NO_CROPPERS)]
)
def test_an_upload_is_cut_by_the_configs_croppers_and_that_is_said(tiny_config: Any, croppers: Any, said: str) -> None:
    changes = {"data_loader.args.crops": {"file": "boxes.csv"}, "data_loader.args.croppers": croppers}
    loader = build_loader(config.read(tiny_config(changes)), RunContext())
    model: Any = Ready(SimpleNamespace(), loader)  # type: ignore[arg-type]
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[30:72, 44:86] = 255
    image, _, size, note = models._prepared(model, cv2.imencode(".png", picture)[1].tobytes())
    assert (size, note) == ((96, 128), said)
    assert (image[..., 3:-3, 3:-3] == 255).all() == bool(croppers)
