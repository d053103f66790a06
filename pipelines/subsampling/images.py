"""Train the residual networks of Table 2 and Figure 4 and test them at the four quarter turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipelines.subsampling import models
from pipelines.subsampling.digits import invariance, trained_rows
from pipelines.subsampling.settings import TRACKED_TEST_IMAGES, Settings
from pipelines.subsampling.views import Images, load, stored, test_view, training_view
from shared import measure
from shared.algebra.groups import cyclic
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, accuracy, fit, precision, predict

#: Images on which the invariance error of the logits is measured.
PROBE_IMAGES = 64
#: Images whose feature maps are kept at once to follow their errors, as in the released code.
TRACKED_AT_ONCE = 32
#: Images prepared and classified at once when testing.
CHUNK = 500
#: Names of the readings of Eq. 14 in the rows, and of `shared.measure.Errors`; the last is free of scale.
READINGS = {"mse": "mse_eq14", "root": "root_eq14", "l1": "summed_l1_eq14", "energy": "energy"}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and measure it.

    Rows: ``parameters``; ``train_loss`` (and ``validation_accuracy``) by epoch; ``accuracy`` (percent) by
    quarter turn of the test images in degrees; ``invariance_error`` (relative, of the logits) before and
    after training; ``images_per_second``. Of a p4 network whose settings ask for it, by epoch from 0: for
    each stage the equivariance error of its output under quarter turns in three readings of Eq. 14,
    ``mse_<stage>``, ``root_<stage>``, ``l1_<stage>``, and free of scale ``energy_<stage>``; and beside them
    ``tracked_accuracy`` on the first upright test images.

    Raises:
        UserError: if the data set is not there or too small, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    images = load(settings, context.device)
    networks = [models.build(settings, seed, images.classes).to(context.device) for seed in seeds]
    view = test_view(settings, images.train.shape[-1])
    probe = view(stored(images.test, 0, max(PROBE_IMAGES, settings.track_images), context.device))
    few = probe[:PROBE_IMAGES]
    before = [invariance(network, few, cyclic(4)) for network in networks]
    tracker = _tracker(settings, images, view, probe[: settings.track_images], context)
    trained = _fit(settings, seeds, networks, images, view, tracker, context)
    rows = {}
    for index, (seed, network) in enumerate(zip(seeds, networks)):
        errors = {0: before[index], settings.epochs: invariance(network, few, cyclic(4))}
        rows[seed] = [
            Row("parameters", "", float(models.count_parameters(network))),
            *trained_rows(trained, index),
            *_observed_rows(trained, index),
            *_accuracies(settings, network, images, view, context),
            *[Row("invariance_error", epoch, error) for epoch, error in errors.items()],
            Row("images_per_second", "", trained.images_per_second),
        ]
    return rows


def _fit(
    settings: Settings,
    seeds: Sequence[int],
    networks: list[nn.Module],
    images: Images,
    view: Callable[[Tensor], Tensor],
    tracker: Callable[[nn.Module], dict[str, float]] | None,
    context: Context,
) -> Fit:
    count = len(images.labels) - images.validation
    orders = [torch.randperm(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    held_out = torch.arange(count, count + images.validation)
    training = TrainingSet(
        images.train,
        images.labels,
        [order[: settings.train_images or count] for order in orders],
        training_view(settings, images.train.shape[-1], context.device),
        lambda batch: view(batch.to(context.device)),
        [held_out for _ in seeds] if images.validation else None,
    )
    names = (
        "epochs", "batch_size", "optimizer", "lr", "weight_decay", "momentum", "schedule", "step_every",
        "step_factor", "milestones", "warmup_epochs", "cycle_momentum", "precision", "channels_last",
        "selection",
    )  # fmt: skip
    return fit(
        networks,
        training,
        FitSettings(**{name: getattr(settings, name) for name in names}),
        seeds,
        **context.training(),
        observe=tracker,
        observe_every=max(settings.track_every, 1),
    )


def _tracker(
    settings: Settings, images: Images, view: Callable[[Tensor], Tensor], probe: Tensor, context: Context
) -> Callable[[nn.Module], dict[str, float]] | None:
    """What Figure 4 follows, or None if the settings do not ask for it."""
    if not settings.track_every:
        return None
    count = min(TRACKED_TEST_IMAGES, settings.test_images or len(images.test_labels))

    def observe(network: nn.Module) -> dict[str, float]:
        stages = [name for name, _ in network.named_children() if name.startswith(("stem", "stage"))]
        with precision("float32", probe.device):
            errors = measure.errors_by_stage(network, probe, cyclic(4), stages, batch_size=TRACKED_AT_ONCE)
        seen = {
            f"{short}_{stage}": getattr(errors[stage], name)
            for short, name in READINGS.items()
            for stage in stages
        }
        return seen | {"tracked_accuracy": _accuracy(settings, network, images, view, 0, count, context)}

    return observe


def _observed_rows(trained: Fit, index: int) -> list[Row]:
    observed = trained.observed[index]
    metrics = dict.fromkeys(metric for values in observed.values() for metric in values)
    return [Row(metric, epoch, values[metric]) for metric in metrics for epoch, values in observed.items()]


def _accuracies(
    settings: Settings, network: nn.Module, images: Images, view: Callable[[Tensor], Tensor], context: Context
) -> list[Row]:
    """Accuracy at each quarter turn; all four are measured, whatever the network promises."""
    count = settings.test_images or len(images.test_labels)
    rows = []
    for turns in range(4):
        value = _accuracy(settings, network, images, view, turns, count, context)
        rows.append(Row("accuracy", 90 * turns, value))
        context.log(f"{value:.2f} % at {90 * turns} degrees on {count} images")
    return rows


def _accuracy(
    settings: Settings,
    network: nn.Module,
    images: Images,
    view: Callable[[Tensor], Tensor],
    turns: int,
    count: int,
    context: Context,
) -> float:
    """Accuracy in percent on the first ``count`` test images, turned by ``turns`` quarter turns."""
    outputs = []
    for start in range(0, count, CHUNK):
        batch = stored(images.test, start, min(CHUNK, count - start), context.device)
        x = torch.rot90(view(batch), turns, (-2, -1))
        outputs.append(predict(network, x, channels_last=settings.channels_last))
    return accuracy(torch.cat(outputs), images.test_labels[:count])
