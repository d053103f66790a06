"""The training loop: several seeds at once, data on the device, resumable."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.errors import UserError
from shared.train.checkpoints import load_checkpoint, save_checkpoint
from shared.train.precision import precision
from shared.train.predict import accuracy, predict
from shared.train.replicas import stack, stackable, unstack
from shared.train.settings import FitSettings, TrainingDiverged, TrainingInterrupted

#: From (replicas, batch, channels, height, width) as stored, and a generator per replica, to network inputs.
Transform = Callable[[Tensor, Sequence[torch.Generator]], Tensor]


@dataclass
class TrainingSet:
    """Images and labels on the device, and which of them each seed trains on.

    Attributes:
        images: (count, channels, height, width), as stored (usually uint8).
        labels: (count,) int64.
        train: one index tensor per seed, all of one length.
        validation: one index tensor per seed, or None.
        transform: called on each training batch, with one generator per seed for augmentation.
        plain: from stored images to network inputs without augmentation, for validation.
    """

    images: Tensor
    labels: Tensor
    train: Sequence[Tensor]
    transform: Transform
    plain: Callable[[Tensor], Tensor]
    validation: Sequence[Tensor] | None = None


@dataclass
class Fit:
    """What a training gives: per seed, the loss and the validation accuracy by epoch, and the speed."""

    losses: list[list[float]]
    validations: list[dict[int, float]]
    seconds: float = 0.0
    images: int = 0
    best: list[tuple[float, dict[str, Tensor]] | None] = field(default_factory=list)

    @property
    def images_per_second(self) -> float:
        """Training images of all seeds together per second of training."""
        return self.images / self.seconds if self.seconds else float("nan")


class _Session:
    """State of one training, which a checkpoint can hold."""

    def __init__(
        self, models: Sequence[nn.Module], seeds: Sequence[int], settings: FitSettings, device: str
    ) -> None:
        self.models, self.seeds, self.settings, self.device = list(models), list(seeds), settings, device
        for model in self.models:
            model.to(device)
        self.together = len(models) > 1
        self.network = stack(self.models) if self.together else self.models[0]
        self.parameters = list(self.network.parameters())
        self.optimizer = _optimizer(self.parameters, settings, device)
        # three streams per seed: order of the images, augmentation, dropout
        self.order = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.augment = [torch.Generator(device).manual_seed(seed + 1_000_003) for seed in seeds]
        self.drop = [torch.Generator(device).manual_seed(seed + 2_000_003) for seed in seeds]
        self.streams = (self.order, self.augment, self.drop)
        for module in self.network.modules():
            if hasattr(module, "seed") and callable(module.seed):
                module.seed(self.drop)
        self.epoch, self.fit = 0, Fit([[] for _ in seeds], [{} for _ in seeds], best=[None] * len(seeds))

    def state(self) -> dict:
        fit = self.fit
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": [[g.get_state() for g in streams] for streams in self.streams],
            "fit": [fit.losses, fit.validations, fit.seconds, fit.images, fit.best],
            "seeds": self.seeds,
        }

    def restore(self, state: dict) -> None:
        if state["seeds"] != self.seeds:
            raise UserError(f"the checkpoint is of seeds {state['seeds']}, not {self.seeds}; delete it")
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for streams, saved in zip(self.streams, state["generators"]):
            for generator, value in zip(streams, saved):
                generator.set_state(value.cpu())
        losses, validations, seconds, images, best = state["fit"]
        self.fit = Fit(losses, validations, seconds, images, [None if b is None else tuple(b) for b in best])

    def sync(self) -> None:
        """Bring the single models up to date with the joint network."""
        if self.together:
            unstack(self.network, self.models)


def _optimizer(parameters: list[nn.Parameter], settings: FitSettings, device: str) -> torch.optim.Optimizer:
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, **common)
    return torch.optim.SGD(parameters, momentum=settings.momentum, **common)


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
) -> Fit:
    """Train ``models`` in place, one per seed.

    Seeds do not influence each other: order of the images, augmentation and dropout have a generator
    per seed, and the result of a seed is the same to rounding whichever seeds are trained beside it.
    With a checkpoint the state is saved after each epoch; a training that was killed goes on from
    there, and ends with the same bits on a CPU.

    Args:
        models: networks of one architecture, each initialized from its own seed.
        data: see `TrainingSet`.
        settings: see `FitSettings`.
        seeds: one per model.
        device: "cpu" or "cuda".
        log: called with one line per epoch.
        checkpoint: file for the state; deleted by the caller when the results are safe.
        deadline: `time.monotonic()` after which no new epoch is begun.

    Raises:
        TrainingDiverged: if a loss is not finite; the models are then worthless.
        TrainingInterrupted: if the deadline came first.
    """
    if not _together(models, data, settings, device):
        return _one_by_one(models, data, settings, seeds, device, log, checkpoint, deadline)
    session = _Session(models, seeds, settings, device)
    saved = load_checkpoint(checkpoint, device) if checkpoint else None
    if saved is not None:
        session.restore(saved)
        log(f"resumed after epoch {session.epoch} of {settings.epochs}")
    while session.epoch < settings.epochs:
        if deadline is not None and time.monotonic() > deadline:
            raise TrainingInterrupted(
                f"time is up after epoch {session.epoch} of {settings.epochs}; run again"
            )
        _epoch(session, data)
        _validate(session, data)
        log(_progress(session))
        if checkpoint and session.epoch < settings.epochs:
            save_checkpoint(checkpoint, session.state())
    session.sync()
    for model, best in zip(session.models, session.fit.best):
        if settings.selection == "best" and best is not None:
            model.load_state_dict(best[1])
    return session.fit


def _together(models: Sequence[nn.Module], data: TrainingSet, settings: FitSettings, device: str) -> bool:
    """Whether to train the seeds as one grouped network.

    On CUDA that fills the device. On a CPU it saves the overhead of small steps (2 to 4 times), but
    when one seed alone keeps the cores busy, grouped convolutions only cost: measured break-even is
    near 100,000 input pixels a step for networks of 20 to 40 channels.
    """
    if settings.replicas != "auto" or len(models) == 1:
        return settings.replicas != "one_by_one" or len(models) == 1
    pixels = settings.batch_size * data.images.shape[-1] * data.images.shape[-2]
    return stackable(models[0]) and (device != "cpu" or pixels <= 65_536)


def _one_by_one(models, data, settings, seeds, device, log, checkpoint, deadline) -> Fit:
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
        )
        alone = replace(settings, replicas="together")
        path = checkpoint.with_suffix(f".{seed}{checkpoint.suffix}") if checkpoint else None
        one = fit(
            [models[index]], part, alone, [seed], device=device, log=log, checkpoint=path, deadline=deadline
        )
        joined.losses += one.losses
        joined.validations += one.validations
        joined.best += one.best
        joined.seconds += one.seconds
        joined.images += one.images
    return joined


def _epoch(session: _Session, data: TrainingSet) -> None:
    settings, network = session.settings, session.network
    replicas, count = len(session.seeds), len(data.train[0])
    begin = time.monotonic()
    network.train()
    orders = [index[torch.randperm(count, generator=g)] for index, g in zip(data.train, session.order)]
    order = torch.stack(orders).to(session.device)  # (replicas, count)
    steps = -(-count // settings.batch_size)
    total = torch.zeros(replicas, device=session.device)
    for number in range(steps):
        rows = order[:, number * settings.batch_size : (number + 1) * settings.batch_size]
        for group in session.optimizer.param_groups:
            group["lr"] = settings.rate(session.epoch * steps + number, steps)
        total += _step(session, data, rows) * rows.shape[1]
    session.epoch += 1
    means = (total / count).tolist()  # the one wait for the device in an epoch
    bad = [seed for seed, mean in zip(session.seeds, means) if not math.isfinite(mean)]
    if bad:
        raise TrainingDiverged(bad, session.epoch)
    for losses, mean in zip(session.fit.losses, means):
        losses.append(mean)
    session.fit.seconds += time.monotonic() - begin
    session.fit.images += replicas * count


def _step(session: _Session, data: TrainingSet, rows: Tensor) -> Tensor:
    """One optimizer step on ``rows`` (replicas, batch); returns the mean loss of each replica."""
    settings = session.settings
    images = data.transform(data.images[rows], session.augment)
    labels = data.labels[rows]
    replicas, batch = rows.shape
    x = images.transpose(0, 1).flatten(1, 2)
    x = x.contiguous(memory_format=torch.channels_last if settings.channels_last else torch.contiguous_format)
    with precision(settings.precision, session.device):
        outputs = session.network(x)
    logits = outputs.float().unflatten(1, (replicas, -1)).transpose(0, 1)
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses = each.view(replicas, batch).mean(1)  # a replica's gradient is that of its own mean
    session.optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()
    session.optimizer.step()
    return losses.detach()


def _validate(session: _Session, data: TrainingSet) -> None:
    settings = session.settings
    due = settings.validate_every and session.epoch % settings.validate_every == 0
    if data.validation is None or not (due or session.epoch == settings.epochs):
        return
    session.sync()
    for index, model in enumerate(session.models):
        rows = data.validation[index].to(session.device)
        outputs = predict(model, data.images[rows], data.plain, channels_last=settings.channels_last)
        value = accuracy(outputs, data.labels[rows])
        session.fit.validations[index][session.epoch] = value
        best = session.fit.best[index]
        if settings.selection == "best" and (best is None or value > best[0]):
            # a deep copy: the state dictionary itself changes as training goes on
            session.fit.best[index] = (value, copy.deepcopy(model.state_dict()))


def _progress(session: _Session) -> str:
    fit, settings = session.fit, session.settings
    left = fit.seconds / session.epoch * (settings.epochs - session.epoch)
    loss = sum(losses[-1] for losses in fit.losses) / len(fit.losses)
    latest = [list(v.values())[-1] for v in fit.validations if v]
    shown = f", validation {sum(latest) / len(latest):.2f} %" if latest else ""
    return (
        f"epoch {session.epoch}/{settings.epochs}: loss {loss:.4f}{shown}, "
        f"{fit.images_per_second:.0f} images/s, {left / 60:.1f} min left"
    )
