"""Samples that count in part are refused where the loss would count them whole."""

import json

import pytest

from base.base_loss import LOSSES, BaseLoss, mean_term
from base.contracts import DataSpec
from tests.shipped import ROOT
from trainer.experiment import checking
from utils import config
from utils.config import ConfigError


class WholeLoss(BaseLoss):
    """A loss that does not look at shares."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def terms(self, outputs, target):
        return {"mask": mean_term(outputs["mask"].sum(1))}


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("mixing", r"data_loader\.args\.mix: makes samples count in part, which WholeLoss does not heed"),
        ("pseudo_labels", r"trainer\.weight: makes samples count in part, which WholeLoss does not heed"),
    ],
)
def test_a_loss_that_does_not_heed_shares_is_refused_in_one_line(monkeypatch, tmp_path, example, message):
    checking.config_model()  # imports every class, so that none is registered in the copies
    monkeypatch.setattr(LOSSES, "classes", dict(LOSSES.classes))
    monkeypatch.setattr(LOSSES, "_tasks", dict(LOSSES._tasks))
    LOSSES.register("attributes")(WholeLoss)
    path = tmp_path / "config.json"
    values = config.read(ROOT / "configs" / "examples" / f"{example}.json").values | {"loss": {"type": "WholeLoss"}}
    path.write_text(json.dumps(values))
    try:
        with pytest.raises(ConfigError, match=message) as error:
            checking.check(config.read(path))
    finally:
        checking.config_model.cache_clear()
        LOSSES.forget()
    assert len(str(error.value).splitlines()) == 1
