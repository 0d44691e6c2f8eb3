"""What a run may change when it goes on."""

import json

import pytest

from tests.helpers import ROOT
from trainer.experiment import checking, resuming
from utils import config
from utils.config import ConfigError


@pytest.fixture
def checked():
    def check(*overrides):
        return checking.check(config.read(ROOT / "configs" / "masks.json", overrides))

    return check


def test_a_default_that_is_written_out_is_no_difference(checked):
    written = ("trainer.clip_norm=null", 'data_loader.args.sampler={"type": "ShuffleSampler"}', "views=[]", "fusion=null")
    resuming.require_resumable(checked().raw.values, "run/config.json", checked(*written))


@pytest.mark.parametrize("free", ["trainer.epochs=99", "data_loader.args.num_workers=0", "budget.max_params=1e9"])
def test_how_it_is_run_may_change(checked, free):
    resuming.require_resumable(checked().raw.values, "run/config.json", checked(free))


@pytest.mark.parametrize("bound", ["optimizer.args.lr=0.5", "seed=7", 'views=[{"type": "FlipView"}]', "trainer.clip_norm=1.5"])
def test_what_is_learned_and_how_it_is_judged_may_not(checked, bound):
    with pytest.raises(ConfigError, match=bound.partition("=")[0]):
        resuming.require_resumable(checked().raw.values, "run/config.json", checked(bound))


def test_a_plain_config_is_json(checked):
    plain = resuming.plain(checked().config)
    assert json.loads(json.dumps(plain)) == plain
