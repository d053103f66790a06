"""The latent loss: a training step with it against the plain network's, and the pairs it trains on.

python -m benchmarks.latent [--repetitions 15] [--batch 256] [--threads 1] [--out]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from pipelines.regular_latent import ddmnist, models, pairs
from pipelines.regular_latent.settings import Settings
from shared.runs.api import refusal
from shared.train import precision

NOTE = (
    "One step is zero_grad, the augmentation of 28 x 28 digits, forward, backward and Adam (fused); C4 x C4, "
    "66 latent entries. The plain network runs forward on one image and the method on two. *Pairs* are an "
    "augmented image and its moved copy, 56 x 56, without a network; one at a time they are made as a data "
    "loader's `__getitem__` would, with the same functions or with Pillow (8 bits, on a CPU)."
)
PLAIN, METHOD, JOINT = "CNN", "the method", "the method, both images in one batch"
SETTINGS = {
    PLAIN: Settings(),
    METHOD: Settings(weight=2.0),
    JOINT: Settings(weight=2.0, forwards="joint"),
}
BATCHED, ONE, PILLOW = "pairs, a batch at once", "pairs, one at a time", "pairs, one at a time, Pillow"


def _digits(count: int, device: str) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 2, 28, 28), dtype=torch.uint8, generator=draw).to(device)


def _training(settings: Settings, number: str, count: int, device: str) -> Callable[[float], Step]:
    """Makes the training step of one system, for a part of the batch."""

    def make(part: float) -> Step:
        network = models.build(settings, 0).to(device).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        stored = _digits(max(2, round(count * part)), device)
        labels = torch.arange(len(stored), device=device) % 100
        generator = torch.Generator(device).manual_seed(0)
        loss = ddmnist.training_loss(settings, pairs.PairAction(settings.group))

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with precision(number, device):
                value = loss(network, stored, labels, generator)
            value.backward()
            optimizer.step()

        return step

    return make


def _batched(count: int, device: str, at_once: bool) -> Callable[[float], Step]:
    """Makes pairs on the device, all at once or in a loop."""

    def make(part: float) -> Step:
        stored = _digits(max(2, round(count * part)), device)
        action, generator = pairs.PairAction("C4"), torch.Generator(device).manual_seed(0)

        def some(digits: torch.Tensor) -> None:
            first = action.augment(pairs.pixels(digits), action.elements(len(digits), generator), generator)
            second = action.augment(first, action.elements(len(digits), generator), generator)
            pairs.compose(first), pairs.compose(second)

        return lambda: [some(digits) for digits in stored.split(len(stored) if at_once else 1)]

    return make


def _pillow(count: int) -> Callable[[float], Step]:
    def make(part: float) -> Step:
        stored = _digits(max(2, round(count * part)), "cpu").numpy()
        random = np.random.RandomState(0)

        def augmented(digit: Image.Image) -> Image.Image:
            angle, turns = random.uniform(-180, 180), random.randint(4)
            turned = digit.rotate(angle, Image.Resampling.BILINEAR)
            return turned.rotate(90 * turns - angle, Image.Resampling.BILINEAR)

        def composed(digits: list[Image.Image]) -> torch.Tensor:
            row = np.concatenate([np.asarray(digit) for digit in digits], 1)
            canvas = np.zeros((56, 56), np.float32)
            canvas[14:42] = row / 255
            return torch.from_numpy((canvas - pairs.MEAN) / pairs.STD)[None]

        def loop() -> None:
            for pair in stored:
                first = [augmented(Image.fromarray(digit)) for digit in pair]
                composed(first), composed([augmented(digit) for digit in first])

        return loop

    return make


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """A case for each precision of the training step, and one of the data."""
    count, device = options.batch or (4 if options.tiny else 256), options.device
    systems = {name: replace(s, channels=2) if options.tiny else s for name, s in SETTINGS.items()}
    made, remarks = [], []
    for number in ("float32", "bf16"):
        if why := refusal(number, device):
            remarks.append(f"{number} is left out: {why}")
            continue
        variants = {name: _training(settings, number, count, device) for name, settings in systems.items()}
        made.append(
            Case(
                f"training step, {number}, batch of {count}", count, variants, {"time / CNN": lambda _: PLAIN}
            )
        )
    data = {BATCHED: _batched(count, device, True), ONE: _batched(count, device, False)}
    if device == "cpu":
        data[PILLOW] = _pillow(count)
    made.append(Case(f"{count} pairs", count, data, {"time / batch": lambda _: BATCHED}))
    return made, remarks


BENCHMARK = Benchmark("latent", "Latent loss", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("latent")
