"""Stamps: files that make Snakemake run a rule because of what changed, not because of file times.

A stamp is an input of its rule. It is written anew, with random text, when the rule has to run; Snakemake
overlooks a newer input whose content it has seen before. What was rendered from what is remembered as one
digest per report over everything that went in and came out. What went in is taken down by the command of the
rule when it starts: a file that is edited while Snakemake works is a change for the next time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import read_json, write_atomic, write_json
from shared.runs import config
from shared.workflow.jobs import identifier

#: What a digest takes in of each file that was read already.
_Seen = dict[str, bytes]
#: Files that start the bringing up to date of dvc.lock and that it leaves behind, relative to the repository.
SYNC, SYNC_DONE = ".repro/plan/dvc.stamp", ".repro/plan/dvc.done"


def of_report(paper: str, folder: str) -> str:
    """File that starts the rendering of one paper's report, relative to the repository.

    Args:
        paper: its name.
        folder: "reports" or "reports/demo".
    """
    return f".repro/plan/{identifier(f'{folder}_{paper}')}.stamp"


def of_page(folder: str) -> str:
    """File that starts the writing of the page over all reports in a folder, relative to the repository."""
    return f".repro/plan/{identifier(folder)}.stamp"


def renew(stamp: str) -> None:
    """Make the rule with this stamp run."""
    write_atomic(paths.root() / stamp, secrets.token_hex(8) + "\n")


def renew_outdated(reports: Iterable[tuple[str, str]]) -> None:
    """New stamps for the reports, their pages and dvc.lock, whose files are not those of the last time."""
    known, seen = _known(), {}
    states = {SYNC: [dvc_sources(seen), _state(_dvc_products(), seen)]}
    for report in reports:
        states[of_report(*report)] = [report_sources(*report, seen), _state(_report_products(*report), seen)]
    for folder in dict.fromkeys(folder for _, folder in reports):
        states[of_page(folder)] = [page_sources(folder, seen), _state(_page_products(folder), seen)]
    for stamp, state in states.items():
        if known.get(stamp) != state or not (paths.root() / stamp).is_file():
            renew(stamp)


def note(stamp: str, sources: str) -> None:
    """Take down what was made from what.

    Args:
        stamp: the stamp that belongs to it.
        sources: `report_sources`, `page_sources` or `dvc_sources`, taken before anything was read.
    """
    write_atomic(_note_path(stamp), sources)


def remember(reports: Iterable[tuple[str, str]]) -> None:
    """Remember what was rendered from what, as `note` has it, and what came out.

    Only what is not older than its stamp was rendered.
    """
    known, root = _known(), paths.root()
    made = [(of_report(*r), root / r[1] / r[0] / "report.md", _report_products(*r)) for r in reports]
    made += [(of_page(f), root / f / "index.html", _page_products(f)) for f in {f for _, f in reports}]
    made.append((SYNC, root / SYNC_DONE, _dvc_products()))
    for stamp, last, products in made:
        if _is_after(last, stamp) and _note_path(stamp).is_file():
            known[stamp] = [_note_path(stamp).read_text(), _state(products)]
    write_json(_known_path(), known)


def _note_path(stamp: str) -> Path:
    return (paths.root() / stamp).with_suffix(".sources")


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


def report_sources(paper: str, folder: str, seen: _Seen | None = None) -> str:
    """Digest of everything a report is made from, templates too."""
    return _state([*_of_paper(paper, folder), *(paths.root() / "shared").rglob("*")], seen)


def page_sources(folder: str, seen: _Seen | None = None) -> str:
    """Digest of everything a page is made from: what the reports are, and templates."""
    found = [file for paper in config.papers() for file in _of_paper(paper, folder)]
    return _state([*found, *(paths.root() / "shared").rglob("*")], seen)


def _of_paper(paper: str, folder: str) -> list[Path]:
    tier = "demo" if folder.endswith("demo") else ""
    found = [*paths.pipeline(paper).rglob("*"), paths.root() / "datasets.yaml"]
    return found + (list(paths.results(paper, tier).glob("*")) if tier else [])


def _report_products(paper: str, folder: str) -> list[Path]:
    """What is made from it; edited by hand, it is made again."""
    return list((paths.root() / folder / paper).rglob("*"))


def _page_products(folder: str) -> list[Path]:
    """The page, and for the recorded results the table in README.md."""
    readme = [paths.root() / "README.md"] if folder == "reports" else []
    return [*(paths.root() / folder).glob("index.*"), *readme]


def dvc_sources(seen: _Seen | None = None) -> str:
    """Digest of everything that `dvc status` looks at, without dvc.lock."""
    root = paths.root()
    found = [root / name for name in ("dvc.yaml", "data.dvc", "datasets.yaml")]
    for paper in config.papers():
        folder = paths.pipeline(paper)
        found += [folder / "experiments.yaml", folder / "settings.py", *folder.glob("results/*/*")]
    return _state(found, seen)


def _dvc_products() -> list[Path]:
    return [paths.root() / "dvc.lock"]


def _state(files: Iterable[Path], seen: _Seen | None = None) -> str:
    """Digest of the names and contents of files; those that went into several are read once."""
    seen, digest, root = {} if seen is None else seen, hashlib.sha256(), paths.root()
    for file in sorted({str(file) for file in files}):
        if file not in seen:
            read = "__pycache__" not in file and os.path.isfile(file)
            content = hashlib.sha256(Path(file).read_bytes()).hexdigest() if read else ""
            seen[file] = f"{Path(file).relative_to(root)} {content}\n".encode() if read else b""
        digest.update(seen[file])
    return digest.hexdigest()
