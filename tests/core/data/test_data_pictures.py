"""Decoding pictures, and sets of pictures that are decoded when they are indexed."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_makers import picture, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from shared.base.errors import UserError
from shared.data import pictures
from shared.data.pictures import Pictures

FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def pixels(content: bytes) -> torch.Tensor:
    """Of a picture as it is, (3, h, w)."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("RGB"))).permute(2, 0, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("width", "height", "resized"),
    [
        (64, 64, (64, 64)),
        (90, 64, (64, 90)),
        (64, 91, (91, 64)),
        (200, 301, (96, 64)),
        (40, 33, (64, 77)),
        (33, 40, (77, 64)),
    ],
)
def test_short_side_and_center(kind: str, width: int, height: int, resized: tuple[int, int]) -> None:
    content = picture(3, width, height, kind)
    whole = F.interpolate(pixels(content)[None].double(), resized, mode="bilinear", antialias=True)[0]
    top, left = (resized[0] - 64) // 2, (resized[1] - 64) // 2
    wanted = whole[:, top : top + 64, left : left + 64]
    got = torch.from_numpy(pictures.decode(content, 64, "it").copy())
    assert (got.dtype, got.shape) == (torch.uint8, (3, 64, 64))
    assert (got - wanted).abs().max() < 1.01  # Pillow rounds after each axis


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colors_become_rgb(mode: str) -> None:
    content = picture(1, 70, 70, "JPEG", mode)
    assert np.array_equal(pictures.decode(content, 70, "it"), pixels(content).numpy())


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be of this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is damaged"),
        (b"<html>Please log in</html>", "is damaged"),
        (picture(1)[:500], "is damaged"),
        (picture(1, kind="GIF"), "is damaged"),
        (huge_png(9_000, 9_945), "9000 x 9945 pixels and is refused"),
        (huge_png(60_000, 60_000), "is damaged"),  # Pillow's own limit
        (huge_png(1, 2_000_000), "1 x 2000000 pixels and is refused"),  # after the short side has become 64
    ],
    ids=["empty", "page", "cut", "gif", "bomb", "large bomb", "thin"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_picture_is_one_sentence(content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        pictures.decode(content, 64, "picture 7")
    assert str(caught.value).startswith("picture 7 ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@FAST
@given(data=st.data())
def test_damaged_pictures_never_crash(kind: str, data: st.DataObject) -> None:
    content = bytearray(picture(2, 40, 30, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    assert "\n" not in refusal(lambda: pictures.decode(bytes(content), 16, "it"))


@pytest.fixture
def some(tmp_path: Path) -> tuple[Pictures, torch.Tensor]:
    """Five pictures one after the other in a file, and what they decode to."""
    contents = [picture(seed, 40 + seed, 36) for seed in range(5)]
    sizes = np.array([len(content) for content in contents])
    (tmp_path / "file").write_bytes(b"head" + b"".join(contents))
    wanted = np.stack([pictures.decode(content, 32, "it") for content in contents])
    offsets = 4 + np.concatenate([[0], sizes.cumsum()[:-1]])
    return Pictures(tmp_path / "file", offsets, sizes, 32), torch.from_numpy(wanted)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "rows", [torch.tensor([[4, 0, 0], [1, 2, 3]]), torch.tensor(2), [3, -1], -5, torch.zeros(0, 2).long()]
)
def test_rows_of_any_shape(
    some: tuple[Pictures, torch.Tensor],
    rows: torch.Tensor | list[int] | int,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, wanted = some
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    got = images[rows]
    assert got.dtype == images.dtype == torch.uint8
    assert torch.equal(got, wanted[torch.as_tensor(rows)])


def test_they_look_like_a_tensor(some: tuple[Pictures, torch.Tensor]) -> None:
    images, wanted = some
    assert (images.shape, len(images)) == (wanted.shape, 5)
    part = images[1:4]
    assert isinstance(part, Pictures)
    assert part.shape == (3, 3, 32, 32)
    assert torch.equal(part[torch.arange(3)], wanted[1:4])
    assert torch.equal(images.select(np.array([4, 4, 0]))[[0, 1, 2]], wanted[[4, 4, 0]])


def test_rows_that_are_not_there(some: tuple[Pictures, torch.Tensor]) -> None:
    images, _ = some
    for rows in ([0, 5], [-6], 5):
        with pytest.raises(IndexError, match="there are 5 pictures"):
            images[rows]
    for rows in (torch.tensor([True] * 5), torch.tensor([1.0])):
        with pytest.raises(TypeError, match="whole numbers"):
            images[rows]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_damaged_one_is_named(
    some: tuple[Pictures, torch.Tensor], tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, wanted = some
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:-10])
    assert torch.equal(images[:4][[0, 1, 2, 3]], wanted[:4])
    with pytest.raises(UserError, match=r"the picture at byte \d+ of file is cut short"):
        images[[0, 4]]


def test_it_trains_in_the_place_of_a_tensor(some: tuple[Pictures, torch.Tensor]) -> None:
    from shared.train import FitSettings, TrainingSet, fit

    images, wanted = some
    losses = []
    for source in (images, wanted):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
        rows = torch.arange(4)
        data = TrainingSet(
            source, torch.tensor([0, 1, 0, 1, 0]), [rows], lambda x, _: x / 255, lambda x: x / 255, [rows]
        )
        result = fit([model], data, FitSettings(epochs=2, batch_size=3), [0])
        losses.append(result.losses)
    assert losses[0] == losses[1]
