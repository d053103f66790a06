"""Readers of IDX and CIFAR: right on right files, one sentence on all others."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.base.errors import UserError
from shared.data import readers

FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def put(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


@FAST
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 99))
def test_idx_round_trip(tmp_path: Path, shape: list[int], seed: int) -> None:
    array = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
    assert np.array_equal(readers.read_idx(put(tmp_path, readers.idx_bytes(array))), array)


@pytest.mark.parametrize(("code", "kind"), readers._IDX_TYPES.items())
def test_idx_types_come_out_in_the_machines_byte_order(tmp_path: Path, code: int, kind: str) -> None:
    values = np.array([1, 2, 100], kind)
    content = bytes([0, 0, code, 1]) + struct.pack(">I", 3) + values.tobytes()
    array = readers.read_idx(put(tmp_path, content))
    assert array.tolist() == [1, 2, 100]
    assert array.dtype.isnative
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "header of an IDX"),
        (b"\0\0\x08", "header of an IDX"),
        (b"\x1f\x8b\x08\0" + bytes(20), "header of an IDX"),
        (b"\0\0\x07\x01\0\0\0\x01a", "header of an IDX"),
        (b"\0\0\x08\0", "header of an IDX"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends within its header"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "promises 13 bytes and it has 11"),
        (b"\0\0\x08\x01\0\0\0\x01abc", "promises 9 bytes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "promises"),
        (b"\0\0\x08\x28" + b"\0" * 160, "40 axes"),
    ],
)
def test_idx_refuses(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        readers.read_idx(put(tmp_path, content))


@pytest.mark.parametrize(
    "sizes", [(0, 2**32 - 1, 2**32 - 1, 2**32 - 1), (2**32 - 1, 2**32 - 1, 0), (2**31,) * 32]
)
def test_idx_sizes_whose_product_no_array_has(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    header = struct.pack(f">HBB{len(sizes)}I", 0, 0x08, len(sizes), *sizes)
    with pytest.raises(UserError, match=r"is damaged: (it has the sizes|its header promises)"):
        readers.read_idx(put(tmp_path, header))


def test_idx_bytes_takes_only_bytes() -> None:
    with pytest.raises(ValueError, match="uint8"):
        readers.idx_bytes(np.zeros(3))


@pytest.mark.parametrize(("label_bytes", "classes"), [(1, 10), (2, 100)])
def test_cifar_records(tmp_path: Path, label_bytes: int, classes: int) -> None:
    random = np.random.RandomState(0)
    labels = random.randint(0, classes, (4, label_bytes)).astype(np.uint8)
    images = random.randint(0, 256, (4, 3, 32, 32)).astype(np.uint8)
    content = np.concatenate([labels, images.reshape(4, -1)], axis=1).tobytes()
    got, got_labels = readers.read_cifar(put(tmp_path, content), label_bytes, classes)
    assert np.array_equal(got, images)
    assert np.array_equal(got_labels, labels[:, -1])  # CIFAR-100: the fine label


@pytest.mark.parametrize(("content", "says"), [(b"", "whole number"), (bytes(3074), "whole number")])
def test_cifar_refuses_parts_of_records(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        readers.read_cifar(put(tmp_path, content))


def test_cifar_refuses_labels_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="label 10 and there are 10 classes"):
        readers.read_cifar(put(tmp_path, b"\x0a" + bytes(3072)))


def test_cifar_refuses_the_pickled_version(tmp_path: Path) -> None:
    content = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]})
    with pytest.raises(UserError, match="whole number"):
        readers.read_cifar(put(tmp_path, content))


@pytest.mark.parametrize("read", [readers.read_idx, readers.read_cifar])
def test_missing_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(UserError, match="get the data set again"):
        read(tmp_path / "absent")


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """The sentence with which a reader refuses a file; empty if it reads it. Any other exception is a bug."""
    try:
        read(path)
    except UserError as error:
        return str(error)
    return ""


RIGHT = {
    readers.read_idx: readers.idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
    readers.read_cifar: bytes(2 * 3073),
}


@pytest.mark.parametrize("read", RIGHT)
@FAST
@given(data=st.data())
def test_damaged_files_end_in_a_sentence_or_in_an_array(
    tmp_path: Path, read: Callable[[Path], object], data: st.DataObject
) -> None:
    content = bytearray(RIGHT[read])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=8))
    assert "\n" not in refusal(read, put(tmp_path, bytes(content)))


@pytest.mark.parametrize("read", RIGHT)
@FAST
@given(content=st.binary(max_size=200))
def test_random_bytes_never_crash_a_reader(
    tmp_path: Path, read: Callable[[Path], object], content: bytes
) -> None:
    assert "\n" not in refusal(read, put(tmp_path, content))
