"""Pictures with boxes of objects are not cut."""

from __future__ import annotations

import pytest

from utils.config import ConfigError


def test_pictures_with_boxes_of_objects_cannot_be_cut() -> None:
    from base.contracts import RunContext
    from data_loader.prepare.section import build_loader
    from tests.helpers import ROOT
    from utils import config

    raw = config.read(ROOT / "configs" / "demo_drivers.json", ['data_loader.args.crops={"file": "boxes.csv"}'])
    with pytest.raises(ConfigError, match="data_loader.args.crops: unknown key"):
        build_loader(raw, RunContext())
