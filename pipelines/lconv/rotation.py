"""Rotation of image batches by cubic splines, as ``scipy.ndimage.rotate(order=3, mode="nearest")`` does one.

The images are extended by their edge pixels, turned into B-spline coefficients, and evaluated at the turned
positions (Unser, *Splines: a perfect fit for signal and image processing*, IEEE Signal Proc. Mag. 16, 1999).
A cubic B-spline at one point is a mean, with positive weights, of four bilinear samples (Sigg and Hadwiger,
GPU Gems 2, chapter 20), so that torch's own bilinear sampling does the work.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

#: Edge pixels added on each side, as in scipy: the corners of turned images come from there.
PAD = 12
#: Images per step; a chunk stays in the processor's cache.
CHUNK = 256


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image about its center by its own angle with a cubic spline; edge pixels continue outside.

    Splines overshoot: values can leave the range of the image a little.

    Args:
        images: any real type.
        degrees: one angle per image; positive is counter-clockwise.

    Shape:
        images and result (n, c, h, w); degrees (n,)

    Raises:
        ValueError: if the shapes do not fit, or the sides are so long that the corners are not in the
            padding.
    """
    if images.dim() != 4 or degrees.shape != (len(images),):
        raise ValueError(
            f"one angle per image is needed: images {tuple(images.shape)}, angles {tuple(degrees.shape)}"
        )
    height, width = images.shape[-2:]
    if math.hypot(height - 1, width - 1) - min(height, width) + 1 > 2 * (PAD - 2):
        raise ValueError(f"images of {height}x{width} are too large for {PAD} pixels of padding")
    parts = zip(images.split(CHUNK), degrees.split(CHUNK))
    turned = [_evaluate(_coefficients(part.float()), angles, (height, width)) for part, angles in parts]
    return torch.cat(turned) if turned else images.float()


@functools.cache
def _inverse(length: int) -> Tensor:
    """From samples to B-spline coefficients along one axis, (length, length); mirrored ends."""
    matrix = torch.zeros(length, length, dtype=torch.float64)
    for i in range(length):
        matrix[i, i] += 4 / 6
        for j in (i - 1, i + 1):
            matrix[i, abs(j) if j < length else 2 * (length - 1) - j] += 1 / 6
    return torch.linalg.inv(matrix).float()


def _coefficients(images: Tensor) -> Tensor:
    """B-spline coefficients of the extended images, (n, c, h + 2 PAD, w + 2 PAD)."""
    extended = F.pad(images, (PAD,) * 4, mode="replicate")
    rows, columns = (_inverse(extended.shape[axis]).to(images.device) for axis in (-2, -1))
    return rows @ extended @ columns.T


def _evaluate(coefficients: Tensor, degrees: Tensor, shape: tuple[int, int]) -> Tensor:
    """The splines at the turned positions of a grid of ``shape`` in the middle."""
    height, width = coefficients.shape[-2:]
    y, x = (
        center + offset
        for center, offset in zip(((height - 1) / 2, (width - 1) / 2), _turned(degrees, shape))
    )
    (x0, x1, wx), (y0, y1, wy) = _pairs(x), _pairs(y)
    size = torch.tensor([width - 1, height - 1], dtype=torch.float32)

    def sample(x: Tensor, y: Tensor) -> Tensor:
        grid = 2 * torch.stack([x, y], -1) / size - 1
        return F.grid_sample(coefficients, grid.to(coefficients), "bilinear", "border", align_corners=True)

    wx, wy = (weight.to(coefficients)[:, None] for weight in (wx, wy))
    upper = sample(x0, y0) * wx + sample(x1, y0) * (1 - wx)
    lower = sample(x0, y1) * wx + sample(x1, y1) * (1 - wx)
    return upper * wy + lower * (1 - wy)


def _turned(degrees: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from, in pixels from the center, y down: two tensors (n, h, w)."""
    angle = torch.deg2rad(degrees.double().cpu())[:, None, None]
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape)
    y, x = y[:, None], x[None, :]
    return torch.sin(angle) * x + torch.cos(angle) * y, torch.cos(angle) * x - torch.sin(angle) * y


def _pairs(position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two positions for linear samples, and the weight of the first, that add up to the cubic B-spline."""
    whole = position.floor()
    t = position - whole
    w0, w3 = (1 - t) ** 3 / 6, t**3 / 6
    w1 = 2 / 3 - t**2 + t**3 / 2
    w2 = 1 - w0 - w1 - w3
    first, second = w0 + w1, w2 + w3
    return (whole - 1 + w1 / first).float(), (whole + 1 + w3 / second).float(), first.float()
