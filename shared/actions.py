"""How group elements move tensors: images, vector fields, feature maps, volumes and latent vectors.

All functions satisfy ``act(g, act(h, x)) == act(g h, x)``: exactly where the pixel grid allows (quarter
turns and mirrors), up to interpolation elsewhere. Image rows run down the last but one axis, columns along
the last; coordinates are ``x`` to the right and ``y`` up, so a positive angle is counter-clockwise, as in
``torch.rot90(image, 1, (-2, -1))``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shared.groups import Group


def quarter_turns(group: Group, g: int) -> tuple[int, bool] | None:
    """Say how element ``g`` of a cyclic or dihedral group acts on the pixel grid.

    Returns:
        ``(turns, mirrored)``: mirror left-right if ``mirrored``, then rotate by ``turns`` counter-clockwise
        quarter turns. ``None`` if the rotation is not a multiple of a quarter turn.

    Raises:
        ValueError: if the group does not act on the plane.
    """
    n, turn, mirrored = _planar(group, g)
    return (4 * turn // n, mirrored) if 4 * turn % n == 0 else None


def _planar(group: Group, g: int) -> tuple[int, int, bool]:
    """Split an element of C_n or D_n into ``(n, rotation steps, mirrored)``."""
    if not 0 <= g < group.order:
        raise ValueError(f"{group.name} has elements 0 to {group.order - 1}, not {g}.")
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral"):
        raise ValueError(f"{group.name} does not act on the plane; use a cyclic or dihedral group.")
    n = arguments[0]
    return n, int(g) % n, int(g) >= n


def exact_on_grid(group: Group) -> bool:
    """Whether every element of the group moves square images by permuting pixels (C1, C2, C4, D1, D2, D4)."""
    family, arguments = group.family or ("", ())
    return family in ("cyclic", "dihedral") and 4 % arguments[0] == 0


def act_image(group: Group, g: int, x: Tensor) -> Tensor:
    """Move an image by a rotation or reflection.

    Multiples of a quarter turn are exact (``rot90`` and ``flip``).

    Shape:
        ``x`` is ``(..., H, W)``, and so is the result (``(..., W, H)`` after an odd number of quarter turns).

    Raises:
        ValueError: if the group does not act on the plane.
    """
    exact = quarter_turns(group, g)
    if exact is None:
        raise ValueError(f"element {g} of {group.name} is not a multiple of a quarter turn.")
    turns, mirrored = exact
    x = x.flip(-1) if mirrored else x
    return torch.rot90(x, turns, (-2, -1)) if turns else x


def act_features(group: Group, g: int, x: Tensor) -> Tensor:
    """Move a regular feature map: move each response map and permute the group axis by left multiplication.

    ``out[:, :, g h] = act_image(g, x[:, :, h])``.

    Shape:
        ``x`` is ``(B, C, |G|, H, W)``, and so is the result.

    Raises:
        ValueError: if axis 2 does not have one entry for each group element.
    """
    if x.ndim != 5 or x.shape[2] != group.order:
        raise ValueError(
            f"regular features of {group.name} are (B, C, {group.order}, H, W), but the shape is "
            f"{tuple(x.shape)}."
        )
    source = torch.tensor(group.table[group.inverse[g]], device=x.device)
    return act_image(group, g, x).index_select(2, source)


def grid_permutation(group: Group, size: int) -> Tensor:
    """List for each element how it permutes the pixels of a ``size`` x ``size`` image.

    ``w.reshape(..., size * size)[..., permutation[g]]`` equals ``act_image(group, g, w)``, flattened.

    Shape:
        the result is ``(|G|, size * size)``, ``int64``.

    Raises:
        ValueError: if an element is not a multiple of a quarter turn.
    """
    if not exact_on_grid(group):
        raise ValueError(f"{group.name} does not map the pixel grid to itself; use C1, C2, C4, D1, D2 or D4.")
    pixels = torch.arange(size * size).reshape(size, size)
    return torch.stack([act_image(group, g, pixels).flatten() for g in range(group.order)])
