"""What a training is made of, and the ways it can end early."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.base.errors import UserError, unknown
from shared.runs.api import OutOfTime


class TrainingDiverged(UserError):
    """A number of some seeds, the loss, a weight or a score, is none any more; ``seeds`` names them."""

    def __init__(self, seeds: Sequence[int], epoch: int, what: str = "the training loss") -> None:
        self.seeds = list(seeds)
        super().__init__(
            f"{what} of seed(s) {', '.join(map(str, seeds))} is not finite in epoch {epoch}; "
            "lower the learning rate or train in float32"
        )


class TrainingInterrupted(OutOfTime):
    """The time is up; the checkpoint holds the state, and the same command goes on from there."""


OPTIMIZERS = ("adam", "sgd", "rmsprop")
SCHEDULES = ("constant", "step", "milestones", "one_cycle", "cosine")
REPLICA_MODES = ("auto", "together", "one_by_one")


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; the last batch of an epoch may be smaller.
        optimizer: "adam", "sgd" or "rmsprop" (mean square over about 10 steps, 1e-7 added to its root, as
            Keras has it; no momentum).
        lr: (largest) learning rate.
        weight_decay: L2 term added to the gradient.
        momentum: of SGD.
        schedule: "constant"; "step": times ``step_factor`` every ``step_every`` epochs; "milestones": times
            ``step_factor`` after each of the epochs ``milestones``; "one_cycle": warm up over 30 % of the
            steps from lr/25, then cosine to lr/25e4; "cosine": after the warm-up along half a cosine to 0.
        warmup_epochs: the rate rises linearly over so many epochs first (not for "one_cycle").
        cycle_momentum: with "one_cycle": momentum (Adam's first beta) falls from 0.95 to 0.85 while the
            rate rises, and comes back.
        precision: "float32", "tf32" (CUDA matrix products) or "bf16" (autocast; parameters, optimizer
            and batch-norm statistics stay in float32); looked at when the training begins.
        channels_last: memory order of the activations.
        selection: "last" epoch or "best" validation accuracy.
        replicas: train the seeds "together" (one grouped network), "one_by_one", or "auto": together on
            CUDA and wherever the network is small, if each seed then computes what it does alone
            (`shared.train.side_by_side`); else one by one, and the log says why. "together" is refused then.
        validate_every: epochs between validations; 0 for never.
        patience: end after so many validations in a row that were not better than the best before them by
            more than ``margin``; 0 for never. Seeds are then trained one after the other.
        rates: names of parameters (the last part of their full name) with a factor on the learning rate.

    Raises:
        UserError: for choices that are not known or do not go together, and numbers that are not positive.
    """

    epochs: int
    batch_size: int = 256
    optimizer: str = "adam"
    lr: float = 0.01
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    step_every: int = 10
    step_factor: float = 0.5
    precision: str = "float32"
    channels_last: bool = False
    selection: str = "last"
    replicas: str = "auto"
    validate_every: int = 1
    milestones: tuple[int, ...] = ()
    warmup_epochs: int = 0
    cycle_momentum: bool = False
    patience: int = 0
    margin: float = 0.0
    rates: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        choices = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "selection": ("last", "best"),
            "replicas": REPLICA_MODES,
        }
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise UserError(unknown(key, getattr(self, key), known))
        if self.epochs < 1 or self.batch_size < 1 or self.step_every < 1 or self.lr <= 0:
            raise UserError("epochs, batch_size, step_every and lr must be positive; correct them")
        if self.cycle_momentum and self.optimizer == "rmsprop":
            raise UserError("rmsprop has no momentum to cycle; set cycle_momentum to false")
        if self.selection == "best" and not self.validate_every:
            raise UserError("selection: best needs validations; set validate_every to 1 or more")
        if self.patience and not self.validate_every:
            raise UserError("patience counts validations; set validate_every to 1 or more")

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of optimizer step ``step`` (from 0)."""
        if self.schedule == "one_cycle":
            return self._cycled(step, steps_per_epoch, self.lr / 25, self.lr, self.lr / 25e4)
        first = self.warmup_epochs * steps_per_epoch
        warm = min(1.0, (step + 1) / max(first, 1))
        if self.schedule == "cosine":
            done = max(step - first, 0) / max(self.epochs * steps_per_epoch - first, 1)
            return self.lr * warm * (1 + math.cos(math.pi * done)) / 2
        epoch, drops = step // steps_per_epoch, 0
        if self.schedule == "step":
            drops = epoch // self.step_every
        elif self.schedule == "milestones":
            drops = sum(epoch >= milestone for milestone in self.milestones)
        return self.lr * warm * self.step_factor**drops

    def exhausted(self, scores: Iterable[float]) -> bool:
        """Whether ``patience`` has run out after the validations ``scores``, first to last."""
        best, waited = -math.inf, 0
        for score in scores:
            better = score > best + self.margin
            best, waited = (score, 0) if better else (best, waited + 1)
        return 0 < self.patience <= waited

    def cycled_momentum(self, step: int, steps_per_epoch: int) -> float | None:
        """Momentum of optimizer step ``step``; None where it does not change."""
        if self.schedule != "one_cycle" or not self.cycle_momentum:
            return None
        return self._cycled(step, steps_per_epoch, 0.95, 0.85, 0.95)

    def _cycled(self, step: int, steps_per_epoch: int, start: float, middle: float, end: float) -> float:
        """Along a half cosine from ``start`` to ``middle`` over 30 % of the steps, then to ``end``."""
        total = self.epochs * steps_per_epoch
        peak = max(1, round(0.3 * total)) - 1
        low, high = (start, middle) if step <= peak else (middle, end)
        done = step / max(peak, 1) if step <= peak else (step - peak) / max(total - 1 - peak, 1)
        return high + (low - high) * (1 + math.cos(math.pi * done)) / 2
