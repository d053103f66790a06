"""Propositions 1 to 5, and two identities that follow, as numbers: each is the error of an equation.

The printed formulas of Propositions 3 to 5 have slips (index placement, a sign, a time scale); what is
computed here are the corrected ones, with the layer itself, in float64. Identities hold to 1e-14; the rates
of Propositions 1 and 2 are seen by calling them for several sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.algebra import lie
from shared.nn import LConv

NAMES = ("p1", "p2", "p3", "p4", "p5", "e1", "e2")
#: Half widths of the kernel in Proposition 1, and numbers of layers in Proposition 2.
ETAS = (0.2, 0.1, 0.05, 0.025)
LAYERS = (16, 64, 256, 1024)
STEPS = (64, 128, 256, 512, 1024)
SHIFT_LAYERS = (8, 16, 32, 64)

Numbers = list[tuple[str, int | float | str, float]]


def run(name: str, seed: int = 0) -> Numbers:
    """Compute everything of one proposition.

    Args:
        name: of `NAMES`.
        seed: of the matrices that are drawn.

    Returns:
        (metric, step, value), where the step is a size or "".
    """
    if name == "p1":
        return [("p1_error", eta, error) for eta, error in linearization(ETAS, seed).items()]
    if name == "p2":
        return [
            *(("p2_error", n, error) for n, error in composition(STEPS, seed).items()),
            *(("p2_group_error", n, error) for n, error in finite_group(LAYERS, seed).items()),
            *(("p2_correlation", n, value) for n, value in shift_example(SHIFT_LAYERS).items()),
        ]
    found = {
        "p3": lambda: fully_connected(seed),
        "p4": lambda: {
            f"{border}_error": convolution(border, seed) for border in ("circular", "zero", "flat")
        },
        "p5": lambda: graph(seed),
        "e1": lambda: adjoint(seed),
        "e2": lambda: {"error": permutation(seed)},
    }
    if name not in found:
        raise ValueError(f"there is no proposition {name!r}; there are {', '.join(NAMES)}")
    return [(f"{name}_{key}", "", value) for key, value in found[name]().items()]


def _draw(seed: int, *shape: int) -> Tensor:
    """Normal numbers; a seed and a shape always give the same."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


def _layer(generators: Tensor, weight: Tensor, identity: bool) -> LConv:
    """A linear layer with given generators and weights (K, in, out), without bias."""
    _, c, o = weight.shape
    given = {"mode": "fixed", "identity": identity, "bias": "none", "activation": "none"}
    layer = LConv(c, o, generators.shape[1], generators, **given).double().requires_grad_(False)
    layer.weight.copy_(weight)
    return layer


def _relative(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


def linearization(etas: Sequence[float], seed: int = 0) -> dict[float, float]:
    """Proposition 1: one layer is a group convolution whose kernel is near the identity.

    Rotations of the plane, kernel ``g(e) = (1 + e / (2 eta)) / (2 eta)`` on [-eta, eta]: ``W^0`` is the
    integral of g and ``W^1`` minus that of ``e g``. For linear f only: the printed formula for other f
    needs ``f(u h) = u f(h)``.

    Returns:
        Relative error by eta; of second order.
    """
    h = _draw(seed, 1, 2, 1)
    rotation = lie.so(2)[0]
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(32))
    errors = {}
    for eta in etas:
        angles, kernel = eta * nodes, (1 + nodes / 2) / (2 * eta) * eta * weights
        truth = sum(g * lie.exponential(rotation, -float(a)) @ h for a, g in zip(angles, kernel))
        moments = torch.stack([-(kernel * angles).sum(), kernel.sum()]).view(2, 1, 1)
        errors[eta] = _relative(_layer(rotation[None], moments, True)(h), truth)
    return errors


def composition(ns: Sequence[int], seed: int = 0) -> dict[int, float]:
    """Proposition 2: n layers ``I + t L / n`` are ``exp(t L)`` up to O(1/n), for a rotation of R^5.

    Returns:
        Relative error by n.
    """
    generator = torch.einsum("i,iab->ab", _draw(seed, 10), lie.so(5)) / math.sqrt(10)
    h, truth = torch.eye(5).double()[None], lie.exponential(generator)
    errors = {}
    for n in ns:
        weights = torch.stack([torch.eye(5).double() / n, torch.eye(5).double()])
        errors[n] = _relative(_repeat(_layer(generator[None], weights, True), h, n)[0], truth)
    return errors


def _repeat(layer: LConv, h: Tensor, times: int) -> Tensor:
    for _ in range(times):
        h = layer(h)
    return h


def finite_group(ns: Sequence[int], seed: int = 0) -> dict[int, float]:
    """Proposition 2 for a sum over group elements, ``sum_k g_k exp(-t_k L) h``: a stack of n layers for each.

    Returns:
        Relative error by n.
    """
    generator = torch.einsum("i,iab->ab", _draw(seed, 10), lie.so(5)) / math.sqrt(10)
    h, mixing = _draw(seed + 1, 1, 5, 1), _draw(seed + 2, 6)
    times = 2 * torch.pi * torch.arange(6).double() / 6
    truth = sum(g * lie.exponential(generator, -float(t)) @ h for g, t in zip(mixing, times))
    errors = {}
    for n in ns:
        total = torch.zeros_like(h)
        for g, t in zip(mixing, times):
            weights = torch.stack([-t / n, torch.ones(()).double()]).view(2, 1, 1)
            total += g * _repeat(_layer(generator[None], weights, True), h, n)
        errors[n] = _relative(total, truth)
    return errors


def shift_example(ns: Sequence[int], size: int = 20, shift: int = 2) -> dict[int, float]:
    """The notebooks' example for Proposition 2: a shift along a line from n layers, by Shannon interpolation.

    Returns:
        By n the cosine of ``(I - m L / n)^n`` with the band-limited shift ``Q(z - m)``, and under 0 that of
        L. The limit is ``sqrt((d - 1) / d)``, as Q leaves out the Nyquist mode and the product does not.
    """
    z = torch.arange(size)[:, None] - torch.arange(size)
    slope, target = lie.kernel_slope(z, size), lie.kernel(z - shift, size)
    one = torch.eye(size).double()
    found = {0: _cosine(slope, target)}
    for n in ns:
        weights = (
            torch.tensor([-shift / n, 1.0], dtype=torch.float64).view(2, 1, 1).expand(2, size, size) * one
        )
        found[n] = _cosine(_repeat(_layer(slope[None], weights, True), one[None], n)[0], target)
    return found


def _cosine(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


def _one_hot(d: int) -> Tensor:
    """All matrices with one entry of 1, at row a and column b, number a d + b."""
    return torch.eye(d * d, dtype=torch.float64).view(d * d, d, d)


def fully_connected(seed: int = 0, d: int = 6, outputs: int = 4) -> dict[str, float]:
    """Proposition 3: with all one-entry matrices as generators, summed over pixels, a fully connected layer.

    Bias and activation come after the sum.

    Returns:
        Relative errors for ``W^m_(a, b) = w[m, b] / d``; for ``w[m, b]`` where a = 0, else 0; and as printed,
        ``w[m, a]`` for every b, which is no fully connected layer.
    """
    w = _draw(seed, outputs, d)
    first_row = torch.zeros(d, d, outputs).double()
    first_row[0] = w.T
    return {
        "error": _summed(w, (w.T / d).repeat(d, 1), seed),
        "first_row_error": _summed(w, first_row.flatten(0, 1), seed),
        "printed_error": _summed(w, w.T.repeat_interleave(d, 0), seed),
    }


def _summed(w: Tensor, weight: Tensor, seed: int) -> float:
    d = w.shape[1]
    h, b = _draw(seed + 1, 3, d, 1), _draw(seed + 2, len(w))
    found = _layer(_one_hot(d), weight[:, None], False)(h).sum(1)
    return _relative((found + b).relu(), (h[:, :, 0] @ w.T + b).relu())


def convolution(border: lie.Border, seed: int = 0, shape: tuple[int, int] = (6, 7)) -> float:
    """Proposition 4: with shifts as generators, a 3 x 3 convolution (cross-correlation), of 2 channels to 3.

    Args:
        border: "circular" is the convolution of a torus, "zero" one with padding 1, and "flat" (a shift of
            the flattened image) agrees with one without padding, inside.
        seed: of image and filter.
        shape: of the image.

    Returns:
        The relative error.
    """
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    x, filters = _draw(seed, 2, 2, *shape), _draw(seed + 1, 3, 2, 3, 3)
    layer = _layer(lie.shifts(shape, offsets, border), filters.flatten(2).permute(2, 1, 0), False)
    found = layer(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, shape)
    if border == "flat":
        return _relative(found[:, :, 1:-1, 1:-1], F.conv2d(x, filters))
    if border == "zero":
        return _relative(found, F.conv2d(x, filters, padding=1))
    return _relative(found, F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), filters))


def graph(seed: int = 0, nodes: int = 6) -> dict[str, float]:
    """Proposition 5: ``L_1 = A - I`` with ``W^0 = W^1 = W`` is a graph convolution ``A h W``.

    Returns:
        Relative errors: of that, of ``lambda (A - I)`` with ``W^1 = W / lambda``, of ``exp(sL) exp(tL) =
        exp((s+t)L)``, and of the row sums of ``exp(tL)`` where those of A are one.
    """
    a = _draw(seed, nodes, nodes).abs()
    a = a / a.sum(1, keepdim=True)
    h, w, rate = _draw(seed + 1, 2, nodes, 3), _draw(seed + 2, 3, 4), 0.3
    generator, truth = a - torch.eye(nodes).double(), a @ h @ w
    scaled = _layer(rate * generator[None], torch.stack([w / rate, w]), True)
    product = lie.exponential(generator, 0.4) @ lie.exponential(generator, 0.7)
    sums = lie.exponential(generator, 1.7).sum(1)
    return {
        "error": _relative(_layer(generator[None], torch.stack([w, w]), True)(h), truth),
        "lambda_error": _relative(scaled(h), truth),
        "group_law_error": _relative(product, lie.exponential(generator, 1.1)),
        "row_sum_error": _relative(sums, torch.ones_like(sums)),
    }


def adjoint(seed: int = 0) -> dict[str, float]:
    """What equivariance the layer has: ``F(u h) = u F(h)`` for u that commute with all ``L_i``.

    For others ``u^-1 L_i u = sum_j R_ij L_j`` makes it hold with ``W'^j = sum_i R_ij W^i`` on the right.

    Returns:
        Relative errors: for circular shifts; for rotations of space with the same W (of order one); with W'.
    """
    shifts = lie.shifts((4, 5), [(0, 1), (1, 0), (1, 1)], "circular")
    layer, h = _layer(shifts, _draw(seed, 3, 2, 3), False), _draw(seed + 1, 2, 20, 2)
    u = shifts[0]
    errors = {"shift_error": _relative(layer(u @ h), u @ layer(h))}
    basis, weight, h = lie.so(3), _draw(seed + 2, 3, 2, 3), _draw(seed + 3, 2, 3, 2)
    u = lie.exponential(torch.einsum("i,iab->ab", _draw(seed + 4, 3), basis))
    moved = (u.T @ basis @ u).flatten(1)
    mixing = moved @ torch.linalg.pinv(basis.flatten(1))
    layer = _layer(basis, weight, False)
    other = _layer(basis, torch.einsum("ij,ico->jco", mixing, weight), False)
    errors["plain_error"] = _relative(layer(u @ h), u @ layer(h))
    errors["adjoint_error"] = _relative(layer(u @ h), u @ other(h))
    return errors


def permutation(seed: int = 0, side: int = 4, classes: int = 3) -> float:
    """Any order of the pixels is as good: ``P L_i P^T`` and permuted columns of the classifier cancel it.

    Returns:
        Relative error of the logits of a network with one layer.
    """
    d = side * side
    order = torch.from_numpy(np.random.RandomState(seed).permutation(d))
    generators, weight = _draw(seed, 4, d, 2) @ _draw(seed + 1, 4, 2, d), _draw(seed + 2, 5, 1, 3)
    h, head = _draw(seed + 3, 6, d, 1), _draw(seed + 4, classes, d, 3)
    logits = torch.einsum("bdo,cdo->bc", _layer(generators, weight, True)(h).relu(), head)
    scrambled = _layer(lie.conjugate(generators, order), weight, True)(h[:, order]).relu()
    return _relative(torch.einsum("bdo,cdo->bc", scrambled, head[:, order]), logits)
