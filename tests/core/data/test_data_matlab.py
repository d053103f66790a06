"""Reader of .mat files: what was saved from right files, one sentence on all others."""

from __future__ import annotations

import io
import struct
from typing import Any

import data_makers as makers
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.base.errors import UserError
from shared.data import matlab

FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


VARIABLES = {
    "row": np.array([[1, 2, 300]], np.uint16),
    "grid": np.arange(12.0).reshape(3, 4),
    "cube": np.arange(24, dtype=np.int64).reshape(2, 3, 4),
    "small": np.array([[7]], np.uint8),
    "nothing": np.zeros((0, 0)),
    "word": "abc",
    "greek": "αβγ and more",
    "table": makers.synsets(),
}


@pytest.mark.parametrize("compressed", [True, False])
def test_mat_files_have_what_was_saved(compressed: bool) -> None:
    stream = io.BytesIO()
    scipy.io.savemat(stream, VARIABLES | {"cell": np.array([1, "a"], object)}, do_compression=compressed)
    got = matlab.read_mat(stream.getvalue(), "a.mat")
    assert set(got) == {*VARIABLES, "cell"}
    assert got["cell"] is None
    for name in ("row", "grid", "cube", "small", "nothing"):
        assert got[name].dtype == VARIABLES[name].dtype
        assert np.array_equal(got[name], VARIABLES[name])
    assert (got["word"], got["greek"]) == ("abc", "αβγ and more")
    for one, wanted in zip(got["table"], makers.synsets()[:, 0]):
        assert list(one) == list(wanted.dtype.names)
        assert (one["WNID"], one["words"]) == (wanted["WNID"], wanted["words"])
        assert float(one["ILSVRC2012_ID"].item()) == wanted["ILSVRC2012_ID"]


def element(kind: int, body: bytes) -> bytes:
    """An element in the byte order that is not this machine's, most likely."""
    return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)


def array(kind: int, shape: tuple[int, int], *parts: bytes) -> bytes:
    """A file with an array named a."""
    name = struct.pack(">HH4s", 1, 1, b"a")  # in the short form
    head = element(6, struct.pack(">II", kind, 0)) + element(5, struct.pack(">ii", *shape)) + name
    return b"MATLAB 5.0".ljust(124) + b"\1\0MI" + element(14, head + b"".join(parts))


def test_mat_files_of_the_other_byte_order() -> None:
    got = matlab.read_mat(array(10, (1, 3), element(2, bytes([1, 2, 3]))), "a.mat")["a"]  # stored as bytes
    assert (got.dtype, got.tolist()) == (np.int16, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            array(2, (1 << 30, 1 << 30), element(5, struct.pack(">i", 8)), element(1, b"")),
            "no names of fields",
        ),
        (array(2, (1, 1), element(5, struct.pack(">i", 8)), element(1, b"abc")), "no names of fields"),
        (
            array(2, (1, 2), element(5, struct.pack(">i", 8)), element(1, b"abcdefg\0")),
            "0 values for 2 struct",
        ),
        (array(10, (1, 4), element(2, bytes([1, 2, 3]))), "3 numbers for an array of shape"),
        (array(10, (-1, -3), element(2, bytes([1, 2, 3]))), "array of shape"),
        (array(10, (1, 3), element(16, b"abc")), "type 16 in the place of numbers"),
        (makers.mat(a=1)[:132] + b"\xff" + makers.mat(a=1)[133:], "ends within an element"),
    ],
)
def test_contradictions(content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        matlab.read_mat(content, "a.mat")


def test_what_is_packed_must_be_whole() -> None:
    content = makers.mat(a=np.arange(9))
    (size,) = struct.unpack_from("<I", content, 132)
    assert len(content) == 136 + size
    cut = content[:132] + struct.pack("<I", size - 4) + content[136:-4]  # without its checksum
    with pytest.raises(UserError, match="ends too soon"):
        matlab.read_mat(cut, "a.mat")


def test_structures_within_structures_come_to_an_end() -> None:
    value: Any = 1.0
    for _ in range(20):
        value = {"a": value}
    with pytest.raises(UserError, match="in the place of an array"):
        matlab.read_mat(makers.mat(a=value), "a.mat")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a whole .mat file of level 5"),
        (b"MATLAB 5.0 MAT-file".ljust(200), "not a whole .mat file of level 5"),
        (makers.mat(a=np.arange(500))[:-30], "not a whole .mat file of level 5"),
        (makers.hdf5(a=np.arange(3)), "not a whole .mat file of level 5"),  # what MATLAB calls 7.3
        (makers.mat(a=np.zeros(30 << 20, np.uint8)), "unpacks to more than 16777216 bytes"),
        (bytes(17 << 20), "unpacks to more than 16777216 bytes"),
    ],
    ids=["empty", "other header", "cut", "hdf5", "bomb", "large"],
)
def test_mat_refuses(content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        matlab.read_mat(content, "a.mat")
    assert str(caught.value).startswith("a.mat ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
@FAST
@given(data=st.data())
def test_damaged_mat_files_never_crash(compressed: bool, data: st.DataObject) -> None:
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"a": np.arange(3), "b": makers.synsets()[:2]}, do_compression=compressed)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=8))
    assert "\n" not in makers.refusal(lambda: matlab.read_mat(bytes(content), "a.mat"))
