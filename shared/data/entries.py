"""What an entry of datasets.yaml says of a data set, as :mod:`shared.data.catalogue` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    """One file of a data set as it is kept: unpacked, byte for byte as published.

    Where a publisher gives no size for it, ``size`` is only a bound and ``bounded`` is set.
    """

    name: str
    size: int
    md5: str
    sha256: str = ""
    source: str = ""  # the publisher's file it comes in; empty for generated files
    bounded: bool = False


@dataclass(frozen=True)
class Download:
    """One file as a publisher serves it. ``md5`` and ``size`` are the published ones, for information.

    They do not decide: the bytes of a .gz depend on who compressed it, its content does not.
    """

    name: str
    urls: tuple[str, ...]
    members: Mapping[str, File]
    md5: str = ""
    size: int = 0

    @property
    def whole(self) -> bool:
        """Whether the file is kept as it is served, not unpacked."""
        return set(self.members) == {self.name}

    @property
    def limit(self) -> int:
        """Bytes of what is kept of it, at most."""
        return sum(file.size for file in self.members.values())


@dataclass(frozen=True)
class Variant:
    """Known other bytes of some files, accepted under a name, with a note for the record."""

    name: str
    files: Mapping[str, File]
    note: str


@dataclass(frozen=True)
class DataSet:
    """One entry of datasets.yaml.

    Attributes:
        checksum: identity, 32 hexadecimal digits: DVC's md5 of the folder of files.
        files: what is kept under ``path``.
        mirror: name of its folder on a mirror.
        downloads: what the publisher serves, by file name.
        splits: split -> names of the files that hold it.
        generator: name of the function that makes an embedded set, else empty.
        manual: what to do to get the files of a set that no address serves, else empty.
        notes: remarks that hold for every copy of the set.
    """

    name: str
    title: str
    checksum: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    licence: str
    citation: str
    path: str
    format: str
    mirror: str
    files: Mapping[str, File]
    splits: Mapping[str, tuple[str, ...]]
    downloads: Mapping[str, Download] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    generator: str = ""
    manual: str = ""
    homepage: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files as they are kept, at most."""
        return sum(file.size for file in self.files.values())

    def known(self, name: str) -> list[File]:
        """What a file of the set may be: as published, or one of the known variants."""
        return [self.files[name], *(v.files[name] for v in self.variants if name in v.files)]
