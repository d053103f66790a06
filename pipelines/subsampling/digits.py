"""Train the digit networks of the subsampling paper and measure them at many rotations of the test images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipelines.subsampling import data, models
from pipelines.subsampling.settings import Settings
from shared import measure
from shared.algebra.groups import Group, cyclic, dihedral
from shared.data import prepare
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, accuracy, fit, precision, predict
from shared.train.statistics import estimate_statistics

#: Images on which the invariance error is measured, in float32.
PROBE_IMAGES = 64


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and measure it.

    Rows: ``parameters``; ``train_loss`` and ``validation_accuracy`` by epoch; ``accuracy`` (percent) by test
    angle in degrees; ``invariance_error`` (relative, of the logits under quarter turns) before (step 0) and
    after training (step = epochs); ``images_per_second``. If the settings say ``mirrored`` also
    ``mirrored_accuracy`` by angle, of the images mirrored left to right and then turned, and ``mirror_error``
    (relative, of the logits under the mirrors and quarter turns of D4) before and after training.

    Raises:
        UserError: if the data set is too small, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    images = data.digits(settings, context.device)
    networks = [models.build(settings, seed).to(context.device) for seed in seeds]
    probe = data.network_input(data.crop(images.test[:PROBE_IMAGES], settings), settings)
    before = [_errors(settings, network, probe, 0) for network in networks]
    trained = _fit(settings, seeds, networks, images, context)
    if settings.statistics == "without_dropout":
        _estimate_statistics(settings, seeds, networks, images)
    after = [_errors(settings, network, probe, settings.epochs) for network in networks]
    curves = [_sweep(settings, networks, images, context)]
    if settings.mirrored:
        curves.append(_sweep(settings, networks, images, context, mirrored=True))
    return {
        seed: [
            Row("parameters", "", float(models.count_parameters(networks[i]))),
            *trained_rows(trained, i),
            *[
                Row(metric, angle, value)
                for metric, curve in zip(("accuracy", "mirrored_accuracy"), curves)
                for angle, value in curve[i].items()
            ],
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
) -> Fit:
    splits = [data.split(settings, len(images.pool), seed) for seed in seeds]
    training = TrainingSet(
        images.pool,
        images.pool_labels,
        [train for train, _ in splits],
        lambda batch, generators: data.training_input(batch, settings, generators),
        lambda batch: data.network_input(batch, settings),
        [validation for _, validation in splits] if settings.validation_images else None,
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
        validate_every=5,
    )
    return fit(
        networks,
        training,
        how,
        seeds,
        **context.training(),
    )


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


def is_invariant(settings: Settings) -> bool:
    """Whether the network gives the same answer at every quarter turn (see `shared.atlas`; tested there).

    The one subsampling layer is a 2x2 pool with stride 2, which is exact at even sizes.
    """
    return settings.model != "z2cnn" and (settings.size % 2 == 0 or bool(settings.repair))


def _sweep(
    settings: Settings,
    networks: list[nn.Module],
    images: data.Digits,
    context: Context,
    mirrored: bool = False,
) -> list[dict[int, float]]:
    """Accuracy of each network by test angle.

    Each batch is turned once for all networks. A network that is exactly invariant to quarter turns
    gives the same answers at an angle and 90 degrees further, so it is tested on the first quadrant
    only, unless the settings ask for a ``full_sweep``; the experiment ``quarters`` does.
    """
    period = 90 if is_invariant(settings) and not settings.full_sweep else 360
    test = images.test.flip(-1) if mirrored else images.test
    curves: list[dict[int, float]] = [{} for _ in networks]
    for angle in range(0, period, settings.angle_step):
        count = settings.test_images if angle % 90 == 0 else settings.sweep_images
        labels = images.test_labels[:count]
        outputs = _turned_outputs(settings, networks, test[:count], angle)
        for curve, logits in zip(curves, outputs):
            curve.update({angle + turn: accuracy(logits, labels) for turn in range(0, 360, period)})
        context.log(f"tested at {angle} degrees on {count} {'mirrored ' if mirrored else ''}images")
    return [dict(sorted(curve.items())) for curve in curves]


def _turned_outputs(
    settings: Settings, networks: list[nn.Module], images: Tensor, angle: int
) -> list[Tensor]:
    """Logits of every network on ``images`` turned by ``angle`` degrees."""
    parts: list[list[Tensor]] = [[] for _ in networks]
    for batch in images.split(512):
        turned = data.crop(prepare.rotate(batch, float(angle)), settings)
        x = data.network_input(turned, settings)
        for part, network in zip(parts, networks):
            part.append(predict(network, x, channels_last=settings.channels_last))
    return [torch.cat(part) for part in parts]
