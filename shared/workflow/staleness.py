"""Stamps: files that make Snakemake run a rule because of what changed, not because of file times.

A stamp is an input of its rule. It is written anew, with random text, when the rule has to run; Snakemake
overlooks a newer input whose content it has seen before. What was rendered from what is remembered as one
digest per report over everything that went in and came out. What went in is taken down by the command of the
rule when it starts: a file that is edited while Snakemake works is a change for the next time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import read_json, write_atomic, write_json
from shared.runs import config
from shared.workflow.jobs import identifier

#: Files that start the bringing up to date of dvc.lock and that it leaves behind, relative to the repository.
SYNC, SYNC_DONE = ".repro/plan/dvc.stamp", ".repro/plan/dvc.done"
#: The parts of a report, each of which has a rule, and the one part of bringing dvc.lock up to date.
PARTS, SYNC_PART = ("tables", "figures", "text"), "sync"


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
    states = {
        of_report(*report): [report_sources(*report), _state(_report_products(*report))] for report in reports
    }
    states[SYNC] = [dvc_sources(), _state(_dvc_products())]
    for stamp, state in states.items():
        if known.get(stamp) != state or not (paths.root() / stamp).is_file():
            renew(stamp)


def note(stamp: str, parts: Iterable[str], sources: str) -> None:
    """Take down what parts were made from.

    Args:
        stamp: the stamp that belongs to them.
        parts: some of `PARTS`, or `SYNC_PART`.
        sources: `report_sources` or `dvc_sources`, taken before anything was read.
    """
    for part in parts:
        write_atomic(_note_path(stamp, part), sources)


def remember(reports: Iterable[tuple[str, str]]) -> None:
    """Remember what was rendered from what, as `note` has it, and what came out.

    Only what is not older than its stamp was rendered; parts that were made from different sources, because
    one was edited in between, do not fit together and are not remembered.
    """
    known = _known()
    for paper, folder in reports:
        stamp = of_report(paper, folder)
        if _is_after(paths.root() / folder / paper / "report.md", stamp):
            _learn(known, stamp, PARTS, _report_products(paper, folder))
    if _is_after(paths.root() / SYNC_DONE, SYNC):
        _learn(known, SYNC, (SYNC_PART,), _dvc_products())
    write_json(_known_path(), known)


def _learn(known: dict[str, list[str]], stamp: str, parts: Iterable[str], products: list[Path]) -> None:
    files = [_note_path(stamp, part) for part in parts]
    sources = {file.read_text() if file.is_file() else "" for file in files}
    if len(sources) == 1 and "" not in sources:
        known[stamp] = [sources.pop(), _state(products)]
    else:
        known.pop(stamp, None)


def _note_path(stamp: str, part: str) -> Path:
    return (paths.root() / stamp).with_suffix(f".{part}.sources")


def _is_after(file: Path, stamp: str) -> bool:
    try:
        return file.stat().st_mtime_ns >= (paths.root() / stamp).stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _known_path() -> Path:
    return paths.store() / "plan" / "rendered"


def _known() -> dict[str, list[str]]:
    """For each stamp the digests of what went in and what came out."""
    try:
        return dict(read_json(_known_path()))
    except (UserError, TypeError, ValueError):
        return {}


def report_sources(paper: str, folder: str) -> str:
    """Digest of everything a report is made from."""
    root, tier = paths.root(), "demo" if folder.endswith("demo") else ""
    found = [*paths.pipeline(paper).rglob("*"), *(root / "shared").rglob("*.py"), root / "datasets.yaml"]
    return _state(found + (list(paths.results(paper, tier).glob("*")) if tier else []))


def _report_products(paper: str, folder: str) -> list[Path]:
    """What is made from it; edited by hand, it is made again."""
    root = paths.root()
    return [*(root / folder / paper).rglob("*"), *(root / folder).glob("index.*"), root / "README.md"]


def dvc_sources() -> str:
    """Digest of everything that `dvc status` looks at, without dvc.lock."""
    root = paths.root()
    found = [root / name for name in ("dvc.yaml", "data.dvc", "datasets.yaml")]
    for paper in config.papers():
        folder = paths.pipeline(paper)
        found += [folder / "experiments.yaml", folder / "settings.py", *folder.glob("results/*/*")]
    return _state(found)


def _dvc_products() -> list[Path]:
    return [paths.root() / "dvc.lock"]


def _state(files: Iterable[Path]) -> str:
    """Digest of the names and contents of files."""
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(paths.root())} {content}\n".encode())
    return digest.hexdigest()
