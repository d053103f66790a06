"""Running the toy checkout of `conftest` and reading what it collected (no test file itself)."""

from __future__ import annotations

from shared import collected, runs
from shared.runs import Options


def execute(wanted, **options):
    """Run on a CPU, quietly."""
    return runs.execute(wanted, Options(device="cpu", threads=1, log=lambda line: None, **options))


def lines(toy, name="walk", tier="lite"):
    """Lines of a collected CSV."""
    return collected.csv_path("toy", name, tier).read_text().splitlines()
