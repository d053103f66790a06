"""Strided convolutions with 1 x 1 filters that are right on every processor.

In torch (2.6.0 and 2.13.0 alike) the gradient of such a filter is computed by a kernel of oneDNN that
overwrites memory: the process dies, hangs, or goes on with a wrong gradient. By a scan of 4,000 shapes in
processes of their own the condition is: 1 x 1 filter, no padding, one group, each size a multiple of its
stride, channels_last memory, more than one image, and on the side that is read with a stride fewer channels
than the kernel has in a block: 8 with AVX2, 16 with AVX-512 (there only with two threads or more and a number
of images that they cannot share evenly; bf16, too). A transposed convolution runs the same kernel. It is
oneDNN's issue 6035; docs/processors.md says what else to do.

Such a layer reads every s-th pixel only; to take these first and to convolve them with stride 1 is the same
sum. That is done for all shapes of fewer than 16 channels in the condition, on every processor and device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Channels in the largest block of the kernel; from there on it is right.
_BLOCK = 16


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, right on every processor.

    Shape:
        input (batch, in, height, width), weight (out, in / groups, k, l), bias (out,)
        -> (batch, out, height', width')
    """
    steps = _pair(stride)
    if _is_narrow(weight, steps, groups) and _is_bare(padding) and _divides(steps, input.shape[-2:]):
        return F.conv2d(input[..., :: steps[0], :: steps[1]], weight, bias)
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int | tuple[int, int] = 0,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
) -> Tensor:
    """`torch.nn.functional.conv_transpose2d`, right on every processor.

    Shape:
        input (batch, in, height, width), weight (in, out / groups, k, l), bias (out,)
        -> (batch, out, height', width')
    """
    steps, extra = _pair(stride), _pair(output_padding)
    size = [(side - 1) * step + 1 + more for side, step, more in zip(input.shape[-2:], steps, extra)]
    if not (_is_narrow(weight, steps, groups) and _is_bare(padding) and _divides(steps, size)):
        return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)
    dense = F.conv_transpose2d(input, weight)
    y = dense.new_zeros(*dense.shape[:-2], *size)
    y[..., :: steps[0], :: steps[1]] = dense
    return y if bias is None else y + bias.view(-1, 1, 1)


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, right on every processor; arguments, shapes and parameters are the same."""

    def forward(self, x: Tensor) -> Tensor:
        if self.padding_mode != "zeros":  # torch pads first, if there is anything to pad
            with RightConvolutions():
                return super().forward(x)
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class RightConvolutions(TorchFunctionMode):
    """Inside the block torch's own convolutions are those of this module: for networks that others wrote.

    Each call of torch costs some microseconds more, a tenth of a step of a small network; where ``needed`` is
    still false after a step, the next ones can do without.

    Args:
        network: looked through for layers that need it.

    Attributes:
        needed: whether ``network`` has such a layer, or one was called inside the block.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        layers = [] if network is None else [m for m in network.modules() if isinstance(m, kinds)]
        self.needed = any(_is_narrow(layer.weight, _pair(layer.stride), layer.groups) for layer in layers)

    def __torch_function__(
        self,
        function: Callable,
        types: Iterable[type],
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function not in _OURS:
            return function(*args, **kwargs)
        call = _OURS[function].bind(*args, **kwargs)
        call.apply_defaults()
        given = call.arguments
        self.needed |= _is_narrow(given["weight"], _pair(given["stride"]), given["groups"])
        return _CALLS[function](*call.args)


#: Ours by torch's; the arguments of ours under torch's names.
_CALLS = {F.conv2d: conv2d, F.conv_transpose2d: conv_transpose2d}
_OURS = {theirs: inspect.signature(ours) for theirs, ours in _CALLS.items()}


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return both if len(both) == 2 else (both[0], both[0])


def _is_narrow(weight: Tensor, steps: tuple[int, int], groups: int) -> bool:
    """Whether a filter of (out or in, in or out / groups, height, width) is in the condition above."""
    return max(steps) > 1 and groups == 1 and weight.shape[1] < _BLOCK and weight.shape[2:] == (1, 1)


def _is_bare(padding: int | Sequence[int] | str) -> bool:
    return padding == "valid" if isinstance(padding, str) else not any(_pair(padding))


def _divides(steps: tuple[int, int], size: Iterable[int]) -> bool:
    return not any(side % step for side, step in zip(size, steps))
