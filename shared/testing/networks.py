"""Random small networks, to hold verdicts about networks against measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shared import nn as ours
from shared.algebra.groups import Group
from shared.nn.copies import copied
from shared.testing import parts
from shared.testing.parts import Concatenation, Gate, Residual
from shared.testing.scripts import source

Choose = Callable[[Sequence[Any]], Any]
_CHANNELS = 2
_LARGEST = 24


@dataclass(frozen=True)
class RandomNetwork:
    """A network in float64, the group of its filters, and the size of its input (in_channels is 2).

    ``layers`` are the calls that build its parts, and ``edits`` those that were done to it then; see
    `shared.testing.scripts`.
    """

    module: nn.Module
    group: Group
    size: tuple[int, int]
    in_channels: int = _CHANNELS
    layers: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()


@dataclass
class _Maker:
    """Adds layers that fit to what the network makes so far."""

    choose: Choose
    group: Group
    ordinary: bool
    strange: bool = False  # with what networks of others do, which the atlas need not know
    normalized: bool = False  # by statistics of the input: twice would blow up rounding on constant maps

    def layer(self, x: Tensor) -> nn.Module:
        features = x.dim() == 5
        kinds = (
            ["conv"] * 4 + ["max", "avg"] * 2 + ["norm", "act", "act", "adaptive", "dropout", "resize", "pad"]
        )
        kinds += ["fitted"]
        kinds += ["pool_group"] if features else ["map", "lift", "lift"]
        kinds += ["branches"] * 3
        kinds += ["function"] * 8 + ["other"] * 5 if self.strange else []
        return getattr(self, "_" + self.choose(kinds))(x)

    def _windows(self, largest: int = 5) -> dict[str, Any]:
        kernel = self.choose([1, 2, 3, 3, 4, largest])
        stride = self.choose([1, 1, 1, 2, 2, 3])
        padding = self.choose([0, 0, kernel // 2, kernel // 2, min(1, kernel // 2)])
        return {"kernel_size": kernel, "stride": stride, "padding": padding}

    def _conv(self, x: Tensor) -> nn.Module:
        if x.dim() == 4:
            return self._lift(x) if not self.ordinary else self._plain(x)
        options = self._windows() | {
            "dilation": self.choose([1, 1, 1, 2]),
            "bias": self.choose([True, False]),
        }
        options["padding"] *= options["dilation"]
        options["padding_mode"] = self._filling()
        if self.choose([False] * 9 + [True]):
            options["stride"] = (options["stride"], self.choose([1, 2]))
        out = self.choose([1, x.shape[1]])
        return ours.GroupConv(x.shape[1], out, options.pop("kernel_size"), group=self.group, **options)

    def _filling(self) -> str:
        return self.choose(["zeros"] * 6 + ["circular", "reflect", "replicate"])

    def _lift(self, x: Tensor) -> nn.Module:
        options = self._windows() | {"bias": self.choose([True, False]), "padding_mode": self._filling()}
        return ours.LiftingConv(
            x.shape[1], _CHANNELS, options.pop("kernel_size"), group=self.group, **options
        )

    def _plain(self, x: Tensor) -> nn.Module:
        mode = self.choose(["zeros", "zeros", "circular", "replicate"])
        return nn.Conv2d(x.shape[1], _CHANNELS, **self._windows(3), padding_mode=mode)

    def _map(self, x: Tensor) -> nn.Module:
        """A 1x1 convolution: ordinary, and exact."""
        return nn.Conv2d(
            x.shape[1], _CHANNELS, 1, stride=self.choose([1, 1, 2]), bias=self.choose([True, False])
        )

    def _max(self, x: Tensor) -> nn.Module:
        options = self._windows(3) | {"ceil_mode": self.choose([False, True])}
        if x.dim() == 4 and self.choose([True, False]):
            return nn.MaxPool2d(**options, dilation=self.choose([1, 2]))
        return ours.SpatialMaxPool(**options)

    def _avg(self, x: Tensor) -> nn.Module:
        options = self._windows(3) | {"ceil_mode": self.choose([False, True])}
        if self.choose([False, True]):
            return ours.SpatialAvgPool(**options)
        options["count_include_pad"] = self.choose([False, True])
        if x.dim() == 4:
            return nn.AvgPool2d(**options, divisor_override=self.choose([None, None, 3]))
        deep = {"kernel_size": 1, "stride": 1, "padding": 0}
        return nn.AvgPool3d(
            **{key: (deep[key], value, value) if key in deep else value for key, value in options.items()}
        )

    def _adaptive(self, x: Tensor) -> nn.Module:
        size = (self.choose([1, 2, 3, 5]), self.choose([1, 2, 3, 4, None]))
        size = size if self.choose([False, True]) else (size[0], size[0])
        if x.dim() == 5:
            return self.choose([nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d])((None, *size))
        return self.choose([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])(size)

    def _resize(self, x: Tensor) -> nn.Module:
        if x.dim() == 5:
            return nn.Upsample(scale_factor=(1, *[self.choose([1.5, 2.0])] * 2), mode="nearest")
        mode = self.choose(["nearest", "nearest-exact", "bilinear", "bilinear", "bicubic"])
        if self.choose([False, True]):
            return nn.Upsample(scale_factor=self.choose([0.5, 1.5, 2.0]), mode=mode)
        corners = self.choose([False, True]) if mode.startswith("bi") else None
        return nn.Upsample(size=(self.choose([3, 4, 5, 8]),) * 2, mode=mode, align_corners=corners)

    def _pad(self, x: Tensor) -> nn.Module:
        if x.dim() == 5:
            return self._act(x)
        sides = (
            [self.choose([0, 1])] * 4
            if self.choose([False, True])
            else [self.choose([0, 0, 1]) for _ in "lrtb"]
        )
        return self.choose([nn.ZeroPad2d, nn.ReplicationPad2d, nn.ReflectionPad2d])(tuple(sides))

    def _norm(self, x: Tensor) -> nn.Module:
        if x.dim() == 4:
            return nn.BatchNorm2d(x.shape[1])
        if self.normalized:
            return ours.GroupBatchNorm(x.shape[1], self.group)
        self.normalized = self.choose([False, False, True])
        if not self.normalized:
            return self.choose(
                [ours.GroupBatchNorm(x.shape[1], self.group), nn.BatchNorm3d(x.shape[1]), Gate()]
            )
        return self.choose([nn.GroupNorm(1, x.shape[1]), nn.InstanceNorm3d(x.shape[1], affine=True)])

    def _fitted(self, x: Tensor) -> nn.Module:
        """A pool behind what fits the map to it, now and then to another stride than its own."""
        windows = self._windows(3)
        fitted = windows | {"stride": self.choose([windows["stride"]] * 4 + [2])}
        pool = self.choose([ours.SpatialMaxPool, ours.SpatialAvgPool])
        fit = ours.FitStride(**fitted, mode=self.choose(["resize", "mean", "max"]))
        return nn.Sequential(fit, pool(**windows))

    def _act(self, x: Tensor) -> nn.Module:
        return self.choose([nn.ReLU, nn.ReLU, nn.Tanh, nn.SiLU, nn.Sigmoid, nn.PReLU])()

    def _dropout(self, x: Tensor) -> nn.Module:
        return ours.Dropout(0.3)

    def _pool_group(self, x: Tensor) -> nn.Module:
        return ours.GroupPool(self.choose(["max", "mean"]))

    def _function(self, x: Tensor) -> nn.Module:
        return parts.Apply(self.choose(list(parts.FUNCTIONS)))

    def _other(self, x: Tensor) -> nn.Module:
        """A layer of torch that `random_network` has not else."""
        channels = x.shape[1]
        if x.dim() == 5:
            kinds = [nn.ELU(), nn.GroupNorm(channels, channels), nn.LeakyReLU(self.choose([0.1, -0.5, 2.0]))]
            return self.choose([*kinds, nn.Softmax(self.choose([1, 2])), nn.Flatten(1, 2), nn.Dropout(0.3)])
        windows = {"kernel_size": self.choose([1, 2, 3]), "stride": self.choose([1, 2])}
        return self.choose(
            [
                lambda: nn.ConvTranspose2d(channels, _CHANNELS, **windows, padding=self.choose([0, 1])),
                lambda: parts.MirroredConv2d(channels, _CHANNELS, 1),
                lambda: ours.Conv2d(channels, _CHANNELS, **windows),
                lambda: nn.Conv2d(channels, 4 * channels, 1, groups=self.choose([1, channels])),
                lambda: nn.PixelShuffle(2),
                lambda: nn.PixelUnshuffle(2),
                lambda: nn.ChannelShuffle(2),
                lambda: nn.GroupNorm(self.choose([1, channels]), channels),
                lambda: nn.InstanceNorm2d(
                    channels, affine=True, track_running_stats=self.choose([False, True])
                ),
                lambda: nn.LocalResponseNorm(2),
                lambda: nn.LeakyReLU(self.choose([0.1, -0.5, 2.0])),
                lambda: nn.ReLU6(),
                lambda: nn.Softmax(1),
                lambda: nn.Dropout2d(0.3),
                lambda: nn.Unflatten(1, (1, channels)),
                lambda: parts.Continuous(channels, self.group.order),
                lambda: parts.OnPixels(channels, *x.shape[-2:]),
            ]
        )()

    def _branches(self, x: Tensor) -> nn.Module:
        """A residual block or a concatenation; the paths are of one design, so that they often meet."""
        windows = self._windows(3)
        paths = [self._path(x, windows) for _ in range(2)]
        if self.choose([False, False, True]):
            paths[1] = nn.Identity()
        return self.choose([Residual, Concatenation])(*paths)

    def _path(self, x: Tensor, windows: dict[str, Any]) -> nn.Module:
        stride = windows["stride"]
        kernel = self.choose([windows["kernel_size"], 1])
        padding = windows["padding"] if kernel != 1 else 0
        if x.dim() == 5:
            conv = ours.GroupConv(
                x.shape[1], x.shape[1], kernel, group=self.group, stride=stride, padding=padding
            )
        else:
            conv = nn.Conv2d(x.shape[1], x.shape[1], 1, stride=stride)
        layers = [conv, self._act(x)]
        if self.choose([False, True]):
            layers = [self._norm(x), *layers]
        return nn.Sequential(*layers)


def _runs(layer: nn.Module, x: Tensor) -> Tensor | None:
    try:
        with torch.no_grad():
            y = layer.double().eval()(x)
    except (RuntimeError, ValueError):
        return None  # does not fit this size; the next draw will
    fits = y.dim() > 1 and y.numel() and max(y.shape[-2:]) <= _LARGEST
    return y if fits and torch.isfinite(y).all() else None


def random_network(
    choose: Choose,
    group: Group,
    depth: int = 6,
    sides: Sequence[int] = range(4, 17),
    strange: bool = False,
) -> RandomNetwork:
    """Build a network from random choices, of the layers that the atlas knows.

    Args:
        choose: picks one of a sequence, such as `random.Random(0).choice`.
        group: of the tied convolutions.
        depth: largest number of layers before the head; residual blocks count as one.
        sides: heights and widths to choose from.
        strange: also layers and functions that the atlas may not know, hooks, and tied and frozen weights.
    """
    side = choose(sides)
    size = (side, side) if choose([True, True, True, False]) else (side, choose(sides))
    maker = _Maker(choose, group, choose([False] * (2 if strange else 9) + [True]), strange)
    x, layers = torch.randn(3 if strange else 1, _CHANNELS, *size, dtype=torch.float64), []
    for step in range(choose(range(2, depth + 1))):
        lift = step == 0 and not (strange and maker.ordinary) and choose([True, True, True, False])
        layer = maker._lift(x) if lift else maker.layer(x)
        y = _runs(layer, x)
        if y is not None:
            layers.append(layer)
            x = y
    network = nn.Sequential(*layers, *_head(choose, x)).double()
    sources = tuple(source(layer) for layer in network)
    edits = _edited(choose, network, x.new_zeros(3, _CHANNELS, *size)) if strange else ()
    return RandomNetwork(network, group, size, layers=sources, edits=edits)


def _edited(choose: Choose, network: nn.Module, x: Tensor) -> tuple[str, ...]:
    """Freeze, tie or hook parts of the network, if it still runs then; returns what was done."""
    done: list[str] = []
    for _ in range(choose([0, 0, 1, 2])):
        named = [(name, p.shape) for name, p in network.named_parameters()]
        pairs = [(a, b) for a, s in named for b, t in named if a < b and s == t]
        layers = [name for name, layer in network.named_modules() if name and not list(layer.children())]
        edits = [f"change(network, {choose(layers)!r}, {choose(list(parts.HOOKS))!r})"]
        edits += [f"freeze(network, {choose(layers)!r})"]
        edits += [f"tie(network, {', '.join(map(repr, choose(pairs)))})"] * 2 if pairs else []
        edit = f"parts.{choose(edits)}"
        try:
            tried = copied(network)
            eval(edit, {"parts": parts, "network": tried})
            if _runs(tried, x) is not None:
                eval(edit, {"parts": parts, "network": network})
                done.append(edit)
        except (AttributeError, RuntimeError, TypeError, ValueError, KeyError):
            continue  # this layer takes no such edit
    return tuple(done)


def _head(choose: Choose, x: Tensor) -> list[nn.Module]:
    """Nothing, a pool to invariants, or a dense layer, on regular features or on images."""
    if x.dim() not in (4, 5):
        return []
    pools = (
        [ours.GlobalAvgPool(), ours.GroupPool(choose(["max", "mean"]))]
        if x.dim() == 5
        else [ours.GlobalAvgPool()]
    )
    if choose([False, True]):
        pools.reverse()
    ending = choose(["map", "map", "pool", "pool", "dense", "dense", "flatten"])
    if ending == "map":
        return []
    if ending == "flatten":
        return [nn.Flatten(), nn.Linear(x[0].numel(), 3)]
    return pools + ([nn.Linear(x.shape[1], 3)] if ending == "dense" else [])


def randomize(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter and running statistic anew, so that no zero of an initialization hides a fault.

    Weights keep the scale that their fan-in asks for.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise.mul_((2 / fan_in) ** 0.5))
        for m in module.modules():
            if isinstance(getattr(m, "running_mean", None), Tensor):
                shape = m.running_mean.shape
                m.running_mean.copy_(torch.randn(shape, generator=generator, dtype=torch.float64))
                m.running_var.copy_(0.5 + torch.rand(shape, generator=generator, dtype=torch.float64))
