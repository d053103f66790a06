"""Table 6: seconds of a training step and of a forward pass, beside those of strict networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from pipelines.soft_equivariance import data, models
from pipelines.soft_equivariance.settings import Settings
from shared.nn.continuous import ContinuousGroupConv
from shared.runs.api import Context, Row
from shared.train import FitSettings
from shared.train.session import optimizer

#: What the times of other networks than the arm's are called, and how they differ from it.
BESIDE = {"strict_": {"model": "strict"}, "cnn_": {"model": "strict", "angles": 1, "support": "square"}}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows of each seed; described in `pipelines.soft_equivariance.experiment.run`.

    Images and labels are random numbers. Repeats of the networks alternate, so that what slows the machine
    slows all of them. The faster form of strict layers (`shared.nn.half_turn`) is left out, so that ratios
    are those of the operators. The strict network has the arm's angles and support, and 29 taps in its lift.

    Raises:
        UserError: if a map of a network is smaller than the support of its kernels.
    """
    arms = {"": settings, **{prefix: _strict(settings, changes) for prefix, changes in BESIDE.items()}}
    rows = {}
    for seed in seeds:
        made = {prefix: _timed(arm, seed, context) for prefix, arm in arms.items()}
        times: dict[str, list[float]] = {}
        for repeat in range(settings.repeats + 1):
            for prefix, (train, infer) in made.items():
                for name, function in (("train_seconds", train), ("inference_seconds", infer)):
                    seconds = _seconds(function, context.device)
                    if repeat:  # the first is a warm-up
                        times.setdefault(prefix + name, []).append(seconds)
        rows[seed] = [Row(name, "", statistics.median(values)) for name, values in times.items()]
        rows[seed].append(Row("loss", "", made[""][0]()))
    return rows


def _strict(settings: Settings, changes: dict[str, object]) -> Settings:
    return replace(
        settings,
        **{"omega_rotation": 0.0, "omega_translation": 0.0, "grid": "fixed", "shortcut": "identity"},
        **{"lift_taps": "support", **changes},
    )


def _timed(
    settings: Settings, seed: int, context: Context
) -> tuple[Callable[[], float], Callable[[], object]]:
    """A training step of a network on one batch, which returns its loss, and a forward pass."""
    channels, side, _ = data.shape(settings)
    classes = data.classes(settings)
    network: nn.Module = models.build(settings, seed, channels, side, classes).to(context.device)
    stepper = optimizer(
        list(network.parameters()), FitSettings(epochs=1, lr=settings.lr), torch.device(context.device).type
    )
    for layer in network.modules():  # all kernels in one form: that of strict ones alone would hide the ratio
        if isinstance(layer, ContinuousGroupConv):
            layer.keeps_half_turns = lambda given, made: False
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(settings.batch_size, channels, side, side, generator=generator).to(context.device)
    labels = (torch.arange(settings.batch_size) % classes).to(context.device)

    def train() -> float:
        network.train()
        stepper.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        stepper.step()
        return float(loss.detach())

    def infer() -> None:
        network.eval()
        with torch.no_grad():
            network(x)

    return train, infer


def _seconds(function: Callable[[], object], device: str) -> float:
    begin = time.perf_counter()
    function()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin
