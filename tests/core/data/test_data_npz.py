"""Reader of NPZ archives as MedMNIST publishes them: right on right files, one sentence on all others."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import data_makers as makers
import numpy as np
import pytest

import shared.data
from shared.data import catalogue, npz

SIDES = (28, 28, 28)


def arrays(seed: int = 0, counts: tuple[int, int, int] = (5, 3, 4)) -> dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    made = {}
    for split, count in zip(("train", "val", "test"), counts):
        made[f"{split}_images"] = random.randint(0, 256, (count, *SIDES)).astype(np.uint8)
        made[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    return made


def npz_bytes(save=np.savez_compressed, **changes: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, **{name: array for name, array in {**arrays(), **changes}.items() if array is not None})
    return stream.getvalue()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_right_files(tmp_path: Path, save, split: str) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(npz_bytes(save))
    images, labels = npz.read_pair(path, split)
    assert np.array_equal(images[:, 0], arrays()[f"{split}_images"])
    assert np.array_equal(labels, arrays()[f"{split}_labels"][:, 0])


def test_other_orders_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    images = np.asfortranarray(arrays()["train_images"])
    path.write_bytes(npz_bytes(train_images=images, train_labels=np.arange(5, dtype=">i4")))
    found, labels = npz.read_pair(path, "train")
    assert np.array_equal(found[:, 0], images)
    assert labels.tolist() == [0, 1, 2, 3, 4]


def right(**changes: bytes) -> dict[str, bytes]:
    """Members of a right archive, some of them changed."""
    return {name: npy(array) for name, array in arrays().items()} | changes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"no archive", "not a whole NPZ archive"),
        (lambda: npz_bytes()[:-200], "not a whole NPZ archive"),
        (lambda: npz_bytes(train_images=None), "no array 'train_images'"),
        (lambda: npz_bytes(train_images=np.zeros((5, *SIDES), np.float32)), "holds float32"),
        (lambda: npz_bytes(train_images=np.zeros((5, *SIDES), np.int16) + 7), "type int16"),
        (lambda: npz_bytes(train_images=arrays()["train_images"][:, 0]), "the shape"),
        (lambda: npz_bytes(train_labels=np.zeros((4, 1), np.uint8)), "do not fit images"),
        (lambda: npz_bytes(train_labels=np.zeros((5, 2), np.uint8)), "do not fit images"),
        (
            lambda: zipped(**right(train_images=npy(np.array([{}], object), allow_pickle=True))),
            "holds object",
        ),
        (lambda: zipped(**right(train_images=right()["train_images"][:-9])), "promises 109760 bytes"),
        (lambda: zipped(**right(train_labels=b"\x93NUMPY\x09\x00....")), "not a whole|unknown version"),
        (lambda: zipped(**right(train_labels=b"")), "not a whole NPZ archive"),
    ],
)  # fmt: skip
def test_damaged_files_end_in_a_sentence(tmp_path: Path, content, says: str) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content())
    said = makers.refusal(lambda: npz.read_pair(path, "train"))
    assert any(part in said for part in says.split("|")), said
    assert "get the data set again" in said


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = bytearray(npz_bytes(np.savez))
    content[len(content) // 4] ^= 255
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    assert "get the data set again" in makers.refusal(lambda: npz.read_pair(path, "train"))


def test_a_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in makers.refusal(lambda: npz.read_pair(tmp_path / "set.npz", "train"))


@pytest.mark.parametrize(
    ("name", "classes"), [("nodulemnist3d", 2), ("synapsemnist3d", 2), ("organmnist3d", 11)]
)
def test_the_catalogue_has_the_publishers_sets(name: str, classes: int) -> None:
    entry = catalogue.find(name)
    assert (entry.format, entry.shape, len(entry.classes)) == ("npz", (1, *SIDES), classes)
    assert entry.licence == "CC BY 4.0"
    assert all("10519652" in url for url in entry.downloads[f"{name}.npz"].urls)
    assert set(entry.splits) == {"train", "valid", "test"}


def test_a_set_of_the_catalogue_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with the checksum of a small file in the place of the publisher's."""
    from shared.data import loading

    (tmp_path / "nodulemnist3d.npz").write_bytes(npz_bytes())
    entry = catalogue.find("nodulemnist3d")
    images, labels = loading.read_split(entry, tmp_path, "valid")
    assert images.shape == (3, 1, *SIDES)
    assert labels.tolist() == [0, 1, 0]
    (tmp_path / "nodulemnist3d.npz").write_bytes(npz_bytes(val_labels=np.full((3, 1), 2, np.uint8)))
    assert "does not hold what the catalogue says" in makers.refusal(
        lambda: loading.read_split(entry, tmp_path, "valid")
    )


def test_volumes_are_embedded() -> None:
    images, labels = shared.data.load("volumes", "valid")
    assert images.shape[1:] == (1, *SIDES)
    assert labels.unique().tolist() == [0, 1, 2, 3]
