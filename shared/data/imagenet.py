"""ImageNet-1k as it is published, read in place: an index says where in the archives each picture lies.

The archive of the training images holds one archive per class, none of them compressed, so any picture can
be read without unpacking: 1.3 million files and 150 GB less on the disk. Making the index reads every header,
which takes minutes; it is kept in the store (.repro/indexes) under the checksum of the data set.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import write_atomic
from shared.data.archives import open_tar, refusing, walk
from shared.data.matlab import read_mat
from shared.data.pictures import MOST_BYTES, Pictures

if TYPE_CHECKING:
    from shared.data.entries import DataSet

_META = "meta.mat"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_CLASS = re.compile(r"n\d{8}")
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
#: Files that one class has at most, and all validation images.
_MOST_OF_A_CLASS, _MOST = 10_000, 1_000_000
_TYPES = {"offsets": np.int64, "sizes": np.int32, "labels": np.int16}
#: Where each picture lies in the archive, how many bytes it has, and its label.
Index = dict[str, np.ndarray]


def read(data_set: DataSet, files: list[Path], split: str) -> tuple[Pictures, np.ndarray]:
    """Images and labels of a split; see `shared.data.loading.read_split`."""
    name = f"{data_set.checksum}-{split}"
    return read_imagenet(*files, split == "train", len(data_set.classes), data_set.shape[-1], name)


def read_imagenet(
    archive: Path, kit: Path, nested: bool, classes: int, side: int, name: str
) -> tuple[Pictures, np.ndarray]:
    """Pictures of one split, to be decoded when they are indexed, and their labels.

    A label is the class's ILSVRC2012_ID less one. Training images are in the order of the archive, class by
    class; validation images are in the order of their numbers.

    Args:
        archive: ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar.
        kit: ILSVRC2012_devkit_t12.tar.gz, the names of the classes and the labels of the validation images.
        nested: whether the archive holds an archive per class.
        classes: how many there are.
        side: of the pictures (see `pictures.decode`).
        name: of the index; the same for the same content only.

    Raises:
        UserError: if a file is damaged or lacks something.
    """
    kept = paths.store() / "indexes" / f"{name}.npz"
    index = _kept_index(kept, archive, classes)
    if index is None:
        rows = (
            _class_archives(archive, _labels(kit, classes)) if nested else _validation(archive, kit, classes)
        )
        index = _as_index(rows)
        content = io.BytesIO()
        np.savez(content, **index)
        write_atomic(kept, content.getvalue())
    return Pictures(archive, index["offsets"], index["sizes"], side), index["labels"].astype(np.int64)


def _as_index(rows: Iterator[tuple[int, int, int]]) -> Index:
    columns = np.array(list(rows), np.int64).reshape(-1, 3).T
    return {key: column.astype(kind) for (key, kind), column in zip(_TYPES.items(), columns)}


def _kept_index(kept: Path, archive: Path, classes: int) -> Index | None:
    """The index that was made before; None if there is none, or it is damaged or does not fit the archive."""
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            index = dict(arrays)
    except Exception:  # numpy and zipfile raise many kinds, and whatever it is, the index is made anew
        return None
    if set(index) != set(_TYPES) or any(index[key].dtype != kind for key, kind in _TYPES.items()):
        return None
    offsets, sizes, labels = (index[key] for key in _TYPES)
    if not (offsets.ndim == 1 and offsets.shape == sizes.shape == labels.shape and len(offsets)):
        return None
    inside = offsets.min() >= 0 and sizes.min() > 0 and (offsets + sizes).max() <= archive.stat().st_size
    return index if inside and labels.min() >= 0 and labels.max() < classes else None


def _class_archives(archive: Path, labels: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    """Offset, size and label of each training image, from the headers of the archives in the archive."""
    missing = dict(labels)
    with refusing(archive.name), open_tar(archive, "r:") as outer:
        for name, info in walk(outer, lambda name: name.endswith(".tar")):
            label = missing.pop(name.removesuffix(".tar"), None)
            if label is None:
                raise UserError(f"{name} is in it twice or is none of the {len(labels)} classes")
            with open_tar(outer.extractfile(info), "r:") as inner:
                for offset, size in _pictures(inner, name.replace(".tar", "_"), _MOST_OF_A_CLASS):
                    yield info.offset_data + offset, size, label
        if missing:
            raise UserError(f"{len(missing)} classes are not in it, such as {min(missing)}.tar")


def _pictures(archive: tarfile.TarFile, prefix: str, most: int) -> Iterator[tuple[int, int]]:
    """Offset and size of each picture of one class."""
    seen = set()
    for name, info in walk(archive, lambda name: name.endswith(".JPEG"), most):
        if not name.startswith(prefix) or name in seen or not 0 < info.size <= MOST_BYTES:
            raise UserError(
                f"its picture {info.name!r} is there twice, of another class or of no picture's size"
            )
        seen.add(name)
        yield info.offset_data, info.size
    if not seen:
        raise UserError(f"{prefix.rstrip('_')}.tar has no pictures")


def _validation(archive: Path, kit: Path, classes: int) -> Iterator[tuple[int, int, int]]:
    """Offset, size and label of each validation image, in the order of their numbers."""
    labels = _ground_truth(kit, classes)
    found: dict[int, tuple[int, int]] = {}
    with refusing(archive.name), open_tar(archive, "r:") as outer:
        for name, info in walk(outer, _VALIDATION.fullmatch, _MOST):
            number = int(name[15:23])
            if number in found or not 1 <= number <= len(labels) or not 0 < info.size <= MOST_BYTES:
                raise UserError(f"{name} is in it twice, has no label, or is far larger than a picture")
            found[number] = info.offset_data, info.size
        if len(found) < len(labels):
            raise UserError(f"{len(labels) - len(found)} of {len(labels)} pictures are not in it")
    for number in sorted(found):
        yield (*found[number], labels[number - 1])


def _kit_file(kit: Path, wanted: str, limit: int = 16 << 20) -> bytes:
    """One file of the folder ``data`` of the development kit."""
    with refusing(kit.name), open_tar(kit, "r:gz") as archive:
        for _, info in walk(archive, lambda name: name == wanted):
            if info.size > limit:
                raise UserError(f"its {wanted} has {info.size} bytes, far more than expected")
            if info.name.endswith(f"data/{wanted}"):
                source = archive.extractfile(info)
                assert source is not None  # a plain file
                return source.read()
        raise UserError(f"data/{wanted} is not in it")


def _labels(kit: Path, classes: int) -> dict[str, int]:
    """WordNet name of each class and its label; synsets with children are groups of classes."""
    found = read_mat(_kit_file(kit, _META), f"{_META} of {kit.name}").get("synsets")
    if not isinstance(found, list) or not all(
        {"ILSVRC2012_ID", "WNID", "num_children"} <= set(one) for one in found
    ):
        raise UserError(f"{kit.name} is refused: its {_META} does not list synsets")
    leaves = [one for one in found if _number(one["num_children"]) == 0]
    labels = {str(one["WNID"]): _number(one["ILSVRC2012_ID"]) - 1 for one in leaves}
    if sorted(labels.values()) != list(range(classes)) or not all(map(_CLASS.fullmatch, labels)):
        raise UserError(f"{kit.name} is refused: its {_META} does not number {classes} classes from 1")
    return labels


def _number(value: Any) -> int:
    """A whole number of a .mat file; one that fits nowhere if it is something else."""
    one = float(value.item()) if isinstance(value, np.ndarray) and value.size == 1 else -1.0
    return int(one) if one.is_integer() else -1


def _ground_truth(kit: Path, classes: int) -> list[int]:
    """Label of each validation image."""
    lines = _kit_file(kit, _TRUTH).split()
    if not lines or not all(line.isdigit() and 1 <= int(line[:9]) <= classes for line in lines):
        raise UserError(f"{kit.name} is refused: its {_TRUTH} is not a list of numbers from 1 to {classes}")
    return [int(line) - 1 for line in lines]
