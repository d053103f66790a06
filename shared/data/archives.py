"""Unpacking of downloaded files, on the assumption that they are hostile.

Only members whose names are expected are written, under our own names; of everything else in an archive only
the header is read. Unpacking stops at the expected size, so a decompression bomb costs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import lzma
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

from shared.base.errors import UserError
from shared.base.files import named

_ERRORS = (
    *(OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile),
)
_TAR_ENDINGS = (".tar.gz", ".tgz", ".tar")
#: Types of tar headers that hold names and their like for the next one; bytes of one, and of all.
_EXTENDED = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_MOST_EXTENDED, _MOST_EXTENDED_IN_ALL = 8 << 10, 4 << 20
#: An archive with more members than this is not one of ours.
_MOST_MEMBERS = 10_000


@contextlib.contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn whatever is wrong with an archive into one sentence that begins with its ``name``.

    What the system says of files and disks is let through: it is no fault of the archive. (A place in a
    damaged archive that cannot be gone to is an invalid argument to it.)
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{name} is refused: {error}") from None
    except _ERRORS as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UserError(f"{name} is refused: it is damaged or cut short ({_line(error)})") from None


def open_tar(source: Path | IO[bytes], mode: Literal["r:", "r:gz"]) -> tarfile.TarFile:
    """A tar archive, open for reading, of which no header is believed before it is looked at."""
    if isinstance(source, Path):
        return tarfile.open(source, mode, tarinfo=_Header)
    return tarfile.open(fileobj=source, mode=mode, tarinfo=_Header)


class _Header(tarfile.TarInfo):
    """The header of a member; what tarfile would read into memory, or go back to, is refused.

    Long names and their like have a size of their own, which is read at once, and may be many; a negative
    size would lead back to members that were there; sparse files have maps of any length.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0:
            raise UserError("the header of a member has a negative size")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise UserError(f"its member {self.name[:200]!r} is a link or a device, or sparse")
        if self.type in _EXTENDED:
            told = getattr(archive, "extended_bytes", 0) + self.size
            archive.extended_bytes = told  # type: ignore[attr-defined]
            if self.size > _MOST_EXTENDED or told > _MOST_EXTENDED_IN_ALL:
                raise UserError(f"a header claims {self.size} bytes for names, more than any member has")
        return super()._proc_member(archive)  # type: ignore[misc]

    def _refuse_sparse(self, *_: object) -> None:
        raise UserError(f"its member {self.name[:200]!r} is a link or a device, or sparse")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def walk(
    archive: tarfile.TarFile, wanted: Callable[[str], object], most: int = _MOST_MEMBERS
) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """File name (without folders) and header of the wanted members of a tar archive, as they lie there.

    Args:
        archive: open for reading.
        wanted: called with each file name.
        most: members of all kinds that the archive may have.

    Raises:
        UserError: if it has more, if one lies outside its folder, or if a wanted one is not a plain file.
    """
    for count, info in enumerate(archive):
        if count >= most:
            raise UserError("it holds far more than the data set")
        name = _base_name(info.name)
        if info.size < 0:  # of an extended header
            raise UserError("the header of a member has a negative size")
        if info.isdir() or not wanted(name):
            continue
        if not info.isreg() or info.issparse():
            raise UserError(f"its member {info.name!r} is a link or a device, or sparse")
        yield name, info


def unpack(packed: Path, members: Mapping[str, int], target: Path, bounded: Collection[str] = ()) -> None:
    """Write the wanted ``members`` of ``packed`` into the folder ``target``.

    Args:
        packed: a ``.gz`` file (one member, whatever its name), a tar or zip archive, or a plain file.
        members: file name (without folders) -> size in bytes that it must have.
        target: an empty folder of the caller, to be thrown away if this raises.
        bounded: members that may also be smaller.

    Raises:
        UserError: if a member is missing, a link, outside its folder, or of another size, if it is there
            twice in a zip archive (of a tar the first one counts), or if the archive is damaged.
    """

    def copy(source: IO[bytes], name: str) -> None:
        _copy(source, target / name, members[name], name not in bounded)

    with refusing(packed.name):
        if packed.name.endswith(_TAR_ENDINGS):
            _unpack_tar(packed, members, copy)
        elif packed.name.endswith(".zip"):
            _unpack_zip(packed, members, copy)
        else:
            (name,) = members
            with gzip.open(packed) if packed.name.endswith(".gz") else open(packed, "rb") as source:
                copy(source, name)


def _line(error: Exception) -> str:
    """A library's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _copy(source: IO[bytes], target: Path, size: int, exactly: bool) -> None:
    """Copy ``size`` bytes; one byte more is an error, and one less if there must be ``exactly`` as many."""
    done = 0
    with named(target), open(target, "xb") as file:
        while block := source.read(min(1 << 20, size + 1 - done)):
            done += len(block)
            if done > size:
                raise UserError(f"{target.name} unpacks to more than its {size} bytes")
            file.write(block)
    if exactly and done < size:
        raise UserError(f"{target.name} has {done} of {size} bytes")


def _base_name(path: str) -> str:
    """File name of an archive member, after refusing names that lead out of the archive's folder."""
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in path:
        raise UserError(f"its member {path!r} leads outside the archive")
    return posixpath.basename(path)


#: Writes a member, given its content and its file name.
_Copy = Callable[[IO[bytes], str], None]


def _unpack_tar(packed: Path, members: Mapping[str, int], copy: _Copy) -> None:
    """Write the wanted members of a tar archive, in the order in which they lie there."""
    todo = set(members)
    # A member skipped is still decompressed: an archive may hold a little more than what we want from it.
    allowance = sum(members.values()) + (16 << 20)
    with open_tar(packed, "r:" if packed.name.endswith(".tar") else "r:gz") as archive:
        for name, info in walk(archive, lambda name: True):
            allowance -= info.size
            if allowance < 0:
                raise UserError("it holds far more than the data set")
            if name not in todo:
                continue
            source = archive.extractfile(info)
            assert source is not None  # a regular file
            copy(source, name)
            todo.remove(name)
            if not todo:
                return
    raise UserError(f"{', '.join(name for name in members if name in todo)} is not in it")


def _unpack_zip(packed: Path, members: Mapping[str, int], copy: _Copy) -> None:
    """Write the wanted members of a zip archive."""
    with zipfile.ZipFile(packed) as archive:
        found: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            name = _base_name(info.filename)
            if (info.external_attr >> 28) == 0xA:
                raise UserError(f"its member {info.filename!r} is a link")
            if name in found and name in members:
                raise UserError(f"{name} is in it twice")
            found[name] = info
        for name in members:
            if name not in found:
                raise UserError(f"{name} is not in it")
            with archive.open(found[name]) as source:
                copy(source, name)
