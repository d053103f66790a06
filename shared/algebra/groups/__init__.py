"""Finite groups as multiplication tables: cyclic, dihedral, octahedral, and direct products.

Elements are the integers ``0 .. order - 1`` and ``0`` is always the identity. Everything here is numpy; how
elements move images and other arrays is in :mod:`shared.algebra.actions`, their matrices are in
:mod:`shared.algebra.representations`.
"""

from shared.algebra.groups.families import (
    cube_rotations,
    cyclic,
    dihedral,
    direct_product,
    from_presentation,
    octahedral,
)
from shared.algebra.groups.group import Group

__all__ = [
    "Group",
    "cube_rotations",
    "cyclic",
    "dihedral",
    "direct_product",
    "from_presentation",
    "octahedral",
]
