"""Strided 1 x 1 convolutions: the sums of torch, without the kernel of torch that is wrong."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from shared import nn as ours
from shared.nn import strided
from shared.train import FitSettings, TrainingSet, fit

#: (kernel, stride, padding, groups, channels): three in the condition, then each part of it broken once.
SHAPES = [
    (1, 2, 0, 1, 4),
    (1, (1, 2), "valid", 1, 15),
    (1, 3, 0, 1, 1),
    (1, 2, 1, 1, 4),
    (1, 2, 0, 2, 4),
    (1, 2, 0, 1, 16),
    (3, 2, 1, 1, 4),
    (1, 1, 0, 1, 4),
]
SIZES = [(12, 12), (13, 12), (7, 9)]


class Calls(TorchDispatchMode):
    """Notes the stride of each convolution that torch really computes."""

    def __init__(self) -> None:
        super().__init__()
        self.strides: list[tuple[int, ...]] = []

    def __torch_dispatch__(
        self, function: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if function is torch.ops.aten.convolution.default:
            self.strides.append(tuple(args[3]))
        return function(*args, **(kwargs or {}))


def gradients(y: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [y.detach(), *torch.autograd.grad(y.square().sum(), inputs)]


@pytest.mark.parametrize(("shape", "size"), list(itertools.product(SHAPES, SIZES)), ids=str)
def test_values_and_gradients_are_torchs(shape, size):
    kernel, stride, padding, groups, channels = shape
    x = torch.randn(3, channels, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, channels // groups, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)
    arguments = (weight, bias, stride, padding, 1, groups)
    expected = gradients(F.conv2d(x, *arguments), x, weight, bias)
    found = gradients(strided.conv2d(x, *arguments), x, weight, bias)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("stride", "extra", "out"), [(2, 1, 4), (3, 2, 15), (2, 0, 4), (2, 1, 16), (1, 0, 4)]
)
def test_transposed_values_and_gradients_are_torchs(stride, extra, out):
    x = torch.randn(3, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, out, 1, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(out, dtype=torch.float64, requires_grad=True)
    arguments = (weight, bias, stride, 0, extra)
    expected = gradients(F.conv_transpose2d(x, *arguments), x, weight, bias)
    found = gradients(strided.conv_transpose2d(x, *arguments), x, weight, bias)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_the_wrong_kernel_is_never_called():
    with Calls() as calls:
        for (_, stride, padding, _, channels), size in itertools.product(SHAPES[:3], [(12, 12), (6, 24)]):
            strided.conv2d(
                torch.randn(2, channels, *size), torch.randn(6, channels, 1, 1), None, stride, padding
            )
        ours.LiftingConv(3, 2, 1, stride=2)(torch.randn(2, 3, 8, 8))
        ours.GroupConv(3, 2, 1, stride=2)(torch.randn(2, 3, 4, 8, 8))
        ours.Conv2d(3, 2, 1, stride=2)(torch.randn(2, 3, 8, 8))
        ours.Conv2d(3, 2, 1, stride=2, padding_mode="reflect")(torch.randn(2, 3, 8, 8))
        strided.conv_transpose2d(torch.randn(2, 9, 8, 8), torch.randn(9, 3, 1, 1), None, 2, 0, 1)
    assert calls.strides == [(1, 1)] * 11


def test_what_is_right_is_left_to_torch():
    with Calls() as calls:
        for kernel, stride, padding, groups, channels in SHAPES[3:]:
            x, weight = torch.randn(2, channels, 12, 12), torch.randn(6, channels // groups, kernel, kernel)
            strided.conv2d(x, weight, None, stride, padding, 1, groups)
        strided.conv2d(torch.randn(2, 4, 13, 12), torch.randn(6, 4, 1, 1), None, 2)
    assert calls.strides == [(2, 2)] * 4 + [(1, 1), (2, 2)]


class Functional(nn.Module):
    """A network of somebody else's, which calls torch's function itself."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(8, 4, 1, 1))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.conv2d(input=x, weight=self.filter, stride=2).relu().mean((2, 3)))


def layered() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 8, 1, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )


def strides_of_a_training(network: nn.Module) -> list[tuple[int, ...]]:
    """Of four steps, two epochs of two."""
    images = torch.rand(8, 4, 8, 8)
    data = TrainingSet(images, torch.arange(8) % 2, [torch.arange(8)], lambda x, _: x, lambda x: x, None)
    with Calls() as calls:
        fit([network], data, FitSettings(epochs=2, batch_size=4), [0])
    return calls.strides


@pytest.mark.parametrize("make", [Functional, layered])
def test_networks_of_others_are_guarded_in_every_step_of_a_training(make):
    assert strides_of_a_training(make()) == [(1, 1)] * 4


def test_a_network_that_needs_no_guard_is_watched_in_its_first_step_only(monkeypatch):
    watched = []
    plain = strided.RightConvolutions.__torch_function__
    monkeypatch.setattr(
        strided.RightConvolutions,
        "__torch_function__",
        lambda self, f, *more: (watched.append(f), plain(self, f, *more))[1],
    )
    layers = (nn.Conv2d(4, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    assert strides_of_a_training(nn.Sequential(*layers)) == [(2, 2)] * 4
    assert watched.count(F.conv2d) == 1


PROGRAM = """
import torch
from torch import nn
from shared import nn as ours
from shared.nn import RightConvolutions

torch.set_num_threads(2)
for channels in (1, 3, 4, 7, 12, 15):
    lift = ours.LiftingConv(channels, 4, 1, stride=2)
    for layer in (ours.Conv2d(channels, 16, 1, 2), nn.Conv2d(channels, 16, 1, 2), lift):
        x = torch.randn(33, channels, 12, 12)
        gradients = []
        for dtype in (torch.float64, torch.float32):
            layer.to(dtype).zero_grad()
            with RightConvolutions():
                y = layer(x.to(dtype, memory_format=torch.channels_last))
            y.square().sum().backward()
            gradients.append(layer.weight.grad.double().clone())
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-2)
print("right")
"""


@pytest.mark.parametrize("instructions", ["AVX2", "ALL"])
def test_gradients_are_right_with_the_heap_checked(instructions):
    """Without the repair the process dies by a signal, on AVX2 always, on AVX-512 mostly."""
    limits = {
        "ONEDNN_MAX_CPU_ISA": instructions,
        "MALLOC_CHECK_": "3",
        "LD_PRELOAD": "libc_malloc_debug.so.0",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "right"), done.stderr[-300:]
