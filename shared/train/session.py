"""State of a training: what it is given, what it gives, and what a checkpoint holds."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn import RightConvolutions
from shared.train.replicas import stack, unstack
from shared.train.rmsprop import RMSprop
from shared.train.settings import FitSettings

#: From (replicas, batch, channels, height, width) as stored, and a generator per replica, to network inputs.
Transform = Callable[[Tensor, Sequence[torch.Generator]], Tensor]
#: From a network to named numbers, for watching a training; it must leave the network as it was.
Observe = Callable[[nn.Module], dict[str, float]]
#: From a network, a batch as stored, its labels and the run's generator for augmentation to the mean loss.
Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
#: From a network, validation data as stored and their labels to a number; the larger, the better.
Score = Callable[[nn.Module, Tensor, Tensor], float]


@dataclass
class TrainingSet:
    """Images and labels on the device, and which of them each seed trains on.

    A training whose step is more than the cross-entropy of one image at a time (pairs, roll-outs, penalties)
    has a ``loss`` of its own: it turns a batch as stored into the inputs, runs the network as often as
    it needs, and its seeds are trained one after the other.

    Attributes:
        images: (count, channels, height, width), as stored (usually uint8); with a ``loss`` and a ``score``
            anything that is indexed along axis 0.
        labels: (count,) int64; (count, height, width) for networks that give a class to each pixel.
        train: one index tensor per seed; of one length, or the seeds are trained one after the other.
        validation: one index tensor per seed, or None.
        transform: called on each training batch, with one generator per seed for augmentation; what it gives
            must follow from these (it is also tried on a few images, see `shared.train.side_by_side`).
        plain: from stored images to network inputs without augmentation, for validation.
    """

    images: Tensor
    labels: Tensor
    train: Sequence[Tensor]
    transform: Transform = lambda images, generators: images
    plain: Callable[[Tensor], Tensor] = lambda images: images
    validation: Sequence[Tensor] | None = None
    loss: Loss | None = None
    score: Score | None = None


@dataclass
class Fit:
    """What a training gives: per seed, by epoch, the loss and the validation accuracy or score; the speed.

    ``observed`` holds per seed, by epoch, what `Observe` returned.
    """

    losses: list[list[float]]
    validations: list[dict[int, float]]
    seconds: float = 0.0
    images: int = 0
    best: list[tuple[float, dict[str, Tensor]] | None] = field(default_factory=list)
    observed: list[dict[int, dict[str, float]]] = field(default_factory=list)

    @property
    def images_per_second(self) -> float:
        """Training images of all seeds together per second of training."""
        return self.images / self.seconds if self.seconds else float("nan")


class Session:
    """State of one training, which a checkpoint can hold."""

    def __init__(
        self, models: Sequence[nn.Module], seeds: Sequence[int], settings: FitSettings, device: str
    ) -> None:
        self.models, self.seeds, self.settings, self.device = list(models), list(seeds), settings, device
        for model in self.models:
            model.to(device)
        self.together = len(models) > 1
        self.network = stack(self.models) if self.together else self.models[0]
        self.parameters = parameter_groups(self.network, settings.rates)
        self.convolutions, self.steps = RightConvolutions(self.network), 0
        self.optimizer = optimizer(self.parameters, settings, device)
        self.streams = self.order, self.augment, self.drop = streams(seeds, device)
        seeded(self.network, self.drop)
        self.origin = {"network": self._looks(), "device": torch.device(device).type} | asdict(settings)
        del self.origin["replicas"]  # how, not what
        self.epoch = 0
        empty: list[list[dict]] = [[{} for _ in seeds] for _ in range(2)]
        self.fit = Fit([[] for _ in seeds], empty[0], best=[None] * len(seeds), observed=empty[1])

    def state(self) -> dict:
        fit = self.fit
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": [[g.get_state() for g in streams] for streams in self.streams],
            "fit": [fit.losses, fit.validations, fit.seconds, fit.images, fit.best, fit.observed],
            "seeds": self.seeds,
            "origin": self.origin,
        }

    def restore(self, state: dict) -> None:
        """Go on from a `state`.

        Raises:
            UserError: if it is of other seeds, settings, data or networks, or no state at all.
        """
        if state.get("seeds", self.seeds) != self.seeds:
            raise UserError(f"the checkpoint is of seeds {state['seeds']}, not {self.seeds}; delete it")
        self._check_origin(state.get("origin", {}))
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError("the checkpoint is of another network; delete it to start over") from error
        self.epoch = state["epoch"]
        for streams, saved in zip(self.streams, state["generators"]):
            for generator, value in zip(streams, saved):
                generator.set_state(value.cpu())
        losses, validations, seconds, images, best, observed = state["fit"]
        best = [None if b is None else tuple(b) for b in best]
        self.fit = Fit(losses, validations, seconds, images, best, observed)

    def of(self, data: TrainingSet, observe_every: int) -> None:
        """Note what else a checkpoint has to agree with: numbers of images, kinds of loss and score."""
        rows = {
            "list of training images": data.train,
            "list of validation images": data.validation,
            "list of labels": [data.labels],
        }
        self.origin |= {name: _checksum(tensors) for name, tensors in rows.items() if tensors is not None}
        self.origin["observe_every"] = observe_every
        self.origin |= {"loss": data.loss is not None, "score": data.score is not None}

    def _looks(self) -> str:
        """The network as it prints itself, without addresses in memory; which weights are one, or frozen."""
        first: dict[int, str] = {}
        named = self.models[0].named_parameters(remove_duplicate=False)
        weights = [(name, first.setdefault(id(p), name), p.requires_grad) for name, p in named]
        return re.sub(r" at 0x[0-9a-f]+", "", f"{self.models[0]} {weights}")

    def _check_origin(self, made: dict[str, Any]) -> None:
        other = [key for key in self.origin | made if made.get(key) != self.origin.get(key)]
        if not other:
            return
        key = other[0]
        if not made:
            raise UserError("the checkpoint does not say what it was made with; delete it to start over")
        if key not in asdict(self.settings):
            raise UserError(f"the checkpoint was made with another {key}; delete it to start over")
        raise UserError(
            f"the checkpoint was made with {key} {made.get(key)!r}, not {self.origin[key]!r}; go on with the "
            "old settings, or delete it to start over"
        )

    def set_rate(self, step: int, steps_per_epoch: int) -> None:
        """Give the optimizer the learning rate, and the momentum if it is cycled, of this step."""
        momentum = self.settings.cycled_momentum(step, steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(step, steps_per_epoch) * group.get("factor", 1.0)
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif momentum is not None:
                group["momentum"] = momentum

    def right_convolutions(self) -> contextlib.AbstractContextManager:
        """What keeps a step off torch's wrong kernel: the first step, and all if that shows a need."""
        self.steps += 1
        guarded = self.device == "cpu" and (self.steps == 1 or self.convolutions.needed)
        return self.convolutions if guarded else contextlib.nullcontext()

    def sync(self) -> None:
        """Bring the single models up to date with the joint network."""
        if self.together:
            unstack(self.network, self.models)


def streams(seeds: Sequence[int], device: str) -> tuple[list[torch.Generator], ...]:
    """Three random generators for each seed, in three lists: order of the images, augmentation, dropout."""
    order = [torch.Generator().manual_seed(seed) for seed in seeds]
    augment = [torch.Generator(device).manual_seed(seed + 1_000_003) for seed in seeds]
    return order, augment, [torch.Generator(device).manual_seed(seed + 2_000_003) for seed in seeds]


def seeded(network: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Let the layers that can (`shared.nn.Dropout`) draw from these generators, one for each replica."""
    for module in network.modules():
        if hasattr(module, "seed") and callable(module.seed):
            module.seed(generators)


def _checksum(tensors: Sequence[Tensor]) -> int:
    total = 0
    for tensor in tensors:
        total = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), total)
    return total


def parameter_groups(network: nn.Module, rates: Sequence[tuple[str, float]]) -> list[Any]:
    """The parameters of a network; with ``rates`` in groups with a ``factor`` on the learning rate.

    Raises:
        ValueError: if no parameter has one of the names.
    """
    if not rates:
        return list(network.parameters())
    factors = dict(rates)
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *factors)}
    for name, parameter in network.named_parameters():
        last = name.rpartition(".")[2]
        groups[last if last in factors else ""].append(parameter)
    missing = [name for name in factors if not groups[name]]
    if missing:
        raise ValueError(f"no parameter is called {missing[0]!r}, but rates name it; correct or remove it")
    return [
        {"params": members, "factor": factors.get(name, 1.0)} for name, members in groups.items() if members
    ]


def optimizer(parameters: list[Any], settings: FitSettings, device: str) -> torch.optim.Optimizer:
    """The optimizer of ``settings`` for parameters, or for groups from `parameter_groups`."""
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, fused=True, **common)
    if settings.optimizer == "rmsprop" and device == "cpu" and not settings.weight_decay:
        return RMSprop(parameters, lr=settings.lr, alpha=0.9, eps=1e-7)
    if settings.optimizer == "rmsprop":  # torch has no fused one
        return torch.optim.RMSprop(parameters, alpha=0.9, eps=1e-7, **common)
    return _SGD(parameters, momentum=settings.momentum, fused=True, **common)


class _SGD(torch.optim.SGD):
    """Torch's, whose fused step fails for a parameter that gets its first gradient after others have."""

    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None] if group["momentum"] else []
            late = [p for p in moved if self.state[p].get("momentum_buffer") is None]
            for parameter in late if len(late) < len(moved) else []:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        super().step(closure)
