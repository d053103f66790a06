"""What trainings on DDMNIST and on MedMNIST3D have in common: the protocol, and the rows of its course."""

from __future__ import annotations

from torch import nn

from pipelines.regular_latent.models import count_parameters
from pipelines.regular_latent.settings import Settings
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings


def how(settings: Settings, context: Context) -> FitSettings:
    """Adam with a constant rate, the best validation epoch, and an end without a better one for long."""
    return FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        precision=context.precision,
        selection="best",
        patience=settings.patience,
        replicas="one_by_one",
    )


def curves(network: nn.Module, trained: Fit, index: int) -> list[Row]:
    """``parameters``; ``train_loss`` and ``validation_accuracy`` (in parts of 1) by epoch."""
    return [
        Row("parameters", "", float(count_parameters(network))),
        *(Row("train_loss", epoch, loss) for epoch, loss in enumerate(trained.losses[index], 1)),
        *(Row("validation_accuracy", e, value) for e, value in trained.validations[index].items()),
    ]
