"""Files written whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.errors import UserError


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write ``data`` so that a reader, or a power cut, sees the old file or the new one, never a part.

    The temporary file lies beside the target (a rename across file systems is not atomic).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
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
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
