"""The data set of verification as the app looks at it."""

from __future__ import annotations

from pathlib import Path

from base.contracts import RunContext
from data_loader.prepare.section import build_loader
from inspection.dataset import Data
from tests.helpers import ROOT
from utils import config


def test_the_person_is_the_group_if_validation_has_a_reader_of_its_own(verify_folder: Path) -> None:
    values = config.read(ROOT / "configs" / "verify_timm.json").values
    values["data_loader"]["args"] |= {"data_dir": str(verify_folder), "image_size": [32, 32], "num_workers": 0}
    loader = build_loader(config.from_values(values, "verify.json"), RunContext(1))
    data = Data(loader, loader.samples, loader.batches)  # type: ignore[attr-defined]
    assert data.group == loader.samples.identity  # type: ignore[attr-defined]
