"""Stamps: files that make Snakemake run a rule because of what changed, not because of file times.

A stamp is an input of its rule. It is written anew, with random text, when the rule has to run; Snakemake
overlooks a newer input whose content it has seen before. What was rendered from what is remembered as one
digest per report over everything that went in and came out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

from shared import config, paths
from shared.errors import UserError
from shared.files import read_json, write_atomic, write_json
from shared.jobs import identifier

#: Files that start the bringing up to date of dvc.lock and that it leaves behind, relative to the repository.
SYNC, SYNC_DONE = ".repro/plan/dvc.stamp", ".repro/plan/dvc.done"


def of_report(paper: str, folder: str) -> str:
    """File that starts the rendering of one paper's report, relative to the repository.

    Args:
        paper: its name.
        folder: "reports" or "reports/demo".
    """
    return f".repro/plan/{identifier(f'{folder}_{paper}')}.stamp"


def of_part(paper: str, folder: str, part: str) -> str:
    """File that says that the tables or the figures of a report have been written."""
    return f".repro/plan/{identifier(f'{folder}_{paper}')}.{part}"


def renew(stamp: str) -> None:
    """Make the rule with this stamp run."""
    write_atomic(paths.root() / stamp, secrets.token_hex(8) + "\n")


def renew_outdated(reports: Iterable[tuple[str, str]]) -> None:
    """New stamps for the reports, and for dvc.lock, whose files are not those of the last time."""
    known = _known()
    sources = {of_report(*report): _report_sources(*report) for report in reports}
    sources[SYNC] = _dvc_sources()
    for stamp, files in sources.items():
        if known.get(stamp) != _state(files) or not (paths.root() / stamp).is_file():
            renew(stamp)


def remember(reports: Iterable[tuple[str, str]]) -> None:
    """Note what was rendered from what. Only what is not older than its stamp was rendered."""
    known = _known()
    for paper, folder in reports:
        stamp = of_report(paper, folder)
        if _is_after(paths.root() / folder / paper / "report.md", stamp):
            known[stamp] = _state(_report_sources(paper, folder))
    if _is_after(paths.root() / SYNC_DONE, SYNC):
        known[SYNC] = _state(_dvc_sources())
    write_json(_known_path(), known)


def _is_after(file: Path, stamp: str) -> bool:
    try:
        return file.stat().st_mtime_ns >= (paths.root() / stamp).stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _known_path() -> Path:
    return paths.store() / "plan" / "rendered"


def _known() -> dict[str, str]:
    try:
        return dict(read_json(_known_path()))
    except (UserError, TypeError, ValueError):
        return {}


def _report_sources(paper: str, folder: str) -> list[Path]:
    """Everything a report is made from, and what was made."""
    root, tier = paths.root(), "demo" if folder.endswith("demo") else ""
    found = [*paths.pipeline(paper).rglob("*"), *(root / "shared").rglob("*.py"), root / "datasets.yaml"]
    found += [*(root / folder / paper).rglob("*"), *(root / folder).glob("index.*"), root / "README.md"]
    return found + (list(paths.results(paper, tier).glob("*")) if tier else [])


def _dvc_sources() -> list[Path]:
    """Everything that `dvc status` looks at."""
    root = paths.root()
    names = ("dvc.yaml", "dvc.lock", "data.dvc", "datasets.yaml")
    found = [root / name for name in names]
    for paper in config.papers():
        folder = paths.pipeline(paper)
        found += [folder / "experiments.yaml", folder / "settings.py", *folder.glob("results/*/*")]
    return found


def _state(files: Iterable[Path]) -> str:
    """Digest of the names and contents of files."""
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(paths.root())} {content}\n".encode())
    return digest.hexdigest()
