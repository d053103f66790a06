"""What a paper declares, and what is known of each run: computed, stored, collected, merged. No torch.

The parts: `api` (what a paper's experiment sees), `config` (declared runs), `records` (the store),
`committed` (the CSV files), `ledger` (what is known of each run, collecting, accepting), `execution` and
`merging`. Names for users of results are loaded when they are first used, so that `api` alone stays small.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    **dict.fromkeys(("PRECISIONS", "Context", "OutOfTime", "Row"), "api"),
    **dict.fromkeys(("Options", "Outcome", "execute"), "execution"),
    **dict.fromkeys(("Ledger", "environments", "read"), "ledger"),
    **dict.fromkeys(("Record", "is_timing"), "records"),
    **{"HEADER": "committed", "Run": "config", "merge": "merging"},
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"shared.runs.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'shared.runs' has no attribute {name!r}")
