"""Three networks as strangers bring them, small: a U-Net, a ConvNeXt, a transformer (no test file itself)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.algebra.groups import cyclic
from shared.nn import GroupBatchNorm, GroupConv, LiftingConv


class UNet(nn.Module):
    """Ronneberger et al., MICCAI 2015: one level down and up again, and a class for each pixel.

    With ``tied`` its convolutions are those of p4, and the mean over orientations is classified. With
    ``summed`` the maps are added instead of concatenated, as in LinkNet.
    """

    def __init__(self, tied: bool = False, summed: bool = False, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.tied, self.summed = tied, summed
        self.first = self.convolutions(1, width, LiftingConv if tied else nn.Conv2d)
        self.down = nn.MaxPool3d((1, 2, 2)) if tied else nn.MaxPool2d(2)
        self.middle = self.convolutions(width, width if summed else 2 * width)
        self.up = nn.Upsample(scale_factor=(1, 2, 2) if tied else 2)
        self.last = self.convolutions(width if summed else 3 * width, width)
        self.classes = nn.Conv2d(width, classes, 1)

    def convolutions(self, into: int, out: int, kind: type[nn.Module] | None = None) -> nn.Sequential:
        second = GroupConv if self.tied else nn.Conv2d
        layers: list[nn.Module] = []
        for conv, channels in ((kind or second, into), (second, out)):
            norm = GroupBatchNorm(out, cyclic(4)) if self.tied else nn.BatchNorm2d(out)
            layers += [conv(channels, out, 3, padding=1), norm, nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        high = self.first(x)
        low = self.up(self.middle(self.down(high)))
        y = self.last(high + low if self.summed else torch.cat([high, low], dim=1))
        return self.classes(y.mean(2) if self.tied else y)


class StochasticDepth(nn.Module):
    """Drops a branch, image by image, while training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.empty((len(x), 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(0.8)
        return x * kept / 0.8


class ConvNeXtBlock(nn.Module):
    """Liu et al., CVPR 2022: depthwise convolution, norm of channels, two linear layers, layer scale."""

    def __init__(self, width: int, dropping: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm, self.wide = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width)
        self.narrow, self.scale = nn.Linear(4 * width, width), nn.Parameter(1e-6 * torch.ones(width))
        self.drop = StochasticDepth() if dropping else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(nn.functional.gelu(self.wide(y)))
        return x + self.drop(y.permute(0, 3, 1, 2))


class ConvNeXt(nn.Module):
    def __init__(self, width: int = 6, dropping: bool = True, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 2, stride=2)
        self.blocks = nn.Sequential(*[ConvNeXtBlock(width, dropping) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x)).mean((-2, -1))))


class EncoderBlock(nn.Module):
    """Pre-norm attention and perceptron."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=drop, batch_first=True)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(drop), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.perceptron(self.norm2(x))


class ViT(nn.Module):
    """Dosovitskiy et al., ICLR 2021: patches, a class token, learned positions."""

    def __init__(self, side: int = 8, width: int = 8, drop: float = 0.1, classes: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + (side // 2) ** 2, width))
        self.blocks = nn.Sequential(*[EncoderBlock(width, 2, drop) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])
