"""Rotating many images at once against loops over single images; the ways of benchmarks/prepare.py.

python -m benchmarks.rotation [--repetitions 15] [--batch 2000] [--threads 1] [--out]
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks import prepare as ways
from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from shared.data import prepare

NOTE = (
    "Every way turns the same 28 x 28 images, each by an angle of its own, bilinear where nothing else is "
    "said. All run on the CPU."
)
BATCHED = next(iter(ways.WAYS))


def _factory(way: Callable[[torch.Tensor, list[float]], None], count: int) -> Callable[[float], Step]:
    def make(part: float) -> Step:
        size = max(2, round(count * part))
        draw = torch.Generator().manual_seed(0)
        images = torch.randint(256, (size, 1, 28, 28), dtype=torch.uint8, generator=draw)
        angles = prepare.random_angles(size, 0).tolist()
        return lambda: way(images, angles)

    return make


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """One case: all ways on the same images."""
    count = options.batch or (8 if options.tiny else 2000)
    variants = {name: _factory(way, count) for name, way in ways.WAYS.items()}
    return [Case(f"{count} images", count, variants, {"time / batched": lambda variant: BATCHED})], []


BENCHMARK = Benchmark("rotation", "Rotation of images", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("rotation")
