"""The model of several labels."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from base.base_model import MODELS
from base.contracts import DataSpec
from model.attributes.model import AttributeModel

SPEC = DataSpec({"mask": ["on", "off", "wrong"], "age": ["young", "old"]}, merged={"age": [0, 0, 1, 1, 1]})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AttributeModel(SPEC, "resnet10t").eval()


def image(batch=2, seed=0):
    return torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_every_label_has_logits_for_its_trained_classes(model):
    outputs = model(image())

    assert {label: (tuple(value.shape), value.dtype) for label, value in outputs.items()} == {
        "mask": ((2, 3), torch.float32),
        "age": ((2, 5), torch.float32),
    }


def test_decoded_probabilities_sum_to_1(model):
    prediction = model.decode(model(image()))

    for label, classes in SPEC.classes.items():
        assert prediction[label].shape == (2, len(classes))
        assert torch.allclose(prediction[label].sum(1), torch.ones(2), atol=1e-6)


def test_fine_classes_are_added_up_as_by_hand(model):
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.5]])
    exponentials = np.exp(logits[0].numpy())
    by_hand = [exponentials[:2].sum() / exponentials.sum(), exponentials[2:].sum() / exponentials.sum()]

    assert model.decode({"mask": torch.zeros(1, 3), "age": logits})["age"][0].tolist() == pytest.approx(by_hand, rel=1e-6)


def test_a_label_that_is_not_merged_is_decoded_by_softmax(model):
    logits = torch.tensor([[0.0, 1.0, 2.0]])

    assert torch.equal(model.decode({"mask": logits, "age": torch.zeros(1, 5)})["mask"], logits.softmax(1))


def test_half_precision_is_decoded_in_float32(model):
    half = {label: torch.zeros(1, SPEC.trained(label), dtype=torch.bfloat16) for label in SPEC.classes}

    assert {value.dtype for value in model.decode(half).values()} == {torch.float32}


def test_autocast_gives_float32_logits(model):
    with torch.autocast("cpu", torch.bfloat16):
        assert model(image())["mask"].dtype == torch.float32


def test_bytes_and_floats_of_the_same_picture_give_the_same(model):
    assert torch.equal(model(image())["mask"], model(image().float())["mask"])


def test_channels_last_gives_the_same_and_stays(model):
    last = image().to(memory_format=torch.channels_last)

    assert model.normalise(last).is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(model(last)["age"], model(image())["age"], atol=1e-5)


def test_pictures_are_normalised_as_the_backbone_was_trained():
    model = AttributeModel(SPEC, "test_vit2")
    config = model.backbone.pretrained_cfg

    assert model.mean.flatten().tolist() == pytest.approx([255 * value for value in config["mean"]])
    assert model.std.flatten().tolist() == pytest.approx([255 * value for value in config["std"]])


def test_the_heads_are_linear_layers_in_order_of_the_labels(model):
    assert [head.out_features for head in model.head()] == [3, 5]


def test_dropout_stands_before_the_heads_in_training_alone():
    model = AttributeModel(SPEC, "resnet10t", drop_rate=0.5).eval()

    assert torch.equal(model(image())["mask"], model(image())["mask"])
    model.dropout.train()
    assert not torch.equal(model(image())["mask"], model(image())["mask"])


def test_weights_go_through_a_state_dict(model):
    torch.manual_seed(5)
    other = AttributeModel(SPEC, "resnet10t").eval()
    assert not torch.equal(other(image())["mask"], model(image())["mask"])
    other.load_state_dict(model.state_dict())

    assert torch.equal(other(image())["mask"], model(image())["mask"])


def test_a_backbone_is_taken_from_a_checkpoint_of_the_whole_model(model, tmp_path):
    torch.save({"model": model.state_dict()}, tmp_path / "best.pth")
    other = AttributeModel(DataSpec({"gender": ["f", "m"]}), "resnet10t", str(tmp_path / "best.pth"))

    assert torch.equal(other.backbone.state_dict()["conv1.0.weight"], model.backbone.state_dict()["conv1.0.weight"])


@pytest.mark.parametrize("label", ["type", "train", "a.b", "wears mask?"])
def test_any_label_can_have_a_head(label):
    model = AttributeModel(DataSpec({label: ["no", "yes"]}), "resnet10t").eval()

    assert model(image())[label].shape == (2, 2)


def test_an_unknown_backbone_is_a_problem_of_the_config():
    problems = list(AttributeModel.check(SimpleNamespace(backbone="resnet_10t", heads={}), SPEC))

    assert [key for key, _ in problems] == ["backbone"]
    assert problems[0][1].startswith('found "resnet_10t" (did you mean "resnet10t"?); allowed: timm\'s')


def test_a_known_backbone_is_no_problem():
    assert list(AttributeModel.check(SimpleNamespace(backbone="resnet10t", heads={}), SPEC)) == []


def test_it_is_built_from_a_config():
    part = MODELS.parts["AttributeModel"].model_validate_json('{"type": "AttributeModel", "args": {"backbone": "resnet10t"}}')

    assert isinstance(part.build(SPEC), AttributeModel)
    assert MODELS.tasks("AttributeModel") == {"attributes", "pretext"}


@pytest.mark.parametrize("seed", range(3))
def test_gradients_reach_the_backbone_and_every_head(seed):
    model = AttributeModel(SPEC, "resnet10t")
    sum(value.sum() for value in model(image(seed=seed)).values()).backward()

    assert all(parameter.grad is not None for parameter in model.parameters())
