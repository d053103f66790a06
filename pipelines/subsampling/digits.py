"""Train the digit networks of the subsampling paper and measure them at many rotations of the test images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.subsampling import data, models, sweep
from pipelines.subsampling.settings import Settings
from shared import measure
from shared.algebra.groups import Group, cyclic, dihedral
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, fit, precision
from shared.train.statistics import estimate_statistics

#: Images on which the invariance error is measured, in float32.
PROBE_IMAGES = 64
#: Epochs between validations, where the last epoch is tested.
VALIDATE_EVERY = 5


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and measure it.

    Rows: ``parameters``; ``train_loss`` and ``validation_accuracy`` (and ``train_accuracy``, percent, with
    dropout, if the settings ask for it) by epoch; ``accuracy`` (percent) by test angle in degrees;
    ``invariance_error`` (relative, of the logits under quarter turns) before (step 0) and after training
    (step = epochs); ``images_per_second``. If the settings say ``mirrored`` also
    ``mirrored_accuracy`` by angle, of the images mirrored left to right and then turned, and ``mirror_error``
    (relative, of the logits under the mirrors and quarter turns of D4) before and after training. With
    ``image_records`` also what `sweep.recorded_rows` has.

    Raises:
        UserError: if the data set is too small, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    images = data.digits(settings, context.device)
    networks = [models.build(settings, seed).to(context.device) for seed in seeds]
    probe = data.network_input(data.crop(images.test[:PROBE_IMAGES], settings), settings)
    before = [_errors(settings, network, probe, 0) for network in networks]
    trained, right = _fit(settings, seeds, networks, images, context)
    if settings.statistics == "without_dropout":
        _estimate_statistics(settings, seeds, networks, images)
    after = [_errors(settings, network, probe, settings.epochs) for network in networks]
    curves, records = sweep.run(settings, networks, images, context)
    mirrored: list[dict[int, float]] = [{} for _ in networks]
    if settings.mirrored:
        mirrored, _ = sweep.run(settings, networks, images, context, mirrored=True)
    return {
        seed: [
            Row("parameters", "", float(models.count_parameters(networks[i]))),
            *trained_rows(trained, i),
            *[Row("train_accuracy", epoch, value) for epoch, value in enumerate(right[i], 1)],
            *[Row("accuracy", angle, value) for angle, value in curves[i].items()],
            *[Row("mirrored_accuracy", angle, value) for angle, value in mirrored[i].items()],
            *sweep.recorded_rows(records[i], images.test_labels, settings),
            *before[i],
            *after[i],
            Row("images_per_second", "", trained.images_per_second),
        ]
        for i, seed in enumerate(seeds)
    }


def trained_rows(trained: Fit, index: int) -> list[Row]:
    """Loss and validation accuracy of one seed by epoch."""
    rows = [Row("train_loss", epoch, loss) for epoch, loss in enumerate(trained.losses[index], 1)]
    validations = trained.validations[index].items()
    return rows + [Row("validation_accuracy", epoch, value) for epoch, value in validations]


def _fit(
    settings: Settings, seeds: Sequence[int], networks: list[nn.Module], images: data.Digits, context: Context
) -> tuple[Fit, list[list[float]]]:
    """Train, and give beside it the training accuracy in percent by seed and epoch, if it is asked for."""
    splits = [data.split(settings, len(images.pool), seed) for seed in seeds]
    counts: list[Tensor] = []

    def counting(network: nn.Module, batch: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The engine's own loss, which also counts what is right in each step."""
        x = data.training_input(batch[None], settings, [generator])[0]
        order = torch.channels_last if settings.channels_last else torch.contiguous_format
        logits = network(x.contiguous(memory_format=order)).float()
        counts.append((logits.argmax(1) == labels).sum())
        return F.cross_entropy(logits, labels)

    training = TrainingSet(
        images.pool,
        images.pool_labels,
        [train for train, _ in splits],
        lambda batch, generators: data.training_input(batch, settings, generators),
        lambda batch: data.network_input(batch, settings),
        [validation for _, validation in splits] if settings.validation_images else None,
        loss=counting if settings.train_accuracy else None,
    )
    how = FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        schedule="step",
        step_every=settings.step_every,
        step_factor=settings.step_factor,
        precision=settings.precision,
        channels_last=settings.channels_last,
        selection=settings.selection,
        validate_every=1 if settings.selection == "best" else VALIDATE_EVERY,
    )
    options = context.training()
    if settings.train_accuracy:
        options["checkpoint"] = None  # the counts of a training that was cut off would be lost
    trained = fit(networks, training, how, seeds, **options)
    if not counts:
        return trained, [[] for _ in seeds]
    steps = torch.stack(counts).double().view(len(seeds), settings.epochs, -1)  # seed after seed
    return trained, (100 * steps.sum(-1) / settings.train_images).tolist()


def _estimate_statistics(
    settings: Settings, seeds: Sequence[int], networks: list[nn.Module], images: data.Digits
) -> None:
    """Estimate the statistics of batch norm anew, on the training images of each seed."""
    for seed, network in zip(seeds, networks):
        train, _ = data.split(settings, len(images.pool), seed)
        estimate_statistics(
            network,
            images.pool[train.to(images.pool.device)],
            lambda batch: data.network_input(batch, settings),
            batch_size=settings.batch_size,
            channels_last=settings.channels_last,
        )


def invariance(network: nn.Module, probe: Tensor, group: Group) -> float:
    """Relative error of the logits under the group, mean over its elements, in float32."""
    with precision("float32", probe.device):
        return measure.invariance_error(network, probe, group).relative_mean


def _errors(settings: Settings, network: nn.Module, probe: Tensor, epoch: int) -> list[Row]:
    rows = [Row("invariance_error", epoch, invariance(network, probe, cyclic(4)))]
    if settings.mirrored:
        rows.append(Row("mirror_error", epoch, invariance(network, probe, dihedral(4))))
    return rows
