"""What a run may change when it goes on."""

import json
import shlex

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


def command_of(error, checked_values, tmp_path):
    """Return the experiment of the command that an error names; its config.json holds the checkpoint's config."""
    (tmp_path / "config.json").write_text(json.dumps(checked_values))
    words = shlex.split(str(error).splitlines()[-1].partition("(init_from): ")[2])
    assert words[:3] == ["python", "train.py", "-c"]
    return checking.check(config.read(words[3], words[5::2]))


@pytest.mark.parametrize(
    "changes",
    [
        ["optimizer.args.lr=0.5", "trainer.epochs=7"],
        ["data_loader.args.batch_size=8", "seed=3"],
        ['lr_scheduler={"type": "StepLR", "args": {"step_size": 3}}'],
        ['optimizer={"type": "SGD", "args": {"lr": 0.5}}', 'init_from={"checkpoint": "other.pth", "include": ["head.*"]}'],
    ],
)
def test_what_may_not_change_names_the_command_of_a_new_run_with_these_weights(checked, tmp_path, changes):
    stored, wanted = checked().raw.values, checked(*changes)
    with pytest.raises(ConfigError, match="or begin a new run with these weights") as refused:
        resuming.require_resumable(stored, "run/config.json", wanted, weights=tmp_path / "last.pth")

    new = resuming.plain(command_of(refused.value, stored, tmp_path).config)
    start = new.pop("init_from")
    assert (start["checkpoint"], start["include"]) == (str(tmp_path / "last.pth"), ["*"])
    assert new == {key: value for key, value in resuming.plain(wanted.config).items() if key != "init_from"}


def test_a_plain_config_is_json(checked):
    plain = resuming.plain(checked().config)
    assert json.loads(json.dumps(plain)) == plain
