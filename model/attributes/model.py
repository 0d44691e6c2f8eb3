"""The model of the attributes task: a backbone of timm, and a head for each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from base.base_model import MODELS, BaseModel
from base.contracts import DataSpec, Outputs, OutputSpec, Prediction, Target
from base.labels import unknown_label
from base.types import NotAllShare
from model.attributes.heads import BaseHead
from model.backbones.timm_backbone import (
    Backbone,
    DropPathRate,
    Pretrained,
    check_backbone_name,
    create_backbone,
    normalisation,
    stages,
)
from utils.errors import UserError


@MODELS.register("attributes", "pretext")
class AttributeModel(BaseModel):
    """A backbone of timm with one head for each label.

    Pictures are normalised as timm's weights for the backbone require, even if other weights are used.
    """

    def __init__(
        self,
        spec: DataSpec,
        backbone: Backbone,
        pretrained: Pretrained = False,
        drop_rate: Annotated[NotAllShare, Field(description="dropout before the heads")] = 0.0,
        drop_path_rate: DropPathRate = 0.0,
        heads: Annotated[dict[str, BaseHead], Field(description="label -> its head; every other label has a linear layer")] = {},  # noqa: B006 - never changed
    ) -> None:
        for key, message in _head_problems(heads, spec):
            raise UserError(f"arch.args.{key}: {message}")
        network, width = create_backbone(backbone, pretrained, drop_path_rate, spec.image_size)
        super().__init__(**normalisation(network))
        self.spec = spec
        self.backbone = network
        self.dropout = nn.Dropout(drop_rate)
        self.scales = {label: scale for label, head in heads.items() if (scale := head.cosine_scale) is not None}
        made = {label: _head(heads.get(label), width, spec.trained(label)) for label in spec.classes}
        self.heads = nn.ModuleDict({_module_name(label): head for label, head in made.items()})

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return label -> logits (B, K) float32, K its trained classes. image: (B, 3, H, W), uint8 or float in 0..255."""
        features = self.dropout(self.backbone(self.normalise(image)))  # (B, width)
        return {label: self.heads[_module_name(label)](features).float() for label in self.spec.classes}

    def decode(self, outputs: Outputs) -> Prediction:
        """Return label -> probabilities (B, K) float32, K its reported classes; each row sums to 1.

        A probability is the sum of the softmax over the trained classes that are reported as one class.
        """
        return {label: self._reported(label, outputs[label].float().softmax(1)) for label in self.spec.classes}

    @property
    def output_spec(self) -> OutputSpec:
        """The number of trained classes of each label, and the scale of each label whose logits are cosines."""
        return OutputSpec({label: self.spec.trained(label) for label in self.spec.classes}, self.scales)

    def head(self) -> list[nn.Module]:
        """Return the last layers, one for each label."""
        return list(self.heads.values())

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters of the backbone by stage."""
        return stages(self.backbone)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Return (key, message) for an unknown backbone, without importing timm, and for heads of labels that do not exist."""
        problem = check_backbone_name(args.backbone)
        return [*([("backbone", problem)] if problem else []), *(_head_problems(args.heads, spec) if spec.classes else ())]

    def _reported(self, label: str, probabilities: Tensor) -> Tensor:
        if label not in self.spec.merged:
            return probabilities
        merged = self.spec.merged[label]
        groups = [[fine for fine, to in enumerate(merged) if to == index] for index in range(len(self.spec.classes[label]))]
        return torch.stack([probabilities[:, group].sum(1) for group in groups], dim=1)


def _head_problems(heads: Mapping[str, object], spec: DataSpec) -> Iterable[tuple[str, str]]:
    return [(f"heads.{label}", unknown_label(label, spec)) for label in heads if label not in spec.classes]


def _head(chosen: BaseHead | None, width: int, classes: int) -> nn.Module:
    return nn.Linear(width, classes) if chosen is None else chosen.bind(width, classes)


def _module_name(label: str) -> str:
    """Return the name of a label's module: torch allows no dots in it, and no attribute names of ModuleDict, such as `type`."""
    return label.replace(".", "·") + "_head"
