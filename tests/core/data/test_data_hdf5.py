"""Reader of HDF5 files: right on right files, one sentence on all others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data_makers as makers
import numpy as np
import pytest
import torch

from shared.base.errors import UserError
from shared.data import hdf5

h5py = pytest.importorskip("h5py")

X = np.random.RandomState(0).randint(0, 256, (4, 6, 5, 3)).astype(np.uint8)
Y = np.array([0, 1, 1, 0], np.uint8).reshape(-1, 1, 1, 1)


def read(folder: Path, x: bytes | None = None, y: bytes | None = None) -> tuple[np.ndarray, ...]:
    """Read files with these contents, or the right ones."""
    (folder / "x.h5").write_bytes(x or makers.hdf5(x=X))
    (folder / "y.h5").write_bytes(y or makers.hdf5(y=Y))
    return hdf5.read_pair(folder / "x.h5", folder / "y.h5")


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (3, 6, 5, 3)}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True}],
    ids=["plain", "chunks", "gzip", "checksum"],
)
def test_every_layout(tmp_path: Path, options: dict[str, Any]) -> None:
    images, labels = read(tmp_path, makers.hdf5(options, x=X))
    assert (images.dtype, labels.tolist()) == (np.uint8, [0, 1, 1, 0])
    assert np.array_equal(images, X.transpose(0, 3, 1, 2))


def test_plain_images_are_mapped_and_never_changed(tmp_path: Path) -> None:
    images, _ = read(tmp_path)
    assert isinstance(images, np.memmap)
    before = (tmp_path / "x.h5").read_bytes()
    tensor = torch.from_numpy(images)
    tensor[:] = 0
    assert (tmp_path / "x.h5").read_bytes() == before
    assert np.array_equal(read(tmp_path)[0], X.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("kind", ["<i8", ">i4", "u2"])
def test_labels_of_any_whole_type(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, y=makers.hdf5(y=Y.astype(kind)))[1].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"x": b"no HDF5"}, "x.h5 is damaged: it is not a whole HDF5 file"),
        ({"x": makers.hdf5(x=X)[:-7]}, "x.h5 is damaged: it is not a whole HDF5 file"),
        ({"x": makers.hdf5(z=X)}, "has no array 'x'"),
        ({"y": makers.hdf5(x=Y)}, "has no array 'y'"),
        ({"x": makers.hdf5(x=X[0])}, r"has the type uint8 and the shape \(6, 5, 3\)"),
        ({"x": makers.hdf5(x=X.astype(np.float32))}, "has the type float32"),
        ({"y": makers.hdf5(y=Y.astype(np.float32))}, "has the type float32"),
        ({"y": makers.hdf5(y=Y[:3])}, "do not fit images"),
        ({"y": makers.hdf5(y=np.zeros((4, 2, 1, 1), np.uint8))}, "do not fit images"),
    ],
)
def test_refusals(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path, **files)
    assert "\n" not in str(caught.value)


def hostile(tmp_path: Path, make: Callable[[Any], object]) -> str:
    """What is said of a file that ``make`` has put something else into."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        make(file)
    content = (tmp_path / "x.h5").read_bytes()
    return makers.refusal(lambda: read(tmp_path, content))


def test_what_points_elsewhere_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(X.tobytes())
    (tmp_path / "other.h5").write_bytes(makers.hdf5(x=X))
    layout = h5py.VirtualLayout(X.shape, np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", X.shape)
    external = [(str(secret), 0, X.size)]
    said = [
        hostile(tmp_path, lambda f: f.__setitem__("x", h5py.ExternalLink("other.h5", "/x"))),
        hostile(tmp_path, lambda f: f.__setitem__("x", h5py.SoftLink("/elsewhere"))),
        hostile(tmp_path, lambda f: f.create_group("x")),
        hostile(tmp_path, lambda f: f.create_virtual_dataset("x", layout)),
        hostile(tmp_path, lambda f: f.create_dataset("x", X.shape, "u1", external=external)),
    ]
    assert ["not an array of its own" in one for one in said[:3]] == [True] * 3, said
    assert ["points to other files" in one for one in said[3:]] == [True] * 2, said


def test_objects_and_unknown_filters_are_refused(tmp_path: Path) -> None:
    texts = np.full((4, 6, 5, 3), "x", dtype=object)
    said = hostile(tmp_path, lambda f: f.create_dataset("x", data=texts, dtype=h5py.string_dtype()))
    assert "has the type object" in said
    said = hostile(tmp_path, lambda f: f.create_dataset("x", data=X, compression="lzf"))
    assert "packed in a way that is not known" in said


@pytest.mark.parametrize("options", [{}, {"chunks": True}, {"chunks": True, "compression": "gzip"}])
def test_promises_are_not_believed(tmp_path: Path, options: dict[str, Any]) -> None:
    shape = (1 << 30, 96, 96, 3)
    said = hostile(tmp_path, lambda f: f.create_dataset("x", shape, "u1", **options))
    assert "promises 29686813949952 bytes and there are 0" in said


@pytest.mark.parametrize("length", range(0, 2000, 97))
def test_cut_files(tmp_path: Path, length: int) -> None:
    content = makers.hdf5(x=X)
    assert "\n" not in makers.refusal(lambda: read(tmp_path, content[:length] or b"?"))
    assert makers.refusal(lambda: read(tmp_path, content[: min(length, len(content) - 1)] or b"?"))


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"x\.h5 needs h5py, which is not installed: pip install h5py"):
        read(tmp_path, b"anything", b"anything")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="get the data set again"):
        hdf5.read_pair(tmp_path / "x.h5", tmp_path / "y.h5")
