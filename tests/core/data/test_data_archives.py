"""Hostile and damaged archives are refused, and nothing outside the given folder is ever written."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.base.errors import UserError
from shared.data import archives

FAST = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
WANTED = {"a.bin": 5, "b.bin": 3}
CONTENT = {"a.bin": b"aaaaa", "b.bin": b"bbb"}


def tar_bytes(
    change: Callable[[tarfile.TarFile], None] | None = None, mode: str = "w:gz", **content: bytes
) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        if change:
            change(archive)
        for name, data in (content or CONTENT).items():
            add(archive, f"folder/{name}", data)
    return stream.getvalue()


def add(
    archive: tarfile.TarFile, name: str, data: bytes, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    archive.addfile(info, io.BytesIO(data))


def zip_bytes(names: list[tuple[str, bytes]], link: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, data)
    return stream.getvalue()


def unpack(folder: Path, name: str, content: bytes, wanted: dict[str, int] | None = None) -> dict[str, bytes]:
    """Unpack into folder/out; returns what lies there, after checking that nothing else was written."""
    packed, out = folder / name, folder / "out"
    packed.write_bytes(content)
    out.mkdir(exist_ok=True)
    try:
        archives.unpack(packed, wanted or WANTED, out)
    finally:
        assert {p.name for p in folder.iterdir()} == {name, "out"}
        assert all(p.is_file() and not p.is_symlink() for p in out.iterdir())
    return {p.name: p.read_bytes() for p in out.iterdir()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tar.gz", tar_bytes()),
        ("x.tgz", tar_bytes()),
        ("x.tar", tar_bytes(mode="w")),
        ("x.tar.gz", tar_bytes(**{"readme": b"?", **CONTENT, "z": b"1"})),
        ("x.zip", zip_bytes([(f"folder/{n}", c) for n, c in CONTENT.items()])),
    ],
)
def test_right_archives(tmp_path: Path, name: str, content: bytes) -> None:
    assert unpack(tmp_path, name, content) == CONTENT


def test_single_files(tmp_path: Path) -> None:
    assert unpack(tmp_path, "a.gz", gzip.compress(b"aaaaa"), {"a": 5}) == {"a": b"aaaaa"}


def test_plain_file(tmp_path: Path) -> None:
    assert unpack(tmp_path, "a.npz", b"aaaaa", {"a.npz": 5}) == {"a.npz": b"aaaaa"}


@pytest.mark.parametrize("path", ["../a.bin", "folder/../../a.bin", "/tmp/a.bin", "..\\a.bin", "C:\\a.bin"])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match="leads outside the archive"):
        unpack(tmp_path, "x.tar.gz", tar_bytes(lambda archive: add(archive, path, b"evil!")))
    with pytest.raises(UserError, match="leads outside the archive"):
        unpack(tmp_path, "x.zip", zip_bytes([(path, b"evil!")])) if (
            tmp_path / "x.tar.gz"
        ).unlink() is None else 0


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    content = tar_bytes(lambda archive: add(archive, "folder/a.bin", b"", kind, "/etc/passwd"))
    with pytest.raises(UserError, match="link or a device"):
        unpack(tmp_path, "x.tar.gz", content)


def test_links_in_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a link"):
        unpack(tmp_path, "x.zip", zip_bytes([("a.bin", b"/etc/passwd")], link=True))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"a.bin": b"aaaaa"}, "b.bin is not in it"),
        ({"a.bin": b"aaaa", "b.bin": b"bbb"}, "a.bin has 4 of 5 bytes"),
        ({"a.bin": b"aaaaaa", "b.bin": b"bbb"}, "a.bin unpacks to more than its 5 bytes"),
    ],
)
def test_wrong_members_are_refused(tmp_path: Path, name: str, content: dict[str, bytes], says: str) -> None:
    packed = zip_bytes(list(content.items())) if name.endswith("zip") else tar_bytes(**content)
    with pytest.raises(UserError, match=says):
        unpack(tmp_path, name, packed)


def test_a_member_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zip_bytes([("a.bin", b"aaaaa"), ("a.bin", b"AAAAA"), ("b.bin", b"bbb")])
    with pytest.raises(UserError, match="twice"):
        unpack(tmp_path, "x.zip", content)


def test_bombs_cost_nothing(tmp_path: Path) -> None:
    size = 200 << 20
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed:
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(UserError, match="more than its 5 bytes"):
        unpack(tmp_path, "a.gz", stream.getvalue(), {"a": 5})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert (tmp_path / "out" / "a").stat().st_size <= 5


def test_a_tar_that_unpacks_to_far_more_than_the_set_is_refused_unread(tmp_path: Path) -> None:
    content = tar_bytes(lambda archive: add(archive, "huge", bytes(17 << 20)))
    with pytest.raises(UserError, match="far more than the data set"):
        unpack(tmp_path, "x.tar.gz", content)


@pytest.mark.parametrize(
    ("name", "right"),
    [("x.tar.gz", tar_bytes()), ("x.tar", tar_bytes(mode="w")), ("x.zip", zip_bytes(list(CONTENT.items())))],
)
def test_a_truncated_archive_is_refused_unless_only_its_padding_is_gone(
    tmp_path: Path, name: str, right: bytes
) -> None:
    refused = 0
    for length in range(0, len(right), max(1, len(right) // 40)):
        for left in (tmp_path / "out").glob("*"):
            left.unlink()
        try:
            assert unpack(tmp_path, name, right[:length]) == CONTENT
        except UserError:
            refused += 1
    assert refused >= 7  # of the 10,240 bytes of a tar 1,539 are needed


def test_every_truncation_of_a_gz_is_refused(tmp_path: Path) -> None:
    right = gzip.compress(b"aaaaa")
    for length in range(len(right)):
        with pytest.raises(UserError, match=r"a\.gz is refused"):
            unpack(tmp_path, "a.gz", right[:length], {"a": 5})
        (tmp_path / "out" / "a").unlink()


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar", "x.zip", "a.gz"])
@FAST
@given(content=st.binary(max_size=300))
def test_random_bytes_never_crash(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "out" / "a").unlink(missing_ok=True)
    with pytest.raises(UserError, match="is refused") as caught:
        unpack(tmp_path, name, content, {"a": 5} if name == "a.gz" else WANTED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar", "x.zip"])
@FAST
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_flipped_byte_never_crashes(tmp_path: Path, name: str, place: int, value: int) -> None:
    right = {
        "x.tar.gz": tar_bytes(),
        "x.tar": tar_bytes(mode="w"),
        "x.zip": zip_bytes(list(CONTENT.items())),
    }[name]
    content = bytearray(right)
    content[place % len(content)] = value
    for left in (tmp_path / "out").glob("*"):
        left.unlink()
    try:
        got = unpack(tmp_path, name, bytes(content))
    except UserError:
        return
    assert {name: len(data) for name, data in got.items()} == WANTED


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    """A tar header that claims any size, also one of 2^60 bytes or less than none."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = bytes([0x80 if size >= 0 else 0xFF]) + (size % 2**88).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(**facts: str) -> bytes:
    """An extended header with these facts for the next member."""
    return tarfile.TarInfo._create_pax_generic_header(facts, tarfile.XHDTYPE, "utf-8")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        *(
            (header(kind, 1 << 32), "a header claims 4294967296 bytes for names")
            for kind in (b"L", b"K", b"x", b"g")
        ),
        *((header(kind, 1 << 60), "bytes for names") for kind in (b"L", b"X")),
        (header(b"L", 8000) + bytes(8192), "damaged|not in it"),
        ((header(b"L", 8192, "n") + b"n" * 8192) * 600, "damaged|bytes for names"),
        (header(b"0", -512) * 3, "negative size"),
        (header(b"0", -(1 << 60)), "negative size"),
        (header(b"0", 1 << 60), "far more than the data set"),
        (header(b"S", 512), "sparse"),
        (pax(**{"size": "-512"}) + header(b"0", 0), "negative size"),
        (pax(**{"GNU.sparse.map": "0,1", "GNU.sparse.size": "5"}) + header(b"0", 0), "sparse"),
        (pax(**{"GNU.sparse.size": "5"}) + header(b"0", 0), "sparse"),
        (
            pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + header(b"0", 512) + b"9" * 512,
            "sparse",
        ),
    ],
)
def test_headers_are_not_believed(tmp_path: Path, ending: str, content: bytes, says: str) -> None:
    packed = content + bytes(1024)
    tracemalloc.start()
    with pytest.raises(UserError, match=rf"^x{ending} is refused: .*({says})"):
        unpack(tmp_path, f"x{ending}", gzip.compress(packed, 1) if ending.endswith("gz") else packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(packed) + (64 << 20)
