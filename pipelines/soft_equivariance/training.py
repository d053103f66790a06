"""Train a network, with one omega' or each of several, and test it with several draws of its angles."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from pipelines.soft_equivariance import data, models
from pipelines.soft_equivariance.settings import Settings
from shared.nn.angles import RandomAngles, one_draw, seed_angles
from shared.runs.api import Context, OutOfTime, Row
from shared.train import Fit, FitSettings, TrainingSet, accuracy, fit, predict

#: Test images on which the effect of turns and shifts is measured.
PROBE_IMAGES = 64
#: Images at once in a test.
CHUNK = 128
#: Spread of answers below which it is rounding, relative to their size.
DUST = 1e-5
#: Added to seeds for the angles of tests; the draws of one seed lie side by side.
TEST_SEED, DRAWS_APART = 4_000_003, 1000


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows of each seed; described in `pipelines.soft_equivariance.experiment.run`.

    Raises:
        UserError: if settings and data set do not fit, or a training diverges.
        OutOfTime: if the context's deadline comes before the first seed is finished.
    """
    images = data.load(settings, context.device)
    rows: dict[int, list[Row]] = {}
    for seed in seeds:
        try:
            rows[seed] = _chosen(settings, seed, images, context)
        except OutOfTime:
            if rows:
                return rows
            raise
    return rows


def _chosen(settings: Settings, seed: int, images: data.Images, context: Context) -> list[Row]:
    """Rows of the candidate that is best on the validation images; only it is tested."""
    if not settings.candidates:
        trained = _train(settings, seed, images, context, "")
        return _rows(settings, seed, images, *trained)
    best, rows = None, []
    for omega in settings.candidates:
        fixed = _with_omega(settings, omega)
        context.log(f"omega' = {omega:g}")
        network, start, result = _train(fixed, seed, images, context, f".omega{omega:g}")
        score = _best(result)[1] if images.validation.numel() else 0.0
        rows.append(Row("candidate_validation_accuracy", omega, score))
        if best is None or score > best[0]:
            best = (score, fixed, network, start, result)
    assert best is not None
    return _rows(best[1], seed, images, *best[2:]) + rows


def _with_omega(settings: Settings, omega: float) -> Settings:
    names = [name for name in ("rotation", "translation") if getattr(settings, f"soft_{name}")]
    return replace(settings, candidates=(), **{f"omega_{name}": omega for name in names})


def _train(
    settings: Settings, seed: int, images: data.Images, context: Context, name: str
) -> tuple[models.CKResNet, list[Row], Fit]:
    """A trained network, what was measured before, and the course of its training."""
    channels, side = images.pool.shape[1:3]
    network = models.build(settings, seed, channels, side, images.classes).to(context.device)
    start = _symmetry_rows(network, images, seed, "start_") + _learned_rows(network, 0)
    if settings.kernel_norm:
        network.keep_norms()
    few = images.validation[: settings.score_images or len(images.validation)]
    training = TrainingSet(
        images.pool,
        images.labels,
        [images.train.cpu()],
        validation=[few] if len(few) else None,
        loss=_loss(settings, images),
        score=lambda model, stored, labels: _accuracy(model, images, stored, labels),
    )
    how = FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        warmup_epochs=settings.warmup * settings.epochs,
        precision=context.precision,
        selection="best" if len(few) else "last",
        validate_every=settings.validate_every,
        rates=(("interval", settings.interval_rate),) if network.intervals() else (),
    )
    options = context.training()
    if context.checkpoint is not None:
        options["checkpoint"] = context.checkpoint.with_suffix(f".{seed}{name}{context.checkpoint.suffix}")
    return network, start, fit([network], training, how, [seed], **options)


def _loss(settings: Settings, images: data.Images):
    """The loss of a batch: cross-entropy, the prior on a learned omega', the norms of the kernels."""

    def loss(network: nn.Module, stored: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        x = images.augmented(stored, generator) if settings.augment else images.plain(stored)
        value = F.cross_entropy(network(x).float(), labels)
        if settings.penalty:
            value = value + settings.penalty * network.penalty()
        if settings.kernel_norm:
            value = value + settings.kernel_norm * network.kernel_norm()
        return value

    return loss


def _accuracy(network: nn.Module, images: data.Images, stored: Tensor, labels: Tensor) -> float:
    """Percentage right with one draw of angles for all images."""
    with one_draw(network):
        return accuracy(predict(network, stored, images.plain, batch_size=CHUNK), labels)


def _best(trained: Fit) -> tuple[int, float]:
    """The first epoch with the best score, and that score."""
    epoch = max(trained.validations[0], key=lambda epoch: (trained.validations[0][epoch], -epoch))
    return epoch, trained.validations[0][epoch]


def _rows(
    settings: Settings,
    seed: int,
    images: data.Images,
    network: models.CKResNet,
    start: list[Row],
    trained: Fit,
) -> list[Row]:
    epoch, score = _best(trained) if trained.validations[0] else (settings.epochs, None)
    rows = [Row("parameters", "", float(models.count_parameters(network)))]
    rows += [Row("order", "", float(settings.order)), *start]
    rows += [Row("train_loss", number, loss) for number, loss in enumerate(trained.losses[0], 1)]
    rows += [Row("validation_accuracy", number, value) for number, value in trained.validations[0].items()]
    rows.append(Row("chosen_epoch", "", float(epoch)))
    if score is not None:
        rows.append(Row("chosen_validation_accuracy", "", score))
    random = any(isinstance(module, RandomAngles) for module in network.modules())
    values = []
    for draw in range(settings.draws if random else 1):
        seed_angles(network, TEST_SEED + DRAWS_APART * seed + draw)
        values.append(_accuracy(network, images, images.test, images.test_labels))
        rows.append(Row("draw_accuracy", draw, values[-1]))
    rows.append(Row("test_accuracy", "", statistics.fmean(values)))
    rows += _symmetry_rows(network, images, seed, "") + _learned_rows(network, epoch)
    if settings.model == "soft":
        omega = settings.omega_rotation if settings.soft_rotation else settings.omega_translation
        rows.append(Row("chosen_omega", "", omega))
    steps = -(-len(images.train) // settings.batch_size) * settings.epochs
    rows.append(Row("step_seconds", "", trained.seconds / steps))
    return [*rows, Row("images_per_second", "", trained.images_per_second)]


def _learned_rows(network: models.CKResNet, epoch: int) -> list[Row]:
    rows = [Row(f"omega_{name}", epoch, value) for name, value in network.omegas().items()]
    return rows + [Row(f"interval_{name}", epoch, value) for name, value in network.intervals().items()]


def _symmetry_rows(network: models.CKResNet, images: data.Images, seed: int, prefix: str) -> list[Row]:
    """What turns change of the logits, and shifts of the lift; angles are drawn once, as for a test."""
    seed_angles(network, TEST_SEED + DRAWS_APART * seed)
    x = images.plain(images.test[:PROBE_IMAGES])
    with one_draw(network):
        logits = predict(network, x, batch_size=CHUNK)
        rows = []
        for quarter in (1, 2, 3):
            turned = predict(network, x.rot90(quarter, (-2, -1)), batch_size=CHUNK)
            rows.append(Row(f"{prefix}turn_error", 90 * quarter, change(logits, turned)))
        with torch.no_grad():
            rows.append(Row(f"{prefix}shift_error", "", shift_error(network.layers["lift"], x)))
    return rows


def change(logits: Tensor, other: Tensor) -> float:
    """How far two answers to the same images lie apart, relative to how answers differ between images.

    The norm of the difference over that of the deviation from the common mean; from 0 to 2. 0, too, if the
    network answers the same to all images, to rounding.

    Shape:
        both (count, classes)
    """
    both = torch.stack([logits, other]).double()
    spread = (both - both.mean((0, 1))).square().mean().sqrt()
    if spread <= DUST * both.square().mean().sqrt():
        return 0.0
    return float((both[0] - both[1]).square().mean().sqrt() / spread)


def shift_error(lift: nn.Module, x: Tensor) -> float:
    """Relative difference of the lift of images moved by a pixel, and the moved lift; apart from the border.

    0 for a layer that is equivariant to translations; 0 also for one that gives 0 everywhere.
    """
    margin = lift.kernel_size // 2 + 1
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    upright = lift(x)[0]
    moved = lift(x.roll((1, 1), (-2, -1)))[0]
    expected = upright.roll((1, 1), (-2, -1))[inside].double()
    size = torch.linalg.vector_norm(expected)
    return float(torch.linalg.vector_norm(moved[inside] - expected) / size) if size else 0.0
