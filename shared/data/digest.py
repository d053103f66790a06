"""Checksums of files and folders, the folder's in the form that DVC uses."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import read_json, write_json

#: Bytes from which on a file's checksums are remembered: reading it takes longer than a second.
LARGE = 1 << 28
#: Seconds that a file must have been left alone: a change within one tick of its time stamp would go unseen.
_SETTLED = 10.0


def file_digests(path: Path) -> tuple[str, str]:
    """MD5 (what publishers print and DVC uses) and SHA-256 (what cannot be forged) of a file, read once.

    On a terminal a bar shows how far it is, if the file is so large that it takes long.
    """
    from tqdm import tqdm  # here, so that reading the catalogue does not need it

    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = path.stat().st_size
    hidden = None if size >= LARGE else True
    with (
        open(path, "rb") as file,
        tqdm(total=size, unit="B", unit_scale=True, desc=f"verifying {path.name}", disable=hidden) as bar,
    ):
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
            bar.update(len(block))
    return md5.hexdigest(), sha256.hexdigest()


def known_digests(path: Path) -> tuple[str, str]:
    """As `file_digests`, but a large file that has not changed since the last time is not read again.

    The checksums lie in the store (.repro/digests) with the file's length, time of change and inode.
    """
    state = path.stat()
    if state.st_size < LARGE:
        return file_digests(path)
    seen = [state.st_size, state.st_mtime_ns, state.st_ino]
    memory = paths.store() / "digests" / f"{text_md5(str(path.resolve()))}.json"
    try:
        known = read_json(memory)
        if known["seen"] == seen:
            return known["md5"], known["sha256"]
    except (UserError, OSError, KeyError, TypeError):
        pass  # never read, or not by us
    md5, sha256 = file_digests(path)
    if time.time() - state.st_mtime > _SETTLED:
        write_json(memory, {"seen": seen, "md5": md5, "sha256": sha256})
    return md5, sha256


def file_md5(path: Path) -> str:
    """MD5 of a file's content, 32 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(md5_by_file: Mapping[str, str]) -> str:
    """MD5 that DVC gives to a folder, from the MD5 of its files alone (without DVC's suffix ``.dir``).

    DVC hashes the sorted JSON list of (md5, path) of the files; so the checksum of a folder of published
    files follows from the published checksums, even on a machine that has never seen the files.
    """
    entries = [{"md5": md5_by_file[name], "relpath": name} for name in sorted(md5_by_file)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def text_md5(text: str) -> str:
    """MD5 of a text in UTF-8, used as the identity of data that is computed from other data."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
