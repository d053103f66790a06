"""The libraries escnn and e2cnn: imported when a function needs them, and what they say about groups.

The only module that imports them. Both order the elements of C_n and D_n as `shared.algebra.groups` does,
mirror left-right as it does, and keep the elements of a field next to each other.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from shared.algebra.groups import Group, cube_rotations
from shared.base.errors import UserError, unknown

INSTALL = {
    "escnn": "pip install --no-deps escnn==1.0.11 lie_learn==0.0.2 && pip install joblib pymanopt autograd",
    "e2cnn": "pip install e2cnn==0.2.3",
}


@cache
def load(backend: str) -> SimpleNamespace:
    """Import a library, or say how to install it.

    Raises:
        UserError: if it is not known, not installed, or does not work with this numpy.
    """
    if backend not in INSTALL:
        raise UserError(unknown("backend", backend, INSTALL))
    if int(np.__version__.split(".")[0]) >= 2:  # lie_learn is built for numpy 1; e2cnn fails from 2.3 on
        raise UserError(
            f"{backend} needs numpy below 2, but {np.__version__} is installed; use an older numpy."
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*py3nj.*")  # escnn has a slower way of its own
            parts = {
                part: importlib.import_module(f"{backend}.{part}") for part in ("group", "gspaces", "nn")
            }
    except ImportError as error:
        raise UserError(f"{backend} cannot be imported ({error}); install it: {INSTALL[backend]}") from error
    if backend == "escnn":
        # escnn 1.0.11 gives np.matrix to scikit-learn, which refuses it since 1.2; without scikit-learn's
        # random SVD it takes scipy's, which is deterministic as well
        parts["group"]._numerical.randomized_svd = None
    return SimpleNamespace(**parts)


def available(backend: str) -> bool:
    """Whether ``escnn`` or ``e2cnn`` can be imported.

    Raises:
        UserError: if ``backend`` is neither.
    """
    try:
        load(backend)
    except UserError:
        if backend not in INSTALL:
            raise
        return False
    return True


@cache
def plane(backend: str, group: Group) -> Any:
    """Build the library's plane with the symmetry of a cyclic or dihedral group, counter-clockwise."""
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral") or arguments[0] < 2:
        raise ValueError(f"{group.name} has no baseline in {backend}; use C_n or D_n with n of at least 2.")
    spaces = load(backend).gspaces
    names = {"escnn": ("rot2dOnR2", "flipRot2dOnR2"), "e2cnn": ("Rot2dOnR2", "FlipRot2dOnR2")}[backend]
    return getattr(spaces, names[family == "dihedral"])(arguments[0])


def field_type(backend: str, group: Group, channels: int, regular: bool) -> Any:
    """The library's type of ``channels`` regular fields of a group, or trivial ones."""
    space = plane(backend, group)
    field = space.regular_repr if regular else space.trivial_repr
    return load(backend).nn.FieldType(space, channels * [field])


class Reference(NamedTuple):
    """What a library says about a group, with the elements in the order of `shared.algebra.groups`."""

    table: np.ndarray
    regular: np.ndarray
    irreps: tuple[np.ndarray, ...]


def group_representations(backend: str, group: Group) -> Reference:
    """Read multiplication table, regular representation and irreps of a group from a library.

    Args:
        backend: ``escnn``, or ``e2cnn`` for cyclic and dihedral groups.
        group: a group made by a constructor of `shared.algebra.groups`.

    Shape:
        ``table`` is ``(n, n)``, ``regular`` is ``(n, n, n)``, each irrep ``(n, d, d)``.

    Raises:
        ValueError: if the library does not have the group.
        UserError: if the library cannot be loaded.
    """
    library = load(backend).group
    if backend == "e2cnn":
        theirs, elements = _e2cnn_elements(library, group)
        combine, irreps = theirs.combine, list(theirs.irreps.values())
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # its cache announces itself
            theirs, elements = _escnn_elements(library, group)
            combine, irreps = (lambda a, b: a @ b), theirs.irreps()
    table = np.array([[elements.index(combine(a, b)) for b in elements] for a in elements])
    regular = np.stack([theirs.regular_representation(e) for e in elements])
    position = [theirs.elements.index(e) for e in elements]
    matrices = tuple(np.stack([np.asarray(irrep(e), dtype=float) for e in elements]) for irrep in irreps)
    return Reference(table, regular[:, position][:, :, position], matrices)


def _e2cnn_elements(library: Any, group: Group) -> tuple[Any, list]:
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral"):
        raise ValueError(f"e2cnn does not have {group.name}; it has cyclic and dihedral groups.")
    n = arguments[0]
    if family == "cyclic":
        return library.cyclic_group(n), list(range(n))
    return library.dihedral_group(n), [divmod(g, n) for g in range(2 * n)]


def _escnn_elements(library: Any, group: Group) -> tuple[Any, list]:
    family, arguments = group.family or ("", ())
    if family == "cyclic":
        theirs = library.cyclic_group(*arguments)
        return theirs, [theirs.element(g) for g in range(group.order)]
    if family == "dihedral":
        theirs = library.dihedral_group(*arguments)
        return theirs, [theirs.element(divmod(g, arguments[0])) for g in range(group.order)]
    if family == "octahedral":
        theirs = library.octa_group()
        by_matrix = {np.rint(e.to("MAT")).astype(int).tobytes(): e for e in theirs.elements}
        return theirs, [by_matrix[matrix.astype(int).tobytes()] for matrix in cube_rotations()]
    if family == "direct_product":
        (left, first), (right, second) = (_escnn_elements(library, factor) for factor in arguments)
        theirs = library.direct_product(left, right)
        return theirs, [theirs.pair_elements(a, b) for a in first for b in second]
    raise ValueError(
        f"{group.name} is not a group that escnn has; use one of the constructors in shared.algebra.groups."
    )
