"""Embedded sets: the same bytes on every machine, as catalogued, and fit for their purpose."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from shared.data import catalogue, drawing, embedded, readers


@pytest.mark.parametrize("name", embedded.GENERATORS)
def test_generators_make_the_catalogued_bytes(name: str) -> None:
    entry = catalogue.find(name)
    for split, (images, labels) in embedded.GENERATORS[name]().items():
        for file, array in zip(entry.splits[split], (images, labels)):
            content = readers.idx_bytes(array)
            assert hashlib.sha256(content).hexdigest() == entry.files[file].sha256, file
        assert images.shape == (len(labels), *entry.shape)
        assert sorted(set(labels.tolist())) == list(range(len(entry.classes)))


def test_every_generator_is_in_the_catalogue_and_the_reverse() -> None:
    named = {entry.generator for entry in catalogue.load().values() if entry.generator}
    assert named == set(embedded.GENERATORS)


def test_digits_are_split_by_class_without_overlap() -> None:
    splits = embedded.digits()
    assert np.bincount(splits["test"][1]).tolist() == [50] * 10
    assert len(splits["train"][1]) == 1297
    train = {image.tobytes() for image in splits["train"][0]}
    assert not any(image.tobytes() in train for image in splits["test"][0])


def test_digits_lie_like_mnist_in_a_black_frame() -> None:
    images = embedded.digits()["train"][0]
    for edge in (images[..., :3, :], images[..., -3:, :], images[..., :3], images[..., -3:]):
        assert not edge.any()
    assert images.max() == 255


def test_enlarging_is_bilinear_interpolation() -> None:
    images = np.random.RandomState(0).randint(0, 17, (3, 8, 8))
    got = embedded.enlarge(images, canvas=28, side=20, white=16)
    padded = np.pad(images, ((0, 0), (9, 9), (9, 9)))
    position = (np.arange(28) + 0.5 - 14) * 8 / 20 + 4 - 0.5 + 9
    low, part = np.floor(position).astype(int), position - np.floor(position)
    rows = padded[:, low] * (1 - part)[:, None] + padded[:, low + 1] * part[:, None]
    want = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    assert np.abs(got - want * 255 / 16).max() <= 0.5 + 1e-9


def test_glyphs_are_ten_digits_in_two_faces_within_a_frame() -> None:
    images, labels = embedded.glyphs()["train"]
    assert labels.tolist() == list(range(10))
    lit = images > 127
    rows, columns = lit.any(3), lit.any(2)
    assert (rows.sum(2) >= 19).all(), "each 20 pixels high"
    assert not images[:, :, :3].any()
    assert not images[:, :, -3:].any()
    # Bahianita is a narrow face, and the two channels are not mixed up
    assert (columns.sum(2)[:, 1] < columns.sum(2)[:, 0]).all()
    assert len({image.tobytes() for image in images.reshape(20, 28, 28)}) == 20


def test_shapes_are_told_apart_by_their_form_and_not_by_their_color() -> None:
    images, labels = drawing.shapes(400, seed=9)
    mean = images.reshape(400, 3, -1).mean(2)
    by_class = np.stack([mean[labels == k].mean(0) for k in range(10)])
    # Means over 40 images of uniform colors: standard deviation about 74 / sqrt(40) = 12.
    assert np.abs(by_class - by_class.mean(0)).max() < 45


def test_shapes_depend_on_seed_and_index_only() -> None:
    few, _ = drawing.shapes(3, seed=1)
    more, labels = drawing.shapes(12, seed=1)
    assert np.array_equal(few, more[:3])
    assert labels.tolist() == [*range(10), 0, 1]
    assert not np.array_equal(more[0], more[10])
    assert not np.array_equal(few, drawing.shapes(3, seed=2)[0])


@pytest.mark.parametrize(("draw", "share"), [(drawing._disk, 3.1416), (drawing._square, 3.0625)])
def test_areas(draw: object, share: float) -> None:
    side = np.arange(-300, 301)
    x, y = np.meshgrid(side, side)
    radius = np.int64(200)
    assert callable(draw)
    assert draw(x, y, radius).sum() / radius**2 == pytest.approx(share, rel=0.02)
