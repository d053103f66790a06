"""Test networks on digits turned by every angle, and keep what is right image by image and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from pipelines.subsampling import data, models
from pipelines.subsampling.settings import Settings
from shared.runs.api import Context, Row
from shared.train import accuracy, predict

#: For each angle which of the images tested there are classified rightly: (count,) bool.
Right = dict[int, Tensor]


def is_invariant(settings: Settings) -> bool:
    """Whether the network gives the same answer at every quarter turn (see `shared.atlas`; tested there).

    The one subsampling layer is a 2x2 pool with stride 2, which is exact at even sizes.
    """
    return settings.model != "z2cnn" and (settings.size % 2 == 0 or bool(settings.repair))


def run(
    settings: Settings,
    networks: Sequence[nn.Module],
    images: data.Digits,
    context: Context,
    mirrored: bool = False,
) -> tuple[list[dict[int, float]], list[Right]]:
    """Accuracy (percent) of each network by test angle, and which images are right.

    Each batch is turned once for all networks. A network that is exactly invariant to quarter turns
    gives the same answers at an angle and 90 degrees further, so it is tested on the first quadrant
    only, unless the settings ask for a ``full_sweep``; the experiment ``quarters`` does.
    """
    period = 90 if is_invariant(settings) and not settings.full_sweep else 360
    test = images.test.flip(-1) if mirrored else images.test
    curves: list[dict[int, float]] = [{} for _ in networks]
    records: list[Right] = [{} for _ in networks]
    for angle in range(0, period, settings.angle_step):
        count = settings.test_images if angle % 90 == 0 else settings.sweep_images
        labels = images.test_labels[:count]
        for curve, right, logits in zip(
            curves, records, _turned_outputs(settings, networks, test[:count], angle)
        ):
            turns = range(0, 360, period)
            curve.update({angle + turn: accuracy(logits, labels) for turn in turns})
            right.update({angle + turn: logits.argmax(1) == labels for turn in turns})
        context.log(f"tested at {angle} degrees on {count} {'mirrored ' if mirrored else ''}images")
    return [dict(sorted(curve.items())) for curve in curves], records


def _turned_outputs(
    settings: Settings, networks: Sequence[nn.Module], images: Tensor, angle: int
) -> list[Tensor]:
    """Logits of every network on ``images`` turned by ``angle`` degrees."""
    parts: list[list[Tensor]] = [[] for _ in networks]
    for batch in images.split(512):
        x = data.network_input(data.turn(batch, angle, settings), settings)
        for part, network in zip(parts, networks):
            part.append(predict(network, x, channels_last=settings.channels_last))
    return [torch.cat(part) for part in parts]


def recorded_rows(right: Right, labels: Tensor, settings: Settings) -> Iterator[Row]:
    """What one network gets right, as far as ``image_records`` asks for it.

    Rows: ``right_at`` by test image: the sum of 2^j over the test angles at which it is right, counted from 0
    degrees on, so a whole number below 2^36; ``class_accuracy_0`` and so on: accuracy (percent) of one class
    at the quarter turns, on all images that are tested there.
    """
    if not settings.image_records:
        return
    angles = sorted(right)
    packed = sum(right[angle][: settings.image_records].cpu().long() << j for j, angle in enumerate(angles))
    for image, value in enumerate(packed.tolist()):
        yield Row("right_at", image, float(value))
    for digit in range(models.CLASSES):
        for angle in (angle for angle in angles if angle % 90 == 0):
            chosen = right[angle][labels[: len(right[angle])] == digit]
            if len(chosen):
                yield Row(f"class_accuracy_{digit}", angle, 100 * chosen.double().mean().item())
