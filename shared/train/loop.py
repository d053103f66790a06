"""The training loop: several seeds at once, data on the device, resumable."""

from __future__ import annotations

import contextlib
import copy
import math
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn.random_state import own_random
from shared.nn.train_mode import restored_modes
from shared.train.checkpoints import load_checkpoint, save_checkpoint
from shared.train.precision import precision, tf32
from shared.train.predict import accuracy, predict
from shared.train.session import Fit, Observe, Session, TrainingSet
from shared.train.settings import FitSettings, TrainingDiverged, TrainingInterrupted
from shared.train.side_by_side import cross_entropies, difference, joined


def fit(
    models: Sequence[nn.Module],
    data: TrainingSet,
    settings: FitSettings,
    seeds: Sequence[int],
    *,
    device: str = "cpu",
    log: Callable[[str], None] = lambda line: None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
    observe: Observe | None = None,
    observe_every: int = 1,
) -> Fit:
    """Train ``models`` in place, one per seed.

    Seeds do not influence each other: order of the images, augmentation and dropout have a generator
    per seed, and the result of a seed is the same to rounding whichever seeds are trained beside it.
    They are trained side by side only if that is so on a few images before the first step (`FitSettings`).
    The generators of the process (torch, numpy, random), from which layers and transforms of others draw, are
    set from the seed in each epoch, and stand afterwards where they stood.
    With a checkpoint the state is saved after each epoch; a training that was killed goes on from
    there, and ends with the same bits on a CPU. A damaged checkpoint is named in the log and not used.

    Args:
        models: networks of one architecture, each initialized from its own seed.
        data: see `TrainingSet`.
        settings: see `FitSettings`.
        seeds: one per model.
        device: "cpu" or "cuda".
        log: called with one line per epoch.
        checkpoint: file for the state; deleted by the caller when the results are safe.
        deadline: `time.monotonic()` after which no new epoch is begun.
        observe: called on each model before training (epoch 0) and after each ``observe_every`` epochs.
        observe_every: epochs between observations; the last epoch is always observed.

    Raises:
        TrainingDiverged: if a loss, weight or score is not finite; the models are then worthless.
        TrainingInterrupted: if the deadline came first.
        UserError: if precision and device do not go together, seeds that shall be trained together cannot be,
            or the checkpoint is of other seeds, settings, data or networks.
        ValueError: if there is not one seed, list of training images and list of validation images for each
            model, nothing to select the best epoch by, or models or checkpoints of two seeds are the same.
    """
    _check(models, data, settings, seeds, observe_every)
    if checkpoint and len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds that are saved must differ, not be {list(seeds)}; leave the checkpoint out")
    if not _together(models, data, settings, seeds, device, log):
        options = {"device": device, "log": log, "deadline": deadline}
        options |= {"observe": observe, "observe_every": observe_every}
        return _one_by_one(models, data, settings, seeds, checkpoint, options)
    session = Session(models, seeds, settings, device)
    session.of(data, observe_every)
    saved = _saved(checkpoint, device, log) if checkpoint else None
    if saved is not None:
        session.restore(saved)
        if observe and not all(session.fit.observed):
            raise UserError("the checkpoint was made without observations; delete it to start over")
        log(f"resumed after epoch {session.epoch} of {settings.epochs}")
    else:
        _observe(session, observe, observe_every)
    while session.epoch < settings.epochs and not _out_of_patience(session):
        if deadline is not None and time.monotonic() > deadline:
            raise TrainingInterrupted(
                f"time is up after epoch {session.epoch} of {settings.epochs}; run again"
            )
        _epoch(session, data)
        _validate(session, data)
        _observe(session, observe, observe_every)
        log(_progress(session, "" if data.score else " %"))
        if checkpoint and session.epoch < settings.epochs:
            save_checkpoint(checkpoint, session.state())
    session.sync()
    for model, best in zip(session.models, session.fit.best):
        if settings.selection == "best" and best is not None:
            model.load_state_dict(best[1])
    return session.fit


def _saved(checkpoint: Path, device: str, log: Callable[[str], None]) -> dict[str, Any] | None:
    """What a checkpoint holds; None if there is none, or it is damaged: training then begins anew."""
    try:
        return load_checkpoint(checkpoint, device)
    except UserError as error:
        log(f"{str(error).partition(';')[0]}: it is not used, training begins anew")
        return None


def _check(
    models: Sequence[nn.Module],
    data: TrainingSet,
    settings: FitSettings,
    seeds: Sequence[int],
    observe_every: int,
) -> None:
    lists = [len(seeds), len(data.train), *([len(data.validation)] if data.validation is not None else [])]
    if not models or any(count != len(models) for count in lists):
        raise ValueError(
            f"{len(models)} models need as many seeds and lists of images, one at least, not {lists}"
        )
    if settings.selection == "best" and data.validation is None:
        raise ValueError("selection 'best' needs validation images; give some, or select the last epoch")
    if settings.patience and data.validation is None:
        raise ValueError("patience needs validation images; give some, or set it to 0")
    if data.loss and settings.replicas == "together" and len(models) > 1:
        raise ValueError("a loss of its own is computed for one seed at a time; set replicas to 'one_by_one'")
    if observe_every < 1:
        raise ValueError(f"observe_every must be 1 or more, not {observe_every}")
    tensors = [set(map(id, model.parameters())) for model in models]
    if len(set(map(id, models))) < len(models) or len(set().union(*tensors)) < sum(map(len, tensors)):
        raise ValueError("each seed needs a network of its own, without a weight that another one has, too")


def _together(
    models: Sequence[nn.Module],
    data: TrainingSet,
    settings: FitSettings,
    seeds: Sequence[int],
    device: str,
    log: Callable[[str], None],
) -> bool:
    """Whether to train the seeds as one grouped network.

    On CUDA that fills the device. On a CPU it saves the overhead of small steps (2 to 4 times), but
    when one seed alone keeps the cores busy, grouped convolutions only cost: measured break-even is
    near 100,000 input pixels a step for networks of 20 to 40 channels.

    Raises:
        UserError: if the settings say "together", and the seeds would not train as they do alone.
    """
    if len(models) == 1:
        return True
    if data.loss or settings.patience or settings.replicas == "one_by_one":
        return False
    if settings.replicas == "auto" and device == "cpu":
        pixels = settings.batch_size * data.images.shape[-1] * data.images.shape[-2]
        if pixels > 65_536:
            return False
    if len({len(rows) for rows in data.train}) > 1:
        why = "they have training images in different numbers"
    else:
        for model in models:
            model.to(device)
        why = difference(models, data, seeds, device)
    if why and settings.replicas == "together":
        raise UserError(f"the seeds cannot train together: {why}; set replicas to 'auto' or 'one_by_one'")
    if why:
        log(f"the seeds are trained one by one: {why}")
    return why is None


def _one_by_one(
    models: Sequence[nn.Module],
    data: TrainingSet,
    settings: FitSettings,
    seeds: Sequence[int],
    checkpoint: Path | None,
    options: dict[str, Any],
) -> Fit:
    """Train seed after seed and join what they give."""
    joined = Fit([], [])
    for index, seed in enumerate(seeds):
        part = TrainingSet(
            data.images,
            data.labels,
            [data.train[index]],
            data.transform,
            data.plain,
            None if data.validation is None else [data.validation[index]],
            data.loss,
            data.score,
        )
        alone = replace(settings, replicas="together")
        path = checkpoint.with_suffix(f".{seed}{checkpoint.suffix}") if checkpoint else None
        one = fit([models[index]], part, alone, [seed], checkpoint=path, **options)
        joined.losses += one.losses
        joined.validations += one.validations
        joined.best += one.best
        joined.observed += one.observed
        joined.seconds += one.seconds
        joined.images += one.images
    return joined


def _epoch(session: Session, data: TrainingSet) -> None:
    settings, network = session.settings, session.network
    replicas, count = len(session.seeds), len(data.train[0])
    begin = time.monotonic()
    network.train()
    orders = [index[torch.randperm(count, generator=g)] for index, g in zip(data.train, session.order)]
    order = torch.stack(orders).to(session.device)  # (replicas, count)
    steps = -(-count // settings.batch_size)
    total = torch.zeros(replicas, device=session.device, dtype=torch.float32)
    with tf32(settings.precision == "tf32"), _random(session, "training"):
        for number in range(steps):
            rows = order[:, number * settings.batch_size : (number + 1) * settings.batch_size]
            session.set_rate(session.epoch * steps + number, steps)
            step = _own_step if data.loss else _step
            total += step(session, data, rows) * rows.shape[1]
    session.epoch += 1
    means = (total / count).tolist()  # the one wait for the device in an epoch
    _check_finite(session, means)
    for losses, mean in zip(session.fit.losses, means):
        losses.append(mean)
    session.fit.seconds += time.monotonic() - begin
    session.fit.images += replicas * count


def _check_finite(session: Session, means: Sequence[float]) -> None:
    """Look at the losses, and at the weights: the last step of an epoch shows in no loss."""
    bad = [seed for seed, mean in zip(session.seeds, means) if not math.isfinite(mean)]
    if bad:
        raise TrainingDiverged(bad, session.epoch)
    if not _finite(p for p in session.network.parameters() if p.grad is not None):
        session.sync()
        bad = [s for s, model in zip(session.seeds, session.models) if not _finite(model.parameters())]
        raise TrainingDiverged(bad, session.epoch, "a weight")


def _finite(tensors: Iterable[Tensor]) -> bool:
    found = [t.isfinite().all() for t in tensors]
    return not found or bool(torch.stack(found).all())


def _random(session: Session, use: str, index: int = 0) -> contextlib.AbstractContextManager:
    """The generators of the process as this epoch of a seed finds them, whatever was drawn before.

    A joint network draws nothing from them (`side_by_side`), so the first seed stands for all.
    """
    text = f"{use} {session.epoch} {session.seeds[index]}"
    return own_random(zlib.crc32(text.encode()), session.device)


def _step(session: Session, data: TrainingSet, rows: Tensor) -> Tensor:
    """One optimizer step on ``rows`` (replicas, batch); returns the mean loss of each replica."""
    settings = session.settings
    x = joined(data.transform(data.images[rows], session.augment))
    x = x.contiguous(memory_format=torch.channels_last if settings.channels_last else torch.contiguous_format)
    with precision(settings.precision, session.device), session.right_convolutions():
        outputs = session.network(x)
    return _descend(session, cross_entropies(outputs, data.labels[rows]))


def _own_step(session: Session, data: TrainingSet, rows: Tensor) -> Tensor:
    """One optimizer step by the training's own loss on ``rows`` (1, batch); returns that loss, (1,)."""
    assert data.loss is not None
    with precision(session.settings.precision, session.device), session.right_convolutions():
        loss = data.loss(session.network, data.images[rows[0]], data.labels[rows[0]], session.augment[0])
    if loss.dim():
        raise ValueError(
            f"the loss of a training must be one number, the batch's mean, not {tuple(loss.shape)}"
        )
    return _descend(session, loss.float()[None])


def _descend(session: Session, losses: Tensor) -> Tensor:
    session.optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()
    session.optimizer.step()
    return losses.detach()


def _observe(session: Session, observe: Observe | None, every: int) -> None:
    if observe is None or (session.epoch % every and session.epoch != session.settings.epochs):
        return
    session.sync()
    for index, (model, seen) in enumerate(zip(session.models, session.fit.observed)):
        with _random(session, "observation", index):
            seen[session.epoch] = observe(model)


def _validate(session: Session, data: TrainingSet) -> None:
    settings = session.settings
    due = settings.validate_every and session.epoch % settings.validate_every == 0
    if data.validation is None or not (due or session.epoch == settings.epochs):
        return
    session.sync()
    for index, model in enumerate(session.models):
        rows = data.validation[index].to(session.device)
        with _random(session, "validation", index):
            value = _score(model, data, rows, settings)
        if math.isnan(value):
            raise TrainingDiverged([session.seeds[index]], session.epoch, "the validation score")
        session.fit.validations[index][session.epoch] = value
        best = session.fit.best[index]
        if settings.selection == "best" and (best is None or value > best[0]):
            # a deep copy: the state dictionary itself changes as training goes on
            session.fit.best[index] = (value, copy.deepcopy(model.state_dict()))


def _score(model: nn.Module, data: TrainingSet, rows: Tensor, settings: FitSettings) -> float:
    """What is validated: the training's own score, or the accuracy in percent."""
    images, labels = data.images[rows], data.labels[rows]
    if data.score is None:
        return accuracy(predict(model, images, data.plain, channels_last=settings.channels_last), labels)
    with torch.no_grad(), restored_modes(model), precision("float32", images.device):
        return data.score(model.eval(), images, labels)


def _out_of_patience(session: Session) -> bool:
    return session.settings.exhausted(session.fit.validations[0].values())


def _progress(session: Session, unit: str) -> str:
    fit, settings = session.fit, session.settings
    left = fit.seconds / session.epoch * (settings.epochs - session.epoch)
    loss = sum(losses[-1] for losses in fit.losses) / len(fit.losses)
    latest = [list(v.values())[-1] for v in fit.validations if v]
    shown = f", validation {sum(latest) / len(latest):.2f}{unit}" if latest else ""
    return (
        f"epoch {session.epoch}/{settings.epochs}: loss {loss:.4f}{shown}, "
        f"{fit.images_per_second:.0f} images/s, {left / 60:.1f} min left"
    )
