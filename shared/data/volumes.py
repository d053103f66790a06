"""Gray volumes of simple bodies, drawn with integers only, so that every machine draws the same bytes."""

from __future__ import annotations

import numpy as np

from shared.data.drawing import _TURN, _UNIT, _random_bytes

SIDE = 28
#: Classes in the order of their labels.
NAMES = ("ball", "shell", "rod", "cross")
#: Random numbers of a drawing; then come those of the noise, one a voxel.
_PARAMETERS = 16


def volumes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` volumes, the classes in turn, with random place, size, orientation, brightness and noise.

    Shape:
        uint8 (n, 1, 28, 28, 28) and uint8 (n,)
    """
    labels = (np.arange(n) % len(NAMES)).astype(np.uint8)
    drawn = np.empty((n, 1, SIDE, SIDE, SIDE), np.uint8)
    for index, label in enumerate(labels):
        drawn[index, 0] = _draw(int(label), _random_bytes(f"volume {seed}/{index}", _PARAMETERS + SIDE**3))
    return drawn, labels


def _draw(label: int, random: np.ndarray) -> np.ndarray:
    """One volume; ``random`` are integers from 0 to 255."""
    turns, place, (size, ink, paper) = random[:3], random[3:6], random[6:9]
    line = np.arange(SIDE) * _UNIT + _UNIT // 2 - SIDE * _UNIT // 2
    axes = np.meshgrid(*(line - (shift - 128) * 6 for shift in place), indexing="ij")
    for turn, (first, second) in zip(turns, ((0, 1), (1, 2), (0, 1))):
        cosine, sine = _TURN[turn]
        a, b = axes[first], axes[second]
        axes[first], axes[second] = (a * cosine - b * sine) >> 12, (a * sine + b * cosine) >> 12
    inside = _inside(label, axes, 6 * _UNIT + 3 * size)
    dark, light = 32 + paper // 4, 144 + ink // 4
    noise = random[_PARAMETERS:].reshape(inside.shape) // 4 - 32
    return np.clip(np.where(inside, light, dark) + noise, 0, 255).astype(np.uint8)


def _inside(label: int, axes: list[np.ndarray], radius: int) -> np.ndarray:
    """Which voxels belong to the body of this class, about the origin."""
    x, y, z = (np.abs(axis) for axis in axes)
    square = x * x + y * y + z * z
    thin = radius // 4
    if label == 0:
        return square <= (radius * 3 // 4) ** 2
    if label == 1:
        return (square <= radius * radius) & (square > (radius * 5 // 8) ** 2)
    rods = [
        (along <= radius) & (np.maximum(first, second) <= thin)
        for along, first, second in ((x, y, z), (y, z, x), (z, x, y))
    ]
    return rods[0] if label == 2 else rods[0] | rods[1] | rods[2]
