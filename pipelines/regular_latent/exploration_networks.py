"""Networks of the exploration, with the learned matrices between encoder and head (fact sheet, section 1)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from pipelines.regular_latent.exploration_study import Study
from pipelines.regular_latent.settings import Settings
from shared.nn import learned_representations
from shared.nn.learned_representations import LearnedRepresentation

CLASSES = 10
#: Steps after which the matrices are kept for a figure: every so many up to a border, then every so many.
KEPT, BORDER, KEPT_LATER = 100, 2000, 2000
#: Added to a run's seed for the learned matrices, which begin alike with and without data.
START_SEED = 3_000_003


class Explorer(nn.Module):
    """An encoder, learned matrices on its latent vectors, and a head; or the matrices alone.

    Args:
        representation: the learned matrices.
        encoder, head: to latent vectors, and from them; None for the null.
        kept: how many of the first generator's matrices to keep while training.

    Attributes:
        trained_steps: optimizer steps so far.
        pull: factor on the weight of the relations, which changes if settings ask for it.
        path: the matrices kept; those of steps that are still to come are nan.
    """

    def __init__(
        self,
        representation: LearnedRepresentation,
        encoder: nn.Module | None = None,
        head: nn.Module | None = None,
        kept: int = 0,
    ) -> None:
        super().__init__()
        self.representation, self.encoder, self.head = representation, encoder, head
        self.register_buffer("trained_steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("pull", torch.ones(()))
        size = representation.size
        self.register_buffer("path", torch.full((kept, size, size), torch.nan))

    @torch.no_grad()
    def tick(self) -> int:
        """Count an optimizer step that is about to be made, keep its matrix if it is due; steps before it."""
        step = int(self.trained_steps)
        self.trained_steps += 1
        number = kept_number(step)
        if number is not None and number < len(self.path):
            self.path[number] = self.representation.matrices[0]
        return step


def kept_number(step: int) -> int | None:
    """Which of the kept matrices is that of this step; None if it is not kept."""
    if step <= BORDER:
        return step // KEPT if step % KEPT == 0 else None
    return BORDER // KEPT + (step - BORDER) // KEPT_LATER if (step - BORDER) % KEPT_LATER == 0 else None


def kept_steps(steps: int) -> list[int]:
    """The steps, of so many, before which a matrix is kept."""
    return [step for step in range(steps) if kept_number(step) is not None]


def build(settings: Settings, study: Study, seed: int, steps: int = 0) -> Explorer:
    """The network of one seed; the global random state is left alone.

    Args:
        steps: of the training, if its path is to be kept.
    """
    representation = LearnedRepresentation(study.presentation, start(settings, study, seed))
    kept = len(kept_steps(steps))
    if settings.kind == "null":
        return Explorer(representation, kept=kept)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, head = PARTS[settings.group](settings.latent)
    return Explorer(representation, encoder, head, kept)


def start(settings: Settings, study: Study, seed: int) -> Tensor:
    """The matrices that a seed begins with, the same with data and without.

    Shape:
        (generators, latent, latent)
    """
    generator = torch.Generator().manual_seed(START_SEED + seed)
    size, noise = settings.latent, settings.noise
    if settings.start == "far":
        return learned_representations.start_near(study.group, study.far, generator, noise)
    count = len(study.presentation.generators)
    return learned_representations.start(settings.start, count, size, generator, noise)


def glyph_networks(latent: int) -> tuple[nn.Module, nn.Module]:
    """Convolutional encoder and decoder of 28 x 28 images (appendix B.1).

    Shape:
        (batch, 1, 28, 28) -> (batch, latent) -> (batch, 1, 28, 28) in [0, 1]
    """
    half, double = latent // 2, 2 * latent
    encoder = nn.Sequential(
        *(nn.Conv2d(1, half, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(half, latent, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(latent, double, 7), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(double, latent)),
    )
    decoder = nn.Sequential(
        *(nn.Linear(latent, double), nn.Unflatten(1, (double, 1, 1))),
        *(nn.ConvTranspose2d(double, latent, 7), nn.ReLU()),
        *(nn.ConvTranspose2d(latent, half, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
        nn.ConvTranspose2d(half, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )
    return encoder, decoder


def digit_networks(latent: int) -> tuple[nn.Module, nn.Module]:
    """Fully connected encoder and decoder of 28 x 28 images (appendix B.2).

    Shape:
        (batch, 1, 28, 28) -> (batch, latent) -> (batch, 1, 28, 28) in [0, 1]
    """
    widths = (28 * 28, 512, 256, 128, latent)

    def layers(sizes: tuple[int, ...]) -> list[nn.Module]:
        found: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            found += [nn.Linear(inputs, outputs), nn.ReLU()]
        return found[:-1]

    encoder = nn.Sequential(nn.Flatten(), *layers(widths))
    return encoder, nn.Sequential(*layers(widths[::-1]), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)))


def picture_networks(latent: int) -> tuple[nn.Module, nn.Module]:
    """Convolutional encoder of 32 x 32 color images, and a linear classifier (appendix B.3).

    Shape:
        (batch, 3, 32, 32) -> (batch, latent) -> (batch, 10)
    """
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 2)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.GELU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, latent)), nn.Linear(latent, CLASSES)


#: Encoder and head by group, for a size of the latent vector.
PARTS = {"C2": glyph_networks, "D3": digit_networks, "C4": picture_networks}
