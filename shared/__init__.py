"""Shared core of the equivariance reproductions, in two halves: a library, and the laboratory papers run in.

The library: `algebra` (groups, representations, actions, Lie algebras), `nn` (layers), `measure`, `atlas` and
`testing` (how equivariant is it: measured, decided from shapes, asserted). The laboratory: `data`, `train`,
`runs`, `report`, `workflow`. Both stand on `base`. A wing imports only what stands before it (`tests/core`).

Importing this package is cheap: its parts are loaded when they are first used, so that tables and reports can
be rebuilt on a machine without torch. What users need most has a short name here:

    from shared import groups, nn, measure, testing
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

#: Short name -> where it is.
_PLACES = {
    **{wing: f"shared.{wing}" for wing in ("atlas", "data", "measure", "nn")},
    **{wing: f"shared.{wing}" for wing in ("report", "runs", "testing", "train")},
    **{name: f"shared.algebra.{name}" for name in ("actions", "groups", "lie")},
    **{name: f"shared.algebra.{name}" for name in ("presentations", "representations")},
    "symmetries": "shared.nn.symmetries",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> ModuleType:
    if name in _PLACES:
        return importlib.import_module(_PLACES[name])
    raise AttributeError(f"module 'shared' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
