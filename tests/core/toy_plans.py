"""Plans for the toy checkout, and what stands in for their jobs (no test file itself)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toy_results import execute

from shared.runs import config, ledger
from shared.workflow import orchestrate

Plan = orchestrate.Plan


def plan(**options: Any) -> Plan:
    return orchestrate.plan(options, main=True, cores=2)


def trained(made: Plan) -> list[str]:
    return sorted(run for job in made.jobs for run in job.runs)


def train(tier: str) -> None:
    """Train and collect everything of a tier."""
    for experiment in config.load("toy").experiments.values():
        if tier in experiment.tiers:
            assert not execute(experiment.runs(tier)).failed
            ledger.of("toy").collect(experiment, tier)


def stamp_texts(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (root / ".repro/plan").glob("*.stamp")}
