"""A network of timm with a feature pyramid: its feature maps of several scales are merged from the top down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from model.backbones.timm_backbone import DropPathRate, Pretrained, check_backbone_name, create_backbone
from utils.errors import UserError
from utils.validate import Settings

Level = Annotated[int, Field(ge=2, le=7)]


class Pyramid(Settings):
    """A backbone and the feature pyramid over its maps; a cell of level n covers 2 ** n pixels."""

    backbone: str = Field(description='name of a timm model, with or without a tag ("resnet10t", "mobilenetv3_small_100")')
    pretrained: Pretrained = False
    drop_path_rate: DropPathRate = 0.0
    levels: list[Level] = Field(default=[3, 4, 5], description="levels of the pyramid, one after another: 3 has a stride of 8")
    width: Annotated[int, Field(ge=8)] = Field(default=64, description="channels of every level")

    @field_validator("levels")
    @classmethod
    def _one_after_another(cls, levels: list[int]) -> list[int]:
        if not levels or levels != list(range(levels[0], levels[-1] + 1)):
            raise ValueError("levels that follow each other, such as [3, 4, 5]")
        return levels

    @property
    def strides(self) -> list[int]:
        """Distance from cell to cell in pixels, for each level."""
        return [2**level for level in self.levels]


class FeaturePyramid(nn.Module):
    """Feature pyramid network (Lin et al. 2017) over the last map of a timm network at each of several strides.

    A level that the network does not reach is the level below with every second cell left out, as P6 in the paper.
    """

    def __init__(self, pyramid: Pyramid, norm_layer: Callable[..., nn.Module] | None = None) -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.backbone, _ = create_backbone(pyramid.backbone, pyramid.pretrained, pyramid.drop_path_rate)
        self.stages = _stages(self.backbone, pyramid)
        channels = [_feature_info(self.backbone)[stage]["num_chs"] for stage in self.stages]
        self._drop_what_follows()
        self.merge = FeaturePyramidNetwork(channels, pyramid.width, norm_layer=norm_layer)
        self.more = len(pyramid.levels) - len(self.stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return a map (B, width, ceil(H / stride), ceil(W / stride)) for each level. image: normalised (B, 3, H, W) float."""
        maps = self.backbone.forward_intermediates(image, indices=self.stages, intermediates_only=True)  # type: ignore[operator]
        merged = list(self.merge(OrderedDict((str(level), one) for level, one in enumerate(maps))).values())
        for _ in range(self.more):
            merged.append(F.max_pool2d(merged[-1], kernel_size=1, stride=2))
        return merged

    def _drop_what_follows(self) -> None:
        """Remove the layers behind the last map: parameters without a gradient make training in several processes fail."""
        self.backbone.prune_intermediate_layers(self.stages, prune_norm=True, prune_head=True)  # type: ignore[operator]


def pyramid_problems(pyramid: Pyramid) -> Iterable[tuple[str, str]]:
    """Yield (key below `args`, message) for an unknown backbone, without importing timm."""
    problem = check_backbone_name(pyramid.backbone)
    if problem:
        yield "pyramid.backbone", problem


def _stages(backbone: nn.Module, pyramid: Pyramid) -> list[int]:
    """Return for each level of the backbone the index of its stage: the last stage at the level's stride.

    Raises UserError if the backbone has no feature maps, or lacks a level.
    """
    if not hasattr(backbone, "forward_intermediates") or not hasattr(backbone, "prune_intermediate_layers"):
        raise UserError(f'arch.args.pyramid.backbone: "{pyramid.backbone}" does not give feature maps; choose another')
    info = _feature_info(backbone)
    last = {entry["reduction"]: index for index, entry in enumerate(info)}
    stages = [last[stride] for stride in pyramid.strides if stride in last]
    if not stages or pyramid.strides[0] not in last or stages != sorted(stages):
        has = ", ".join(str(stride.bit_length() - 1) for stride in sorted(last))
        raise UserError(
            f'arch.args.pyramid.levels: found {pyramid.levels}; "{pyramid.backbone}" has levels {has}, and the first must be '
            "one of them"
        )
    return stages


def _feature_info(backbone: nn.Module) -> Sequence[dict[str, Any]]:
    info: Any = backbone.feature_info
    return list(getattr(info, "info", info))
