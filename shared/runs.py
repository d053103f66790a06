"""Run records under one roof: what a run is, how it is computed, stored, collected and merged.

The parts: `interface` (rows and context), `config` (declared runs), `records` (the store), `committed` (the
CSV files), `ledger` (what is known of each run, collecting, accepting), `execute`, `merge`.
"""

from __future__ import annotations

from shared.committed import HEADER
from shared.config import Run
from shared.execute import Options, Outcome, execute
from shared.interface import PRECISIONS, Context, OutOfTime, Row
from shared.ledger import Ledger, environments, read
from shared.merge import merge
from shared.records import Record, is_timing

__all__ = [
    "HEADER",
    "PRECISIONS",
    "Context",
    "Ledger",
    "Options",
    "OutOfTime",
    "Outcome",
    "Record",
    "Row",
    "Run",
    "environments",
    "execute",
    "is_timing",
    "merge",
    "read",
]
