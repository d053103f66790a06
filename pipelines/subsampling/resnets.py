"""Residual networks of the subsampling paper: plain, p4 and p4m (fact sheet 3.2 and 3.3).

One description serves all: a `_Layers` makes the layers of a group, or torch's own for the plain network.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.subsampling.settings import Settings
from shared.algebra.groups import Group, cyclic, dihedral
from shared.base.errors import UserError, unknown
from shared.nn import (
    Conv2d,
    FitStride,
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialMaxPool,
)

#: Names of a network's children, where errors are measured; three-stage networks lack the last.
#: The classifier is the child ``head``.
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")


@dataclass(frozen=True)
class _Shape:
    """A network of the paper: its group, number of stages, blocks per stage, fields of the first stage."""

    group: Group | None
    stages: int
    blocks: int
    width: int


#: Widths are those of the plain network by sqrt |G|.
SHAPES = {
    "resnet44": _Shape(None, 3, 7, 32),
    "p4resnet44": _Shape(cyclic(4), 3, 7, 16),
    "p4mresnet44": _Shape(dihedral(4), 3, 7, 11),
    "resnet18": _Shape(None, 4, 2, 64),
    "p4resnet18": _Shape(cyclic(4), 4, 2, 32),
}


def widths(settings: Settings) -> tuple[int, ...]:
    """Fields of each stage: as given, or the first stage's doubled from stage to stage.

    Raises:
        UserError: if ``stage_widths`` does not name every stage.
    """
    shape = SHAPES[settings.model]
    if settings.stage_widths:
        if len(settings.stage_widths) != shape.stages:
            raise UserError(
                f"stage_widths has {len(settings.stage_widths)} numbers, but {settings.model} has "
                f"{shape.stages} stages; give one for each"
            )
        return tuple(settings.stage_widths)
    return tuple((settings.width or shape.width) << stage for stage in range(shape.stages))


@dataclass(frozen=True)
class _Layers:
    """Makes layers over a group, or without one torch's own; convolutions have no bias."""

    group: Group | None
    padding_mode: str
    repair: str

    def conv(self, before: int, after: int, kernel: int, stride: int = 1) -> nn.Module:
        """A convolution of the size-keeping padding (kernel - 1) / 2."""
        how = {"stride": stride, "padding": kernel // 2, "bias": False, "padding_mode": self.padding_mode}
        if self.group is not None:
            return GroupConv(before, after, kernel, group=self.group, **how)
        return _he(Conv2d(before, after, kernel, **how))

    def lift(self, channels: int, after: int, kernel: int, stride: int = 1) -> nn.Module:
        """The first convolution, on an image."""
        if self.group is None:
            return self.conv(channels, after, kernel, stride)
        how = {"stride": stride, "padding": kernel // 2, "bias": False, "padding_mode": self.padding_mode}
        return LiftingConv(channels, after, kernel, group=self.group, **how)

    def norm(self, fields: int) -> nn.Module:
        return nn.BatchNorm2d(fields) if self.group is None else GroupBatchNorm(fields, self.group)

    def fit(self, kernel: int, stride: int, pooling: str = "mean") -> list[nn.Module]:
        """What keeps a layer exact that would break at some sizes: nothing, unless a repair is asked for."""
        if stride == 1 or not self.repair:
            return []
        return [FitStride(kernel, stride, kernel // 2, mode="resize" if self.repair == "resize" else pooling)]

    def max_pool(self) -> nn.Module:
        return nn.MaxPool2d(3, 2, 1) if self.group is None else SpatialMaxPool(3, 2, 1)

    def head(self, fields: int, classes: int, order: str) -> list[nn.Module]:
        """Maximum over the group and mean over the pixels in the order asked for, then the classifier."""
        pools = [GlobalAvgPool()] if self.group is None else [GroupPool(), GlobalAvgPool()]
        return [*(pools if order == "group_first" else reversed(pools)), nn.Linear(fields, classes)]


def _he(conv: nn.Conv2d) -> nn.Conv2d:
    """He normal by fan-out, as the released plain networks (fact sheet 1.5)."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is the identity where size and width stay.

    With a repair the block first fits the size of its input to its stride, once for both paths: their
    remainders are the same at every size.

    Shape:
        in  (batch, before, [|G|,] height, width)
        out (batch, after, [|G|,] height', width')
    """

    def __init__(self, layers: _Layers, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.fit = nn.Sequential(*layers.fit(3, stride))
        self.conv1, self.conv2 = layers.conv(before, after, 3, stride), layers.conv(after, after, 3)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(layers.conv(before, after, 1, stride), layers.norm(after))


class PreActivation(_Block):
    """Norm and ReLU stand before each convolution; the shortcut reads the raw input (fact sheet 3.2)."""

    def __init__(self, layers: _Layers, before: int, after: int, stride: int) -> None:
        super().__init__(layers, before, after, stride)
        self.norm1, self.norm2 = layers.norm(before), layers.norm(after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fit(x)
        y = self.conv1(torch.relu(self.norm1(x)))
        return self.conv2(torch.relu(self.norm2(y))) + self.shortcut(x)


class PostActivation(_Block):
    """The basic block of the standard ResNet18: norm after each convolution, ReLU last (fact sheet 3.3)."""

    def __init__(self, layers: _Layers, before: int, after: int, stride: int) -> None:
        super().__init__(layers, before, after, stride)
        self.norm1, self.norm2 = layers.norm(after), layers.norm(after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fit(x)
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


def _stage(
    layers: _Layers, block: type[_Block], before: int, after: int, stride: int, blocks: int
) -> nn.Sequential:
    first = block(layers, before, after, stride)
    return nn.Sequential(first, *(block(layers, after, after, 1) for _ in range(blocks - 1)))


def _standard_stem(layers: _Layers, channels: int, width: int) -> nn.Sequential:
    """7x7 convolution and 3x3 max pool, both of stride 2."""
    conv = [layers.lift(channels, width, 7, 2), layers.norm(width), nn.ReLU()]
    return nn.Sequential(*layers.fit(7, 2), *conv, *layers.fit(3, 2, "max"), layers.max_pool())


def resnet(settings: Settings, classes: int) -> nn.Sequential:
    """The residual network of ``settings``; its children are ``stem``, ``stage1``, ..., ``head``.

    The small stem is one 3x3 convolution of stride 1 before pre-activation blocks; the standard stem goes
    with post-activation blocks. The stages have strides 1, 2, 2 (, 2). Exact sizes: 1 mod 4 (ResNet44),
    1 mod 8 (ResNet18), 1 mod 32 (ResNet18 with the standard stem); with ``settings.repair`` all.

    Shape:
        in  (batch, channels, height, width)
        out (batch, classes)

    Raises:
        UserError: if the model is no residual network, or the widths do not fit it.
    """
    if settings.model not in SHAPES:
        raise UserError(unknown("residual network", settings.model, SHAPES))
    shape, fields = SHAPES[settings.model], widths(settings)
    layers = _Layers(shape.group, settings.padding_mode, settings.repair)
    standard = settings.stem == "standard"
    block = PostActivation if standard else PreActivation
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    stem = _standard_stem if standard else _small_stem
    parts["stem"] = stem(layers, settings.channels, fields[0])
    for name, before, after in zip(STAGES[1:], (fields[0], *fields), fields):
        stride = 1 if name == "stage1" else 2
        parts[name] = _stage(layers, block, before, after, stride, settings.blocks or shape.blocks)
    last = [] if standard else [layers.norm(fields[-1]), nn.ReLU()]
    parts["head"] = nn.Sequential(*last, *layers.head(fields[-1], classes, settings.head))
    return nn.Sequential(parts)


def _small_stem(layers: _Layers, channels: int, width: int) -> nn.Module:
    return layers.lift(channels, width, 3)
