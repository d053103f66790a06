"""The papers of this checkout, as their experiments.yaml says (no test file itself)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAPERS = sorted(file.parent.name for file in (ROOT / "pipelines").glob("*/experiments.yaml"))
