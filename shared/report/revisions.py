"""The collected results at an earlier git revision, and what to say where git does not have it."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from shared.base import paths
from shared.base.errors import UserError
from shared.runs import committed

#: Brings every branch, every tag and their history into a clone made with --depth or --single-branch.
FETCH_ALL = "git fetch --unshallow --tags origin '+refs/heads/*:refs/remotes/origin/*'"


@dataclass(frozen=True)
class Revision:
    """The collected results at one commit: everything the files held, whatever is declared now.

    Attributes:
        name: what the commit was asked for by.
        commit: its full name.
    """

    name: str
    commit: str

    @property
    def title(self) -> str:
        """``main (0123abcd)``."""
        return f"{self.name} ({self.commit[:8]})"

    @functools.cached_property
    def files(self) -> frozenset[str]:
        """The files of pipelines/, relative to the checkout."""
        return frozenset(_asked("ls-tree", "-r", "--name-only", "-z", self.commit, "pipelines/").split("\0"))

    def changed_files(self) -> list[str]:
        """Committed result files whose content is another in the working tree."""
        changed = _asked(
            "diff", "--name-only", "--relative", "-z", self.commit, "--", "pipelines/*/results/*/*.csv"
        )
        return [name for name in changed.split("\0") if name]

    def environments(self, paper: str, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
        """Environment and inputs by run; empty if there were none."""
        file = paths.sidecar(paths.collected(paper, experiment, tier))
        with self._readable(file):
            return committed.environments_of(self._show(file) or "{}")

    def read(self, paper: str, experiment: str, tier: str) -> pd.DataFrame:
        """The rows, in the form of `runs.read`.

        Raises:
            UserError: if they were damaged, or had other columns at that time.
        """
        file = paths.collected(paper, experiment, tier)
        with self._readable(file):
            lines = list(csv.reader(io.StringIO(self._show(file))))
            if lines and tuple(lines[0]) != committed.HEADER:
                raise UserError(
                    f"{paths.shown(file)} had other columns at {self.title}: that is before its layout "
                    "changed; compare with a later revision"
                )
            frame = pd.DataFrame(lines[1:], columns=list(committed.HEADER))
            frame["step"] = pd.to_numeric(frame["step"], errors="coerce").astype(float)
            return frame.astype({"seed": "int64", "value": "float64"})

    def _show(self, file: Path) -> str:
        """The content of a file; empty if there was none."""
        name = file.relative_to(paths.root()).as_posix()
        return _asked("show", f"{self.commit}:./{name}") if name in self.files else ""

    @contextlib.contextmanager
    def _readable(self, file: Path) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, AttributeError, csv.Error):
            raise UserError(
                f"{paths.shown(file)} was damaged at {self.commit[:8]}; compare with another revision"
            ) from None


def find(name: str) -> Revision:
    """The revision that a branch, tag or commit means; a branch may be there only as origin's.

    Raises:
        UserError: if git is not installed, does not know it or may not look, or if it is from before the
            present layout of files.
    """
    for each in (name, f"origin/{name}"):
        done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{each}^{{commit}}")
        if done.returncode == 0:
            found = Revision(each, done.stdout.strip())
            if any(fnmatchcase(file, "pipelines/*/experiments.yaml") for file in found.files):
                return found
            raise UserError(
                f"{found.title} has no pipelines/*/experiments.yaml: that is before the present layout of "
                "files; compare with a later revision"
            )
    raise UserError(_unknown(name))


def _unknown(name: str) -> str:
    """Why git finds no such revision, and what to do."""
    inside = _git("rev-parse", "--is-shallow-repository")
    if inside.returncode and "ownership" in inside.stderr:
        return (
            "git refuses to look at this checkout, since it belongs to another user; allow it with "
            f"`git config --global --add safe.directory {paths.root()}`"
        )
    if inside.returncode:
        return "this copy is no git repository, so there is nothing to compare with; work in a clone"
    if inside.stdout.strip() == "true":
        return f"this clone is shallow and does not hold {name!r}; fetch the rest with `{FETCH_ALL}`"
    return f"git knows no revision {name!r} here; `git branch -a`, `git tag` and `git log` list what it knows"


def _asked(*arguments: str) -> str:
    """What git prints; raises UserError if it fails."""
    done = _git(*arguments)
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise UserError(f"`git {arguments[0]}` failed ({said}); see to the clone, then do it again")
    return done.stdout


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=paths.root(),
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise UserError("git is not installed, so nothing can be compared with an earlier revision") from None
