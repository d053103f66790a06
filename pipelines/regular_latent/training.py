"""What trainings on DDMNIST and on MedMNIST3D have in common: the protocol, and the rows of its course."""

from __future__ import annotations

from torch import nn

from pipelines.regular_latent.models import count_parameters
from pipelines.regular_latent.settings import Settings
from shared.base.errors import UserError
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


def check_batches(settings: Settings, count: int) -> None:
    """See that no batch of an epoch is a single image, of which batch norm has no statistics.

    Raises:
        UserError: if one is.
    """
    if count % settings.batch_size == 1 or settings.batch_size == 1:
        raise UserError(
            f"{count} images in batches of {settings.batch_size} leave a batch of one, and batch norm needs "
            "two; choose another batch_size"
        )


def curves(network: nn.Module, trained: Fit, index: int) -> list[Row]:
    """``parameters``; ``train_loss`` and ``validation_accuracy`` (in parts of 1) by epoch."""
    return [
        Row("parameters", "", float(count_parameters(network))),
        *(Row("train_loss", epoch, loss) for epoch, loss in enumerate(trained.losses[index], 1)),
        *(Row("validation_accuracy", e, value) for e, value in trained.validations[index].items()),
    ]
