"""The catalogue of data sets, datasets.yaml: where each comes from, what it must be, how to cite it.

No torch here: the identity of a run needs the checksum of its data and nothing else of it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from shared.base import bounded, paths, strict_yaml
from shared.base.errors import Mistakes, UserError, each, unknown
from shared.base.strict_yaml import Mapping
from shared.data.digest import folder_md5
from shared.data.entries import DataSet, Download, File, Variant

__all__ = ["FORMATS", "READERS", "DataSet", "Download", "File", "Variant", "find", "load"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Bytes of a file, classes of a set, and pixels along a side: bounds of what makes sense.
_MOST_BYTES, _MOST_CLASSES, _MOST_SIDE = 1 << 50, 1_000_000, 1_000_000
#: Keys of an entry: those of one text each, and the others.
_TEXTS = ("title", "licence", "citation", "homepage", "manual")
_KEYS = (
    *("path", "checksum", "format", "shape", "classes", "mirror", "sources", "downloads", "files"),
    *(*_TEXTS, "notes", "variants", "splits", "generator"),
)
#: Formats that there are readers for -> files that a split takes; None for any number.
FORMATS = {
    **{"idx": 2, "cifar10": None, "cifar100": None},
    **{"hdf5": 2, "flowers": 3, "imagenet": 2, "npz": 1},
}
#: Module that reads each format, by its function ``read(data_set, files, split)``. `shared.data.loading`
#: imports it by this name, and the fingerprint counts it only for runs that read such a data set.
READERS = {
    **dict.fromkeys(("idx", "cifar10", "cifar100"), "shared.data.readers"),
    "hdf5": "shared.data.hdf5",
    "flowers": "shared.data.flowers",
    "imagenet": "shared.data.imagenet",
    "npz": "shared.data.npz",
}


def load() -> dict[str, DataSet]:
    """All data sets of the checkout, by name, in the order of datasets.yaml.

    Raises:
        UserError: if datasets.yaml is missing or an entry in it is wrong.
    """
    path = paths.root() / "datasets.yaml"
    try:
        state = path.stat()
    except OSError:
        raise UserError(f"{path} does not exist; restore it from git") from None
    return dict(_load(path, state.st_mtime_ns, state.st_size))


def find(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        UserError: if there is none; names the nearest.
    """
    sets = load()
    if name not in sets:
        raise UserError(unknown("data set", name, sets))
    return sets[name]


@lru_cache(maxsize=8)
def _load(path: Path, mtime: int, size: int) -> dict[str, DataSet]:
    try:
        text = bounded.read_text(path, path.name)
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror}); restore it from git") from None
    entries = strict_yaml.load(text, path.name)
    if not isinstance(entries, Mapping):
        raise UserError(f"{path.name} must map names of data sets to their entries")
    sets: dict[str, DataSet] = {}

    def read(name: str) -> None:
        place = f"{path.name}, line {entries.lines[name]}: the entry of {name!r} is wrong"
        try:
            sets[name] = _data_set(name, _own(entries[name], _KEYS))
        except KeyError as error:
            raise UserError(f"{place}: the key {error} is missing") from None
        except _Misspelt as error:
            raise Mistakes(
                f"{path.name}, line {n}: {name!r} has an {said}" for n, said in error.found
            ) from None
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise UserError(f"{place}: {error}") from None

    each(read, entries)
    return sets


class _Misspelt(Exception):
    """Keys that nobody knows, each with its line and what to say of it."""

    def __init__(self, found: list[tuple[int, str]]) -> None:
        super().__init__()
        self.found = found


def _own(entry: Any, keys: Collection[str]) -> Mapping:
    """A copy of a mapping, to be taken apart; raises `_Misspelt` if it has other keys than these."""
    if not isinstance(entry, Mapping):
        raise TypeError(f"{reprlib.repr(entry)} should hold keys and values")
    if wrong := [(entry.lines[key], unknown("key", key, keys)) for key in entry if key not in keys]:
        raise _Misspelt(wrong)
    return entry.copy()


def _simple(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{reprlib.repr(name)} is not a plain file name")
    return name


def _hash(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{reprlib.repr(value)} is not {what} (in quotes, if it is made of digits only)")
    return value


def _text(value: object, what: str) -> str:
    """A text on one line."""
    if not isinstance(value, str):
        raise TypeError(f"{what} should be a text, not {reprlib.repr(value)}")
    return " ".join(value.split())


def _whole(value: object, what: str, most: int) -> int:
    if type(value) is not int or not 0 < value <= most:
        raise ValueError(f"{what} should be a whole number from 1 to {most:,}, not {reprlib.repr(value)}")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{what} should be a list, not {reprlib.repr(value)}")
    return value


def _keyed(value: object, what: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} should hold keys and values, not {reprlib.repr(value)}")
    return value


def _file(name: str, given: Any) -> File:
    entry = _own(given, ("size", "at_most", "md5", "sha256", "from"))
    sha256, is_bounded = entry.get("sha256", ""), "at_most" in entry
    if is_bounded and "size" in entry:
        raise ValueError(f"file {name} has a size and at_most; give one of them")
    return File(
        _simple(name),
        _whole(entry["at_most" if is_bounded else "size"], f"the size of {name}", _MOST_BYTES),
        _hash(entry["md5"], _MD5, "an md5"),
        _hash(sha256, _SHA256, "a sha256") if sha256 else "",
        _text(entry.get("from", ""), f"from of {name}"),
        is_bounded,
    )


def _downloads(entry: dict[str, Any], files: Mapping[str, File]) -> dict[str, Download]:
    """What the publisher serves, and which of the files comes in which."""
    sources = tuple(_text(url, "sources").rstrip("/") for url in _list(entry.pop("sources", []), "sources"))
    downloads = {}
    for packed, given in _keyed(entry.pop("downloads", Mapping()), "downloads").items():
        members = {f.name: f for f in files.values() if f.source == packed}
        urls = tuple(f"{url}/{_simple(packed)}" for url in sources)
        facts = _own(given, ("md5", "size"))
        md5 = _hash(facts["md5"], _MD5, "an md5") if "md5" in facts else ""
        size = _whole(facts.get("size", 1), f"the size of {packed}", _MOST_BYTES) if "size" in facts else 0
        downloads[packed] = Download(packed, urls, members, md5, size)
    if downloads and bool(sources) == bool(entry.get("manual")):
        raise ValueError("it needs 'sources', or 'manual', a word on how to get what no address serves")
    return downloads


def _classes(value: object) -> tuple[str, ...]:
    """Names of the classes; where only their number is given, their numbers."""
    if isinstance(value, list) and all(isinstance(name, (str, int)) for name in value):
        return tuple(map(str, value))
    return tuple(map(str, range(_whole(value, "classes, if no list of names,", _MOST_CLASSES))))


def _data_set(name: str, entry: dict[str, Any]) -> DataSet:
    """A data set from its entry, which is taken apart."""
    files = {n: _file(n, e) for n, e in _keyed(entry.pop("files"), "files").items()}
    downloads = _downloads(entry, files)
    generator = _text(entry.pop("generator", ""), "generator")
    if any(f.source not in downloads for f in files.values()) and not generator:
        raise ValueError("every file needs 'from', one of its downloads, or the set a generator")
    variants = tuple(
        Variant(
            _text(n, "the name of a variant"),
            {f: _file(f, e) for f, e in _keyed(v["files"], "files").items()},
            _text(v["note"], "note"),
        )
        for n, v in (
            (n, _own(v, ("files", "note")))
            for n, v in _keyed(entry.pop("variants", Mapping()), "variants").items()
        )
    )
    checksum = _hash(entry.pop("checksum"), _MD5, "an md5")
    if checksum != (right := folder_md5({f.name: f.md5 for f in files.values()})):
        raise ValueError(f"its checksum does not follow from its files; write {right}")
    data_set = DataSet(
        name=_simple(name),
        checksum=checksum,
        shape=tuple(_whole(n, "a side of its shape", _MOST_SIDE) for n in _list(entry.pop("shape"), "shape")),
        classes=_classes(entry.pop("classes")),
        path=_text(entry.pop("path"), "path"),
        format=_text(entry.pop("format"), "format"),
        mirror=_simple(entry.pop("mirror", name)),
        files=files,
        downloads=downloads,
        variants=variants,
        splits={
            _text(split, "the name of a split"): tuple(_simple(n) for n in _list(names, f"the split {split}"))
            for split, names in _keyed(entry.pop("splits"), "splits").items()
        },
        generator=generator,
        notes=tuple(_text(note, "notes") for note in _list(entry.pop("notes", []), "notes")),
        **{key: _text(entry.pop(key, ""), key) for key in _TEXTS},
    )
    _check(data_set)
    return data_set


def _check(data_set: DataSet) -> None:
    """What the types cannot say."""
    if data_set.path != f"data/{data_set.name}":
        raise ValueError(f"its path must be data/{data_set.name}")
    if data_set.format not in FORMATS:
        raise ValueError(unknown("format", data_set.format, FORMATS))
    named = [f for names in data_set.splits.values() for f in names]
    named += [f for variant in data_set.variants for f in variant.files]
    if missing := sorted(set(named) - set(data_set.files)):
        raise ValueError(f"it has no file {missing[0]!r}")
    wanted = FORMATS[data_set.format]
    if any(len(names) != (wanted or len(names)) for names in data_set.splits.values()):
        raise ValueError(f"each of its splits needs {wanted} files")
