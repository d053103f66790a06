"""Run records under one roof: what a run is, how it is computed, stored, collected, merged and accepted.

The parts: `interface` (rows and context), `config` (declared runs), `records` (store and validity),
`execute` (computing), `collect` (CSV and data frames), `exchange` (merge and accept), `costs`.
"""

from __future__ import annotations

from shared.collect import collect, earlier_code, environments, is_collected, read, read_best, rows_of
from shared.config import Run
from shared.execute import Options, Outcome, execute
from shared.interface import PRECISIONS, Context, OutOfTime, Row
from shared.records import HEADER, Record, is_timing, known, why_stale

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
    "collect",
    "earlier_code",
    "environments",
    "execute",
    "is_collected",
    "is_timing",
    "known",
    "read",
    "read_best",
    "rows_of",
    "why_stale",
]
