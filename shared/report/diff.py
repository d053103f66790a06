"""Which table cells changed since a git revision, and whether the change is more than noise.

``python -m pipelines diff main`` prints Markdown for a pull request. The tables of the working tree are
filled twice, from the committed results at the revision and from those in the working tree, and compared cell
by cell. Seeds that both have are compared in pairs: the same seed gives the same split and the same starting
weights, so pairs remove what seeds share.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shared import collected, config, paths, stats
from shared.errors import UserError
from shared.report import markdown, text
from shared.report.contents import Report
from shared.report.tables import Cell

NOTHING = "No table cell changed since {revision}."


@dataclass(frozen=True)
class Change:
    """One table cell before and after; an empty cell stands for one that was not there."""

    paper: str
    place: str
    before: Cell
    after: Cell


def main(revision: str) -> int:
    """Print the changed table cells of every paper as Markdown; returns 0.

    Raises:
        UserError: if git does not know the revision.
    """
    print(report(revision), end="")
    return 0


def report(revision: str) -> str:
    """The changes since ``revision`` as Markdown.

    Raises:
        UserError: if git does not know the revision.
    """
    commit = resolve(revision)
    found = [change for paper in config.papers() for change in changes(paper, commit)]
    files = changed_files(commit)
    if not found:
        rest = f" Result files that differ: {text.join(files)}." if files else ""
        return NOTHING.format(revision=f"{revision} ({commit[:8]})") + rest + "\n"
    header = ("Paper", "Cell", "Before", "After", "Difference", "Common seeds", "p", "Verdict")
    title = f"{text.lines(len(found), 'table cell')} changed since {revision} ({commit[:8]})"
    note = "Differences are after - before: paired t test over common seeds, else Welch's t test.\n"
    return f"### {title}\n\n{markdown.grid(header, map(_line, found))}\n{note}"


def resolve(revision: str) -> str:
    """Full name of the commit that ``revision`` means.

    Raises:
        UserError: if git does not know it.
    """
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode:
        raise UserError(
            f"git knows no revision {revision!r} here; `git log` and `git tag` list what it knows"
        )
    return done.stdout.strip()


def changes(paper: str, commit: str) -> Iterator[Change]:
    """The cells of one paper's tables that differ between ``commit`` and the working tree."""
    before = dict(_cells(Report(paper, source=Revision(commit))))
    after = dict(_cells(Report(paper)))
    for key in dict.fromkeys((*after, *before)):
        old, new = before.get(key, Cell("")), after.get(key, Cell(""))
        if _content(old) != _content(new):
            yield Change(paper, "/".join(key), old, new)


def changed_files(commit: str) -> list[str]:
    """Committed result files whose content differs from that at ``commit``."""
    done = _git("diff", "--name-only", commit, "--", "pipelines/*/results/*/*.csv")
    return done.stdout.split()


class Revision:
    """The collected results at one commit: everything the files held, whatever is declared now."""

    def __init__(self, commit: str) -> None:
        self.commit = commit

    def _show(self, file: Path) -> str:
        done = _git("show", f"{self.commit}:./{file.relative_to(paths.root()).as_posix()}")
        return "" if done.returncode else done.stdout

    def environments(self, paper: str, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
        """Environment and inputs by run; empty if there were none."""
        file = collected.env_path(paper, experiment, tier)
        with self._readable(file):
            return {run: dict(entry) for run, entry in json.loads(self._show(file) or "{}").items()}

    def read(self, paper: str, experiment: str, tier: str) -> pd.DataFrame:
        """The rows, in the form of `runs.read`."""
        file = collected.csv_path(paper, experiment, tier)
        with self._readable(file):
            lines = list(csv.reader(io.StringIO(self._show(file))))
            if lines and tuple(lines[0]) != collected.HEADER:
                lines = []  # another layout: nothing to compare with
            frame = pd.DataFrame(lines[1:], columns=list(collected.HEADER))
            frame["step"] = pd.to_numeric(frame["step"], errors="coerce").astype(float)
            return frame.astype({"seed": "int64", "value": "float64"})

    @contextlib.contextmanager
    def _readable(self, file: Path) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, AttributeError, csv.Error):
            raise UserError(
                f"{paths.shown(file)} was damaged at {self.commit[:8]}; compare with another revision"
            ) from None


def _cells(found: Report) -> Iterator[tuple[tuple[str, str, str], Cell]]:
    """Cells by place; of claims the effect and the verdict, since the test's details change with them."""
    for table in found.tables:
        for row, column, cell in table.cells():
            if not table.claims or column.key in ("ours", "verdict"):
                yield (table.name, row.key, column.key), cell


def _content(cell: Cell) -> tuple[object, ...]:
    """What makes cells equal: the values if there are any, else the text; and the verdict and the tier."""
    verdict = cell.verdict.text if cell.verdict else ""
    values = tuple(sorted(cell.sample.values.items()))
    return (values or cell.text, cell.sample.tier, verdict)


def _line(change: Change) -> tuple[str, ...]:
    before, after = change.before, change.after
    difference, common, p = _compare(before, after)
    return (
        change.paper,
        change.place,
        _shown(before),
        _shown(after),
        difference,
        common,
        p,
        _moved(_status(before), _status(after)),
    )


def _compare(before: Cell, after: Cell) -> tuple[str, str, str]:
    """Difference, number of common seeds and p-value as text, "-" where there is none."""
    old, new = before.sample, after.sample
    if not old.n or not new.n:
        return "-", "-", "-"
    decimals = after.decimals + 1
    common = [seed for seed in new.values if seed in old.values]
    shown = text.signed(new.summary.mean - old.summary.mean, decimals)
    if len(common) > 1:
        found = stats.paired(new.values, old.values)
        shown = text.signed(found.value, decimals)
    elif min(old.n, new.n) > 1:
        found = stats.welch(new.numbers, old.numbers)
    else:
        return shown, str(len(common)), "-"
    p = "-" if found.se == 0 and found.value == 0 else text.p_value(found.p_different()).removeprefix("p = ")
    return shown, str(len(common)), p


def _shown(cell: Cell) -> str:
    if not cell.sample.n:
        return text.plain(cell.text) or "-"
    return f"{text.plain(cell.text)} ({cell.provenance})"


def _status(cell: Cell) -> str:
    return cell.verdict.text if cell.verdict else ""


def _moved(before: str, after: str) -> str:
    if before == after:
        return after or "-"
    return f"{before or 'none'} → **{after or 'none'}**"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=paths.root(),
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise UserError("git is not installed, so nothing can be compared with an earlier revision") from None
