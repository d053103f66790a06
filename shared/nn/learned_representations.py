"""Representations that are learned: a free matrix for each generator, pulled towards a group by its relators.

Nothing makes the matrices a representation but the loss of the relators, whose words should be the identity.
How near they come, and which irreps they then hold, is read off by eigenvalues or by characters. After
Ali, Liò and Vicary, "Parameter-free approximate equivariance for tasks with finite group symmetry" (arXiv
2506.08244), section 4 and appendix B, for any presentation.

| question | answer |
|---|---|
| Is it a representation? | `LearnedRepresentation.residuals`, one per relator |
| How often does each root of unity occur? | `root_counts`, for a cyclic group |
| How often does each irrep occur? | `character_counts`; whole numbers, if it is a representation |
| How far is that from copies of the regular representation? | `regular_counts` |
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from shared.algebra.groups import Group
from shared.algebra.irreps import irreps
from shared.algebra.presentations import Presentation, Word
from shared.algebra.representations import direct_sum

#: Ways to begin, see `start`.
STARTS = ("uniform", "normal", "orthogonal", "identity")


class LearnedRepresentation(nn.Module):
    """One free matrix for each generator of a presentation, acting on vectors from the left.

    Args:
        presentation: generators and relators.
        start: the matrices to begin with, in the order of the generators.

    Shape:
        start (generators, d, d)

    Raises:
        ValueError: if there is not one square matrix for each generator.
    """

    def __init__(self, presentation: Presentation, start: Tensor) -> None:
        super().__init__()
        count = len(presentation.generators)
        if start.dim() != 3 or len(start) != count or start.shape[1] != start.shape[2]:
            raise ValueError(
                f"{presentation} needs a square matrix for each of its {count} generators, "
                f"not a tensor of shape {tuple(start.shape)}."
            )
        self.presentation = presentation
        self.matrices = nn.Parameter(start.detach().clone())

    @property
    def size(self) -> int:
        """Dimension ``d`` of the vectors it acts on."""
        return self.matrices.shape[-1]

    def evaluate(self, word: Word) -> Tensor:
        """Multiply the matrices of a word's letters from left to right; inverse letters by a linear solve.

        Shape:
            (d, d)

        Raises:
            ValueError: if the word has a letter that is no generator.
        """
        if any(not 1 <= abs(letter) <= len(self.matrices) for letter in word):
            raise ValueError(f"the word {word} has a letter that is none of {len(self.matrices)} generators.")
        result = torch.eye(self.size, dtype=self.matrices.dtype, device=self.matrices.device)
        for place, letter in enumerate(word):
            matrix = self.matrices[abs(letter) - 1]
            if letter > 0:
                result = matrix if place == 0 else result @ matrix
            else:  # X with X M = result
                result = torch.linalg.solve(matrix, result, left=False)
        return result

    def forward(self, z: Tensor, words: Sequence[Word], which: Tensor) -> Tensor:
        """Move each vector by one of the words.

        Shape:
            z (batch, d), which (batch,) integers that index ``words``, result (batch, d)
        """
        moved = torch.stack([z @ self.evaluate(word).T for word in words])
        return moved[which, torch.arange(len(z), device=z.device)]

    def residuals(self) -> Tensor:
        """Mean squared difference of each relator's word from the identity.

        Shape:
            (relators,)
        """
        one = torch.eye(self.size, dtype=self.matrices.dtype, device=self.matrices.device)
        words = [self.evaluate(word) for word in self.presentation.relators]
        return torch.stack([(word - one).square().mean() for word in words])

    def split_residuals(self) -> Tensor:
        """Mean squared difference of ``u`` and ``a^-1`` for each relator ``u a``.

        For a relator ``g^n`` it is ``g^(n-1) = g^-1``, the regularizer of Equations 6 and 8. It is zero where
        the relators hold, so it asks nothing new, but it has another gradient.

        Shape:
            (relators,)
        """
        words = self.presentation.relators
        gaps = [self.evaluate(word[:-1]) - self.evaluate((-word[-1],)) for word in words]
        return torch.stack([gap.square().mean() for gap in gaps])


def start(
    kind: str, generators: int, size: int, generator: Generator | None = None, noise: float = 0.0
) -> Tensor:
    """Draw matrices to begin with.

    Args:
        kind: "uniform": entries from [0, 1); "normal": standard normal; "orthogonal": uniform in O(d);
            "identity".
        generators: how many matrices.
        size: d.
        generator: of random numbers, on the CPU.
        noise: standard deviation of normal noise that is added to each entry. Its eigenvalues fill a disk of
            radius ``noise * sqrt(d)``.

    Shape:
        float32 (generators, d, d)

    Raises:
        ValueError: if the kind is not known.
    """
    shape = generators, size, size
    if kind == "uniform":
        matrices = torch.rand(shape, generator=generator)
    elif kind == "normal":
        matrices = torch.randn(shape, generator=generator)
    elif kind == "orthogonal":
        matrices = torch.stack([_orthogonal(size, generator) for _ in range(generators)])
    elif kind == "identity":
        matrices = torch.eye(size).expand(shape).clone()
    else:
        raise ValueError(f"unknown start {kind!r}; use one of {', '.join(STARTS)}.")
    return matrices + noise * torch.randn(shape, generator=generator) if noise else matrices


def start_near(
    group: Group, counts: Sequence[int], generator: Generator | None = None, noise: float = 0.0
) -> Tensor:
    """Take a representation with given multiplicities, in a random orthogonal basis, plus noise.

    Without noise the multiplicities cannot change while the relators hold: they are whole numbers. So a start
    that is to be free has noise.

    Args:
        group: with a presentation in its own generators.
        counts: how often each of `shared.algebra.irreps.irreps` occurs.
        generator, noise: as in `start`.

    Shape:
        float32 (generators, d, d), where d is the sum of the counts times the sizes of the irreps

    Raises:
        ValueError: if there is not a count of 0 or more for each irrep, and one above 0.
    """
    parts = irreps(group)
    if len(counts) != len(parts) or min(counts) < 0 or not any(counts):
        raise ValueError(f"{group.name} has {len(parts)} irreps; give a count of 0 or more for each of them.")
    exact = direct_sum([part for part, count in zip(parts, counts) for _ in range(count)])
    matrices = torch.from_numpy(exact.matrices[list(group.generators)])
    basis = _orthogonal(exact.size, generator).double()
    matrices = (basis @ matrices @ basis.T).float()
    return matrices + noise * torch.randn(matrices.shape, generator=generator) if noise else matrices


def _orthogonal(size: int, generator: Generator | None) -> Tensor:
    """A uniform element of O(d): Q of a normal matrix, with signs that make it unique."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator))
    return q * r.diagonal().sign()


def element_words(group: Group) -> list[Word]:
    """Find a shortest word in the generators for each element, without inverse letters.

    Raises:
        ValueError: if the group has no generators and more than one element.
    """
    words: dict[int, Word] = {group.identity: ()}
    frontier = [group.identity]
    while frontier:
        reached = []
        for element in frontier:
            for number, step in enumerate(group.generators, 1):
                target = int(group.table[element, step])
                if target not in words:
                    words[target] = (*words[element], number)
                    reached.append(target)
        frontier = reached
    return [words[element] for element in range(group.order)]


@torch.no_grad()
def root_counts(matrix: Tensor, order: int) -> np.ndarray:
    """Count the eigenvalues of a matrix nearest to each root of unity ``exp(2 pi i k / order)``.

    Only their angles matter. Halfway between two roots the one of larger ``k`` counts.

    Shape:
        matrix (d, d), result int (order,)
    """
    roots = np.exp(2j * np.pi * np.arange(order) / order)
    values = eigenvalues(matrix)
    likeness = (values[:, None] * roots.conj() / np.abs(values[:, None]).clip(1e-300)).real.round(9)
    nearest = order - 1 - likeness[:, ::-1].argmax(1)
    return np.bincount(nearest, minlength=order)


@torch.no_grad()
def eigenvalues(matrix: Tensor) -> np.ndarray:
    """Eigenvalues in float64, by angle and then by size.

    Shape:
        matrix (d, d), result complex (d,)
    """
    values = np.linalg.eigvals(matrix.detach().cpu().double().numpy()).astype(complex)
    return values[np.lexsort((np.abs(values), np.angle(values)))]


@torch.no_grad()
def traces(learned: LearnedRepresentation, group: Group) -> np.ndarray:
    """Trace of the matrix of each element's shortest word, in float64; of a representation, its character.

    Shape:
        (order,)

    Raises:
        ValueError: if the presentation and the group have different numbers of generators.
    """
    if len(group.generators) != len(learned.presentation.generators):
        raise ValueError(f"{learned.presentation} is no presentation of {group.name} in its own generators.")
    exact = LearnedRepresentation(learned.presentation, learned.matrices.double().cpu())
    return np.array([float(exact.evaluate(word).trace()) for word in element_words(group)])


def character_counts(learned: LearnedRepresentation, group: Group, average: bool = True) -> np.ndarray:
    """Count each real irrep by the inner product of its character with the traces.

    Whole numbers if the matrices are a representation; what they lack of whole numbers, it lacks of one.

    Args:
        learned: the matrices, for the generators of ``group``.
        group: see `shared.algebra.irreps.irreps` for the order of the result.
        average: with the traces of all elements; or with one element of each conjugacy class that stands for
            all of it, the one with the shortest word, as the paper has it.

    Shape:
        float64 (irreps,)

    Raises:
        ValueError: as `traces`.
    """
    found, words = traces(learned, group), element_words(group)
    if not average:
        for members in group.conjugacy_classes():
            found[list(members)] = found[min(members, key=lambda g: (len(words[g]), g))]
    return np.array([(found * part.character).mean() / part.schur_norm for part in irreps(group)])


def regular_counts(group: Group, size: int) -> np.ndarray:
    """Count each real irrep in ``size / order`` copies of the regular representation; they may be fractions.

    Shape:
        float64 (irreps,)
    """
    return np.array([part.size / part.schur_norm for part in irreps(group)]) * size / group.order


def regular_distance(counts: np.ndarray, regular: np.ndarray) -> float:
    """Largest difference of a count from that of the regular representation."""
    return float(np.abs(np.asarray(counts) - regular).max())


def integer_distance(counts: np.ndarray) -> float:
    """Largest difference of a count from the nearest whole number; at most one half."""
    return float(np.abs(counts - np.round(counts)).max())
