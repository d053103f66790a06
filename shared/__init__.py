"""Shared core of the equivariance reproductions: groups, layers, measurement, training, records, reports.

Importing this package is cheap: submodules are loaded when they are first used, so that tables and
reports can be rebuilt on a machine without torch.

    from shared import groups, nn, measure, testing
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
    "actions",
    "atlas",
    "brackets",
    "config",
    "data",
    "groups",
    "irreps",
    "lie",
    "measure",
    "nn",
    "presentations",
    "report",
    "representations",
    "runs",
    "steerable",
    "symmetries",
    "symmetry_penalties",
    "testing",
    "train",
    "verdicts",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"shared.{name}")
    raise AttributeError(f"module 'shared' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
