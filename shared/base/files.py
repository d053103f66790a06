"""Files written whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.base import bounded
from shared.base.errors import UserError

#: What the system says if a disk has no room, or takes no files: no fault of what was to be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_WRITING = (*FULL, errno.EROFS)


def is_unwritable(error: OSError, *folders: Path) -> bool:
    """Whether it says that nothing can be written here, or that a file in one of the folders cannot."""
    named = [Path(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
    return error.errno in _NO_WRITING or any(n.is_relative_to(f) for n in named for f in folders)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Add the name of the file to an error of writing, which has none of its own."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_WRITING and error.filename is None:
            error.filename = str(path)
        raise


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write ``data`` so that a reader, or a power cut, sees the old file or the new one, never a part.

    The temporary file lies beside the target (a rename across file systems is not atomic).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with named(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; these are meant to be shared
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON with sorted keys, so that two writers of the same value give the same bytes."""
    write_atomic(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is missing or is not JSON.
    """
    try:
        return bounded.json_of(bounded.read_text(path, str(path), bounded.MOST_RECORDED))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it from git or delete it") from None


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named by ``path``; wait for another process that holds it.

    It is released when the process ends, however it ends, so no lock is ever stale.

    Raises:
        UserError: if the lock file cannot be opened (a symbolic link is not followed) or locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # no fallback: where the file system has no locks, a marker file would outlive a process that is killed
    held = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        held.acquire()
    except OSError as error:
        raise UserError(f"cannot open the lock {path}: {error.strerror}; remove it") from None
    try:
        yield
    finally:
        held.release()
