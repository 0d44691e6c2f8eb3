"""Several labels of one picture at once: a backbone of timm, and a linear head for each label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from base.base_model import MODELS, BaseModel
from base.contracts import DataSpec, Outputs, Prediction, Target
from model.backbones.timm_backbone import check_backbone_name, create_backbone, normalisation, stages

Rate = Annotated[float, Field(ge=0, lt=1)]


@MODELS.register("attributes")
class AttributeModel(BaseModel):
    """A backbone of timm with one linear head for each label.

    Pictures are normalised as timm's weights for the backbone want it, whether or not they are loaded.

    Args:
        backbone: name of a timm model, with or without a tag for its weights ("tf_efficientnetv2_s.in21k_ft_in1k")
        pretrained: true for timm's weights, a local file (.pth, .pt, .safetensors), or false for random weights
        drop_rate: dropout before the heads
        drop_path_rate: stochastic depth within the backbone
    """

    def __init__(
        self, spec: DataSpec, backbone: str, pretrained: bool | str = False, drop_rate: Rate = 0.0, drop_path_rate: Rate = 0.0
    ) -> None:
        network, width = create_backbone(backbone, pretrained, drop_path_rate, spec.image_size)
        super().__init__(**normalisation(network))
        self.spec = spec
        self.backbone = network
        self.dropout = nn.Dropout(drop_rate)
        self.heads = nn.ModuleDict({_module_name(label): nn.Linear(width, spec.trained(label)) for label in spec.classes})

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Label -> logits (B, K) float32, K its trained classes. image: (B, 3, H, W), uint8 or float in 0..255."""
        features = self.dropout(self.backbone(self.normalise(image)))  # (B, width)
        return {label: self.heads[_module_name(label)](features).float() for label in self.spec.classes}

    def decode(self, outputs: Outputs) -> Prediction:
        """Label -> probabilities (B, K) float32, K its reported classes; each row sums to 1.

        The softmax of the trained classes, summed over those that are reported as one.
        """
        return {label: self._reported(label, outputs[label].float().softmax(1)) for label in self.spec.classes}

    def head(self) -> list[nn.Module]:
        """The linear layers, one for each label."""
        return list(self.heads.values())

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The stages of the backbone."""
        return stages(self.backbone)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """An unknown backbone, without importing timm."""
        problem = check_backbone_name(args.backbone)
        return [("backbone", problem)] if problem else []

    def _reported(self, label: str, probabilities: Tensor) -> Tensor:
        if label not in self.spec.merged:
            return probabilities
        merged = self.spec.merged[label]
        groups = [[fine for fine, to in enumerate(merged) if to == index] for index in range(len(self.spec.classes[label]))]
        return torch.stack([probabilities[:, group].sum(1) for group in groups], dim=1)


def _module_name(label: str) -> str:
    """A label as a module's name: torch allows no dots there, and no names of ModuleDict's own, such as `type`."""
    return label.replace(".", "·") + "_head"
