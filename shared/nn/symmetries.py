"""Reading learned symmetries out: what the generators of a Lie algebra convolution look like and span.

Generators are known only up to scale and basis: weights absorb both. So they are compared as spans, in the
inner product ``<A, B> = tr(A M B^T)``, with the second moments ``M = E[x x^T]`` of data: ``<A, A>`` is the
mean square of ``A x``. Without moments M is the identity (white noise). The identity matrix has a weight of
its own in the layer, so by default its direction does not count.

`generators` is everywhere an `LConv`, dense matrices (n, d, d), or factors ``(U, V)`` of shapes (n, d, k) and
(n, k, d). Closure and orthogonality, as numbers and penalties, are in `shared.nn.penalties`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from shared.algebra import lie
from shared.nn import LConv
from shared.nn.penalties import (
    Generators,
    closure,
    closure_penalty,
    killing,
    killing_penalty,
    off_diagonal,
    regularizer,
    tensors,
)

__all__ = [
    "Generators",
    "Similarity",
    "action",
    "closure",
    "closure_penalty",
    "control",
    "eigenvalues",
    "killing",
    "killing_penalty",
    "matrices",
    "off_diagonal",
    "p_values",
    "pictures",
    "regularizer",
    "similarity",
    "tensors",
]


def _rounding(generators: Generators) -> float:
    """Share of a generator, or of a span, below which what is left is rounding."""
    return 1e-10 if all(part.dtype == torch.float64 for part in tensors(generators)) else 1e-6


def _read(generators: Generators) -> tuple[Tensor, ...]:
    return tuple(part.detach().cpu().double() for part in tensors(generators))


def matrices(generators: Generators) -> Tensor:
    """Return dense generators (n, d, d), float64 on the CPU."""
    parts = _read(generators)
    return parts[0] if len(parts) == 1 else parts[0] @ parts[1]


def eigenvalues(generators: Generators) -> Tensor:
    """Return eigenvalues by falling magnitude; of ``U V`` those that its rank allows to be other than zero.

    A rotation has pairs on the imaginary axis.

    Shape:
        (n, d), or (n, k) of low rank; complex
    """
    parts = _read(generators)
    values = torch.linalg.eigvals(parts[0] if len(parts) == 1 else parts[1] @ parts[0])
    return values.gather(1, values.abs().argsort(1, descending=True))


def pictures(generators: Generators, pixels: Sequence[int] | None = None) -> Tensor:
    """Return what a pixel of ``L_i x`` reads of the image x, as an image: row p of ``L_i``.

    Args:
        generators: on square images.
        pixels: numbers of pixels, row by row; the one at the center if None.

    Shape:
        (n, len(pixels), side, side)

    Raises:
        ValueError: if the images are not square, or have no such pixel.
    """
    dense = matrices(generators)
    d = dense.shape[1]
    side = lie.side_of(d)
    chosen = [(side // 2) * (side + 1)] if pixels is None else list(pixels)
    if any(not 0 <= p < d for p in chosen):
        raise ValueError(f"pixels must be from 0 to {d - 1}, not {chosen}")
    return dense[:, chosen].unflatten(2, (side, side))


def action(
    generators: Generators, image: Tensor, times: Sequence[float], *, normalized: bool = True
) -> Tensor:
    """Move an image along the flow of each generator, ``exp(t L_i) x``.

    Args:
        generators: on square images.
        image: x.
        times: t.
        normalized: scale each generator to ``norm(L_i x) = norm(x)``, as its own scale means nothing.

    Shape:
        image (side, side), result (n, len(times), side, side), float64

    Raises:
        ValueError: if the image is not square or does not fit, or there are no times.
    """
    if not len(times):
        raise ValueError("give one time or more")
    parts = _read(generators)
    d = parts[0].shape[1]
    if image.dim() != 2 or image.shape[0] != image.shape[1] or image.numel() != d:
        raise ValueError(f"image must be square with {d} pixels, not {tuple(image.shape)}")
    x = image.detach().cpu().double().flatten()
    moved = []
    for own in zip(*parts):
        change = own[0] @ (own[1] @ x if len(own) == 2 else x)
        scale = float(x.norm() / change.norm()) if normalized and float(change.norm()) > 0 else 1.0
        moved.append(torch.stack([_flow(own, x, t * scale) for t in times]))
    return torch.stack(moved).unflatten(2, tuple(image.shape))


def _flow(parts: Sequence[Tensor], x: Tensor, t: float) -> Tensor:
    """``exp(t L) x``; of low rank ``x + U phi(t V U) t V x`` with ``phi(z) = (exp(z) - 1) / z``."""
    if len(parts) == 1:
        return torch.linalg.matrix_exp(t * parts[0]) @ x
    u, v = parts
    k = len(v)
    block = torch.cat([torch.cat([t * v @ u, torch.eye(k).double()], 1), x.new_zeros(k, 2 * k)])
    return x + u @ (torch.linalg.matrix_exp(block)[:k, k:] @ (t * v @ x))


@dataclass(frozen=True)
class Similarity:
    """How near the span of generators comes to known ones.

    Attributes:
        captured: for each known generator the length of its projection on the span, relative to its own:
            1 if it is a combination of the generators, whatever their scale and basis.
        best: largest cosine with a single generator, without sign.
        angles: principal angles between the two spans, radians, smallest first.

    Shape:
        captured and best (..., m), angles (..., min(n, m)); a leading axis for the draws of `control`
    """

    captured: Tensor
    best: Tensor
    angles: Tensor


def similarity(
    generators: Generators, known: Tensor, *, moments: Tensor | None = None, modulo_identity: bool = True
) -> Similarity:
    """Compare generators with known ones, up to scale and basis.

    Args:
        generators: the learned ones.
        known: such as `lie.group`.
        moments: ``E[x x^T]`` of data, see the module.
        modulo_identity: leave out the direction of the identity.

    Shape:
        known (m, d, d), moments (d, d)

    Raises:
        ValueError: on shapes that do not fit, or a known generator that vanishes (without the identity).
    """
    return _compare(generators, _Known(known, moments, modulo_identity))


def control(
    known: Tensor,
    count: int,
    rank: int | None,
    *,
    draws: int = 100,
    seed: int = 0,
    moments: Tensor | None = None,
    modulo_identity: bool = True,
) -> Similarity:
    """Compare random generators with known ones: what `similarity` finds where nothing was learned.

    The generators are those of an untrained `LConv`.

    Args:
        known: as in `similarity`; so are moments and modulo_identity.
        count: generators in a draw.
        rank: of each; None for dense ones.
        draws: how many.
        seed: of the random numbers.
        moments: see `similarity`.
        modulo_identity: see `similarity`.

    Returns:
        Numbers with a leading axis of ``draws``.

    Raises:
        ValueError: if there are no draws or generators; and as `similarity`.
    """
    if draws < 1 or count < 1:
        raise ValueError(f"draws and count must be at least 1, not {draws} and {count}")
    prepared, found = _Known(known, moments, modulo_identity), []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(draws):
            layer = LConv(1, 1, prepared.pixels, count, rank=rank, mode="random")
            found.append(_compare(layer, prepared))
    return Similarity(
        *(torch.stack([getattr(f, key) for f in found]) for key in ("captured", "best", "angles"))
    )


def p_values(found: Similarity, chance: Similarity) -> Tensor:
    """Say for each known generator how often chance captures at least as much: ``(1 + hits) / (1 + draws)``.

    Shape:
        (m,)
    """
    hits = (chance.captured >= found.captured).double().sum(0)
    return (1 + hits) / (1 + len(chance.captured))


class _Known:
    """Known generators, weighted and normalized once for many comparisons."""

    def __init__(self, known: Tensor, moments: Tensor | None, modulo_identity: bool) -> None:
        dense = matrices(known)
        self.pixels = d = dense.shape[1]
        self.root = lie.root(None if moments is None else moments.detach().cpu(), d)
        self.one = None
        if modulo_identity:
            one = (torch.eye(d).double() if self.root is None else self.root).flatten()
            self.one = one / one.norm()
        flat = (dense if self.root is None else dense @ self.root).flatten(1)
        size = flat.norm(dim=1)
        self.flat = self.without_identity(flat)
        if not len(dense) or float((self.flat.norm(dim=1) / size).nan_to_num().min()) < 1e-8:
            raise ValueError("a known generator vanishes or is a multiple of the identity; leave it out")
        self.flat = _balanced(self.flat, size, _rounding(known))
        self.norms = (self.flat @ self.flat.T).diagonal().sqrt()
        self.span = _span(self.flat, _rounding(known))

    def without_identity(self, flat: Tensor) -> Tensor:
        return flat if self.one is None else flat - (flat @ self.one)[:, None] * self.one


def _compare(generators: Generators, known: _Known) -> Similarity:
    parts, rounding = _read(generators), _rounding(generators)
    if parts[0].shape[1] != known.pixels:
        raise ValueError(
            f"generators on {parts[0].shape[1]} pixels cannot be compared with known ones on {known.pixels}"
        )
    last = parts[-1] if known.root is None else parts[-1] @ known.root
    dense = last if len(parts) == 1 else parts[0] @ last
    whole = dense.flatten(1)
    flat = _balanced(known.without_identity(whole), whole.norm(dim=1), rounding)
    cross, sizes = flat @ known.flat.T, known.norms
    span = _span(flat, rounding)
    captured = (span.whiten @ (span.rows @ known.flat.T)).norm(dim=0) / sizes
    norms = (flat @ flat.T).diagonal().clamp_min(1e-300).sqrt()
    cosines = cross.abs() / (norms[:, None] * sizes)
    both = span.whiten @ (span.rows @ known.span.rows.T) @ known.span.whiten.T
    common = torch.linalg.svdvals(both).clamp(0, 1)
    angles = torch.full((min(len(flat), len(sizes)),), torch.pi / 2, dtype=torch.float64)
    angles[: len(common)] = common.arccos()
    return Similarity(captured.clamp_max(1), cosines.amax(0).clamp_max(1), angles)


class _Span(NamedTuple):
    """Rows, and what makes them an orthonormal basis of their span: ``whiten @ rows``."""

    rows: Tensor
    whiten: Tensor


def _well_conditioned(values: Tensor) -> bool:
    """Whether inner products with these eigenvalues say enough: they square what is small."""
    return len(values) > 0 and float(values.min()) > 1e-6 * float(values.max())


def _balanced(flat: Tensor, whole: Tensor, rounding: float) -> Tensor:
    """Rows of norm 1 (or 0, if only rounding is left of ``whole``) where theirs are far apart."""
    if _well_conditioned(torch.linalg.eigvalsh(flat @ flat.T)):
        return flat
    norms = flat.norm(dim=1)
    left = norms > rounding * whole
    return torch.where(left, 1 / torch.where(left, norms, 1), 0)[:, None] * flat


def _span(flat: Tensor, rounding: float) -> _Span:
    values, vectors = torch.linalg.eigh(flat @ flat.T)
    if _well_conditioned(values):
        return _Span(flat, (vectors / values.sqrt()).T)
    _, sizes, rows = torch.linalg.svd(flat, full_matrices=False)
    rows = rows[sizes > rounding * sizes.max()]
    return _Span(rows, torch.eye(len(rows), dtype=rows.dtype))
