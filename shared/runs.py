"""Run records under one roof: what a run is, how it is computed, stored, collected, merged and accepted.

The parts: `interface` (rows and context), `config` (declared runs), `records` (the store), `collected` (the
committed files), `validity`, `execute`, `collect` (writing the CSV, data frames), `exchange` (merge, accept).
"""

from __future__ import annotations

from shared.collect import collect, earlier_code, environments, is_collected, read, rows_of
from shared.collected import HEADER
from shared.config import Run
from shared.exchange import accept, merge
from shared.execute import Options, Outcome, execute
from shared.interface import PRECISIONS, Context, OutOfTime, Row
from shared.records import Record, is_timing
from shared.validity import known, why_stale

__all__ = [
    "HEADER",
    "PRECISIONS",
    "Context",
    "Options",
    "OutOfTime",
    "Outcome",
    "Record",
    "Row",
    "Run",
    "accept",
    "collect",
    "earlier_code",
    "environments",
    "execute",
    "is_collected",
    "is_timing",
    "known",
    "merge",
    "read",
    "rows_of",
    "why_stale",
]
