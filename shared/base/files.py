"""Files written whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.base import bounded
from shared.base.errors import UserError

try:
    import fcntl
except ImportError:  # where there is no Unix, nobody sweeps
    fcntl = None

#: What the system says if a disk has no room, or takes no files: no fault of what was to be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_WRITING = (*FULL, errno.EROFS)
#: Names that `tempfile.mkstemp` makes of the prefix and suffix of `_temporary`.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp", re.DOTALL)
#: Folders that this process has swept.
_swept: set[Path] = set()


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


def write_atomic(path: Path, data: str | bytes | memoryview) -> None:
    """Write ``data`` so that a reader, or a power cut, sees the old file or the new one, never a part.

    The temporary file lies beside the target (a rename across file systems is not atomic). What killed
    writers left there is removed, at the first write of a process in a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    with named(path):
        _sweep(path.parent)
        handle, temporary = _temporary(path)
        with os.fdopen(handle, "wb") as file:  # open until it has its name: its lock says that we live
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; these are to be shared
                if fcntl is None:  # Windows renames no open file
                    file.close()
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that `write_atomic` has not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def _temporary(path: Path) -> tuple[int, str]:
    """A new file beside ``path``, locked as long as it is open, so that `_sweep` knows it is in use."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle, name
        except BlockingIOError:  # somebody has just found it, and sweeps it
            pass
        except OSError:  # a file system without locks, where nobody sweeps
            return handle, name
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove the temporary files of a folder whose writers are dead; once for each process and folder."""
    if fcntl is None or folder in _swept:
        return
    _swept.add(folder)
    with os.scandir(folder) as entries:
        left = [entry.path for entry in entries if is_temporary(entry.name)]
    for name in left:
        with contextlib.suppress(OSError):  # in use, or of another user
            handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)
            finally:
                os.close(handle)


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
