"""Table 6: predict the velocities of smoke, ten frames in, six in training and twenty in the test rolled
out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.regular_latent import smoke_models as models
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.smoke_flows import INPUTS, TESTED, TRAINED, Flows, load, turn, turn_maps
from shared.nn.train_mode import restored_modes
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, fit
from shared.train.session import Loss

#: Of the optimizer: weight decay, and what the rate falls to with each epoch.
WEIGHT_DECAY, DECAY = 4e-4, 0.95
#: Windows of a test batch (each counts the same, the last one, too), and windows behind a symmetry error.
TEST_BATCH, PROBED = 16, 64


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and measure it.

    Rows: ``parameters``, of lift and pscnn also ``parameters_released`` (the released encoder's size; basis
    elements counted more than once); ``train_loss`` and ``validation_rmse`` by epoch;
    ``rmse_<future or domain>_<6 or 20>`` of the epoch that validated best, ``last_rmse_...`` of the last one,
    as the released code tests; before training (step 0) and after it (step = epochs, last weights):
    ``output_error`` and, of the CNN, ``latent_error`` (how much outputs and latent maps of turned inputs
    differ from turned ones, relative, mean of the three turns); ``images_per_second`` (windows trained on).

    Raises:
        UserError: if a training diverges, or a library of a baseline is missing.
        OutOfTime: if the context's deadline comes first.
    """
    flows = load(settings, context.device)
    networks = [models.build(settings, seed) for seed in seeds]
    trained = _fit(settings, seeds, networks, flows, context)
    return {seed: _rows(settings, networks[i], trained, i, flows) for i, seed in enumerate(seeds)}


def _fit(
    settings: Settings, seeds: Sequence[int], networks: list[nn.Module], flows: Flows, context: Context
) -> Fit:
    train, valid = flows.windows["train"], flows.windows["valid"]
    rows = torch.arange(len(train)), torch.arange(len(train), len(train) + len(valid))
    windows = torch.cat([train, valid])
    training = TrainingSet(
        windows,
        torch.zeros(len(windows), dtype=torch.int64, device=windows.device),
        train=[rows[0]] * len(seeds),
        validation=[rows[1]] * len(seeds),
        loss=loss(settings, flows),
        score=lambda network, stored, _: -errors(network, flows, stored, TRAINED)[TRAINED],
    )
    how = FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        weight_decay=WEIGHT_DECAY,
        schedule="step",
        step_every=1,
        step_factor=DECAY,
        selection="best",
        precision=context.precision,
    )

    def observe(network: nn.Module) -> dict[str, float]:
        return {**tested(network, flows), **symmetry_errors(network, flows, settings.model == "cnn")}

    options = {"observe": observe, "observe_every": settings.epochs}
    return fit(networks, training, how, seeds, **options, **context.training())


def _rows(settings: Settings, network: nn.Module, trained: Fit, index: int, flows: Flows) -> list[Row]:
    rows = [Row("parameters", "", float(_count(network)))]
    released = {
        "lift": lambda: models.Lift(settings.channels, models.LIFT_GRID),
        "pscnn": lambda: models.PSCNN(settings.channels, duplicated=True),
    }
    if settings.model in released:
        rows.append(Row("parameters_released", "", float(_count(released[settings.model]()))))
    rows += [Row("train_loss", epoch, value) for epoch, value in enumerate(trained.losses[index], 1)]
    rows += [Row("validation_rmse", epoch, -value) for epoch, value in trained.validations[index].items()]
    rows += [Row(name, "", value) for name, value in tested(network, flows).items()]
    for epoch, seen in trained.observed[index].items():
        for name, value in seen.items():
            if not name.startswith("rmse"):
                rows.append(Row(name, epoch, value))
            elif epoch:
                rows.append(Row(f"last_{name}", "", value))
    return [*rows, Row("images_per_second", "", trained.images_per_second)]


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def loss(settings: Settings, flows: Flows) -> Loss:
    """The training loss of a batch of windows (section 5 of the paper and its code).

    The sum of the mean squared errors of six rolled-out frames. With `settings.shifted` half of the first
    frame's is that of a copy turned at random, and `settings.weight` times the distance between the
    turned latent maps and those of the turned copy is added.
    """

    def of_batch(network: nn.Module, stored: Tensor, _: Tensor, generator: torch.Generator) -> Tensor:
        clips = flows.clips(stored, INPUTS + TRAINED).flatten(1, 2)
        x, targets = clips[:, : 2 * INPUTS], clips[:, 2 * INPUTS :]
        if not settings.shifted:
            return TRAINED * F.mse_loss(roll_out(network, x, TRAINED), targets) + network.penalty()
        first, total = _first_frame(settings, network, clips[:, : 2 * INPUTS + 2], generator)
        rest = roll_out(network, torch.cat([x[:, 2:], first], 1), TRAINED - 1)
        return total + (TRAINED - 1) * F.mse_loss(rest, targets[:, 2:])

    return of_batch


def _first_frame(
    settings: Settings, network: nn.Module, clips: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Prediction of the frame after the inputs, and the loss of it, of a turned copy, and of the latent
    maps."""
    turns = torch.randint(4, (len(clips),), generator=generator, device=clips.device)
    copies = turn(clips, turns)
    latent, latent_of_copies = (network.encoder(c[:, : 2 * INPUTS]) for c in (clips, copies))
    first, first_of_copies = network.head(latent), network.head(latent_of_copies)
    total = (1 - settings.shifted) * F.mse_loss(first, clips[:, 2 * INPUTS :])
    total = total + settings.shifted * F.mse_loss(first_of_copies, copies[:, 2 * INPUTS :])
    if settings.weight:
        wanted = turn_maps(latent, turns)
        if settings.latent_loss == "released":
            wanted = wanted[:1].expand_as(latent)
        total = total + settings.weight * F.mse_loss(wanted, latent_of_copies)
    return first, total


def roll_out(predictor: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """Frames predicted one after the other, each from the ten before it.

    Shape:
        x (batch, 20, size, size); the result (batch, 2 steps, size, size)
    """
    frames = []
    for _ in range(steps):
        frames.append(predictor(x))
        x = torch.cat([x[:, 2:], frames[-1]], 1)
    return torch.cat(frames, 1)


@torch.no_grad()
def errors(
    predictor: Callable[[Tensor], Tensor], flows: Flows, windows: Tensor, steps: int
) -> dict[int, float]:
    """Root mean squared error of roll-outs of 6 steps and of ``steps``, by their number.

    The root of the mean over batches, each counting the same.
    """
    found = []
    for part in windows.split(TEST_BATCH):
        clips = flows.clips(part, INPUTS + steps).flatten(1, 2)
        x, targets = clips[:, : 2 * INPUTS], clips[:, 2 * INPUTS :]
        squares = (roll_out(predictor, x, steps) - targets).square()
        found.append(squares.unflatten(1, (steps, 2)).mean((0, 2, 3, 4)))
    by_step = torch.stack(found).double().mean(0)
    return {count: math.sqrt(by_step[:count].mean()) for count in sorted({TRAINED, steps})}


@torch.no_grad()
def tested(network: nn.Module, flows: Flows) -> dict[str, float]:
    """Errors on later windows of the simulations that were trained on, and on others."""
    found = {}
    with restored_modes(network):
        network.eval()
        for part in ("future", "domain"):
            by_steps = errors(network, flows, flows.windows[part], TESTED)
            found |= {f"rmse_{part}_{steps}": value for steps, value in by_steps.items()}
    return found


@torch.no_grad()
def symmetry_errors(network: nn.Module, flows: Flows, latent: bool) -> dict[str, float]:
    """How far outputs (and latent maps) are from equivariant: relative, on test windows, mean of three
    turns."""
    windows = flows.windows["future"]
    windows = windows[:: max(1, len(windows) // PROBED)][:PROBED]
    x = flows.clips(windows, INPUTS).flatten(1, 2)
    parts = {"output_error": (network, turn)}
    if latent:
        parts["latent_error"] = (network.encoder, turn_maps)
    with restored_modes(network):
        network.eval()
        return {name: _symmetry_error(x, *part) for name, part in parts.items()}


def _symmetry_error(x: Tensor, function: nn.Module, action: Callable[[Tensor, Tensor], Tensor]) -> float:
    upright, found = function(x), []
    for count in range(1, 4):
        turns = torch.full((len(x),), count, device=x.device)
        turned = action(upright, turns)
        found.append(((function(turn(x, turns)) - turned).norm() / turned.norm()).item())
    return sum(found) / len(found)
