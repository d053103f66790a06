"""PatchCamelyon, Oxford Flowers and ImageNet through the catalogue, from small files of the right formats."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import data_makers as makers
import numpy as np
import pytest
import torch
from data_server import Page, checkout, serve

import shared.data
from shared.base.errors import UserError
from shared.data import digest, obtain, pictures
from shared.workflow import cli

NAMES = sorted(makers.FILES)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder for a mirror."""
    return tmp_path / "mirror"


@pytest.fixture
def root(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the three sets, which lie in a mirror folder that nobody has named yet."""
    pytest.importorskip("h5py")
    entries = {name: makers.offer(name, make(), shelf) for name, make in makers.FILES.items()}
    monkeypatch.setenv("REPRO_ROOT", str(checkout(tmp_path / "checkout", entries)))
    monkeypatch.delenv(obtain.MIRROR_VARIABLE, raising=False)
    return tmp_path / "checkout"


def left_behind(root: Path) -> list[str]:
    """Everything under data/ and in the store's downloads."""
    return sorted(
        p.name for p in (*root.glob("data/*"), *root.glob("data/.*"), *root.glob(".repro/downloads/*"))
    )


def test_patches_are_mapped_into_memory(root: Path, shelf: Path) -> None:
    shared.data.get("pcam", mirror=shelf)
    for split, (x, y) in makers.pcam_arrays().items():
        images, labels = shared.data.load("pcam", split)
        assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
        assert torch.equal(images, torch.from_numpy(x).permute(0, 3, 1, 2))
        assert labels.tolist() == y.reshape(-1).tolist()
        rows = torch.tensor([[0, 2], [1, 1]])
        assert torch.equal(images[rows][0, 1], images[2])


def test_flowers(root: Path, shelf: Path) -> None:
    shared.data.get("flowers", mirror=shelf)
    images, labels = shared.data.load("flowers", "valid")
    assert (images.dtype, images.shape, labels.tolist()) == (torch.uint8, (3, 3, 256, 256), [0, 1, 2])
    assert np.array_equal(images[0], pictures.decode(makers.picture(2, 260, 320), 256, "it"))


@pytest.mark.parametrize(("split", "count"), [("train", 9), ("test", 5)])
def test_imagenet_is_decoded_when_it_is_indexed(root: Path, shelf: Path, split: str, count: int) -> None:
    shared.data.get("imagenet", mirror=shelf)
    images, labels = shared.data.load("imagenet", split)
    assert isinstance(images, pictures.Pictures)
    assert (images.shape, labels.shape) == ((count, 3, 256, 256), (count,))
    assert images[torch.tensor([[0], [count - 1]])].shape == (2, 1, 3, 256, 256)


@pytest.mark.parametrize(("name", "of"), [("pcam", 12), ("flowers", 3), ("imagenet", 9)])
def test_a_limit_takes_images_evenly(root: Path, shelf: Path, name: str, of: int) -> None:
    shared.data.get(name, mirror=shelf)
    every, all_labels = shared.data.load(name, "train")
    for limit in (1, 2, 3, of, 99):
        images, labels = shared.data.load(name, "train", limit=limit)
        rows = [i * of // min(limit, of) for i in range(min(limit, of))]
        assert images.shape == (len(rows), *every.shape[1:])
        assert torch.equal(labels, all_labels[rows])
        assert torch.equal(images[torch.arange(len(rows))], every[torch.tensor(rows)])
    with pytest.raises(UserError, match="limit must be at least 1, not 0"):
        shared.data.load(name, "train", limit=0)


@pytest.mark.parametrize("name", NAMES)
def test_available(root: Path, shelf: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not shared.data.available(name)
    for place, there in (
        (shelf, True),
        (f"file://{shelf}", True),
        (root, False),
        ("http://127.0.0.1:9", False),
    ):
        monkeypatch.setenv(obtain.MIRROR_VARIABLE, str(place))
        assert shared.data.available(name) == there
    assert left_behind(root) == []
    shared.data.get(name, mirror=shelf)
    assert shared.data.available(name)
    first = next(iter(shared.data.catalogue.find(name).files))
    (root / "data" / name / first).unlink()
    assert not shared.data.available(name)
    monkeypatch.setenv(obtain.MIRROR_VARIABLE, str(shelf))
    assert shared.data.available(name), "one file from here, the others from there"


def test_available_looks_at_sizes(root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shelf / "imagenet" / "ILSVRC2012_img_train.tar"
    file.write_bytes(file.read_bytes() + b"?")
    monkeypatch.setenv(obtain.MIRROR_VARIABLE, str(shelf))
    assert not shared.data.available("imagenet")


def test_generated_sets_are_available() -> None:
    assert shared.data.available("digits")
    with pytest.raises(UserError, match="did you mean 'digits'"):
        shared.data.available("digit")


def test_what_nobody_serves_says_where_it_is_to_be_had(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        shared.data.load("imagenet", "train")
    assert str(caught.value) == (
        "data set 'imagenet' cannot be had here; register somewhere and put the files into data/imagenet, or "
        "name a mirror (--mirror DIR_OR_URL or REPRO_MIRROR)."
    )
    assert left_behind(root) == []


def test_files_put_there_by_hand(root: Path) -> None:
    (root / "data" / "imagenet").mkdir(parents=True)
    files = list(makers.imagenet_files().items())
    for name, content in files[:-1]:
        (root / "data" / "imagenet" / name).write_bytes(content)
    with pytest.raises(UserError, match=r"register somewhere.*\n.*devkit_t12\.tar\.gz is missing$"):
        shared.data.load("imagenet", "test")
    (root / "data" / "imagenet" / files[-1][0]).write_bytes(files[-1][1])
    assert len(shared.data.load("imagenet", "test")[0]) == 5


def test_only_what_is_missing_is_fetched(root: Path, shelf: Path) -> None:
    shared.data.get("pcam", mirror=shelf)
    folder = root / "data" / "pcam"
    kept = {path.name: path.stat().st_ino for path in folder.iterdir() if path.name != "test_y.h5"}
    (folder / "test_y.h5").write_bytes(b"damaged")
    for path in (shelf / "pcam").iterdir():
        path.unlink() if path.name != "test_y.h5.gz" else None
    shared.data.get("pcam", mirror=shelf)
    assert kept.items() <= {path.name: path.stat().st_ino for path in folder.iterdir()}.items()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == makers.pcam()


@pytest.mark.parametrize("name", ["flowers", "imagenet"])
def test_files_kept_as_they_come_are_linked_from_a_folder(root: Path, shelf: Path, name: str) -> None:
    for path in shared.data.get(name, mirror=shelf).iterdir():
        assert path.is_symlink()
        assert path.resolve() == (shelf / name / path.name).resolve()
    gone = shelf / name / next(iter(makers.FILES[name]()))
    gone.rename(gone.with_suffix(".gone"))
    with pytest.raises(
        UserError, match=f"{gone.name} is a link to .*, which is not there; see to it or remove the link"
    ):
        shared.data.get(name)


def test_files_kept_as_they_come_are_fetched_whole(root: Path) -> None:
    files = makers.flowers_files()
    with serve({f"/flowers/{name}": Page(content) for name, content in files.items()}) as address:
        folder = shared.data.get("flowers", mirror=address)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert left_behind(root) == ["flowers"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["other", "cut", "longer", "page"])
def test_bad_files_leave_nothing_behind(root: Path, shelf: Path, name: str, damage: str) -> None:
    files = makers.FILES[name]()
    first = next(iter(files))
    changed = {
        "other": files[first][:-1] + b"?",
        "cut": files[first][:-100],
        "longer": files[first] * 3,  # more than the bound too
        "page": b"<html>Please log in</html>",
    }
    makers.offer(name, {first: changed[damage]}, shelf)
    with pytest.raises(UserError, match="is refused"):
        shared.data.get(name, mirror=shelf)
    assert left_behind(root) == []
    served = {f"/{name}/{path.name}": Page(path.read_bytes()) for path in (shelf / name).iterdir()}
    with serve(served) as address, pytest.raises(UserError, match=r"is refused|more than the \d+"):
        shared.data.get(name, mirror=address)
    assert left_behind(root) == []


def test_a_bound_on_the_size_stops_a_bomb(root: Path, shelf: Path) -> None:
    (shelf / "pcam" / "train_x.h5.gz").write_bytes(gzip.compress(bytes(50_000_000), 1))
    with pytest.raises(UserError, match=r"train_x\.h5 unpacks to more than its \d+ bytes"):
        shared.data.get("pcam", mirror=shelf)
    assert left_behind(root) == []


def settled(path: Path, content: bytes, seconds: float) -> Path:
    """A file written some seconds ago."""
    path.write_bytes(content)
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_checksums_of_large_files_are_remembered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    right = digest.file_digests
    monkeypatch.setattr(digest, "file_digests", lambda path: read.append(path) or right(path))
    monkeypatch.setattr(digest, "LARGE", 4)
    file = settled(root / "large", b"abcde", 100)
    first = digest.known_digests(file)
    assert digest.known_digests(file) == first == right(file)
    assert len(read) == 1
    settled(file, b"abcdf", 50)
    assert digest.known_digests(file) == right(file) != first
    assert digest.known_digests(file) == right(file)
    assert len(read) == 2
    (memory,) = (root / ".repro" / "digests").iterdir()
    for damage in ("", "[]", "{}", '{"seen": 3}'):
        memory.write_text(damage)
        assert digest.known_digests(file) == right(file)
    assert len(read) == 6


def test_checksums_of_small_and_of_fresh_files_are_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest.known_digests(settled(root / "small", b"abcde", 100))
    monkeypatch.setattr(digest, "LARGE", 4)
    digest.known_digests(settled(root / "fresh", b"abcde", 0))
    assert not (root / ".repro").exists()


def test_get_all_leaves_out_what_nobody_serves(
    root: Path, shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf / "imagenet").rename(shelf / "elsewhere")
    monkeypatch.setenv(obtain.MIRROR_VARIABLE, "")  # put back afterwards
    assert cli.main(["get", "all", "--mirror", str(shelf)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "pcam: data/pcam is complete and verified",
        "flowers: data/flowers is complete and verified",
        "imagenet: left out, since no address serves it; "
        "register somewhere and put the files into data/imagenet",
    ]
    assert cli.main(["get", "imagenet"]) == 2
    assert "register somewhere" in capsys.readouterr().err
    (shelf / "elsewhere").rename(shelf / "imagenet")
    assert cli.main(["get", "all", "--mirror", str(shelf)]) == 0
    assert "imagenet: data/imagenet is complete" in capsys.readouterr().out
