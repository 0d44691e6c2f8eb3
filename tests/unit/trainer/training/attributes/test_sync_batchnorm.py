"""Batch norm over all processes must leave a network what it was."""

import pytest
import torch
from timm.layers import convert_sync_batchnorm

from base.contracts import DataSpec
from model.attributes.model import AttributeModel


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet"])
def test_a_converted_network_computes_the_same(backbone):
    torch.manual_seed(0)
    model = AttributeModel(DataSpec({"mask": ["a", "b"]}), backbone).eval()
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    before = model(image)["mask"]
    assert torch.equal(convert_sync_batchnorm(model)(image)["mask"], before)
