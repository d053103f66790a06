"""Every named place of the repository; nobody else builds paths."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from shared.base.errors import UserError

#: Tiers whose results are committed; the others live in the ignored store.
COMMITTED_TIERS = ("lite", "paper")
TIERS = ("smoke", "demo", "lite", "paper")
#: How the name of a sidecar ends, where that of its CSV ends with ``.csv``.
SIDECAR = ".env.json"
#: The checkout that this package was imported from.
_IMPORTED = Path(__file__).resolve().parents[2]
#: Roots found, by REPRO_ROOT and working directory: commands ask ten thousand times.
_roots: dict[tuple[str, str], Path] = {}


def _is_root(folder: Path) -> bool:
    return (folder / "datasets.yaml").is_file() and (folder / "pipelines").is_dir()


def root() -> Path:
    """Root of the checkout to work on.

    ``REPRO_ROOT`` if set, else the nearest folder above the working directory that looks like this
    repository, else the checkout this package was imported from. So a clone works on itself even if
    another clone is the one that was installed.

    Raises:
        UserError: if REPRO_ROOT is set to something else than a checkout.
    """
    asked = (os.environ.get("REPRO_ROOT", ""), os.getcwd())
    if asked not in _roots:
        _roots[asked] = _look_for_root(*asked)
    return _roots[asked]


def _look_for_root(chosen: str, here: str) -> Path:
    if chosen:
        folder = Path(chosen).resolve()
        if not _is_root(folder):
            raise UserError(
                f"REPRO_ROOT={chosen} is not a checkout of this repository; unset it or point it at one"
            )
        return folder
    place = Path(here).resolve()
    above = (folder for folder in (place, *place.parents) if _is_root(folder))
    return next(above, _IMPORTED)


def shown(file: Path) -> str:
    """A path for people: relative to the checkout where it lies in it."""
    return str(file.relative_to(root()) if file.is_relative_to(root()) else file)


def check_program() -> None:
    """Make sure that this program is the one of the checkout to work on.

    From a folder below a second clone Python may import the installed clone's ``shared``, while `root` is
    the second clone: results would carry the fingerprint and the commit of code that did not run.

    Raises:
        UserError: if the checkout to work on has another ``shared`` than the one that was imported.
    """
    program = root() / "shared" / "__init__.py"
    if program.is_file() and not program.samefile(_IMPORTED / "shared" / "__init__.py"):
        raise UserError(
            f"this is the program in {_IMPORTED}, but the checkout to work on is {root()}; "
            f"run the command in {root()} itself, or install that checkout (make setup)"
        )


def pipelines() -> Path:
    """Folder of the per-paper packages."""
    return root() / "pipelines"


def pipeline(paper: str) -> Path:
    """Folder of one paper's package."""
    return pipelines() / paper


def data() -> Path:
    """Folder of the data sets (ignored by git, described by datasets.yaml)."""
    return root() / "data"


def reports(demo: bool = False) -> Path:
    """Folder of the rendered reports; those of the demo tier are ignored by git."""
    return root() / "reports" / "demo" if demo else root() / "reports"


def store() -> Path:
    """Ignored folder for run records, checkpoints, plans, locks and logs of this checkout."""
    return _store(root())


@functools.lru_cache(maxsize=64)
def _store(root: Path) -> Path:
    return root / ".repro"


def results(paper: str, tier: str) -> Path:
    """Folder of one paper's collected results: committed for lite and paper, else in the store."""
    if tier in COMMITTED_TIERS:
        return pipeline(paper) / "results" / tier
    return store() / "results" / paper / tier


def collected(paper: str, experiment: str, tier: str) -> Path:
    """CSV with the collected results of an experiment at a tier; `sidecar` lies beside it."""
    return results(paper, tier) / f"{experiment}.csv"


def sidecar(csv: Path) -> Path:
    """File beside a CSV of results that says of each run what it was made from, and where."""
    return csv.with_name(csv.name.removesuffix(".csv") + SIDECAR)
