"""How many times faster the batched rotation is than loops over single images.

    python benchmarks/prepare.py [--images 2000] [--repetitions 11] [--threads 1]

All ways rotate the same images by the same angles, in turn, so that the load of the machine hits all alike.
The figure is the median over the repetitions of the ratio within one repetition, with its quartiles. With one
thread, processor time is measured, which other programs disturb less; with more, wall time.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from shared.data import prepare


def torch_loop(images: torch.Tensor, angles: list[float]) -> None:
    """affine_grid and grid_sample, one image at a time."""
    for image, angle in zip(images.float(), angles):
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        matrix = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]])
        grid = F.affine_grid(matrix, [1, *image.shape], align_corners=False)
        F.grid_sample(image[None], grid, align_corners=False)


def scipy_cubic_loop(images: torch.Tensor, angles: list[float]) -> None:
    """scipy.ndimage.rotate with its default, cubic splines."""
    for image, angle in zip(images.numpy(), angles):
        ndimage.rotate(image[0], angle, reshape=False)


def scipy_linear_loop(images: torch.Tensor, angles: list[float]) -> None:
    """scipy.ndimage.rotate, linear."""
    for image, angle in zip(images.numpy(), angles):
        ndimage.rotate(image[0], angle, reshape=False, order=1)


def pillow_loop(images: torch.Tensor, angles: list[float]) -> None:
    """Pillow, bilinear, 8 bits in and out."""
    for image, angle in zip(images.numpy(), angles):
        np.asarray(Image.fromarray(image[0]).rotate(angle, Image.Resampling.BILINEAR))


def own_loop(images: torch.Tensor, angles: list[float]) -> None:
    """The project's function, called for one image at a time."""
    for index, angle in enumerate(angles):
        prepare.rotate(images[index : index + 1], angle)


def batched(images: torch.Tensor, angles: list[float]) -> None:
    """What the project does."""
    prepare.rotate(images, torch.tensor(angles, dtype=torch.float64))


WAYS: dict[str, Callable[[torch.Tensor, list[float]], None]] = {
    "batched (shared.data.prepare.rotate)": batched,
    "loop: the same function, image by image": own_loop,
    "loop: torch grid_sample": torch_loop,
    "loop: scipy, cubic": scipy_cubic_loop,
    "loop: scipy, linear": scipy_linear_loop,
    "loop: Pillow, bilinear": pillow_loop,
}


def measure(count: int, repetitions: int) -> dict[str, list[float]]:
    """Seconds of every way in every repetition."""
    images = (torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    angles = prepare.random_angles(count, 0).tolist()
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    order = list(WAYS)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for repetition in range(-1, repetitions):  # the first one warms up
        random.Random(repetition).shuffle(order)
        for name in order:
            start = clock()
            WAYS[name](images, angles)
            if repetition >= 0:
                seconds[name].append(clock() - start)
    return seconds


def main() -> None:
    """Print images per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seconds = measure(options.images, options.repetitions)
    ours = seconds["batched (shared.data.prepare.rotate)"]
    print(
        f"{options.images} images of 28 x 28, {options.threads} thread(s), {options.repetitions} repetitions"
    )
    print(f"{'way':42} {'images/s':>10} {'batched is faster by':>22}")
    for name, times in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(times, ours)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        speed = options.images / statistics.median(times)
        print(f"{name:42} {speed:10,.0f} {middle:10.1f} [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
