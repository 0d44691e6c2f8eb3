"""The base class of models: a network with its normalisation and its decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from base.contracts import Outputs, OutputSpec, Prediction, Target
from base.registry import Checked, Registry


class BaseModel(nn.Module, Checked, ABC):
    """A network from images to outputs for the loss; `decode` turns outputs into predictions for the user.

    Normalisation belongs to the model, so that an exported model contains it. Subclasses call `normalise` first in `forward`.
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
        """Return the outputs for a batch, by name.

        image: (B, 3, H, W), uint8 or float in 0..255, RGB. target: given in training only, for layers that need it.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> Prediction:
        """Return probabilities, unit vectors or boxes by name. Evaluation, test.py, app.py and export all use this decoder.

        Every value is a tensor (B, …) or, if the samples' values differ in length, a list of B tensors (n_i, …). Coordinates
        are in pixels of the image that `forward` got.
        """

    def undecoded(self, outputs: Outputs) -> Outputs:
        """Return the last outputs of an exported graph: tensors (B, …) that `decode` accepts.

        Override it if `decode` returns lists, which a graph cannot. By default the outputs are returned unchanged.
        """
        return outputs

    def move(self, prediction: Prediction, affine: Tensor) -> Prediction:
        """Return the prediction with its coordinates in the pixels of another picture; unchanged by default.

        affine: (B, 2, 3) float32 on the prediction's device: x' = a00 x + a01 y + a02, y' = a10 x + a11 y + a12.
        """
        return prediction

    @property
    def output_spec(self) -> OutputSpec:
        """The facts about the outputs that losses may need; none by default."""
        return OutputSpec()

    def head(self) -> list[nn.Module]:
        """Return the modules that are new in a fine-tuned network; they may have a learning rate and decay of their own."""
        return []

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters before the head in groups, in order from the picture to the head.

        A group may be frozen, or have a learning rate of its own. Parameters in no group are trained like the head. The list is
        empty if the order is not known.
        """
        return []

    def training_only(self) -> list[nn.Module]:
        """Return the modules that `decode` does not need: budgets do not count them, and exports do not contain them."""
        return []

    def normalise(self, image: Tensor) -> Tensor:
        """Return (image - mean) / std, (B, 3, H, W) float32. image: (B, 3, H, W), uint8 or float in 0..255.

        The constructor's mean and std are for pixels in 0..1, as ImageNet's usually are.
        """
        return (image.float() - self.mean) / self.std


MODELS: Registry[BaseModel] = Registry("model", BaseModel)
