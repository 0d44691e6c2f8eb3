"""Transforms in a config: wrong arguments and random steps in evaluation are refused by key."""

from __future__ import annotations

import pytest

from utils.config import ConfigError


def test_a_wrong_argument_in_a_config_is_a_line_with_its_key(make_loader):
    with pytest.raises(ConfigError) as refusal:
        make_loader(train_transforms=[{"type": "HorizontalFlip", "args": {"probability": 0.5}}, {"type": "Flip"}])
    first, second = str(refusal.value).splitlines()
    assert first.startswith("masks.json: data_loader.args.train_transforms[0].args.probability: unknown key")
    assert second.startswith('masks.json: data_loader.args.train_transforms[1].type: unknown type "Flip"')


def test_the_config_refuses_random_steps_in_evaluation(make_loader):
    with pytest.raises(
        ConfigError, match=r"masks.json: data_loader.args.eval_transforms\[0\]: found HorizontalFlip, which is random"
    ):
        make_loader(eval_transforms=[{"type": "HorizontalFlip"}])
