"""Hypothesis strategies for groups, sizes and networks."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from shared.algebra.groups import Group, cyclic, dihedral
from shared.atlas.symmetry import SYMMETRIES, embedding
from shared.testing.networks import RandomNetwork, random_network


def grid_groups() -> st.SearchStrategy[Group]:
    """Groups that map the pixel grid to itself: C1, C2, C4, D1, D2, D4."""
    return st.sampled_from([family(n) for family in (cyclic, dihedral) for n in (1, 2, 4)])


def sides(smallest: int = 1, largest: int = 16) -> st.SearchStrategy[tuple[int, int]]:
    """Heights and widths in pixels; most often equal."""
    side = st.integers(smallest, largest)
    return st.one_of(side.map(lambda n: (n, n)), st.tuples(side, side))


def symmetries(group: Group) -> st.SearchStrategy[str]:
    """Names of the symmetries (see `shared.atlas.SYMMETRIES`) that lie in a group."""
    inside = set(embedding(group))
    return st.sampled_from([s.name for s in SYMMETRIES.values() if inside.issuperset(s.elements)])


@st.composite
def networks(
    draw: st.DrawFn, groups: Sequence[Group] = (), depth: int = 6, sides: Sequence[int] = range(4, 17)
) -> RandomNetwork:
    """Small random networks of tied convolutions, pools, norms, resizing and branches, in float64.

    Args:
        draw: given by hypothesis.
        groups: to choose from; C4, D4, and now and then a subgroup if left out.
        depth: largest number of layers before the head.
        sides: heights and widths to choose from.
    """
    usual = [cyclic(4), dihedral(4)] * 3 + [cyclic(2), dihedral(1), dihedral(2)]
    group = draw(st.sampled_from(list(groups) or usual))
    return random_network(lambda options: draw(st.sampled_from(options)), group, depth, sides)
