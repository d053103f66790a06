"""Train one arm of the template and measure it; returns rows, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shared.runs.api import Context, Row
from shared.train import FitSettings, TrainingSet, accuracy, fit, predict

from . import data, models
from .settings import Settings


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds at once and measure it.

    Rows: ``parameters``; ``train_loss`` by epoch; ``error`` (percent of the turned test digits);
    ``turn_gap`` (largest change of a logit under a quarter turn, relative to the largest logit);
    ``images_per_second``.

    Raises:
        UserError: if a training diverges, or the data set is too small.
        OutOfTime: if the context's deadline comes first.
    """
    images, labels = (part.to(context.device) for part in data.digits(settings, "train"))
    networks = [models.build(settings, seed) for seed in seeds]
    trained = fit(
        networks,
        TrainingSet(
            images,
            labels,
            train=[torch.arange(len(images))] * len(seeds),
            transform=lambda batch, generators: batch,
            plain=lambda batch: batch,
        ),
        FitSettings(settings.epochs, settings.batch_size, lr=settings.lr, precision=context.precision),
        seeds,
        **context.training(),
    )
    test, test_labels = (part.to(context.device) for part in data.digits(settings, "test"))
    rows = {}
    for seed, network, losses in zip(seeds, networks, trained.losses):
        rows[seed] = [
            Row("parameters", "", sum(p.numel() for p in network.parameters())),
            *(Row("train_loss", epoch, loss) for epoch, loss in enumerate(losses, 1)),
            Row("error", "", 100 - accuracy(predict(network, test), test_labels)),
            Row("turn_gap", "", turn_gap(network, test)),
            Row("images_per_second", "", trained.images_per_second),
        ]
    return rows


def turn_gap(network: nn.Module, images: Tensor) -> float:
    """Largest change of a logit when the images are turned by 90 degrees, relative to the largest logit."""
    upright, turned = predict(network, images), predict(network, images.rot90(1, (-2, -1)))
    return ((upright - turned).abs().max() / upright.abs().max()).item()
