"""Small data sets that need no download, for demonstrations and tests; integer arithmetic only.

Every set is the same to the last bit on every machine, and its checksum is in datasets.yaml like any other's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.data import drawing
from shared.data import volumes as drawn

#: What a generator returns: split -> (images uint8 (n, c, h, w), labels uint8 (n,)).
Splits = dict[str, tuple[np.ndarray, np.ndarray]]

_TEST_PER_DIGIT = 50


def digits() -> Splits:
    """The 1,797 digits that come with scikit-learn, drawn 20 pixels high on 28 x 28 as in MNIST.

    500 test images, 50 of each digit, taken evenly from the order of the set; 1,297 for training.
    The originals are 8 x 8 with values 0..16 (Alpaydin and Kaynak, UCI, 1998).
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images = enlarge(source.images.astype(np.int64), 28, 20, 16)[:, None]
    labels = source.target.astype(np.uint8)
    test = _evenly(labels, _TEST_PER_DIGIT)
    return {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])}


def enlarge(images: np.ndarray, canvas: int, side: int, white: int) -> np.ndarray:
    """Enlarge small square images to ``side`` pixels amid a black canvas, bilinearly, in integers.

    Args:
        images: (n, s, s) integers from 0 to ``white``.
        canvas: side of the result.
        side: side of the enlarged image within it.
        white: value that becomes 255.

    Shape:
        uint8 (n, canvas, canvas)
    """
    small = images.shape[-1]
    # Center of canvas pixel i in source pixels: ((2i + 1 - canvas) * small / side + small - 1) / 2.
    position = (2 * np.arange(canvas) + 1 - canvas) * small + (small - 1) * side
    whole, part = np.divmod(position, 2 * side)
    weights = np.zeros((canvas, small), np.int64)
    for offset, weight in ((0, 2 * side - part), (1, part)):
        inside = (whole + offset >= 0) & (whole + offset < small)
        weights[np.flatnonzero(inside), (whole + offset)[inside]] = weight[inside]
    scale = white * (2 * side) ** 2
    values = np.einsum("ia,nab,jb->nij", weights, images, weights)
    return ((255 * values + scale // 2) // scale).astype(np.uint8)


def _evenly(labels: np.ndarray, count: int) -> np.ndarray:
    """Mask that takes ``count`` members of every class, evenly spread over the order of the set."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank = np.arange(len(members))
        chosen[members] = (rank + 1) * count // len(members) > rank * count // len(members)
    return chosen


def shapes() -> Splits:
    """Colored shapes and textures, 32 x 32 RGB, ten classes; 2,000 training and 500 test images.

    Stands in for CIFAR-10: place, size, orientation, colors and noise vary (see :mod:`shared.data.drawing`).
    """
    return {"train": drawing.shapes(2000, seed=1), "test": drawing.shapes(500, seed=2)}


def glyphs() -> Splits:
    """The ten digits in two typefaces, 28 x 28, drawn once (``scripts/draw_glyphs.py``), kept as a picture.

    IBM Plex Sans Medium Italic is channel 0 and Bahianita Regular channel 1 of each image, so that the two
    faces of a digit stay together. Stands in for the same faces of TMNIST (Magre and Brown, 2022).
    """
    from PIL import Image

    with Image.open(Path(__file__).parent / "glyphs" / "glyphs.png") as picture:
        rows = np.asarray(picture.convert("L"))
    images = np.ascontiguousarray(rows.reshape(2, 28, 10, 28).transpose(2, 0, 1, 3))
    return {"train": (images, np.arange(10, dtype=np.uint8))}


def volumes() -> Splits:
    """Gray volumes of simple bodies, 28 x 28 x 28, four classes: 240 to train on, 60 and 120 to test on.

    Stands in for MedMNIST3D: place, size, orientation and noise vary (see :mod:`shared.data.volumes`).
    """
    parts = {"train": 240, "valid": 60, "test": 120}
    return {split: drawn.volumes(n, seed) for seed, (split, n) in enumerate(parts.items(), 1)}


#: Name in datasets.yaml (``generator:``) -> function.
GENERATORS = {"digits": digits, "shapes": shapes, "glyphs": glyphs, "volumes": volumes}
