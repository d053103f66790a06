"""Colored shapes and textures, drawn with integers only, so that every machine draws the same bytes."""

from __future__ import annotations

import hashlib
import math

import numpy as np

SIDE = 32
#: Samples per pixel and axis; their mean smooths the edges.
_SUPER = 4
#: Coordinates are in units of 1/256 pixel.
_UNIT = 256
#: Cosine and sine of every 1/256 turn, times 4096; none is near a half, so all machines round alike.
_ANGLES = [2 * math.pi * i / 256 for i in range(256)]
_TURN = np.array([[round(4096 * math.cos(a)), round(4096 * math.sin(a))] for a in _ANGLES])

#: Classes in the order of their labels: six outlines, four textures.
NAMES = ("disk", "ring", "square", "triangle", "cross", "crescent", "stripes", "checks", "dots", "arcs")


def _disk(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return x * x + y * y <= r * r


def _ring(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _disk(x, y, r) & ~_disk(x, y, r * 5 // 8)


def _square(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) <= r * 7 // 8


def _triangle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    # Sides with the slope 7/4, near that of an equilateral triangle.
    return (y <= r * 5 // 8) & (4 * (y + r) >= 7 * np.abs(x))


def _cross(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    x, y = np.abs(x), np.abs(y)
    return (np.maximum(x, y) <= r) & (np.minimum(x, y) <= r * 2 // 7)


def _crescent(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _disk(x, y, r) & ~_disk(x - r // 2, y, r * 7 // 8)


def _stripes(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (2 * x // r) % 2 == 0


def _checks(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (2 * x // r + 2 * y // r) % 2 == 0


def _dots(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    return _disk(x % r - r // 2, y % r - r // 2, r * 3 // 8)


def _arcs(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    # Rings of equal area around a point beside the image.
    return (((x - 4 * r) ** 2 + y * y) // (4 * r * r)) % 2 == 0


_DRAW = (_disk, _ring, _square, _triangle, _cross, _crescent, _stripes, _checks, _dots, _arcs)


def shapes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` images, the classes in turn, with random place, size, orientation, two colors and noise.

    The random numbers come from a hash of the seed and the image, so they depend on no library's version.

    Shape:
        uint8 (n, 3, 32, 32) and uint8 (n,)
    """
    labels = (np.arange(n) % len(NAMES)).astype(np.uint8)
    images = np.empty((n, 3, SIDE, SIDE), np.uint8)
    for index, label in enumerate(labels):
        images[index] = _draw(int(label), _random_bytes(f"{seed}/{index}", 16 + 3 * SIDE * SIDE))
    return images, labels


def _random_bytes(key: str, count: int) -> np.ndarray:
    """``count`` random integers from 0 to 255."""
    return np.frombuffer(hashlib.shake_128(key.encode()).digest(count), np.uint8).astype(np.int64)


def _draw(label: int, random: np.ndarray) -> np.ndarray:
    """One image; ``random`` are integers from 0 to 255: 16 for the drawing, then the noise."""
    turn, dx, dy, size = random[:4]
    color = random[4:7]
    # The other color differs by 96 to 223 steps (modulo 256) in every channel, so the shape can be seen.
    other = (color + 96 + random[7:10] // 2) % 256
    step = _UNIT // _SUPER
    samples = np.arange(SIDE * _SUPER) * step + step // 2 - SIDE * _UNIT // 2
    x = samples[None, :] - (dx - 128) * 6
    y = samples[:, None] - (dy - 128) * 6
    cosine, sine = _TURN[turn]
    u, v = (x * cosine - y * sine) >> 12, (x * sine + y * cosine) >> 12
    radius = (6 * _UNIT + 5 * size) if label < 6 else (4 * _UNIT + 3 * size)
    inside = _DRAW[label](u, v, radius).astype(np.int64)
    cover = inside.reshape(SIDE, _SUPER, SIDE, _SUPER).sum((1, 3))
    whole = _SUPER * _SUPER
    clean = (color[:, None, None] * cover + other[:, None, None] * (whole - cover) + whole // 2) // whole
    noise = random[16:].reshape(3, SIDE, SIDE) // 8 - 16
    return np.clip(clean + noise, 0, 255).astype(np.uint8)
