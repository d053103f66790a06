"""The symmetries of the pixel grid that can be asked for, as elements of D4."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from shared.algebra.actions import act_image, quarter_turns
from shared.algebra.groups import Group, dihedral
from shared.base.errors import UserError, unknown

SQUARE = dihedral(4)  # element 4 m + r: mirror left-right m times, then r quarter turns counter-clockwise


#: Axes on which no remainder may be left for each element: where a window's start is looked up backwards.
#: A transposition (``r m``) looks up both forwards (fact sheet of the subsampling paper, 2.5).
_AXES = {1: (1,), 2: (0, 1), 3: (0,), 4: (1,), 5: (), 6: (0,), 7: (0, 1)}


def swaps_axes(element: int) -> bool:
    """Whether an element of D4 makes rows columns, so that layers must treat both axes alike."""
    return element % 2 == 1


@dataclass(frozen=True)
class Symmetry:
    """Some elements of D4 under which a network shall be equivariant.

    Args:
        name: as the user writes it.
        elements: all but the identity.
        generators: enough of them to imply the others on square inputs.
    """

    name: str
    elements: tuple[int, ...]
    generators: tuple[int, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes on which no remainder may be left."""
        return tuple(sorted({axis for element in self.elements for axis in _AXES[element]}))

    def tested(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Elements to test for inputs of this size: one quarter turn implies the others on squares only."""
        return self.generators if size[0] == size[1] else self.elements


SYMMETRIES = {
    s.name: s
    for s in (
        Symmetry("p4", (1, 2, 3), (1,)),
        Symmetry("p4m", (1, 2, 3, 4, 5, 6, 7), (1, 4)),
        Symmetry("rot180", (2,), (2,)),
        Symmetry("lr", (4,), (4,)),
        Symmetry("ud", (6,), (6,)),
        Symmetry("ccw", (1,), (1,)),
        Symmetry("cw", (3,), (3,)),
    )
}
_BY_GROUP = {"C4": "p4", "D4": "p4m", "C2": "rot180", "D1": "lr"}


def find(symmetry: str | Group | Symmetry) -> Symmetry:
    """Look up a symmetry by name, or take a group's.

    Raises:
        UserError: if there is no such symmetry, or the group does not map the grid to itself.
    """
    if isinstance(symmetry, Group):
        moves = embedding(symmetry)
        generators = tuple(moves[g] for g in symmetry.generators)
        symmetry = _BY_GROUP.get(symmetry.name) or Symmetry(symmetry.name, moves[1:], generators)
    if isinstance(symmetry, Symmetry):
        return symmetry
    if symmetry not in SYMMETRIES:
        raise UserError(unknown("symmetry", symmetry, SYMMETRIES))
    return SYMMETRIES[symmetry]


def element_name(element: int) -> str:
    """Name of an element of D4, such as ``r^2 m``."""
    return SQUARE.element_names[element]


@lru_cache(maxsize=256)
def embedding(group: Group) -> tuple[int, ...]:
    """Element of D4 for each element of a group of grid symmetries.

    Raises:
        UserError: if the group has elements that move pixels off the grid.
    """
    try:
        moves = [quarter_turns(group, g) for g in range(group.order)]
    except ValueError:
        moves = [None]
    if None in moves:
        raise UserError(f"{group.name} does not map the pixel grid to itself; use C1, C2, C4, D1, D2 or D4")
    return tuple(4 * mirrored + turns for turns, mirrored in moves)


@lru_cache(maxsize=256)
def orientation_source(group: Group, element: int) -> tuple[int, ...]:
    """Where the group axis of a regular feature map is read from when an element of D4 moves the map.

    Elements of ``group`` act by left multiplication. Others (a mirror on features of C4) have no such action;
    conjugation stands in, the only choice under which filters that are themselves symmetric stay exact.
    """
    place = {g: i for i, g in enumerate(embedding(group))}
    back = int(SQUARE.inverse[element])
    if element in place:
        return tuple(place[SQUARE.product(back, g)] for g in place)
    return tuple(place.get(SQUARE.product(back, g, element), i) for g, i in place.items())


def move(element: int, values: Tensor, group: Group | None) -> Tensor:
    """Move a map by an element of D4: pixels, and orientations if the map is regular.

    Shape:
        ``values`` is ``(lanes, channels, orientations, H, W)``, and so is the result.
    """
    moved = act_image(SQUARE, element, values)
    if group is None:
        return moved
    return moved.index_select(2, torch.tensor(orientation_source(group, element), device=values.device))
