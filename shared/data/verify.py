"""Whether the files of a data set are what the catalogue says."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from shared.data.digest import known_digests
from shared.data.entries import DataSet, File


def problems(data_set: DataSet, folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """What is wrong with the files of a set (or those named) in ``folder``; empty if all is as catalogued."""
    found = []
    for name in data_set.files if names is None else names:
        if not (folder / name).is_file():
            found.append(f"{name} is missing")
        elif not any(matches(folder / name, file) for file in data_set.known(name)):
            found.append(f"{name} has the wrong checksum")
    return found


def matches(path: Path, file: File) -> bool:
    """Whether a file has the size and checksums of the catalogue."""
    try:
        state = path.stat()
    except OSError:
        return False
    if not fits(state.st_size, file):
        return False
    md5, sha256 = _digests(path, state.st_size, state.st_mtime_ns, state.st_ino)
    return md5 == file.md5 and file.sha256 in ("", sha256)


def is_there(data_set: DataSet, folder: Path, name: str) -> bool:
    """Whether there is a file of the right size; its content is not looked at."""
    path = folder / name
    return path.is_file() and any(fits(path.stat().st_size, file) for file in data_set.known(name))


def fits(size: int, file: File) -> bool:
    """Whether a file may have this many bytes."""
    return 0 < size <= file.size if file.bounded else size == file.size


@lru_cache(maxsize=256)
def _digests(path: Path, size: int, mtime: int, inode: int) -> tuple[str, str]:
    """Checksums of a file, computed once per process as long as the file stays the same."""
    return known_digests(path)
