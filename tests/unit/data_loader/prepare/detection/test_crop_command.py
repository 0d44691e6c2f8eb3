"""The command that finds crops refuses pictures with boxes of objects."""

from __future__ import annotations

import pytest

from laurel import command
from tests.helpers import ROOT
from utils.errors import UserError


def test_pictures_with_boxes_of_objects_are_not_cut() -> None:
    with pytest.raises(UserError, match="the pictures of a DetectionLoader are not cut"):
        command("crop", ["-c", str(ROOT / "configs" / "demo_drivers.json"), "-o", "boxes.csv"])
