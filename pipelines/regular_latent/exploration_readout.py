"""What is read off learned matrices, and pictures of the exploration, as rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.regular_latent import exploration_networks as networks
from pipelines.regular_latent.exploration_networks import Explorer
from pipelines.regular_latent.exploration_study import Study, pose
from pipelines.regular_latent.settings import Settings
from shared.nn import learned_representations as learned
from shared.nn.learned_representations import LearnedRepresentation
from shared.runs.api import Row

#: The digit of the pictures, and the two poses that it has in them: degrees and scale.
DIGIT, POSES = 4, ((25.0, 1.1), (-50.0, 0.9))


def counts(representation: LearnedRepresentation, explored: Study) -> dict[str, float]:
    """Multiplicities by eigenvalues and by characters, and how far they are from regular and from whole ones.

    Names are those of the rows of `pipelines.regular_latent.exploration.run`.
    """
    group, size = explored.group, representation.size
    order = group.order_of(group.generators[0])
    roots = learned.root_counts(representation.matrices[0], order)
    averaged = learned.character_counts(representation, group)
    classes = learned.character_counts(representation, group, average=False)
    regular = learned.regular_counts(group, size)
    printed, wanted = (roots, np.full(order, size / order))
    if explored.printed == "class":
        printed, wanted = classes, regular
    return {
        **{f"root_{k}": float(count) for k, count in enumerate(roots)},
        **{f"character_{name}": float(count) for name, count in zip(explored.names, averaged)},
        **{f"class_{name}": float(count) for name, count in zip(explored.names, classes)},
        "regular_distance": learned.regular_distance(printed, wanted),
        "character_distance": learned.regular_distance(averaged, regular),
        "integer_distance": learned.integer_distance(averaged),
    }


def observer(settings: Settings, explored: Study) -> Callable[[Explorer], dict[str, float]]:
    """What is watched while training."""

    def observe(network: Explorer) -> dict[str, float]:
        with torch.no_grad():
            residual = float(network.representation.residuals().mean())
        distance = counts(network.representation, explored)["regular_distance"]
        return {"path_regular_distance": distance, "path_algebra_loss": residual}

    return observe


@torch.no_grad()
def rows(
    network: Explorer,
    settings: Settings,
    explored: Study,
    seed: int,
    observed: dict[int, dict[str, float]],
    steps: int,
) -> list[Row]:
    """Rows of the matrices; ``steps`` are those of an epoch in ``observed``."""
    representation = network.representation
    begin = networks.start(settings, explored, seed)
    found = counts(representation, explored)
    before = counts(LearnedRepresentation(explored.presentation, begin), explored)
    made = [Row(name, "", value) for name, value in found.items()]
    made += [Row(f"start_{name}", "", value) for name, value in before.items()]
    residuals = representation.residuals().tolist()
    splits = representation.split_residuals().tolist()
    for word, residual, split in zip(explored.presentation.relators, residuals, splits):
        spelled = explored.presentation.spell(word).replace(" ", "").replace("^", "")
        made += [Row(f"residual_{spelled}", "", residual), Row(f"split_{spelled}", "", split)]
    made.append(Row("algebra_loss", "", sum(residuals) / len(residuals)))
    for number, value in enumerate(learned.eigenvalues(representation.matrices[0])):
        made += [Row("eigenvalue_real", number, value.real), Row("eigenvalue_imag", number, value.imag)]
    for epoch, values in observed.items():
        made += [Row(name, epoch * steps, value) for name, value in values.items()]
    return made + _path_rows(network)


def _path_rows(network: Explorer) -> list[Row]:
    """Eigenvalues of the matrices that were kept, rounded: they are for a figure."""
    done = int(network.trained_steps)
    made = []
    for step, matrix in zip(networks.kept_steps(done), network.path):
        for number, value in enumerate(learned.eigenvalues(matrix)):
            made.append(Row(f"path_real_{number}", step, round(value.real, 4)))
            made.append(Row(f"path_imag_{number}", step, round(value.imag, 4)))
    return made


def input_relator(images: Tensor, degrees: float) -> float:
    """MSE(r^3 x, x): what turning images thrice by ``degrees`` changes in them.

    Shape:
        uint8 (count, 1, side, side)
    """
    turned = images = images.float() / 255
    angles = torch.full((len(images),), -degrees, device=images.device)
    for _ in range(3):
        turned = pose(turned, angles, torch.ones_like(angles))
    return float(F.mse_loss(turned, images))


@torch.no_grad()
def glyph_rows(network: Explorer, settings: Settings, pool: Tensor) -> list[Row]:
    """One digit in two poses: itself, reconstructed, moved in the latent space, and in the other typeface."""
    digit = pool[DIGIT - (20 - settings.glyphs) // 2][None].float() / 255
    made = []
    for number, (degrees, scale) in enumerate(POSES):
        amounts = (torch.full((1,), value, device=digit.device) for value in (degrees, scale))
        posed = pose(digit, *amounts, settings.interpolation)
        code = network.encoder(posed[:, :1])
        acted = network.representation(code, ((1,),), torch.zeros(1, dtype=torch.long, device=digit.device))
        pictures = {
            "input": posed[:, :1],
            "rebuilt": network.head(code),
            "acted": network.head(acted),
            "moved": posed[:, 1:],
        }
        for what, picture in pictures.items():
            made += [
                Row(f"glyph_{number}_{what}", pixel, round(value, 3))
                for pixel, value in enumerate(picture.flatten().tolist())
            ]
    return made
