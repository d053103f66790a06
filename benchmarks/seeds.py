"""Eight seeds at once against one by one, by the training engine itself.

python -m benchmarks.seeds [--repetitions 15] [--batch 128] [--threads 2] [--out]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings
from shared.nn import GlobalAvgPool
from shared.runs.api import refusal
from shared.train import FitSettings, TrainingSet, fit

NOTE = (
    "One call of `shared.train.fit`: one epoch of a few steps for every seed, each on images of its own, "
    "setting up and joining of the networks included. *At once* is one network of grouped convolutions "
    '(`replicas: together`), *one by one* is seed after seed. "auto" is what the engine chooses by itself.'
)
SEEDS = 8
STEPS = 4
ONE_BY_ONE, AT_ONCE, AUTO = "one by one", "at once", "auto"
MODES = {ONE_BY_ONE: "one_by_one", AT_ONCE: "together", AUTO: "auto"}
#: Variants: how, channels_last memory, precision.
VARIANTS = {
    f"{ONE_BY_ONE}: float32": (ONE_BY_ONE, False, "float32"),
    f"{ONE_BY_ONE}: float32 channels_last": (ONE_BY_ONE, True, "float32"),
    f"{ONE_BY_ONE}: bf16": (ONE_BY_ONE, True, "bf16"),
    f"{AT_ONCE}: float32": (AT_ONCE, False, "float32"),
    f"{AT_ONCE}: float32 channels_last": (AT_ONCE, True, "float32"),
    f"{AT_ONCE}: bf16": (AT_ONCE, True, "bf16"),
    f"{AUTO}: float32 channels_last": (AUTO, True, "float32"),
}


def tiny_net() -> nn.Sequential:
    """Three 3x3 convolutions of 8, 16 and 16 channels for 20 x 20 images of one channel."""
    layers: list[nn.Module] = []
    for number, (channels, width) in enumerate(((1, 8), (8, 16), (16, 16))):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if number < 2 else []
    return nn.Sequential(*layers, GlobalAvgPool(), nn.Linear(16, models.CLASSES))


def z2cnn() -> nn.Module:
    """The plain network of Table 1, for one channel."""
    return models.z2cnn(Settings(model="z2cnn", channels=1))


def _as_input(images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    return images.float().div_(255)


def _factory(
    build: Callable[[], nn.Module], side: int, batch: int, how: tuple[str, bool, str], device: str
) -> Callable[[float], Step]:
    """Return a function that makes one call of `fit`, for a part of the batch."""
    mode, channels_last, number = how

    def make(part: float) -> Step:
        torch.manual_seed(0)
        size = max(2, round(batch * part))
        count = SEEDS * STEPS * size
        images = torch.randint(256, (count, 1, side, side), dtype=torch.uint8, device=device)
        labels = torch.randint(models.CLASSES, (count,), device=device)
        rows = list(torch.arange(count).chunk(SEEDS))
        data = TrainingSet(images, labels, rows, _as_input, lambda x: x.float() / 255)
        networks = [build() for _ in range(SEEDS)]
        settings = FitSettings(
            epochs=1,
            batch_size=size,
            lr=1e-3,
            precision=number,
            channels_last=channels_last,
            replicas=MODES[mode],
            validate_every=0,
        )
        return lambda: fit(networks, data, settings, range(SEEDS), device=device)

    return make


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """Two networks, each at batch 16 and 128 (or at the batch asked for)."""
    batches = (options.batch,) if options.batch else ((4,) if options.tiny else (16, 128))
    nets = {"tiny net (8, 16, 16 channels, 20 x 20)": (tiny_net, 20)}
    if not options.tiny:
        nets["Z2CNN (20 channels, 28 x 28)"] = (z2cnn, 28)
    first = next(iter(VARIANTS))
    return [
        Case(
            f"{name}, batch {batch}, {SEEDS} seeds",
            SEEDS * STEPS * batch,
            {
                name: _factory(build, side, batch, how, options.device)
                for name, how in VARIANTS.items()
                if not refusal(how[2], options.device)
            },
            {"time / one by one, float32": lambda variant: first, "time / one by one, same format": _alone},
        )
        for name, (build, side) in nets.items()
        for batch in batches
    ], []


def _alone(variant: str) -> str:
    return f"{ONE_BY_ONE}: {variant.rpartition(': ')[2]}"


BENCHMARK = Benchmark("seeds", "Eight seeds at once against one by one", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("seeds")
