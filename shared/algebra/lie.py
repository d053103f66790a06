"""Small Lie groups acting on flattened images: their generators, exponentials and brackets.

A transformation ``g_t`` of the plane moves an image by ``(g_t f)(p) = f(g_t^-1 p)``. Its generator is the
matrix ``L`` with ``exp(t L) f = g_t f``: minus the velocity field of ``g_t`` times the gradient of the image.
Images are flattened row by row; coordinates are ``x`` to the right and ``y`` up, in pixels from the center;
angles are counter-clockwise, as in `shared.algebra.actions`. Everything is float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from shared.base.errors import unknown

__all__ = [
    "GROUPS",
    "NAMES",
    "act",
    "commutator",
    "conjugate",
    "derivative",
    "exponential",
    "generator",
    "group",
    "kernel",
    "kernel_slope",
    "killing_form",
    "names_of",
    "root",
    "shifts",
    "side_of",
    "so",
    "structure_constants",
]

#: Velocity fields ``A p + b`` as (A, b), with p = (x, y).
FIELDS: dict[str, tuple[tuple[tuple[float, float], tuple[float, float]], tuple[float, float]]] = {
    "rotation": (((0, -1), (1, 0)), (0, 0)),
    "translation_x": (((0, 0), (0, 0)), (1, 0)),
    "translation_y": (((0, 0), (0, 0)), (0, 1)),
    "scaling": (((1, 0), (0, 1)), (0, 0)),
    "shear_x": (((0, 1), (0, 0)), (0, 0)),
    "shear_y": (((0, 0), (1, 0)), (0, 0)),
    "squeeze": (((1, 0), (0, -1)), (0, 0)),
}
NAMES = tuple(FIELDS)
#: Lie groups by name: bases of their algebras.
GROUPS: dict[str, tuple[str, ...]] = {
    "so2": ("rotation",),
    "translations": ("translation_x", "translation_y"),
    "se2": ("rotation", "translation_x", "translation_y"),
    "similarity": ("rotation", "scaling", "translation_x", "translation_y"),
    "gl2": ("rotation", "scaling", "squeeze", "shear_x"),
    "affine": ("rotation", "scaling", "squeeze", "shear_x", "translation_x", "translation_y"),
}
Interpolation = Literal["shannon", "central"]
Border = Literal["zero", "circular", "flat"]


def kernel(z: Tensor, period: int) -> Tensor:
    """Evaluate the band-limited interpolation kernel of a period (Shannon and Whittaker).

    ``Q(z) = (1 / N) sum_p cos(2 pi p z / N)`` over ``|p| < N / 2``; at even N the Nyquist mode is left out,
    as in the paper's one-dimensional example. So ``Q(0)`` is 1 at odd N, and ``1 - 1 / N`` at even N.
    """
    p = _modes(period)
    return torch.cos(2 * math.pi * p * z[..., None].double() / period).sum(-1) / period


def kernel_slope(z: Tensor, period: int) -> Tensor:
    """Evaluate the derivative of `kernel`."""
    p = 2 * math.pi * _modes(period) / period
    return -(p * torch.sin(p * z[..., None].double())).sum(-1) / period


def _modes(period: int) -> Tensor:
    highest = (period - 1) // 2
    return torch.arange(-highest, highest + 1, dtype=torch.float64)


def derivative(size: int, *, interpolation: Interpolation = "shannon", period: int = 2) -> Tensor:
    """Differentiate along one axis of pixels, per pixel.

    Args:
        size: number of pixels.
        interpolation: "shannon": exact for band-limited signals. "central": half the difference of the two
            neighbors, which lets the noise of single pixels pass with a sign of its own.
        period: in units of the size: 1 joins the ends of the axis, 2 surrounds it by as many zeros (as the
            paper's authors do).

    Shape:
        (size, size)

    Raises:
        ValueError: on another interpolation or period, or fewer than two pixels.
    """
    if interpolation not in ("shannon", "central"):
        raise ValueError(unknown("interpolation", interpolation, ("shannon", "central")))
    if period not in (1, 2):
        raise ValueError(f"period must be 1 (the ends are joined) or 2 (zeros around), not {period!r}")
    if size < 2:
        raise ValueError(f"an axis needs at least two pixels to be differentiated along, not {size}")
    z = torch.arange(size)[:, None] - torch.arange(size)
    if interpolation == "shannon":
        return kernel_slope(z, period * size)
    if period == 1 and size == 2:
        return torch.zeros(2, 2, dtype=torch.float64)  # both neighbors are the same pixel
    wrapped = (z + size // 2) % size - size // 2 if period == 1 else z
    return 0.5 * ((wrapped == -1).double() - (wrapped == 1).double())


def generator(name: str, side: int, *, interpolation: Interpolation = "shannon", period: int = 2) -> Tensor:
    """Return a generator on square images.

    Args:
        name: of `NAMES`. Angles are in radians, translations in pixels, the others relative (scaling by
            ``exp(t)``).
        side: of the images.
        interpolation: how the image is differentiated, see `derivative`.
        period: see `derivative`.

    Shape:
        (side^2, side^2)

    Raises:
        ValueError: on an unknown name, or what `derivative` raises.
    """
    if name not in FIELDS:
        raise ValueError(unknown("generator", name, NAMES))
    slope = derivative(side, interpolation=interpolation, period=period)
    eye = torch.eye(side, dtype=torch.float64)
    gradient = (torch.kron(eye, slope), -torch.kron(slope, eye))  # y runs against the rows
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    position = (axis.repeat(side), -axis.repeat_interleave(side))
    matrix, shift = FIELDS[name]
    total = torch.zeros(side * side, side * side, dtype=torch.float64)
    for component in range(2):
        x, y = matrix[component]
        velocity = x * position[0] + y * position[1] + shift[component]
        total -= velocity[:, None] * gradient[component]
    return total


def group(name: str, side: int, *, interpolation: Interpolation = "shannon", period: int = 2) -> Tensor:
    """Return a basis of the Lie algebra of a group of `GROUPS`; arguments as in `generator`.

    Shape:
        (dimension of the group, side^2, side^2)

    Raises:
        ValueError: on an unknown group, or what `generator` raises.
    """
    return torch.stack(
        [generator(n, side, interpolation=interpolation, period=period) for n in names_of(name)]
    )


def names_of(name: str) -> tuple[str, ...]:
    """List the generators of a group; ValueError if it is unknown."""
    if name not in GROUPS:
        raise ValueError(unknown("Lie group", name, GROUPS))
    return GROUPS[name]


def so(n: int) -> Tensor:
    """Return the antisymmetric matrices ``E_ij - E_ji``, i < j: the rotations' algebra on vectors.

    Shape:
        (n (n - 1) / 2, n, n)

    Raises:
        ValueError: if n is below 2.
    """
    if n < 2:
        raise ValueError(f"so(n) needs n of at least 2, not {n}")
    i, j = torch.triu_indices(n, n, 1)
    basis = torch.zeros(len(i), n, n, dtype=torch.float64)
    basis[torch.arange(len(i)), i, j] = 1
    return basis - basis.transpose(1, 2)


def shifts(shape: tuple[int, int], offsets: Sequence[tuple[int, int]], border: Border = "zero") -> Tensor:
    """Return matrices that read the pixel at an offset: ``(S f)(r, s) = f(r + a, s + b)``.

    With these as generators the layer is a convolution (cross-correlation) with one tap per offset
    (Proposition 4; the paper's final formula has the sign of a true convolution).

    Args:
        shape: height and width.
        offsets: (a, b) in rows and columns.
        border: "zero": zero outside, as a padded convolution. "circular": the image is a torus. "flat": a
            shift of the flattened image, which runs into the next row.

    Shape:
        (len(offsets), h w, h w)

    Raises:
        ValueError: on another border.
    """
    if border not in ("zero", "circular", "flat"):
        raise ValueError(unknown("border", border, ("zero", "circular", "flat")))
    height, width = shape
    pixels = torch.arange(height * width)
    matrices = torch.zeros(len(offsets), len(pixels), len(pixels), dtype=torch.float64)
    for matrix, (a, b) in zip(matrices, offsets):
        row, column = pixels // width + a, pixels % width + b
        if border == "flat":
            source = pixels + a * width + b
            inside = (source >= 0) & (source < len(pixels))
        elif border == "zero":
            source = row * width + column
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        else:
            source, inside = row % height * width + column % width, pixels >= 0
        matrix[pixels[inside], source[inside]] = 1
    return matrices


def side_of(pixels: int) -> int:
    """Return the side of a square image of that many pixels; ValueError if there is none."""
    side = math.isqrt(max(pixels, 0))
    if side * side != pixels or not pixels:
        raise ValueError(f"{pixels} pixels are no square image; give images of equal height and width")
    return side


def conjugate(generators: Tensor, permutation: Tensor) -> Tensor:
    """Return generators of the same group on scrambled images: ``P L P^T``, ``(P f)_i = f_permutation[i]``.

    Shape:
        generators (..., d, d), permutation (d,), as of `shared.data.prepare.pixel_permutation`

    Raises:
        ValueError: if the permutation is none, or of another size.
    """
    d = square_size(generators)
    where = torch.as_tensor(permutation, dtype=torch.int64)
    if where.dim() != 1 or not torch.equal(where.sort().values, torch.arange(d)):
        raise ValueError(f"permutation must hold each of 0 to {d - 1} once, not shape {tuple(where.shape)}")
    return generators[..., where, :][..., where]


def exponential(generators: Tensor, t: float = 1.0) -> Tensor:
    """Return ``exp(t L)``, in float64.

    Shape:
        (..., d, d)

    Raises:
        ValueError: if they are not square.
    """
    square_size(generators)
    return torch.linalg.matrix_exp(t * generators.double())


def act(generator_: Tensor, images: Tensor, t: float = 1.0) -> Tensor:
    """Move square images along a flow, ``exp(t L) f``.

    Args:
        generator_: L.
        images: floating point.
        t: how far.

    Shape:
        generator_ (d, d), images (..., side, side) with side^2 = d, and so is the result

    Raises:
        ValueError: if the images are not square, or not of d pixels, or there are several generators.
    """
    d = square_size(generator_)
    if generator_.dim() != 2:
        raise ValueError(f"images move along one generator (d, d), not along {tuple(generator_.shape)}")
    if images.dim() < 2 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"images must be square, not {tuple(images.shape)}")
    if images.shape[-1] ** 2 != d:
        raise ValueError(f"a generator on {d} pixels does not act on images {tuple(images.shape[-2:])}")
    moved = images.double().flatten(-2) @ exponential(generator_, t).T
    return moved.view(images.shape).to(images.dtype if images.is_floating_point() else torch.float64)


def square_size(matrices: Tensor) -> int:
    """Return d of matrices (..., d, d); ValueError if they are not square."""
    if matrices.dim() < 2 or matrices.shape[-1] != matrices.shape[-2]:
        raise ValueError(f"generators must be square matrices (..., d, d), not {tuple(matrices.shape)}")
    return matrices.shape[-1]


def commutator(a: Tensor, b: Tensor) -> Tensor:
    """Return ``A B - B A`` of matrices (..., d, d)."""
    return a @ b - b @ a


def root(moments: Tensor | None, d: int) -> Tensor | None:
    """Return the symmetric square root of second moments ``E[x x^T]``; None stays None.

    Raises:
        ValueError: if they are not a symmetric matrix (d, d) without negative eigenvalues.
    """
    if moments is None:
        return None
    if tuple(moments.shape) != (d, d):
        raise ValueError(f"moments must have the shape ({d}, {d}), not {tuple(moments.shape)}")
    matrix = moments.double()
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    slack = 1e-6 * float(values.abs().max())
    if not torch.allclose(matrix, matrix.T, atol=slack, rtol=0) or float(values.min()) < -slack:
        raise ValueError("moments must be E[x x^T], symmetric and without negative eigenvalues")
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def structure_constants(generators: Tensor, moments: Tensor | None = None) -> tuple[Tensor, float]:
    """Express the commutators in the generators, by least squares.

    Args:
        generators: L.
        moments: ``E[x x^T]`` of data. With them what counts is how the matrices act on the data, on average;
            otherwise on white noise. Generators of the plane on a grid close on smooth images only: no finite
            matrices have ``[x, d/dx] = -1`` on all vectors.

    Returns:
        ``c`` with ``[L_i, L_j] = sum_k c[i, j, k] L_k`` as far as possible, and the relative residual, the
        root of sum of squares: 0 for a Lie algebra (also for an abelian one), up to 1.

    Shape:
        generators (n, d, d), moments (d, d), c (n, n, n)

    Raises:
        ValueError: on other shapes, or moments that are none.
    """
    if generators.dim() != 3:
        raise ValueError(f"generators must have the shape (n, d, d), not {tuple(generators.shape)}")
    weight = root(moments, square_size(generators))
    basis = generators.double()
    n = len(basis)
    constants = basis.new_zeros(n, n, n)
    if n < 2:
        return constants, 0.0
    first, second = torch.triu_indices(n, n, 1)
    brackets = torch.stack([commutator(basis[i], basis[j]) for i, j in zip(first, second)])
    rounding = torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(basis)) ** 2
    if weight is not None:
        basis, brackets = basis @ weight, brackets @ weight
        rounding *= float(torch.linalg.vector_norm(weight))
    flat, target = basis.flatten(1), brackets.flatten(1)
    found = target @ torch.linalg.pinv(flat)
    constants[first, second], constants[second, first] = found, -found
    size, rest = (float(torch.linalg.vector_norm(m)) for m in (target, target - found @ flat))
    return constants, rest / size if size > 100 * rounding else 0.0


def killing_form(generators: Tensor, moments: Tensor | None = None) -> Tensor:
    """Return the Killing form of the algebra that the generators span, ``K_ij = tr(ad_i ad_j)``.

    Meaningful as far as their commutators stay in the span, see `structure_constants`, also for ``moments``.

    Shape:
        (n, d, d) -> (n, n)

    Raises:
        ValueError: as `structure_constants`.
    """
    constants, _ = structure_constants(generators, moments)
    return torch.einsum("ikl,jlk->ij", constants, constants)
