"""Does the span of generators close to a Lie algebra, and are they orthogonal? As numbers and as penalties.

The paper names both as future regularizers of its layer: commutators that stay in the span, and
orthogonality in the Killing form. All here is differentiable, independent of the scale of each generator, and
computed from ``U^T U``, ``V V^T`` and ``V U`` for generators of low rank, so that no d x d matrix is built.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.nn import LConv

#: Share of ``norm(L_i) norm(L_j)``, squared, below which a commutator counts as zero.
FLOOR = 1e-12
#: Powers of 2 up to which generators are taken as they are, and by which they are scaled at most.
_SAFE_POWER, _LARGEST_POWER = 12, 126


Generators = LConv | Tensor | tuple[Tensor, Tensor]


def tensors(generators: Generators) -> tuple[Tensor, ...]:
    """Return the generators' own tensors, ``(U, V)`` or ``(L,)``, with their gradients.

    Raises:
        ValueError: if they are neither (n, d, d) nor (n, d, k) and (n, k, d).
    """
    if isinstance(generators, LConv):
        return generators.factors() or (generators.dense,)
    parts = (generators,) if isinstance(generators, Tensor) else tuple(generators)
    shapes = [tuple(p.shape) for p in parts]
    if len(parts) not in (1, 2) or any(p.dim() != 3 for p in parts) or shapes[0][:2] != shapes[-1][::2]:
        raise ValueError(f"generators must be L (n, d, d) or U (n, d, k) and V (n, k, d), not {shapes}")
    if shapes[0][2] != shapes[-1][1]:
        raise ValueError(f"generators must be square, but the shapes are {shapes}")
    return parts


@dataclass(frozen=True)
class _Products:
    """Inner products of generators and of their products, ``<A, B> = tr(A M B^T)``.

    Attributes:
        gram: <L_i, L_j>, (n, n).
        triple: <L_i L_j, L_l>, (n, n, n).
        square: <L_i L_j, L_i L_j>, (n, n).
        swapped: <L_i L_j, L_j L_i>, (n, n).
        trace: tr(L_i), (n,).
        trace_product: tr(L_i L_j), (n, n).
        pixels: d.
    """

    gram: Tensor
    triple: Tensor
    square: Tensor
    swapped: Tensor
    trace: Tensor
    trace_product: Tensor
    pixels: int


def _in_range(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Generators whose size would over- or underflow in products of four, scaled by powers of 2.

    Nothing here depends on the scale of a generator, so the gradient is that of the generator as it is.
    """
    scaled = []
    for part in parts:
        largest = part.detach().abs().flatten(1).amax(1)
        power = torch.where(largest > 0, largest, 1).log2().round().clamp(-_LARGEST_POWER, _LARGEST_POWER)
        outside = (power.abs() > _SAFE_POWER)[:, None, None]
        scaled.append(torch.where(outside, part * torch.exp2(-power)[:, None, None], part))
    return tuple(scaled)


def _products(generators: Generators, moments: Tensor | None) -> _Products:
    parts = _in_range(tensors(generators))
    weight = None if moments is None else moments.to(parts[0])
    if weight is not None and tuple(weight.shape) != (parts[0].shape[1],) * 2:
        raise ValueError(f"moments of shape {tuple(weight.shape)} do not fit {parts[0].shape[1]} pixels")
    if weight is not None:
        weight = weight * (len(weight) / weight.trace())  # only ratios matter, and the floor wants a scale
    return _of_factors(*parts, weight) if len(parts) == 2 else _of_matrices(parts[0], weight)


def _of_factors(u: Tensor, v: Tensor, moments: Tensor | None) -> _Products:
    left = torch.einsum("idk,jdl->ijkl", u, u)  # U_i^T U_j
    right = torch.einsum("ikd,jld->ijkl", v if moments is None else v @ moments, v)  # V_i M V_j^T
    middle = torch.einsum("ikd,jdl->ijkl", v, u)  # V_i U_j
    return _Products(
        gram=torch.einsum("ijkl,ijkl->ij", left, right),
        triple=torch.einsum("ijab,ilac,jlbc->ijl", middle, left, right),
        square=torch.einsum("ijab,iiac,ijcd,jjbd->ij", middle, left, middle, right),
        swapped=torch.einsum("ijab,ijac,jicd,jibd->ij", middle, left, middle, right),
        trace=torch.einsum("iikk->i", middle),
        trace_product=torch.einsum("ijab,jiba->ij", middle, middle),
        pixels=u.shape[1],
    )


def _of_matrices(dense: Tensor, moments: Tensor | None) -> _Products:
    weighted = dense if moments is None else dense @ moments
    both = torch.einsum("iab,jbc->ijac", dense, dense)
    both_weighted = both if moments is None else both @ moments
    return _Products(
        gram=torch.einsum("iab,jab->ij", weighted, dense),
        triple=torch.einsum("ijab,lab->ijl", both_weighted, dense),
        square=torch.einsum("ijab,ijab->ij", both_weighted, both),
        swapped=torch.einsum("ijab,jiab->ij", both_weighted, both),
        trace=torch.einsum("iaa->i", dense),
        trace_product=torch.einsum("iab,jba->ij", dense, dense),
        pixels=dense.shape[1],
    )


def _pairs(n: int) -> tuple[Tensor, Tensor]:
    first, second = torch.triu_indices(n, n, 1)
    return first, second


def _brackets(p: _Products) -> tuple[Tensor, Tensor, Tensor]:
    """Squared norms of the commutators, of their parts outside the span, and of their factors; per pair."""
    i, j = _pairs(len(p.gram))
    size = (p.square + p.square.T - 2 * p.swapped)[i, j]
    along = (p.triple - p.triple.transpose(0, 1))[i, j]  # <[L_i, L_j], L_l>
    scale = p.gram.diagonal()
    ridge = torch.finfo(p.gram.dtype).eps * 10 * torch.diag_embed(scale + 1e-30)
    inside = (along * torch.linalg.solve(p.gram + ridge, along.T).T).sum(1)
    return size, (size - inside).clamp_min(0), scale[i] * scale[j]


def closure(generators: Generators, moments: Tensor | None = None) -> float:
    """Measure how far the commutators leave the span: relative root of sum of squares over all pairs.

    0 for a Lie algebra (also one whose commutators vanish), 1 if all commutators are orthogonal to the span.
    The residual of `shared.algebra.lie.structure_constants`, without building matrices.

    Args:
        generators: see `shared.nn.symmetries`.
        moments: ``E[x x^T]`` of data, the inner product of `shared.nn.symmetries`.

    Raises:
        ValueError: if the moments do not fit the generators.
    """
    parts = tuple(t.detach().double() for t in tensors(generators))
    if len(parts[0]) < 2:
        return 0.0
    size, rest, scale = _brackets(_products(parts if len(parts) == 2 else parts[0], moments))
    if float(size.sum()) <= FLOOR * float(scale.sum()):
        return 0.0
    return float((rest.sum() / size.sum()).sqrt())


def killing(generators: Generators) -> Tensor:
    """Return the Killing form of gl(d), ``2 d tr(A B) - 2 tr A tr B``, over ``2 d norm(A) norm(B)``.

    -1 on the diagonal for an antisymmetric generator such as a rotation, 1 for a symmetric one without
    trace. The form of the algebra that they span themselves: `shared.algebra.lie.killing_form`.

    Shape:
        (n, n)
    """
    return _killing(_products(generators, None))


def _killing(p: _Products) -> Tensor:
    form = p.trace_product - p.trace[:, None] * p.trace / p.pixels
    size = p.gram.diagonal().clamp_min(1e-30).sqrt()
    return form / (size[:, None] * size)


def off_diagonal(generators: Generators) -> float:
    """Root mean square of `killing` over pairs of different generators: 0 if all are orthogonal."""
    return float(killing_penalty(tuple(t.detach().double() for t in tensors(generators))).sqrt())


def closure_penalty(generators: Generators, moments: Tensor | None = None) -> Tensor:
    """Mean over pairs of the squared share of ``[L_i, L_j]`` that leaves the span; 0 to 1, scalar.

    Raises:
        ValueError: if the moments do not fit the generators.
    """
    return _closure_penalty(_products(generators, moments))


def _closure_penalty(p: _Products) -> Tensor:
    if len(p.gram) < 2:
        return p.gram.sum() * 0
    size, rest, scale = _brackets(p)
    whole = size + FLOOR * scale  # zero only if a generator is: its commutators leave nothing
    return (rest / torch.where(whole > 0, whole, 1)).mean()


def killing_penalty(generators: Generators) -> Tensor:
    """Mean over pairs of the squared `killing` of two generators; 0 if all are orthogonal, scalar."""
    return _killing_penalty(_products(generators, None))


def _killing_penalty(p: _Products) -> Tensor:
    form = _killing(p)
    i, j = _pairs(len(form))
    return form[i, j].square().mean() if len(i) else form.sum() * 0


def regularizer(
    generators: Generators, closure: float = 1.0, killing: float = 1.0, moments: Tensor | None = None
) -> Tensor:
    """Return a term to add to a loss: ``closure`` and ``killing`` times the two penalties.

    Args:
        generators: see `shared.nn.symmetries`; gradients reach them.
        closure: weight of `closure_penalty`.
        killing: weight of `killing_penalty`.
        moments: see `closure_penalty`.

    Raises:
        ValueError: on a negative weight.
    """
    if closure < 0 or killing < 0:
        raise ValueError(f"weights must not be negative, not closure={closure}, killing={killing}")
    if not closure and not killing:
        return tensors(generators)[0].sum() * 0
    products = _products(generators, moments if closure else None)
    total = closure * _closure_penalty(products) if closure else 0.0
    if killing and closure and moments is not None:  # the Killing form knows no data
        products = _products(generators, None)
    return total + killing * _killing_penalty(products) if killing else total
