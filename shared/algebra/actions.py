"""How group elements move tensors: images, vector fields, feature maps, volumes and latent vectors.

All functions satisfy ``act(g, act(h, x)) == act(g h, x)``: exactly where the grid allows (quarter turns and
mirrors), up to interpolation elsewhere. Rows of an image run along its last but one axis and columns along
the last; coordinates are ``x`` to the right, ``y`` up and, in a volume, ``z`` along its first axis. Positive
angles are counter-clockwise, as in ``torch.rot90(image, 1, (-2, -1))``. Everything is differentiable.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.algebra.groups import Group, cube_rotations
from shared.algebra.representations import Representation, defining


def quarter_turns(group: Group, g: int) -> tuple[int, bool] | None:
    """Say how element ``g`` of a cyclic or dihedral group acts on the pixel grid.

    Returns:
        ``(turns, mirrored)``: mirror left-right if ``mirrored``, then rotate by ``turns`` counter-clockwise
        quarter turns. ``None`` if the rotation is not a multiple of a quarter turn.

    Raises:
        ValueError: if the group does not act on the plane, or has no such element.
    """
    _check_element(group, g)
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral"):
        raise ValueError(f"{group.name} does not act on the plane; use a cyclic or dihedral group.")
    n = arguments[0]
    turn = int(g) % n
    return (4 * turn // n, int(g) >= n) if 4 * turn % n == 0 else None


def _check_element(group: Group, g: int) -> None:
    if not 0 <= g < group.order:
        raise ValueError(f"{group.name} has elements 0 to {group.order - 1}, not {g}.")


def exact_on_grid(group: Group) -> bool:
    """Whether every element permutes the pixels of a square image (true of C1, C2, C4, D1, D2 and D4)."""
    family, arguments = group.family or ("", ())
    return family in ("cyclic", "dihedral") and 4 % arguments[0] == 0


def act_image(group: Group, g: int, x: Tensor) -> Tensor:
    """Move an image by a rotation or reflection about its center.

    Multiples of a quarter turn are exact; others are interpolated by :func:`warp` and cut off at the border.

    Shape:
        ``x`` is ``(..., H, W)``, and so is the result (``(..., W, H)`` after an odd number of quarter turns).

    Raises:
        ValueError: if the group does not act on the plane, has no such element, or integers would have to be
            interpolated.
    """
    exact = quarter_turns(group, g)
    if exact is None:
        return warp(x, defining(group).matrices[g])
    turns, mirrored = exact
    x = x.flip(-1) if mirrored else x
    return torch.rot90(x, turns, (-2, -1)) if turns else x


def rotate_image(x: Tensor, degrees: float) -> Tensor:
    """Rotate an image counter-clockwise about its center, keeping its size; outside is zero.

    Multiples of 90 degrees are exact, and turn the shape of an image that is not square.

    Shape:
        ``x`` is ``(..., H, W)``.

    Raises:
        ValueError: if integers would have to be interpolated.
    """
    if degrees % 90 == 0:
        return torch.rot90(x, int(degrees // 90) % 4, (-2, -1))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return warp(x, np.array([[c, -s], [s, c]]))


def warp(x: Tensor, matrix: np.ndarray) -> Tensor:
    """Move an image or volume by a linear map about its center: ``out(matrix p) = x(p)``.

    Linear interpolation between pixel centers; zero outside; the size stays.

    Args:
        x: floating-point image or volume.
        matrix: ``(2, 2)`` on coordinates ``(x, y)`` or ``(3, 3)`` on ``(x, y, z)``, invertible.

    Shape:
        ``x`` is ``(..., H, W)`` or ``(..., D, H, W)``, and so is the result.

    Raises:
        ValueError: if ``x`` holds integers.
    """
    if not x.is_floating_point():
        raise ValueError(
            f"interpolation needs floating-point values, not {x.dtype}; convert the tensor first."
        )
    inverse = torch.tensor(np.linalg.inv(matrix), dtype=torch.float64)
    sizes = x.shape[-len(inverse) :]
    upward = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[: len(inverse)]  # y runs against the rows
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in sizes]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1) * upward
    source = (points @ inverse.T) * upward
    grid = source * 2 / torch.tensor(sizes[::-1], dtype=torch.float64)
    working = x if x.dtype in (torch.float32, torch.float64) else x.float()
    channels = working.reshape(1, -1, *sizes)
    moved = F.grid_sample(channels, grid[None].to(channels), padding_mode="zeros", align_corners=False)
    return moved.reshape(x.shape).to(x.dtype)


def act_features(group: Group, g: int, x: Tensor) -> Tensor:
    """Move a regular feature map: move each response map and permute the group axis by left multiplication.

    ``out[:, :, g h] = act_image(g, x[:, :, h])``.

    Shape:
        ``x`` is ``(B, C, |G|, H, W)``, and so is the result.

    Raises:
        ValueError: if axis 2 does not have one entry for each group element; and as `act_image`.
    """
    if x.ndim != 5 or x.shape[2] != group.order:
        raise ValueError(
            f"regular features of {group.name} are (B, C, {group.order}, H, W), but the shape is "
            f"{tuple(x.shape)}."
        )
    moved = act_image(group, g, x)
    return moved.index_select(2, torch.tensor(group.table[group.inverse[g]], device=x.device))


def act_volume(group: Group, g: int, x: Tensor) -> Tensor:
    """Move a volume by a rotation of the cube, exactly; or by a plane symmetry, slice by slice, about z.

    Shape:
        ``x`` is ``(..., D, H, W)``; axes of unequal length change places as the rotation moves them.

    Raises:
        ValueError: if the group acts neither on space nor on the plane; and as `act_image`.
    """
    if (group.family or ("",))[0] != "octahedral":
        return act_image(group, g, x)
    _check_element(group, g)
    to_axes = np.array([[0, 0, 1], [0, -1, 0], [1, 0, 0]])  # (x, y, z) to steps along (D, H, W)
    matrix = to_axes @ cube_rotations()[g] @ to_axes.T
    source = np.abs(matrix).argmax(axis=1)  # axis of x that output axis i reads
    flips = [i - 3 for i in range(3) if matrix[i].sum() < 0]
    leading = range(x.ndim - 3)
    return x.permute(*leading, *(x.ndim - 3 + int(axis) for axis in source)).flip(flips)


def act_field(rep: Representation, g: int, x: Tensor) -> Tensor:
    """Move a field: move its points, and transform the vector at each point by a representation.

    Shape:
        ``x`` is ``(..., d, H, W)``, for example feature maps ``(B, C, d, H, W)``; for a representation of the
        octahedral group ``(..., d, D, H, W)``.

    Raises:
        ValueError: if ``d`` is not the representation's, or integers do not hold what becomes of them; and as
            `act_volume`.
    """
    spatial = 3 if (rep.group.family or ("",))[0] == "octahedral" else 2
    return act_volume(rep.group, g, _mix(rep, g, x, x.ndim - spatial - 1))


def act_vectors(group: Group, g: int, x: Tensor) -> Tensor:
    """Move a vector field: pixels move and vectors turn with them.

    Shape:
        ``x`` is ``(..., 2, H, W)`` with components ``(x, y)``; for the octahedral group ``(..., 3, D, H, W)``
        with ``(x, y, z)``.

    Raises:
        ValueError: if the group acts neither on the plane nor on space, or the components do not fit.
    """
    return act_field(defining(group), g, x)


def act_latent(rep: Representation, g: int | Tensor, x: Tensor) -> Tensor:
    """Transform latent vectors by a representation.

    Args:
        rep: the representation.
        g: one element for all vectors, or an integer tensor ``(B,)`` with one for each ``x[b]``.
        x: ``(..., d)``, or ``(B, ..., d)`` with a tensor ``g``.

    Shape:
        the result has the shape of ``x``.

    Raises:
        ValueError: if the last axis does not have the size of the representation, there are not as many
            elements as samples, there is no such element, or integers do not hold what becomes of them.
    """
    if not isinstance(g, Tensor) or g.ndim == 0:
        return _mix(rep, int(g), x, x.ndim - 1)
    if len(g) != len(x):
        raise ValueError(f"{len(g)} group elements do not fit {len(x)} samples; give one for each.")
    out = torch.empty_like(x)
    for element in g.unique().tolist():  # each by the exact rule for one element
        chosen = (g == element).nonzero().flatten().to(x.device)
        out = out.index_copy(0, chosen, _mix(rep, element, x.index_select(0, chosen), x.ndim - 1))
    return out


def _mix(rep: Representation, g: int, x: Tensor, axis: int) -> Tensor:
    """Apply ``rho(g)`` along one axis; signed permutations by indexing, which is exact in every precision."""
    _check_element(rep.group, g)
    if axis < 0 or x.shape[axis] != rep.size:
        raise ValueError(
            f"{rep} does not fit axis {axis} of shape {tuple(x.shape)}; it needs size {rep.size}."
        )
    matrix = rep.matrices[g]
    real = x.is_floating_point() or x.is_complex()
    magnitude = np.abs(matrix)
    if ((magnitude == 0) | (magnitude == 1)).all() and (magnitude.sum(axis=1) == 1).all():
        out = x.index_select(axis, torch.tensor(magnitude.argmax(axis=1), device=x.device))
        signs = matrix.sum(axis=1)
        if (signs > 0).all():
            return out
        if not real and not x.dtype.is_signed:
            raise ValueError(
                f"{rep} changes signs, which {x.dtype} does not have; convert to floating point."
            )
        return out * torch.tensor(signs, device=x.device).to(x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
    if not real:
        raise ValueError(f"{rep} mixes entries, which {x.dtype} would round; convert to floating point.")
    dense = torch.tensor(matrix, device=x.device, dtype=x.dtype)
    return torch.tensordot(dense, x, dims=([1], [axis])).movedim(0, axis)


def grid_permutation(group: Group, size: int) -> Tensor:
    """List for each element how it permutes the pixels of a ``size`` x ``size`` image.

    ``w.reshape(..., size * size)[..., permutation[g]]`` equals ``act_image(group, g, w)``, flattened.

    Shape:
        the result is ``(|G|, size * size)``, ``int64``.

    Raises:
        ValueError: if an element does not permute the pixels.
    """
    if not exact_on_grid(group):
        raise ValueError(f"{group.name} does not map the pixel grid to itself; use C1, C2, C4, D1, D2 or D4.")
    pixels = torch.arange(size * size).reshape(size, size)
    return torch.stack([act_image(group, g, pixels).flatten() for g in range(group.order)])
