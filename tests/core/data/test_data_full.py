"""A disk that is full, or takes no files: said to be that, not a damaged copy, and nothing stays behind."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_server import Page, catalogue, checkout, files, leftovers, serve
from test_data_obtain import pages

import shared.data
from shared.base.errors import UserError
from shared.data import archives, download, obtain, readers

FULL = {
    errno.ENOSPC: r"^No space left on device in {place} \([\d.,]+ MB are free\): data set .tiny. needs",
    errno.EDQUOT: r"^Disk quota exceeded in {place}: data set 'tiny' needs 0.0 MB, and while it is fetched",
}


class Disk:
    """Files that take a number of bytes together, then no more."""

    def __init__(self, room: int, number: int) -> None:
        self.room, self.number = room, number

    def open(self, path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = builtins.open(path, mode, *rest, **options)  # noqa: SIM115
        if "r" not in mode:
            write = file.write
            file = _Wrapped(file)
            file.write = lambda block: self._take(len(block)) or write(block)
        return file

    def _take(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise OSError(self.number, os.strerror(self.number))


class _Wrapped:
    """A file whose ``write`` can be replaced."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> _Wrapped:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.fixture(params=FULL)
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes the disk of one module's files full after some bytes; returns the sentence for a place."""

    def make(module: Any, room: int, place: str) -> str:
        monkeypatch.setattr(module, "open", Disk(room, request.param).open, raising=False)
        return FULL[request.param].format(place=place)

    return make


def nothing_is_left(root: Path) -> None:
    assert leftovers(root) == []
    assert not (root / "data" / "tiny").exists()


@pytest.mark.parametrize("room", [0, 100, 170])
def test_a_disk_that_is_full_while_unpacking(root: Path, shelf: Path, disk: Any, room: int) -> None:
    with pytest.raises(UserError, match=disk(archives, room, "data")) as caught:
        shared.data.get("tiny", mirror=shelf)
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)
    nothing_is_left(root)


@pytest.mark.parametrize("room", [0, 100])
def test_a_disk_that_is_full_while_downloading(root: Path, disk: Any, room: int) -> None:
    sentence = disk(download, room, r"\.repro/downloads")
    with serve(pages("/m") | pages("/n")) as address:
        checkout(root, catalogue([f"{address}/m", f"{address}/n"]))
        with pytest.raises(UserError, match=sentence) as caught:
            shared.data.get("tiny")
    assert "reached" not in str(caught.value)
    assert "\n" not in str(caught.value), "the next address is not asked, it would fill the disk as well"
    nothing_is_left(root)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_while_generating(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    entries = catalogue([])
    entries["tiny"] |= {"generator": "digits", "downloads": {}}
    for entry in entries["tiny"]["files"].values():
        entry.pop("from")
    checkout(root, {"tiny": entries["tiny"]})

    def full(array: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(readers, "idx_bytes", full)
    with pytest.raises(UserError, match=FULL[number].format(place="data")):
        shared.data.get("tiny")
    nothing_is_left(root)


def test_a_disk_that_is_full_while_a_whole_file_is_moved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = catalogue([])
    for name, entry in entries["tiny"]["files"].items():
        entry["from"] = name
    entries["tiny"]["downloads"] = {name: {} for name in entries["tiny"]["files"]}

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(obtain.shutil, "move", full)
    with serve({f"/m/{name}": Page(content) for name, content in files().items()}) as address:
        entries["tiny"]["sources"] = [f"{address}/m"]
        checkout(root, entries)
        with pytest.raises(UserError, match=FULL[errno.ENOSPC].format(place="data")):
            shared.data.get("tiny")
    nothing_is_left(root)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
@pytest.mark.parametrize("call", ["mkdtemp", "open"])
def test_a_folder_that_takes_no_files(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        place = options.get("dir") or arguments[0]
        raise OSError(number, os.strerror(number), str(Path(place) / "x"))

    if call == "mkdtemp":
        monkeypatch.setattr(obtain.tempfile, "mkdtemp", refuse)
    else:
        monkeypatch.setattr(archives, "open", refuse, raising=False)
    said = rf"^data set 'tiny' cannot be written: {os.strerror(number)} \(data/.*\); see to what is there"
    with pytest.raises(UserError, match=said) as caught:
        shared.data.get("tiny", mirror=shelf)
    assert "\n" not in str(caught.value)
    nothing_is_left(root)


def test_a_file_in_place_of_the_folder(root: Path, shelf: Path) -> None:
    (root / "data").write_text("in the way")
    with pytest.raises(UserError, match=r"^data set 'tiny' cannot be written: File exists \(data\)"):
        shared.data.get("tiny", mirror=shelf)
    assert (root / "data").read_text() == "in the way"


def test_a_copy_that_may_not_be_read_is_not_called_damaged(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = archives.gzip.open

    def closed(path: Path) -> Any:
        if not path.is_relative_to(shelf):
            return right(path)
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(archives.gzip, "open", closed)
    with serve(pages("/m")) as address:
        checkout(root, catalogue([f"{address}/m"]))
        shared.data.get("tiny", mirror=shelf)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4
    assert all("tiny/" in line and "[Errno 13] Permission denied" in line for line in told)


def test_an_address_with_a_long_name(root: Path) -> None:
    name = "n" * 300
    with serve({f"/{name}": Page(b"content")}) as address:
        assert download.fetch(f"{address}/{name}", 100).read_bytes() == b"content"


def test_what_is_there_stays_when_the_disk_is_full(root: Path, shelf: Path, disk: Any) -> None:
    folder = shared.data.get("tiny", mirror=shelf)
    kept = shutil.copytree(folder, root / "kept")
    (folder / "train-i").unlink()
    disk(archives, 0, "data")
    with pytest.raises(UserError, match="data set 'tiny' needs"):
        shared.data.get("tiny", mirror=shelf)
    assert {file.name for file in folder.iterdir()} == {file.name for file in kept.iterdir()} - {"train-i"}
