"""Train the networks of the L-conv paper and measure them; returns rows, writes nothing."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from pipelines.lconv import counts, data, models, planted, readout, theory
from pipelines.lconv.settings import Settings
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, accuracy, fit, predict
from shared.train.session import optimizer

STUDIES = {
    "propositions": theory.propositions_run,
    "regression": theory.regression_run,
    "stated": theory.stated_run,
    "corollary": theory.corollary_run,
    "planted": planted.run,
}
#: Optimizer steps that are timed, and steps before them that are not.
TIMED_STEPS, WARM_STEPS = 10, 3
#: The seed whose pictures are recorded, if the settings ask for them.
PICTURED_SEED = 0


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and measure it.

    Rows of a classifier: ``parameters`` (trainable), of random L also as the authors' script counts them
    (``parameters_released``); ``permutation`` (CRC-32 of how the pixels were moved); ``train_loss`` and
    ``accuracy`` (percent of the held-out fifth) by epoch; ``test_accuracy`` of the best of these epochs on
    the official test images, if asked for; ``step_seconds`` (a training step of one network alone) and
    ``images_per_second``. Of L-conv also those of `pipelines.lconv.readout`, before (step 0) and after
    training (step = epochs). Rows of the studies: `pipelines.lconv.theory`, `pipelines.lconv.planted`.

    Raises:
        UserError: if the data set is too small, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    if settings.model in STUDIES:
        return STUDIES[settings.model](settings, seeds, context)
    images = data.load(settings, context.device)
    channels, side = images.pool.shape[1:3]
    networks = [models.build(settings, seed, channels, side, images.classes) for seed in seeds]
    start = [_readout(settings, network, images, 0) for network in networks]
    trained = _fit(settings, seeds, networks, images, context)
    return {
        seed: start[i] + _rows(settings, seed, networks[i], trained, i, images)
        for i, seed in enumerate(seeds)
    }


def _fit(
    settings: Settings, seeds: Sequence[int], networks: list[nn.Module], images: data.Images, context: Context
) -> Fit:
    index = torch.arange(len(images.pool), device=context.device)
    training = TrainingSet(
        images.pool,
        images.labels,
        [index[: images.train].cpu()] * len(seeds),
        lambda batch, _: batch,
        lambda batch: batch,
        [index[images.train :]] * len(seeds),
    )
    how = FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=settings.lr,
        momentum=0.0,
        precision=context.precision,
        selection="best" if settings.test == "official" else "last",
        # on a CPU one network keeps a core busy; layers side by side only pay where steps wait for the device
        replicas="one_by_one" if context.device == "cpu" else "auto",
    )
    return fit(
        networks,
        training,
        how,
        seeds,
        **context.training(),
    )


def _rows(
    settings: Settings, seed: int, network: nn.Module, trained: Fit, index: int, images: data.Images
) -> list[Row]:
    rows = [
        Row("parameters", "", float(models.count_parameters(network))),
        Row("permutation", "", float(images.fingerprint)),
    ]
    if settings.model == "random":
        channels, side = images.pool.shape[1:3]
        released = counts.as_released(settings, side * side, channels, images.classes)
        rows.append(Row("parameters_released", "", float(released)))
    rows += [Row("train_loss", epoch, loss) for epoch, loss in enumerate(trained.losses[index], 1)]
    rows += [Row("accuracy", epoch, value) for epoch, value in trained.validations[index].items()]
    if settings.test == "official":
        rows.append(Row("test_accuracy", "", accuracy(predict(network, images.test), images.test_labels)))
    rows += _readout(settings, network, images, settings.epochs)
    if isinstance(network, models.LConvNetwork):
        rows.append(readout.control_row(network, images, seed))
        if settings.pictures and seed == PICTURED_SEED:
            rows += readout.picture_rows(network, images)
    rows.append(Row("step_seconds", "", step_seconds(settings, network, images)))
    return [*rows, Row("images_per_second", "", trained.images_per_second)]


def _readout(settings: Settings, network: nn.Module, images: data.Images, step: int) -> list[Row]:
    if not isinstance(network, models.LConvNetwork):
        return []
    rows = readout.symmetry_rows(network, images, step)
    return [*rows, readout.covariance_row(network, images, step)] if settings.covariance else rows


def step_seconds(settings: Settings, network: nn.Module, images: data.Images) -> float:
    """Median time of one training step of a copy of this network alone, in seconds."""
    network, device = copy.deepcopy(network).train(), images.pool.device
    how = FitSettings(epochs=1, optimizer=settings.optimizer, lr=settings.lr, momentum=0.0)
    stepper = optimizer(list(network.parameters()), how, device.type)
    x, labels = images.pool[: settings.batch_size], images.labels[: settings.batch_size]
    times = []
    for _ in range(WARM_STEPS + TIMED_STEPS):
        begin = time.perf_counter()
        stepper.zero_grad(set_to_none=True)
        F.cross_entropy(network(x), labels).backward()
        stepper.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM_STEPS:])
