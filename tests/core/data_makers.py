"""Small data sets in the publishers' formats, and the entries that describe them, to test shared.data."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from data_server import NOWHERE, facts
from PIL import Image
from scipy.io import savemat

from shared.base.errors import UserError
from shared.data.digest import folder_md5

WNIDS = ("n00000019", "n00000005", "n00000012")  # in the order of their numbers, not of their names
#: Pictures of each class in the archive of training images.
OF_CLASS = (4, 2, 3)
TRUTH = [3, 1, 2, 2, 3]


def refusal(read: Callable[[], object]) -> str:
    """The sentence with which something is refused; empty if it is read. Any other exception is a bug."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


@cache
def picture(seed: int, width: int = 300, height: int = 270, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """A smooth colored picture, so that JPEG changes it little."""
    random = np.random.RandomState(seed)
    small = Image.fromarray(random.randint(0, 256, (4, 5, 3)).astype(np.uint8))
    stream = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(stream, kind, quality=95)
    return stream.getvalue()


def tar(members: Mapping[str, bytes], packed: bool = False) -> bytes:
    """A tar archive with these members, in this order; the same bytes whenever it is made."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0) if packed else stream.getvalue()


def mat(**variables: Any) -> bytes:
    """A compressed .mat file, as MATLAB writes it, but without the date in its header."""
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    return b"MATLAB 5.0 MAT-file".ljust(116) + stream.getvalue()[116:]


def hdf5(options: Mapping[str, Any] | None = None, **arrays: np.ndarray) -> bytes:
    """An HDF5 file with these arrays."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **(options or {}))
    return stream.getvalue()


def pcam_arrays() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (n, 96, 96, 3) and labels (n, 1, 1, 1) of each split."""
    random = np.random.RandomState(1)
    return {
        split: (
            random.randint(0, 256, (n, 96, 96, 3)).astype(np.uint8),
            (np.arange(n) % 2).astype(np.uint8).reshape(-1, 1, 1, 1),
        )
        for split, n in (("train", 12), ("valid", 3), ("test", 5))
    }


def pcam(options: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """The files of a small PatchCamelyon, unpacked."""
    found = {}
    for split, (x, y) in pcam_arrays().items():
        found[f"{split}_x.h5"], found[f"{split}_y.h5"] = hdf5(options, x=x), hdf5(options, y=y)
    return found


def flowers_files() -> dict[str, bytes]:
    """The files of a small Oxford Flowers: nine pictures of three kinds, three in each split."""
    pictures = {
        f"jpg/image_{n:05d}.jpg": picture(n, *((300, 260) if n % 2 else (260, 320))) for n in range(1, 10)
    }
    return {
        "102flowers.tgz": tar(pictures, packed=True),
        "imagelabels.mat": mat(labels=np.array([[1, 1, 1, 2, 2, 2, 3, 3, 3]], np.uint8)),
        "setid.mat": mat(
            trnid=np.array([[7, 1, 4]], np.uint16),
            valid=np.array([[2, 5, 8]], np.uint16),
            tstid=np.array([[9, 6, 3]], np.uint16),
        ),
    }


def synsets() -> np.ndarray:
    """The table of the development kit: three classes and a group of them, not in order."""
    kinds = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    rows = [(2.0, WNIDS[1], "b", "", 0), (4.0, "n00000001", "all", "", 3)]
    rows += [(1.0, WNIDS[0], "a, aa", "", 0), (3.0, WNIDS[2], "c", "", 0)]
    return np.array(rows, kinds).reshape(-1, 1)


def kit(meta: bytes | None = None, truth: bytes | None = None) -> bytes:
    """The development kit of the small ImageNet."""
    folder = "ILSVRC2012_devkit_t12"
    lines = "".join(f"{number}\n" for number in TRUTH).encode()
    members = {
        f"{folder}/readme.txt": b"hello",
        f"{folder}/data/meta.mat": mat(synsets=synsets()) if meta is None else meta,
        f"{folder}/data/ILSVRC2012_validation_ground_truth.txt": lines if truth is None else truth,
    }
    return tar(members, packed=True)


def train_pictures() -> dict[str, dict[str, bytes]]:
    """The pictures of each class, in the order of the archive."""
    return {
        wnid: {f"{wnid}_{10 * i + 7}.JPEG": picture(10 * label + i, 260 + 8 * i, 256) for i in range(count)}
        for label, (wnid, count) in enumerate(zip(WNIDS, OF_CLASS))
    }


def imagenet_files() -> dict[str, bytes]:
    """The files of a small ImageNet: three classes, nine training and five validation images."""
    order = sorted(train_pictures().items())
    valid = {f"ILSVRC2012_val_{n:08d}.JPEG": picture(100 + n, 280, 300) for n in (4, 1, 5, 2, 3)}
    return {
        "ILSVRC2012_img_train.tar": tar({f"{wnid}.tar": tar(pictures) for wnid, pictures in order}),
        "ILSVRC2012_img_val.tar": tar(valid),
        "ILSVRC2012_devkit_t12.tar.gz": kit(),
    }


def entry(name: str, files: Mapping[str, bytes], packed: bool, **more: Any) -> dict[str, Any]:
    """Entry of datasets.yaml for these files, each served under its own name or packed with gzip."""
    ending = ".gz" if packed else ""
    listed = {n: {"from": f"{n}{ending}", **facts(content)} for n, content in files.items()}
    for about in listed.values() if packed else ():
        about["at_most"] = 2 * about.pop("size")
    return {
        **{"title": name, "path": f"data/{name}", "licence": "none", "citation": "nobody"},
        "checksum": folder_md5({n: about["md5"] for n, about in listed.items()}),
        "downloads": {f"{n}{ending}": {} for n in files},
        "files": listed,
        **more,
    }


GROUPS = {
    "pcam": {
        "format": "hdf5",
        "shape": [3, 96, 96],
        "classes": ["no", "yes"],
        "sources": [NOWHERE],
        "splits": {s: [f"{s}_x.h5", f"{s}_y.h5"] for s in ("train", "valid", "test")},
    },
    "flowers": {
        "format": "flowers",
        "shape": [3, 256, 256],
        "classes": ["a", "b", "c"],
        "sources": [NOWHERE],
        "splits": {
            split: ["102flowers.tgz", "imagelabels.mat", "setid.mat"] for split in ("train", "valid", "test")
        },
    },
    "imagenet": {
        "format": "imagenet",
        "shape": [3, 256, 256],
        "classes": 3,
        "manual": "register somewhere and put the files into data/imagenet",
        "splits": {
            "train": ["ILSVRC2012_img_train.tar", "ILSVRC2012_devkit_t12.tar.gz"],
            "test": ["ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"],
        },
    },
}
FILES = {"pcam": pcam, "flowers": flowers_files, "imagenet": imagenet_files}


def offer(name: str, files: Mapping[str, bytes], shelf: Path) -> dict[str, Any]:
    """Put the files of a set on a mirror folder as their publisher serves them; returns the entry."""
    (shelf / name).mkdir(parents=True, exist_ok=True)
    packed = name == "pcam"
    for file, content in files.items():
        target = shelf / name / (f"{file}.gz" if packed else file)
        target.write_bytes(gzip.compress(content, 1) if packed else content)
    return entry(name, files, packed, **GROUPS[name])
