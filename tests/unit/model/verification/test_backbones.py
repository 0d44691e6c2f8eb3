"""Our own networks against the tables and parameter counts that were published for them."""

import pytest
import torch
from torch import nn

from model.verification.backbones import faces
from model.verification.backbones.iresnet import ImprovedResNet
from model.verification.backbones.mobilefacenet import MobileFaceNet
from utils.errors import UserError

# Chen et al. 2018, table 1, for 112 x 112 pixels: channels and side behind each of its rows.
TABLE = [(64, 56), (64, 56), (64, 28), (128, 14), (128, 14), (128, 7), (128, 7), (512, 7)]
ENDS = [0, 1, 6, 7, 13, 14, 16, 17]  # the last layer of each row


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def embedded(backbone, size, bias):
    """With the linear layer and batch-norm of the embedding."""
    return parameters(nn.Sequential(backbone, nn.Linear(backbone.num_features, size, bias=bias), nn.BatchNorm1d(size)))


def test_mobilefacenet_has_the_published_parameters():
    assert embedded(MobileFaceNet(), 512, bias=False) == 1_200_512  # 1.20 M
    assert round(embedded(MobileFaceNet(), 128, bias=False) / 1e6, 2) == 1.00  # "0.99 M" counts without batch-norm


def test_mobilefacenet_has_the_shapes_of_its_table():
    network, x, shapes = MobileFaceNet().eval(), torch.zeros(1, 3, 112, 112), []
    for layer in network.body:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert [shapes[end] for end in ENDS] == [(channels, side, side) for channels, side in TABLE]
    assert network.place[0].kernel_size == (7, 7) and network.place(x).shape == (1, 512, 1, 1)


def test_relu_saves_the_slopes_alone():
    slopes = sum(p.numel() for m in MobileFaceNet().modules() if isinstance(m, nn.PReLU) for p in m.parameters())
    assert parameters(MobileFaceNet()) - parameters(MobileFaceNet(activation="relu")) == slopes == 7_552


@pytest.mark.parametrize(
    ("depth", "excitation", "published"), [(50, False, 43.57), (50, True, 43.80), (100, False, 65.13), (100, True, 65.50)]
)
def test_an_improved_resnet_has_the_published_parameters(depth, excitation, published):
    with torch.device("meta"):
        network = ImprovedResNet(depth, excitation)
        assert embedded(network, 512, bias=True) / 1e6 == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize(("depth", "convolutions"), [(50, 49), (100, 99)])
def test_an_improved_resnet_is_as_deep_as_its_name_says(depth, convolutions):
    with torch.device("meta"):
        threes = [m for m in ImprovedResNet(depth, False).modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(threes) == convolutions  # and the linear layer


def test_an_improved_resnet_halves_the_sides_four_times():
    with torch.device("meta"):
        assert ImprovedResNet(50, True).eval()(torch.zeros(1, 3, 112, 112)).shape == (1, 512 * 7 * 7)


@pytest.mark.parametrize("name", faces.OWN)
@pytest.mark.parametrize("size", [(112, 96), (64, 64), (50, 70)])
def test_a_network_takes_pictures_of_the_size_it_was_built_for(name, size):
    with torch.device("meta"):
        network, width, _ = faces.create(name, False, 0.0, size)
        assert network.eval()(torch.zeros(2, 3, *size)).shape == (2, width)


def test_another_name_is_a_network_of_timm():
    network, width, normalisation = faces.create("test_resnet", False, 0.0, (32, 32))
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, width)
    assert set(normalisation) == {"mean", "std"}


def test_a_misspelt_network_of_ours_gets_its_name():
    assert "mobilefacenet" in dict(faces.problems("mobilfacenet", False, 0.0))["backbone"]


@pytest.mark.parametrize(("pretrained", "rate", "key"), [(True, 0.0, "pretrained"), (False, 0.1, "drop_path_rate")])
def test_what_our_networks_do_not_have_is_refused(pretrained, rate, key):
    with pytest.raises(UserError, match=key):
        faces.create("mobilefacenet", pretrained, rate, (64, 64))


def test_a_network_for_one_size_needs_to_know_it():
    with pytest.raises(UserError, match="built for one image size"):
        faces.create("ir_50", False, 0.0, None)
