"""Does L-conv find a symmetry that we have hidden in the data? Beyond the paper; its later version does the
like.

Pairs of random images (x, y) with ``y = exp(t T) x`` for a known generator T and one angle t. The model
applies one linear L-conv layer ``A = W^0 I + W^1 L`` to x ``depth`` times. By Proposition 2 its ``A`` then
is near ``exp(t T / depth)``, and ``(A - I) depth / t`` near T: the nearer the deeper, if it was learned at
all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.lconv.settings import Settings
from shared.algebra import lie
from shared.data import prepare
from shared.nn import LConv, symmetries
from shared.runs.api import Context, OutOfTime, Row

BATCH = 64
#: Steps between recorded losses.
RECORD_EVERY = 50
#: Random generators with which a similarity is compared.
CONTROLS = 50
#: The seed whose generators are recorded as pictures.
PICTURED_SEED = 0


@dataclass
class Problem:
    """Pairs of images and what relates them.

    Attributes:
        x, y: (pairs, pixels) float32.
        truth: (pixels, pixels), the generator that relates them, or the one that should not be found.
        rotation: (pixels, pixels), that of plain rotation.
        permutation: (pixels,), by which the pixels were moved.
        angle: in radians.
    """

    x: Tensor
    y: Tensor
    truth: Tensor
    rotation: Tensor
    permutation: Tensor
    angle: float


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Learn the hidden generator from pairs of images, with each seed.

    Rows: ``loss`` (squared error summed over pixels, per image) by step; ``similarity`` of the learned
    generator with the hidden one, ``rotation_similarity`` with that of plain rotation (absolute cosines);
    ``random_similarity`` (the 95 % quantile of random generators with the hidden one);
    ``notebook_correlation``; ``flow_error``: error, relative, of the learned generator's exponential at
    twice and at ten times the trained angle (step: the factor); ``parameters``; for pictures, ``true``,
    ``learned`` and ``unscrambled`` (pixels moved back) with the flat index as step.

    Seeds that the context's deadline leaves no time for are not among the result.

    Raises:
        OutOfTime: if the deadline comes before the first seed.
    """
    rows: dict[int, list[Row]] = {}
    for seed in seeds:
        if context.time_is_up():
            break
        problem = pose(settings, seed)
        layer, losses = _train(settings, problem, seed, context)
        learned = generator(layer, settings.depth, problem.angle)
        rows[seed] = losses + _measure(problem, learned, seed)
        rows[seed].append(Row("parameters", "", float(sum(p.numel() for p in layer.parameters()))))
        if settings.pictures and seed == PICTURED_SEED:
            rows[seed] += _pictures(problem, learned)
        context.log(
            f"planted {settings.hidden}, depth {settings.depth}, seed {seed}: loss {losses[-1].value:.2e}"
        )
    if not rows:
        raise OutOfTime("time is up before the first seed")
    return rows


def pose(settings: Settings, seed: int) -> Problem:
    """Draw the images of one seed and relate them as the settings say."""
    side, angle = settings.side, math.radians(settings.turn)
    rotation = lie.generator("rotation", side)
    pixels = side * side
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(settings.pairs, pixels, generator=random, dtype=torch.float64) - 0.5
    permutation, truth = torch.arange(pixels), rotation
    if settings.hidden == "scrambled":
        permutation = prepare.pixel_permutation(side, settings.data_seed)
        truth = lie.conjugate(rotation, permutation)
    elif settings.hidden == "other":
        basis = torch.linalg.qr(torch.randn(pixels, pixels, generator=random, dtype=torch.float64)).Q
        truth = basis @ rotation @ basis.T
    y = x @ torch.linalg.matrix_exp(angle * truth).T
    if settings.hidden == "bilinear":
        y = prepare.rotate(x.view(-1, 1, side, side), settings.turn).flatten(1)
    elif settings.hidden == "unrelated":
        y = y[torch.randperm(len(y), generator=random)]
    return Problem(x.float(), y.float(), truth, rotation, permutation, angle)


def _train(settings: Settings, problem: Problem, seed: int, context: Context) -> tuple[LConv, list[Row]]:
    layer = _layer(settings, seed).to(context.device)
    x, y = problem.x.to(context.device)[..., None], problem.y.to(context.device)[..., None]
    optimizer = torch.optim.Adam(layer.parameters(), lr=settings.lr)
    random = torch.Generator().manual_seed(seed + 1_000_003)
    rows = []
    for step in range(settings.steps + 1):
        for group in optimizer.param_groups:  # half a cosine, down to zero
            group["lr"] = settings.lr * (1 + math.cos(math.pi * step / settings.steps)) / 2
        chosen = torch.randint(len(x), (BATCH,), generator=random).to(context.device)
        moved = x[chosen]
        for _ in range(settings.depth):
            moved = layer(moved)
        loss = (moved - y[chosen]).square().sum((1, 2)).mean()
        if step % RECORD_EVERY == 0 or step == settings.steps:
            rows.append(Row("loss", step, loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layer, rows


def _layer(settings: Settings, seed: int) -> LConv:
    """One generator, no activation; it starts near the identity, where Proposition 2 expands."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        options = {"rank": settings.rank or None, "bias": "none", "activation": "none"}
        layer = LConv(1, 1, settings.side**2, 1, **options)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        parts = layer.factors() or (layer.dense,)
        for part in parts:  # a product of two factors is a hundredth, too
            part *= 0.01 ** (1 / len(parts))
    return layer


@torch.no_grad()
def generator(layer: LConv, depth: int, angle: float) -> Tensor:
    """The generator that a layer stands for, (A - I) depth / angle, in float64; (pixels, pixels)."""
    pixels = torch.eye(layer.pixels, device=layer.weight.device)[..., None]  # image i is lit at pixel i
    step = layer(pixels)[..., 0].T.double().cpu()
    return (step - torch.eye(layer.pixels, dtype=torch.float64)) * depth / angle


def _measure(problem: Problem, learned: Tensor, seed: int) -> list[Row]:
    known = torch.stack([problem.truth, problem.rotation])
    found = symmetries.similarity(learned[None], known)
    random = symmetries.control(known[:1], 1, None, draws=CONTROLS, seed=seed)
    rows = [
        Row("similarity", "", float(found.best[0])),
        Row("rotation_similarity", "", float(found.best[1])),
        Row("random_similarity", "", float(random.best[:, 0].quantile(0.95))),
        Row("notebook_correlation", "", notebook_correlation(learned)),
    ]
    x = problem.x.double().T
    for factor in (2, 10):
        angle = factor * problem.angle
        wanted = torch.linalg.matrix_exp(angle * problem.truth) @ x
        error = (torch.linalg.matrix_exp(angle * learned) @ x - wanted).norm() / wanted.norm()
        rows.append(Row("flow_error", factor, float(error)))
    return rows


def notebook_correlation(learned: Tensor) -> float:
    """Cosine with rotation as the authors' notebook has it: about the pixel (d/2, d/2), the identity
    included.

    That pixel is half a pixel to the right of the middle of the image, and half below.
    """
    side = lie.side_of(len(learned))
    names = {"rotation": 1.0, "translation_x": -0.5, "translation_y": -0.5}
    known = sum(weight * lie.generator(name, side) for name, weight in names.items())
    return float((learned * known).sum() / (learned.norm() * known.norm()))


def _pictures(problem: Problem, learned: Tensor) -> list[Row]:
    """Generators as pictures, each divided by its largest entry."""
    back = torch.argsort(problem.permutation)
    panels = {"true": problem.truth, "learned": learned, "unscrambled": learned[back][:, back]}
    return [
        Row(name, index, round(value, 4))
        for name, panel in panels.items()
        for index, value in enumerate((panel / panel.abs().max()).flatten().tolist())
    ]
