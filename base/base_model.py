"""A network with its preprocessing before it and its decoder after it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from base.contracts import Outputs, OutputSpec, Prediction, Target
from base.registry import Checked, Registry


class BaseModel(nn.Module, Checked, ABC):
    """Image in, outputs for the loss out; `decode` turns outputs into what users see.

    Normalisation lives here, so that an exported model carries it. Subclasses call `normalise` first.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: tuple[float, float, float] = (0.485, 0.456, 0.406), std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    ) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Outputs for a batch.

        image: (B, 3, H, W), uint8 or float in 0..255, RGB. target: only for layers that exist in training alone.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> Prediction:
        """Probabilities, unit vectors or boxes: the one decoder of evaluation, test.py, app.py and export.

        Every value has B as its first dimension (tensor) or length (list of tensors, for ragged ones). What has
        coordinates has them in pixels of the image that `forward` was given.
        """

    def undecoded(self, outputs: Outputs) -> Outputs:
        """What an exported graph ends with where a decoder gives lists: tensors of B rows each, which `decode` takes too."""
        return outputs

    def move(self, prediction: Prediction, affine: Tensor) -> Prediction:
        """The prediction in the pixels of another picture; by default it has no coordinates, and stays as it is.

        affine: (B, 2, 3) float32 on the prediction's device: x' = a00 x + a01 y + a02, y' = a10 x + a11 y + a12.
        """
        return prediction

    @property
    def output_spec(self) -> OutputSpec:
        """What losses may have to know; nothing by default."""
        return OutputSpec()

    def head(self) -> list[nn.Module]:
        """The modules that are new in a fine-tuned network; they may have their own learning rate and decay."""
        return []

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The parameters before the head in groups, from the picture on: what may be trained apart, or more slowly.

        An empty list where nothing is known of their order; what is in no group is trained as the head is.
        """
        return []

    def training_only(self) -> list[nn.Module]:
        """The modules that `decode` does without: no budget counts them, and no export holds them."""
        return []

    def normalise(self, image: Tensor) -> Tensor:
        """(image - mean) / std in float32; mean and std are the constructor's, in the 0..1 scale of ImageNet's."""
        return (image.float() - self.mean) / self.std


MODELS: Registry[BaseModel] = Registry("model", BaseModel)
