"""How far the trainings of a Snakemake run are: a line on the terminal for each that ends.

The process that the user started writes down what is to be trained, and names the file to its jobs by an
environment variable. Each job adds a line per run. What a job prints goes to its log, so it is given the
terminal as a further open file (scripts/logged.sh).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.base import paths
from shared.base.files import write_atomic

if TYPE_CHECKING:
    from shared.runs.execution import Outcome

#: Environment variables: the file of all runs, and the number of the open file that is the terminal.
FILE, TERMINAL = "REPRO_PROGRESS", "REPRO_TERMINAL"


def begin(seconds: Mapping[str, float | None]) -> None:
    """Write down what is to be trained; the jobs started from now on add to it.

    Args:
        seconds: expected time of each run, by its specification; None if unknown.
    """
    place = paths.store() / "plan" / f"progress_{os.getpid()}"
    known = [value for value in seconds.values() if value is not None]
    mean = sum(known) / len(known) if known else 1.0
    weights = {spec: max(mean if value is None else value, 1e-3) for spec, value in seconds.items()}
    write_atomic(place, json.dumps({"started": time.time(), "weights": weights}) + "\n")
    os.environ[FILE] = str(place)
    atexit.register(place.unlink, missing_ok=True)


def report(outcome: Outcome) -> None:
    """Add the runs that have ended to the file, and say on the terminal how many that makes."""
    try:
        with open(os.environ[FILE]) as file:
            text = file.read()
            told = {line.partition(" ")[2] for line in text.splitlines()[1:]}
            ended = [("done", run) for run in [*outcome.done, *outcome.valid]]
            ended += [("failed", run) for run, _ in outcome.failed]
            new = "".join(f"{how} {run.spec}\n" for how, run in ended if run.spec not in told)
        with open(os.environ[FILE], "ab", buffering=0) as file:  # lines of several jobs do not mix
            file.write(new.encode())
    except (KeyError, OSError):  # not started by Snakemake, or that has ended
        return
    if new:
        with contextlib.suppress(KeyError, ValueError, OSError):
            os.write(int(os.environ[TERMINAL]), (line(text + new, time.time()) + "\n").encode())


def line(text: str, now: float) -> str:
    """The progress in words.

    Args:
        text: content of the file.
        now: seconds since the epoch.
    """
    head, *ended = text.splitlines()
    plan = json.loads(head)
    how_of = {spec: how for how, _, spec in (entry.partition(" ") for entry in ended)}
    weights, failed = plan["weights"], sum(how == "failed" for how in how_of.values())
    said = f"{len(weights.keys() & how_of.keys())} of {len(weights)} runs"
    said += f" ({failed} failed)" if failed else ""
    done, left = (
        sum(w for spec, w in weights.items() if (spec in how_of) is which) for which in (True, False)
    )
    if not left or not done:
        return said
    minutes = (now - plan["started"]) * left / done / 60
    return f"{said}, about {minutes:.0f} minutes left" if minutes >= 1.5 else f"{said}, about a minute left"
