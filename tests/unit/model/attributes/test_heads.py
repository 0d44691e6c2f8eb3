"""The head whose logits are cosines."""

import pytest
import torch

from base.contracts import DataSpec
from model.attributes.heads import HEADS, CosineHead
from model.attributes.model import AttributeModel
from utils.errors import UserError

SPEC = DataSpec({"mask": ["on", "off", "wrong"], "age": ["young", "old"]}, merged={"age": [0, 0, 1]})


@pytest.fixture
def head():
    torch.manual_seed(0)
    return CosineHead(30.0).bind(16, 5)


def test_logits_are_cosines_times_the_scale(head):
    features = torch.randn(4, 16)
    slow = [[30 * torch.cosine_similarity(x, w, dim=0).item() for w in head.weight] for x in features]

    assert torch.allclose(head(features), torch.tensor(slow), atol=1e-4)


def test_the_lengths_of_features_and_weights_mean_nothing(head):
    features = torch.randn(4, 16)
    before = head(features)
    with torch.no_grad():
        head.weight *= torch.tensor([[1.0], [2.0], [0.1], [50.0], [3.0]])

    assert torch.allclose(head(7 * features), before, atol=1e-4)


def test_autocast_changes_no_bit(head):
    features = torch.randn(4, 16)
    plain = head(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(features), plain)
        assert head(features.bfloat16()).dtype == torch.float32


def test_features_of_zeros_have_logits_of_0_and_a_finite_gradient(head):
    features = torch.zeros(2, 16, requires_grad=True)
    found = head(features)
    found.sum().backward()

    assert torch.equal(found, torch.zeros(2, 5))
    assert features.grad.isfinite().all() and head.weight.grad.isfinite().all()


def test_parallel_features_have_a_finite_gradient(head):
    features = head.weight.detach()[:2].clone().requires_grad_()
    head(features).sum().backward()

    assert features.grad.isfinite().all()


def test_a_label_has_the_head_that_the_config_gives_it():
    model = AttributeModel(SPEC, "test_resnet", heads={"age": CosineHead(20.0)}).eval()
    outputs = model(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))

    assert [type(head).__name__ for head in model.head()] == ["Linear", "CosineHead"]
    assert outputs["age"].shape == (2, 3) and outputs["age"].abs().max() <= 20.001
    assert (model.output_spec.widths, model.output_spec.scales) == ({"mask": 3, "age": 3}, {"age": 20.0})


def test_what_is_decoded_is_the_softmax_of_the_scaled_plain_cosines():
    model = AttributeModel(DataSpec({"mask": ["on", "off"]}), "test_resnet", heads={"mask": CosineHead(20.0)}).eval()
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    outputs = model(image, {"mask": torch.tensor([0, 1])})

    assert torch.equal(model.decode(outputs)["mask"], model(image)["mask"].softmax(1))


def test_a_head_for_an_unknown_label_is_refused():
    with pytest.raises(UserError, match=r'^arch.args.heads.aeg: the data have no label "aeg" \(did you mean "age"\?\)'):
        AttributeModel(SPEC, "test_resnet", heads={"aeg": CosineHead()})


def test_a_scale_of_0_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        HEADS.parts["CosineHead"].model_validate_json('{"type": "CosineHead", "args": {"scale": 0}}')
