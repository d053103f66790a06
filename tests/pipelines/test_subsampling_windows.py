"""The sets of pixels behind Figure 1: pooling and turning in either order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.subsampling import figures


def pool(image, kernel, stride):
    """Max pooling by two loops."""
    cells = (len(image) - kernel) // stride + 1
    place = [stride * cell for cell in range(cells)]
    return np.array([[image[a : a + kernel, b : b + kernel].max() for b in place] for a in place])


def test_windows_of_five_pixels():
    found = figures.windows(5, 2, 2)
    assert found.tolist() == [[[0, 1, 5, 6], [2, 3, 7, 8]], [[10, 11, 15, 16], [12, 13, 17, 18]]]
    turned = figures.turn_then_pool(5, 2, 2)
    assert turned[0, 0].tolist() == [3, 4, 8, 9], "the top left window of T x holds x's top right pixels"
    assert figures.pool_then_turn(5, 2, 2)[0, 0].tolist() == [2, 3, 7, 8]


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_the_sets_are_those_of_pooling(extra, kernel, stride, seed):
    size = kernel + extra - 1
    image = np.random.default_rng(seed).permutation(size * size)
    square = image.reshape(size, size)
    first, last = (
        image[sets(size, kernel, stride)].max(-1) for sets in (figures.pool_then_turn, figures.turn_then_pool)
    )
    assert (first == np.rot90(pool(square, kernel, stride))).all()
    assert (last == pool(np.rot90(square), kernel, stride)).all()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_sets_agree_exactly_where_the_remainder_is_zero(kernel, stride):
    for size in range(kernel, 14):
        first, last = (
            sets(size, kernel, stride) for sets in (figures.pool_then_turn, figures.turn_then_pool)
        )
        assert (first == last).all() == ((size - kernel) % stride == 0), size


def test_owners_color_every_pixel_that_is_read():
    found = figures.owners(5, figures.windows(5, 2, 2))
    expected = [[0, 0, 1, 1, -1], [0, 0, 1, 1, -1], [2, 2, 3, 3, -1], [2, 2, 3, 3, -1], [-1] * 5]
    assert found.tolist() == expected


def test_a_kernel_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match="choose a larger size"):
        figures.windows(2, 3, 1)
