"""Our own networks for faces, by the names that a config gives them; any other name is a network of timm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from model.backbones import timm_backbone
from model.verification.backbones.iresnet import ImprovedResNet
from model.verification.backbones.mobilefacenet import MobileFaceNet
from utils.config import did_you_mean, show
from utils.errors import UserError

# Faces are normalised to -1..1, as in the publications of these networks.
CENTRED = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
OWN: dict[str, Callable[..., Any]] = {
    "mobilefacenet": MobileFaceNet,
    "mobilefacenet_relu": partial(MobileFaceNet, activation="relu"),
    **{f"ir_{depth}": partial(ImprovedResNet, depth, False) for depth in (50, 100)},
    **{f"ir_se_{depth}": partial(ImprovedResNet, depth, True) for depth in (50, 100)},
}


class Backbone(NamedTuple):
    """A network from images (B, 3, H, W) to features (B, width), and `mean` and `std` of its images, in 0..1."""

    network: nn.Module
    width: int
    normalisation: dict[str, tuple[float, float, float]]


def create(name: str, pretrained: bool | str, drop_path_rate: float, image_size: tuple[int, int] | None) -> Backbone:
    """Return one of our own networks, or a network of timm.

    Raises UserError if one of our own networks lacks an image size or does not support an argument, and like
    `timm_backbone.create_backbone`.
    """
    if name not in OWN:
        network, width = timm_backbone.create_backbone(name, pretrained, drop_path_rate, image_size)
        return Backbone(network, width, timm_backbone.normalisation(network))
    if image_size is None:
        raise UserError(
            f"arch.args.backbone: {name} is built for one image size, and these images have none; let transforms crop"
        )
    for key, message in own_problems(name, pretrained, drop_path_rate):
        raise UserError(f"arch.args.{key}: {message}")
    own = OWN[name](image_size=image_size)
    return Backbone(own, own.num_features, CENTRED)


def problems(name: str, pretrained: bool | str, drop_path_rate: float) -> list[tuple[str, str]]:
    """Return a pair (argument, message) for each wrong argument; imports nothing heavy."""
    if name in OWN:
        return own_problems(name, pretrained, drop_path_rate)
    problem = timm_backbone.check_backbone_name(name)
    if problem is None:
        return []
    near = did_you_mean(name, OWN)
    return [("backbone", f"found {show(name)}{near}; allowed: {', '.join(OWN)}, and timm's models" if near else problem)]


def own_problems(name: str, pretrained: bool | str, drop_path_rate: float) -> list[tuple[str, str]]:
    """Return a pair (argument, message) for each argument that our own networks do not support."""
    wrong = []
    if pretrained:
        wrong.append(("pretrained", f"found {show(pretrained)}; there are no weights for {name} to load, allowed: false"))
    if drop_path_rate:
        wrong.append(("drop_path_rate", f"found {drop_path_rate}; {name} has no paths to drop, allowed: 0"))
    return wrong
