"""Networks of the L-conv paper: one or two hidden layers on all pixels and a linear classifier."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.lconv import counts
from pipelines.lconv.settings import Settings
from shared.base.errors import UserError
from shared.nn import LConv
from shared.nn.penalties import regularizer


def build(settings: Settings, seed: int, channels: int, side: int, classes: int) -> nn.Module:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    Shape:
        in  (batch, channels, side, side)
        out (batch, classes)

    Raises:
        UserError: if the image is too small for the kernels, or the rank too large for the image.
    """
    kinds = {"lconv": LConvNetwork, "random": LConvNetwork, "cnn": _cnn, "cnn_pool": _cnn}
    make = kinds.get(settings.model, _fully_connected)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return make(settings, channels, side, classes)
        except ValueError as error:
            raise UserError(f"{settings.model} on {side}x{side} pixels: {error}") from None


class LConvNetwork(nn.Module):
    """L-conv layers with ReLU, then a linear classifier on all features (fact sheet, sections 1 and 2).

    In training mode the gradient includes that of the penalties of the settings on the learned generators.

    Attributes:
        layers: the `shared.nn.LConv` layers.
    """

    def __init__(self, settings: Settings, channels: int, side: int, classes: int) -> None:
        super().__init__()
        made = []
        for inputs in [channels, settings.width][: settings.layers]:
            learned = settings.model == "lconv"
            options: dict[str, Any] = {"rank": settings.rank or None, "bias": settings.bias}
            options |= {"mode": "learned" if learned else "random", "scale": settings.scale}
            made.append(LConv(inputs, settings.width, side * side, settings.generators, **options))
        self.layers = nn.Sequential(*made)
        self.classifier = _linear(side * side * settings.width, classes)
        self.weights = {"closure": settings.closure, "killing": settings.killing}

    def forward(self, x: Tensor) -> Tensor:
        features = self.layers(x.flatten(2).transpose(1, 2))
        logits = self.classifier(features.flatten(1))
        if self.training and any(self.weights.values()):
            penalty = sum(regularizer(layer, **self.weights) for layer in self.layers)
            return _Add.apply(logits, penalty)
        return logits


class _Add(torch.autograd.Function):
    """Hands the outputs on, and adds a penalty to whatever loss is made of them.

    So the training loop need not know about penalties; it reports the loss without them.
    """

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, penalty: Tensor) -> Tensor:
        ctx.shape = penalty.shape
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.new_ones(ctx.shape)


def _cnn(settings: Settings, channels: int, side: int, classes: int) -> nn.Sequential:
    """Convolutions without padding, each followed by ReLU and, in "cnn_pool", a 2x2 maximum with stride 1."""
    height, width = counts.cnn_sides(settings, side)
    layers: list[nn.Module] = [_ChannelsLast()] if settings.model == "cnn_pool" else []
    for inputs in [channels, settings.width][: _baseline_layers(settings)]:
        convolution = nn.Conv2d(inputs, settings.width, settings.kernel)
        _glorot(convolution)
        layers += [convolution, nn.ReLU()]
        if settings.model == "cnn_pool":
            layers.append(nn.MaxPool2d(2, stride=1))
    return nn.Sequential(*layers, nn.Flatten(), _linear(height * width * settings.width, classes))


class _ChannelsLast(nn.Module):
    """Hands images on in channels_last memory: a CPU takes maxima with stride 1 ten times as fast there."""

    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


def _fully_connected(settings: Settings, channels: int, side: int, classes: int) -> nn.Sequential:
    """Dense layers with ReLU: the structure of L-conv ("fc"), or one layer of equal size ("fc_shallow")."""
    pixels = side * side
    sizes = [pixels * channels]
    if settings.model == "fc_shallow":
        sizes.append(counts.shallow_width(settings, pixels, channels, classes))
    else:
        sizes += _baseline_layers(settings) * [settings.terms * settings.rank, pixels * settings.width]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [_linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, _linear(sizes[-1], classes))


def _baseline_layers(settings: Settings) -> int:
    """Layers that count: in the released script each starts from the input, so that only the last does."""
    return settings.layers if settings.two_layers == "proper" else 1


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    _glorot(layer)
    return layer


def _glorot(layer: nn.Linear | nn.Conv2d) -> None:
    """Keras' default: uniform with variance 2 / (fan in + fan out), zero bias."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
