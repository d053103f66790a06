"""Running the toy checkout and reading what it collected (no test file itself)."""

from __future__ import annotations

from shared import runs
from shared.base import paths
from shared.runs import Options
from shared.workflow import cli

ON_CPU = ("--device", "cpu", "--threads", "1")


def call(*arguments, paper=None):
    """What the command line returns."""
    return cli.main(arguments, paper=paper)


def execute(wanted, **options):
    """Run on a CPU, quietly."""
    quiet = {"device": "cpu", "threads": 1, "log": lambda line: None}
    return runs.execute(wanted, Options(**{**quiet, **options}))


def arms_and_seeds(found):
    """Which runs they are, in order."""
    return sorted((run.arm, run.seed) for run in found)


def csv(tier="lite", name="walk"):
    """A collected CSV."""
    return paths.collected("toy", name, tier)


def lines(toy, name="walk", tier="lite"):
    """Lines of a collected CSV."""
    return csv(tier, name).read_text().splitlines()
