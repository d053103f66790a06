"""For tests of equivariant code: an assertion, its tolerances, planted bugs, random networks, a GPU.

    from shared.testing import assert_equivariant
    assert_equivariant(network, "p4", size=33)

`strategies` holds hypothesis strategies; it needs hypothesis, the rest does not.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from shared.base.errors import UserError
from shared.testing.assertions import TOLERANCES, assert_equivariant, shake, tolerance_for
from shared.testing.bugs import Planted, planted_bugs
from shared.testing.networks import RandomNetwork, random_network, randomize
from shared.testing.pretended import pretended_gpu

__all__ = [
    "TOLERANCES",
    "Planted",
    "RandomNetwork",
    "assert_equivariant",
    "planted_bugs",
    "pretended_gpu",
    "random_network",
    "randomize",
    "shake",
    "strategies",
    "tolerance_for",
]


def __getattr__(name: str) -> ModuleType:
    if name != "strategies":
        raise AttributeError(f"module 'shared.testing' has no attribute {name!r}")
    try:
        return importlib.import_module("shared.testing.strategies")
    except ModuleNotFoundError as error:
        raise UserError("shared.testing.strategies needs hypothesis; run: pip install hypothesis") from error
