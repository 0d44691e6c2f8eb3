"""MobileFaceNet: a mobile network whose last spatial layer learns a weight for every position of the picture."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Activation = Literal["prelu", "relu"]

# Chen et al. 2018, table 1, between the first two convolutions and the last one: expansion t, channels c, repeats n, stride s
# of the first repeat. Every bottleneck is an inverted residual (Sandler et al. 2018).
BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
STEM, FEATURES = 64, 512
STRIDE = 16  # stride of all layers together


class Unit(nn.Sequential):
    """Convolution, batch norm and activation; without the activation it is the paper's linear convolution."""

    def __init__(
        self,
        inside: int,
        out: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        activation: Activation | None = "prelu",
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, out, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(out),
        ]
        if activation is not None:
            layers.append(nn.PReLU(out) if activation == "prelu" else nn.ReLU(inplace=True))
        super().__init__(*layers)


class Bottleneck(nn.Module):
    """1x1 wider by `expansion`, 3x3 on each channel alone, 1x1 back without activation, and the input if the shapes agree."""

    def __init__(self, inside: int, out: int, expansion: int, stride: int, activation: Activation) -> None:
        super().__init__()
        wide = inside * expansion
        self.residual = stride == 1 and inside == out
        self.layers = nn.Sequential(
            Unit(inside, wide, activation=activation),
            Unit(wide, wide, 3, stride, 1, groups=wide, activation=activation),
            Unit(wide, out, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride) float, sides rounded up. x: (B, C, H, W) float."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileFaceNet(nn.Module):
    """Pictures (B, 3, H, W) of one size to features (B, 512): table 1 of Chen et al. 2018 without its last, linear layer.

    The linear layer belongs to the embedding, and is 128 wide in the paper. With a width of 512, and 112 x 112 pixels, network
    and linear layer have 1,200,512 parameters.

    With "relu" the network has 7,552 parameters less than with the paper's "prelu", and an epoch on a CPU takes about half as
    long: the gradient of PReLU is slow there.
    """

    num_features = FEATURES

    def __init__(self, image_size: tuple[int, int] = (112, 112), activation: Activation = "prelu") -> None:
        super().__init__()
        layers: list[nn.Module] = [
            Unit(3, STEM, 3, 2, 1, activation=activation),
            Unit(STEM, STEM, 3, 1, 1, groups=STEM, activation=activation),
        ]
        width = STEM
        for expansion, channels, repeats, stride in BOTTLENECKS:
            for number in range(repeats):
                layers.append(Bottleneck(width, channels, expansion, stride if number == 0 else 1, activation))
                width = channels
        height, across = (-(-side // STRIDE) for side in image_size)
        self.body = nn.Sequential(*layers, Unit(width, FEATURES, activation=activation))
        # The paper's global depthwise convolution: a weight for every position and channel; an average has the same for all.
        self.place = Unit(FEATURES, FEATURES, (height, across), groups=FEATURES, activation=None)

    def forward(self, image: Tensor) -> Tensor:
        """Return features (B, 512) float. image: normalised (B, 3, H, W) float of the constructor's size."""
        features: Tensor = self.place(self.body(image)).flatten(1)
        return features
