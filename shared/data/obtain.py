"""Get a data set: what is there and right, else DVC, else a mirror, else the publisher, else its generator."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from shared import paths
from shared.data import archives, catalogue, readers
from shared.data.catalogue import DataSet, Download, File
from shared.data.digest import file_digests
from shared.errors import UserError
from shared.files import lock

#: Directory or URL that serves the publishers' files as MIRROR/<mirror name of the set>/<file name>.
MIRROR_VARIABLE = "REPRO_MIRROR"


def get(name: str, mirror: str | os.PathLike[str] | None = None, progress: bool = True) -> Path:
    """Make sure that a data set is there and is what the catalogue says, and return its folder.

    Tries, in this order: the files that are there; ``dvc pull`` of its folder if this checkout has a DVC remote;
    the mirror; the publisher's addresses; the generator. Whatever arrives is unpacked beside the target, checked
    and then moved into place in one step, so the folder holds the whole set or nothing.

    Args:
        name: a name of datasets.yaml; for a derived set, the set it is made from is fetched.
        mirror: directory or URL, in place of the environment variable REPRO_MIRROR.
        progress: show a progress bar on a terminal.

    Raises:
        UserError: if the set cannot be had; says what was tried and what to do.
    """
    data_set = catalogue.find(name)
    if data_set.base:
        return get(data_set.base, mirror, progress)
    target = paths.root() / data_set.path
    if not problems(data_set, target):
        return target
    with lock(paths.store() / "locks" / f"data-{name}"):
        if not problems(data_set, target):  # another process was faster
            return target
        return _obtain(data_set, target, mirror or os.environ.get(MIRROR_VARIABLE, ""), progress)


def notes(name: str) -> list[str]:
    """Remarks on a data set for the record of a run: those of the catalogue, and variants of the copy that is here."""
    data_set = catalogue.find(name)
    if data_set.base:
        return [*notes(data_set.base), *data_set.notes]
    found = list(data_set.notes)
    folder = paths.root() / data_set.path
    for variant in data_set.variants:
        if all(_matches(folder / n, file) for n, file in variant.files.items()):
            found.append(f"{name}: variant {variant.name!r}: {variant.note}")
    return found


def problems(data_set: DataSet, folder: Path) -> list[str]:
    """What is wrong with the files of a set in ``folder``; empty if they are what the catalogue says."""
    found = []
    for file in data_set.files.values():
        known = [file, *(v.files[file.name] for v in data_set.variants if file.name in v.files)]
        if not (folder / file.name).is_file():
            found.append(f"{file.name} is missing")
        elif not any(_matches(folder / file.name, one) for one in known):
            found.append(f"{file.name} has the wrong checksum")
    return found


def _matches(path: Path, file: File) -> bool:
    """Whether a file has the size and checksums of the catalogue."""
    try:
        state = path.stat()
    except OSError:
        return False
    if state.st_size != file.size:
        return False
    md5, sha256 = _digests(path, state.st_size, state.st_mtime_ns)
    return md5 == file.md5 and file.sha256 in ("", sha256)


@lru_cache(maxsize=256)
def _digests(path: Path, size: int, mtime: int) -> tuple[str, str]:
    """Checksums of a file, computed once per process as long as its size and time stay."""
    return file_digests(path)


def _obtain(data_set: DataSet, target: Path, mirror: str, progress: bool) -> Path:
    """Try all ways in order; the first that gives the right files wins."""
    tried = []
    for label, way in _ways(data_set, target, mirror, progress):
        try:
            with _staging(target) as folder:
                way(folder)
                wrong = problems(data_set, folder)
                if wrong:
                    raise UserError(f"{'; '.join(wrong)}, so it is refused")
                _replace(folder, target)
            return target
        except (UserError, OSError) as error:
            tried.append(f"  {label}: {error}")
    hint = f"connect to the network, or name a mirror (--mirror DIR_OR_URL, or the variable {MIRROR_VARIABLE})"
    raise UserError("\n".join([f"data set {data_set.name!r} cannot be had here; {hint}. Tried:", *tried]))


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A new folder beside the target, on the same file system, gone afterwards whatever happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        folder.chmod(0o777 & ~_umask())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _replace(folder: Path, target: Path) -> None:
    """Put a finished folder in the target's place; what was there goes away."""
    if target.exists():
        old = folder.with_name(f"{folder.name}.old")
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        folder.rename(target)


Way = tuple[str, Callable[[Path], None]]


def _ways(data_set: DataSet, target: Path, mirror: str, progress: bool) -> Iterator[Way]:
    """The ways to get a set, each a label and a function that fills a folder."""
    if mirror and data_set.downloads:
        place = f"{mirror.rstrip('/')}/{data_set.mirror}"
        yield f"mirror {place}", lambda folder: _from_mirror(data_set, Path(place), folder)
    if data_set.generator:
        yield f"generator {data_set.generator!r}", lambda folder: _generate(data_set, folder)


def _from_mirror(data_set: DataSet, place: Path, folder: Path) -> None:
    for download in data_set.downloads.values():
        packed = place / download.name
        if not packed.is_file():
            raise UserError(f"{packed} does not exist")
        archives.unpack(packed, download.members, folder)


def _generate(data_set: DataSet, folder: Path) -> None:
    from shared.data.embedded import GENERATORS

    for split, (images, labels) in GENERATORS[data_set.generator]().items():
        for name, array in zip(data_set.splits[split], (images, labels)):
            (folder / name).write_bytes(readers.idx_bytes(array))
