"""Known numbers in a network: masks, fixed filters. Looked at, channel by channel, and taken to one channel.

The atlas runs a network with one channel. Known values of many channels are represented by one random
combination with positive weights: it has a symmetry if all channels have it, and for almost all weights only
then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.algebra.groups import Group
from shared.atlas.maps import generator
from shared.atlas.symmetry import move

#: Of the largest value: what differs by less was meant to be equal, and rounded.
_ROUNDING = 1e-6
_ELEMENTS = range(8)


@dataclass(frozen=True)
class Values:
    """Known numbers, float64, hashable.

    Shape:
        of a filter (kernel height, kernel width); of a map (orientations or 1, height or 1, width or 1)
    """

    shape: tuple[int, ...]
    content: bytes

    @property
    def tensor(self) -> Tensor:
        """As a tensor, float64."""
        return torch.frombuffer(bytearray(self.content), dtype=torch.float64).view(self.shape)


def _values(tensor: Tensor) -> Values:
    made = tensor.detach().double().contiguous()
    return Values(tuple(made.shape), made.numpy().tobytes())


def _snapped(channels: Tensor, group: Group | None) -> Tensor:
    """Channels with largest value 1, exactly equal where an element of D4 makes them equal up to rounding.

    Shape:
        ``(channels, orientations, H, W)``, and so is the result.
    """
    channels = channels.detach().cpu().double().nan_to_num()
    channels = channels / channels.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-300)
    channels = torch.where(channels.abs() <= _ROUNDING, 0, channels)
    place = torch.arange(channels[0].numel()).view(1, 1, *channels.shape[1:])
    first = place
    for element in _ELEMENTS:
        moved = move(element, channels[None], group)[0]
        if moved.shape == channels.shape and float((moved - channels).abs().max()) <= _ROUNDING:
            first = torch.minimum(first, move(element, place, group))
    for _ in _ELEMENTS:  # the first of the first: orbits of several elements together
        first = first.flatten()[first.flatten()].view_as(first)
    return channels.flatten(1)[:, first.flatten()].view_as(channels)


def _one(channels: Tensor, group: Group | None) -> Tensor:
    weights = 0.5 + torch.rand(len(channels), 1, 1, 1, generator=generator("channels"), dtype=torch.float64)
    total = (_snapped(channels, group) * weights).sum(0, keepdim=True)
    return _snapped(total, group)[0]  # sums may be rounded differently from pixel to pixel


def combined(channels: Tensor, group: Group | None = None) -> Values:
    """One channel that stands for all.

    Args:
        channels: known values of each channel.
        group: whose elements the orientations are.

    Shape:
        channels ``(channels, orientations, H, W)``
    """
    total = _one(channels, group)
    for axis in range(3):
        if bool((total == total.narrow(axis, 0, 1)).all()):
            total = total.narrow(axis, 0, 1)
    return _values(total)


def kernel(weight: Tensor) -> Values:
    """The filter that stands for all of a convolution with known weights.

    Shape:
        weight ``(out, in, kernel height, kernel width)``
    """
    return _values(_one(weight.flatten(0, 1)[:, None], None)[0])


def alike(channels: Tensor) -> bool:
    """Whether all channels hold the same; the first axis is theirs."""
    return bool((channels == channels[:1]).all())
