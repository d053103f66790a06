"""All ways to correlate agree, in outputs and gradients; and which is chosen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from shared.nn.continuous import tap_offsets
from shared.nn.correlation import choose, gathered, pixels_first, pixels_last
from shared.nn.half_turn import half_turn
from shared.nn.spectral import spectral

OFFSETS = tap_offsets(7)


def direct(x, kernel, padding, border):
    taps = (OFFSETS[:, 0] + 3) * 7 + OFFSETS[:, 1] + 3
    weight = x.new_zeros(kernel.shape[2], kernel.shape[1], 49).index_copy(2, taps, kernel.permute(2, 1, 0))
    images = x.permute(2, 3, 0, 1)
    if padding == "same":
        images = F.pad(images, (3, 3, 3, 3), mode="replicate" if border == "replicate" else "constant")
    return F.conv2d(images, weight.unflatten(2, (7, 7))).permute(2, 3, 0, 1)


def case(size, dtype, channels=(3, 4)):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*size, 2, channels[0], dtype=dtype, generator=generator, requires_grad=True)
    kernel = torch.randn(29, *channels, dtype=dtype, generator=generator, requires_grad=True)
    return x, kernel


def results(y, leaves):
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return y, *torch.autograd.grad(y, leaves, weight)


@pytest.mark.parametrize("way", [spectral, gathered])
@pytest.mark.parametrize("size", [(8, 8), (7, 12), (13, 9)])
@pytest.mark.parametrize(
    ("padding", "border"), [("same", "zeros"), ("same", "replicate"), ("valid", "zeros")]
)
def test_each_way_equals_the_convolution(way, size, padding, border):
    for dtype, most in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        leaves = case(size, dtype)
        due = results(direct(*leaves, padding, border), leaves)
        found = results(way(*leaves, OFFSETS, 3, padding, border), leaves)
        for a, b in zip(found, due):
            assert a.shape == b.shape
            assert float((a - b).detach().abs().max() / b.detach().abs().max()) < most


def test_a_map_without_gradient_gets_none():
    x, kernel = case((8, 8), torch.float64)
    spectral(x.detach(), kernel, OFFSETS, 3).sum().backward()
    assert kernel.grad.abs().sum() > 0
    other = case((8, 8), torch.float64)
    spectral(other[0], other[1].detach(), OFFSETS, 3).sum().backward()
    assert other[0].grad.abs().sum() > 0


def test_pixels_first_and_back():
    x = torch.randn(2, 3, 4, 5, 6)
    assert pixels_first(x).shape == (5, 6, 2, 12)
    assert torch.equal(pixels_last(pixels_first(x), 4), x)


def test_the_way_depends_on_batch_and_size():
    wide = {"c_in": 256, "c_out": 256, "radius": 3, "taps": 29, "padding": "same", "border": "zeros"}
    assert choose(64, size=(32, 32), **wide) == "spectral"
    assert choose(1, size=(8, 8), **wide) != "spectral"
    assert choose(64, 64, 64, (7, 7), 3, 29, "valid", "zeros") != "spectral"


@pytest.mark.parametrize("size", [(8, 8), (7, 12)])
@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize(
    ("padding", "border"), [("same", "zeros"), ("same", "replicate"), ("valid", "zeros")]
)
def test_kernels_that_commute_with_half_turns(size, n, padding, border):
    def turned(kernel):
        kernel = kernel.view(29, n, 3, n, 2)
        return kernel.flip(0).roll((n // 2, n // 2), (1, 3)).reshape(29, 3 * n, 2 * n)

    for dtype, most in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        x, free = case(size, dtype, (3 * n, 2 * n))
        due = results(direct(x, (free + turned(free)) / 2, padding, border), (x, free))
        found = results(half_turn(x, (free + turned(free)) / 2, OFFSETS, 3, padding, border), (x, free))
        for a, b in zip(found, due):
            assert float((a - b).detach().abs().max() / b.detach().abs().max()) < most


def test_it_is_wrong_for_other_kernels():
    x, kernel = case((8, 8), torch.float64, (2, 2))
    assert not torch.allclose(half_turn(x, kernel, OFFSETS, 3), direct(x, kernel, "same", "zeros"))
