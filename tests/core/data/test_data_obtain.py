"""Getting a data set: order of the ways, checks, all or nothing, notes."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from data_server import NOWHERE, Page, arrays, catalogue, checkout, facts, files, leftovers, serve

import shared.data
from shared.base.errors import UserError
from shared.data import obtain, readers


def pages(prefix: str, **changed: Page) -> dict[str, Page]:
    """The set ``tiny`` as a server has it."""
    right = {f"{prefix}/{name}.gz": Page(gzip.compress(content)) for name, content in files().items()}
    return right | {f"{prefix}/{name.replace('_', '-')}.gz": page for name, page in changed.items()}


def test_from_a_mirror_folder(root: Path, shelf: Path) -> None:
    folder = shared.data.get("tiny", mirror=shelf)
    assert folder == root / "data" / "tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files()
    assert leftovers(root) == []


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}"])
def test_the_environment_variable_names_the_mirror(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv(obtain.MIRROR_VARIABLE, form.format(shelf))
    images, labels = shared.data.load("tiny", "test")
    assert torch.equal(images, torch.from_numpy(arrays()["test-i"])[:, None])
    assert (images.dtype, labels.dtype, labels.tolist()) == (torch.uint8, torch.int64, [0, 1, 2])


def test_from_a_mirror_address(root: Path) -> None:
    with serve(pages("/m/tiny")) as address:
        shared.data.get("tiny", mirror=f"{address}/m")
    assert shared.data.load("tiny", "train")[0].shape == (6, 1, 5, 5)
    assert leftovers(root) == []


def test_the_next_source_is_asked_for_what_the_first_does_not_have(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = gzip.compress(files()["test-l"].replace(b"\0\1\2", b"\0\1\1"))
    first = pages("/a", train_i=Page(b"", status=404), train_l=Page(b"not gzip"), test_l=Page(wrong))
    with serve(first | pages("/b")) as address:
        checkout(root, catalogue([f"{address}/a", f"{address}/b"]))
        shared.data.get("tiny")
    assert not obtain.problems(shared.data.catalogue.find("tiny"), root / "data" / "tiny")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert "train-i.gz: the server answers 404" in told[0]
    assert "train-l.gz is refused: it is damaged" in told[1]
    assert "it is refused: test-l has the wrong checksum" in told[2]
    assert leftovers(root) == []


def test_what_is_there_is_not_fetched_again(root: Path, shelf: Path) -> None:
    folder = shared.data.get("tiny", mirror=shelf)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert shared.data.get("tiny", mirror="/nonexistent") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_copy_is_replaced(root: Path, shelf: Path, damage: str) -> None:
    file = shared.data.get("tiny", mirror=shelf) / "train-i"
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.unlink()
    if damage != "remove":
        file.write_bytes(bytes(content) if damage == "flip" else bytes(content[:30]))
    with pytest.raises(UserError, match=r"data/tiny: train-i (has the wrong checksum|is missing)"):
        shared.data.load("tiny", "train")
    shared.data.get("tiny", mirror=shelf)
    assert file.read_bytes() == files()["train-i"]
    assert leftovers(root) == []


def test_a_refusal_says_what_was_tried_and_what_to_do(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        shared.data.get("tiny", mirror=root / "pipelines")
    first, *tried = str(caught.value).splitlines()
    assert first == (
        "data set 'tiny' cannot be had here; connect to the network or name a mirror (--mirror DIR_OR_URL or "
        "REPRO_MIRROR). Tried:"
    )
    assert tried[0] == f"  - {root}/pipelines/tiny/train-i.gz: there is no such file"
    assert tried[1].startswith(f"  - {NOWHERE}/train-i.gz: it cannot be reached")
    assert leftovers(root) == []
    assert not (root / "data" / "tiny").exists()


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(files()["test-i"])[:-9],
        gzip.compress(files()["test-i"])[:40],
        gzip.compress(files()["test-i"] + b"\0"),
        gzip.compress(bytes(50_000_000), 1),
        gzip.compress(bytes(len(files()["test-i"]))),
        files()["test-i"],
        b"",
        b"<html>Please log in</html>",
    ],
    ids=["cut", "cut early", "longer", "bomb", "other content", "not packed", "empty", "page"],
)
def test_a_bad_file_leaves_nothing_behind(root: Path, shelf: Path, packed: bytes) -> None:
    (shelf / "tiny" / "test-i.gz").write_bytes(packed)
    with pytest.raises(UserError, match="is refused"):
        shared.data.get("tiny", mirror=shelf)
    assert leftovers(root) == []
    assert not (root / "data" / "tiny").exists()
    with serve(pages("/tiny", test_i=Page(packed))) as url, pytest.raises(UserError, match="is refused"):
        shared.data.get("tiny", mirror=url)
    assert leftovers(root) == []


def test_remains_of_a_killed_process_are_swept(root: Path, shelf: Path) -> None:
    for name in (".tiny.getting-abc/tiny", ".tinytoo.getting-abc", ".tiny.backup01", "tiny.getting-abc"):
        (root / "data" / name).mkdir(parents=True)
    (root / "data" / "tiny" / ".getting-abc").mkdir(parents=True)
    shared.data.get("tiny", mirror=shelf)
    assert leftovers(root) == [".tiny.backup01", ".tinytoo.getting-abc", "tiny.getting-abc"]
    assert {path.name for path in (root / "data" / "tiny").iterdir()} == set(files())


def test_what_is_not_of_the_set_stays(root: Path, shelf: Path) -> None:
    folder = root / "data" / "tiny"
    (folder / "own").mkdir(parents=True)
    mine = {folder / "notes.txt": "mine", folder / "own" / "train-i": "mine too", folder / ".hidden": ""}
    for path, content in mine.items():
        path.write_text(content)
    (folder / "train-i").write_bytes(b"cut off")
    shared.data.get("tiny", mirror=shelf)
    (folder / "test-l").unlink()
    shared.data.get("tiny", mirror=shelf)
    assert {path: path.read_text() for path in mine} == mine
    assert {path.name for path in folder.iterdir()} == {*files(), "notes.txt", "own", ".hidden"}
    assert (folder / "train-i").read_bytes() == files()["train-i"]


@pytest.mark.parametrize("full", [False, True])
def test_a_link_to_another_disk_is_followed(root: Path, shelf: Path, tmp_path: Path, full: bool) -> None:
    (there := tmp_path / "disk" / "tiny").mkdir(parents=True)
    (there / "notes.txt").write_text("mine")
    (there / "train-i").write_bytes(files()["train-i"] if full else b"cut off")
    (root / "data").mkdir()
    (root / "data" / "tiny").symlink_to(there)
    before = (there / "train-i").stat().st_ino
    shared.data.get("tiny", mirror=shelf)
    assert (root / "data" / "tiny").is_symlink()
    assert {path.name for path in there.iterdir()} == {*files(), "notes.txt"}
    assert ((there / "train-i").stat().st_ino == before) is full
    assert not list((root / "data").glob(".*"))


def test_links_that_lead_to_something_else_are_not_replaced(root: Path, shelf: Path, tmp_path: Path) -> None:
    folder, mine = root / "data" / "tiny", tmp_path / "mine"
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"^data/tiny is a link to .*/gone, which is not there; see to it"):
        shared.data.get("tiny", mirror=shelf)
    folder.unlink()
    folder.write_text("mine")
    with pytest.raises(UserError, match=r"^data/tiny is a file where a folder should be; move it away"):
        shared.data.get("tiny", mirror=shelf)
    folder.unlink()
    mine.write_text("mine")
    shared.data.get("tiny", mirror=shelf)
    (folder / "train-i").unlink()
    (folder / "train-i").symlink_to(mine)
    with pytest.raises(
        UserError, match=r"^data/tiny/train-i is a link to .*mine, which has the wrong checksum"
    ):
        shared.data.get("tiny", mirror=shelf)
    assert (folder / "train-i").readlink() == mine
    mine.write_bytes(files()["train-i"])
    assert shared.data.get("tiny", mirror=shelf) == folder
    assert (folder / "train-i").readlink() == mine


def test_a_folder_of_the_user_where_a_file_should_be_stays(root: Path, shelf: Path) -> None:
    mine = root / "data" / "tiny" / "train-i" / "mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match="data set 'tiny' cannot be written: Is a directory"):
        shared.data.get("tiny", mirror=shelf)
    assert mine.read_text() == "mine"


def test_nothing_is_opened_before_its_checksum_is_right(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some damaged files crash their reader (HDF5's library), so these must never reach it."""
    folder = shared.data.get("tiny", mirror=shelf)
    (folder / "train-i").write_bytes(files()["train-i"][:-1] + b"?")
    read: list[Path] = []
    monkeypatch.setattr(readers, "read", lambda data_set, paths, split: read.extend(paths))
    monkeypatch.setenv(obtain.MIRROR_VARIABLE, "")
    with pytest.raises(UserError, match="train-i has the wrong checksum"):
        shared.data.load("tiny", "train")
    assert read == []


def test_many_at_once(root: Path, shelf: Path) -> None:
    found: list[object] = []

    def work() -> None:
        try:
            found.append(shared.data.get("tiny", mirror=shelf))
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [root / "data" / "tiny"] * 8
    assert leftovers(root) == []


def with_variant(root: Path) -> bytes:
    """Add a variant of one file to the catalogue; returns its bytes."""
    content = files()["test-l"].replace(b"\0\1\2", b"\2\1\0")
    entries = catalogue([NOWHERE])
    entries["tiny"]["variants"] = {
        "upside-down": {"note": "labels in reverse", "files": {"test-l": facts(content)}}
    }
    entries["tiny"]["notes"] = ["made up"]
    checkout(root, entries)
    return content


def test_a_known_variant_is_accepted_with_a_note(root: Path, shelf: Path) -> None:
    content = with_variant(root)
    shared.data.get("tiny", mirror=shelf)
    assert shared.data.notes("tiny") == ["made up"]
    checksum = shared.data.catalogue.find("tiny").checksum
    (root / "data" / "tiny" / "test-l").unlink()
    (shelf / "tiny" / "test-l.gz").write_bytes(gzip.compress(content))
    shared.data.get("tiny", mirror=shelf)
    assert shared.data.load("tiny", "test")[1].tolist() == [2, 1, 0]
    assert shared.data.notes("tiny") == ["made up", "tiny: variant 'upside-down': labels in reverse"]
    assert shared.data.catalogue.find("tiny").checksum == checksum


@pytest.mark.parametrize(
    "place", ["/nonexistent", "ftp://a.org/mirror", "example.org/mirror", "~nobody-at-all/m", "m" * 300]
)
def test_a_mirror_that_is_none_is_not_passed_over(root: Path, place: str) -> None:
    with pytest.raises(
        UserError, match=r"^the mirror .* is no folder here, and no http address; correct --mirror"
    ):
        shared.data.get("tiny", mirror=place)


def test_unknown_names(root: Path, shelf: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        shared.data.get("tinny")
    shared.data.get("tiny", mirror=shelf)
    with pytest.raises(UserError, match="did you mean 'train'"):
        shared.data.load("tiny", "trian")


@pytest.mark.parametrize("change", [{"shape": [1, 5, 6]}, {"classes": [0, 1]}])
def test_files_that_contradict_the_catalogue_are_not_loaded(root: Path, shelf: Path, change: dict) -> None:
    entries = catalogue([NOWHERE])
    entries["tiny"] |= change
    checkout(root, entries)
    shared.data.get("tiny", mirror=shelf)
    with pytest.raises(UserError, match="correct datasets"):
        shared.data.load("tiny", "train")


def test_a_generator_that_makes_something_else_is_refused(root: Path) -> None:
    entries = catalogue([])
    entries["tiny"] |= {"generator": "digits", "downloads": {}}
    for entry in entries["tiny"]["files"].values():
        entry.pop("from")
    checkout(root, {"tiny": entries["tiny"]})
    with pytest.raises(UserError, match=r"generator 'digits': train-i has the wrong checksum"):
        shared.data.get("tiny")
    assert leftovers(root) == []


def test_a_killed_fetch_leaves_no_set_and_the_next_one_succeeds(
    root: Path, tmp_path: Path, shelf: Path
) -> None:
    script = (
        "import os, shared.data.obtain as o\n"
        "right = o.archives.unpack\n"
        "def unpack(packed, members, *rest):\n"
        "    right(packed, members, *rest)\n"
        "    if 'test-i' in members: os.kill(os.getpid(), 9)\n"
        "o.archives.unpack = unpack\n"
        f"o.get('tiny', mirror={str(shelf)!r})\n"
    )
    here = str(Path(__file__).resolve().parents[3])
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": here}, check=False)
    assert done.returncode == -9
    assert not (root / "data" / "tiny").exists()
    assert len(leftovers(root)) == 1
    shared.data.get("tiny", mirror=shelf)
    assert leftovers(root) == []
