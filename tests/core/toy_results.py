"""Running the toy checkout of `conftest` and reading what it collected (no test file itself)."""

from __future__ import annotations

from shared import collected, runs
from shared.runs import Options


def execute(wanted, **options):
    """Run on a CPU, quietly."""
    quiet = {"device": "cpu", "threads": 1, "log": lambda line: None}
    return runs.execute(wanted, Options(**{**quiet, **options}))


def arms_and_seeds(found):
    """Which runs they are, in order."""
    return sorted((run.arm, run.seed) for run in found)


def lines(toy, name="walk", tier="lite"):
    """Lines of a collected CSV."""
    return collected.csv_path("toy", name, tier).read_text().splitlines()
