"""The budget counts what predicting needs."""

import pytest
from torch import nn

from base.base_model import BaseModel
from trainer.experiment.budget import Budget, inference_size, require_within
from utils.errors import UserError


class Net(BaseModel):
    """30 parameters for predicting, 100 for training alone."""

    def __init__(self):
        super().__init__()
        self.body, self.extra = nn.Linear(2, 10), nn.Linear(9, 10)

    def forward(self, image, target=None):
        return {}

    def decode(self, outputs):
        return {}

    def training_only(self):
        return [self.extra]


def test_parts_that_only_training_needs_are_not_counted():
    assert inference_size(Net()) == (30, 120)


def test_a_model_within_its_budget_passes():
    require_within(Budget(max_params=30, max_model_mb=0.00012), Net())


@pytest.mark.parametrize("limit", [{"max_params": 29}, {"max_model_mb": 0.000119}])
def test_a_model_beyond_its_budget_is_refused_with_both_numbers(limit):
    key = next(iter(limit))
    with pytest.raises(UserError, match=rf"budget\.{key}: the model has .*; allowed: "):
        require_within(Budget(**limit), Net())


def test_weights_that_are_shared_count_once():
    model = Net()
    model.twin = model.body
    assert inference_size(model) == (30, 120)


def test_one_parameter_too_many_is_told_apart_from_the_limit():
    with pytest.raises(UserError, match="has 30 parameters; allowed: 29"):
        require_within(Budget(max_params=29), Net())
