"""IR and IR-SE networks: residual networks for faces that keep the position of features up to the last layer."""

from __future__ import annotations

from torch import Tensor, nn

# Repeats of the blocks of 64, 128, 256 and 512 channels (Deng et al. 2019, section 3.1, after He et al. 2016).
REPEATS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
CHANNELS = (64, 128, 256, 512)
STRIDE = 16  # stride of all blocks together; the stem has none, because the pictures of faces are small
SQUEEZE = 16  # factor by which squeeze-and-excitation reduces the channels between its two layers


class SqueezeExcitation(nn.Module):
    """Channels weighted by a function of the means of all channels (Hu et al. 2018, figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // SQUEEZE, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // SQUEEZE, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted channels of the same shape. x: (B, C, H, W) float."""
        weighted: Tensor = x * self.gate(x)
        return weighted


class ImprovedBlock(nn.Module):
    """BN, 3x3, PReLU, 3x3 with the stride, BN, beside a shortcut: the "IR" block.

    Deng et al. 2019, section 3.2.2 has a BN between the first convolution and the PReLU. The published networks of 43.8 M
    parameters named IR-SE-50 have none; this block has none either.
    """

    def __init__(self, inside: int, out: int, stride: int, excitation: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.Conv2d(inside, out, 3, 1, 1, bias=False),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            *([SqueezeExcitation(out)] if excitation else []),
        )
        self.shortcut: nn.Module = nn.MaxPool2d(1, stride)
        if inside != out:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride) float, sides rounded up. x: (B, C, H, W) float."""
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y


class ImprovedResNet(nn.Module):
    """Pictures (B, 3, H, W) of one size to features (B, 512 * H/16 * W/16): every position keeps its own 512 features.

    The linear layer behind this network belongs to the embedding. With 112 x 112 pixels and 512 numbers it has 12.8 M
    parameters.
    """

    def __init__(self, depth: int, excitation: bool, image_size: tuple[int, int] = (112, 112)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
        width = 64
        for channels, repeats in zip(CHANNELS, REPEATS[depth], strict=True):
            for number in range(repeats):
                layers.append(ImprovedBlock(width, channels, 2 if number == 0 else 1, excitation))
                width = channels
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(width))
        height, across = (-(-side // STRIDE) for side in image_size)
        self.num_features = width * height * across

    def forward(self, image: Tensor) -> Tensor:
        """Return features (B, num_features) float. image: normalised (B, 3, H, W) float of the constructor's size."""
        features: Tensor = self.body(image).flatten(1)
        return features
