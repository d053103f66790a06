"""The three studies of the exploration: a group, how it moves images, and pairs of images that it relates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from pipelines.regular_latent.settings import Settings
from shared.algebra.groups import Group, cyclic, dihedral
from shared.algebra.presentations import Presentation, Word

#: Range of the angles in degrees and of the scales that glyphs are posed with (fact sheet, section 1.2).
ANGLES, SCALES = (-90.0, 90.0), (0.8, 1.2)


class Pair(NamedTuple):
    """Images, the same ones moved by a group element, and which of `Study.words` moved each.

    Shape:
        images, moved (batch, channels, side, side), which (batch,)
    """

    images: Tensor
    moved: Tensor
    which: Tensor


@dataclass(frozen=True)
class Study:
    """What is explored.

    Attributes:
        group: the group, with generators in the order of ``presentation``.
        presentation: as the paper has it.
        names: of the real irreps, in the order of `shared.algebra.irreps.irreps`.
        printed: how the paper counts them: "root" (eigenvalues) or "class" (characters of one per class).
        far: multiplicities of the start "far", at the paper's size of the latent vector.
        words: the elements that pairs are moved by.
        pairs: from a batch as stored and a generator on its device to pairs.
        autoencoder: whether images are reconstructed, or else classified.
    """

    group: Group
    presentation: Presentation
    names: tuple[str, ...]
    printed: str
    far: tuple[int, ...]
    words: tuple[Word, ...]
    pairs: Callable[[Tensor, Generator], Pair]
    autoencoder: bool


def study(settings: Settings) -> Study:
    """The study of ``settings.group``."""
    return {"C2": _typefaces, "D3": _digits, "C4": _pictures}[settings.group](settings)


def _typefaces(settings: Settings) -> Study:
    """C2 swaps the typeface of a glyph and keeps its pose."""

    def pairs(stored: Tensor, generator: Generator) -> Pair:
        count = len(stored)
        second = _uniform(count, generator) < 0.5
        angles, scales = (low + (high - low) * _uniform(count, generator) for low, high in (ANGLES, SCALES))
        posed = pose(stored.float() / 255, angles, scales, settings.interpolation)
        first = torch.where(second[:, None, None, None], posed.flip(1), posed)
        return Pair(first[:, :1], first[:, 1:], torch.zeros_like(second, dtype=torch.long))

    return Study(
        group=cyclic(2),
        presentation=Presentation.parse("<g | g^2>"),
        names=("trivial", "sign"),
        printed="root",
        far=(32, 10),
        words=((1,),),
        pairs=pairs,
        autoencoder=True,
    )


def _digits(settings: Settings) -> Study:
    """D3 turns digits clockwise and mirrors them left to right; at 60 degrees six turns, as released."""
    turns = round(360 / settings.degrees)

    def pairs(stored: Tensor, generator: Generator) -> Pair:
        count, images = len(stored), stored.float() / 255
        mirrored, mirror = (_uniform(count, generator) < 0.5 for _ in range(2))
        steps = (1 + (turns - 1) * _uniform(count, generator)).long().clamp_max(turns - 1)
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        turned = pose(images, -settings.degrees * steps.float(), torch.ones_like(steps, dtype=torch.float32))
        moved = torch.where(mirror[:, None, None, None], images.flip(-1), turned)
        return Pair(images, moved, torch.where(mirror, 0, steps))

    return Study(
        group=dihedral(3),
        presentation=Presentation.parse("<r, s | r^3, s^2, (r s)^2>"),
        names=("trivial", "sign", "standard"),
        printed="class",
        far=(16, 4, 5),
        words=((2,), *((1,) * step for step in range(1, turns))),
        pairs=pairs,
        autoencoder=True,
    )


def _pictures(settings: Settings) -> Study:
    """C4 turns color images by quarter turns, counter-clockwise; the first image of a pair is turned, too."""

    def pairs(stored: Tensor, generator: Generator) -> Pair:
        first = (4 * _uniform(len(stored), generator)).long().clamp_max(3)
        steps = (1 + 3 * _uniform(len(stored), generator)).long().clamp_max(3)
        images = (stored.float() / 255 - 0.5) / 0.5
        every = torch.stack([images.rot90(turn, (-2, -1)) for turn in range(4)])
        rows = torch.arange(len(stored), device=stored.device)
        return Pair(every[first, rows], every[(first + steps) % 4, rows], steps - 1)

    return Study(
        group=cyclic(4),
        presentation=Presentation.parse("<g | g^4>"),
        names=("trivial", "rotation", "sign"),
        printed="root",
        far=(32, 8, 16),
        words=((1,), (1, 1), (1, 1, 1)),
        pairs=pairs,
        autoencoder=False,
    )


def _uniform(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)


def pose(images: Tensor, degrees: Tensor, scales: Tensor, interpolation: str = "bilinear") -> Tensor:
    """Turn images counter-clockwise about their centers and scale them, each by its own; zeros outside.

    Args:
        interpolation: "bilinear" or "nearest".

    Shape:
        images and result (batch, channels, side, side), degrees and scales (batch,)
    """
    radians = torch.deg2rad(degrees)
    cosine, sine, zero = radians.cos() / scales, radians.sin() / scales, torch.zeros_like(scales)
    # where a pixel comes from: turned back, in grid_sample's coordinates (x to the right, y down)
    rows = torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, interpolation, "zeros", align_corners=False)
