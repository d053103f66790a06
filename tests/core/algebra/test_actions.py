"""Actions on images, fields, volumes and latent vectors: group law, conventions, exactness, interpolation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shared.algebra import actions
from shared.algebra.groups import Group, cube_rotations, cyclic, dihedral, direct_product, octahedral
from shared.algebra.irreps import irreps
from shared.algebra.representations import Representation, defining, direct_sum, quotient, regular

EXACT = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
exact_groups = pytest.mark.parametrize("group", EXACT, ids=repr)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def signed_permutations(group: Group) -> list[Representation]:
    """Representations whose matrices only permute and change signs."""
    parts = [part for part in irreps(group) if set(np.unique(part.matrices)) <= {-1.0, 0.0, 1.0}]
    return [regular(group), quotient(group, group.subgroups()[-1]), *parts, direct_sum(parts)]


@exact_groups
@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (4, 7)])
def test_images_and_features_follow_the_group_law_exactly(group: Group, shape: tuple[int, int]) -> None:
    x = numbers(2, 3, group.order, *shape)
    for g, h in itertools.product(range(group.order), repeat=2):
        gh = group.product(g, h)
        for act in (actions.act_image, actions.act_features):
            assert torch.equal(act(group, g, act(group, h, x)), act(group, gh, x))


@pytest.mark.parametrize("group", EXACT[1:], ids=repr)
def test_images_are_moved_faithfully(group: Group) -> None:
    moved = {tuple(actions.act_image(group, g, numbers(3, 3)).flatten().tolist()) for g in range(group.order)}
    assert len(moved) == group.order


def test_conventions_of_rotation_and_mirror() -> None:
    x = torch.tensor([[1, 2], [3, 4]])
    assert actions.act_image(cyclic(4), 1, x).tolist() == [[2, 4], [1, 3]]  # counter-clockwise
    assert torch.equal(actions.act_image(cyclic(2), 1, x), actions.act_image(cyclic(4), 2, x))
    assert actions.act_image(dihedral(1), 1, x).tolist() == [[2, 1], [4, 3]]  # left-right
    assert actions.act_image(dihedral(4), 5, x).tolist() == [[1, 3], [2, 4]]  # mirror, then a quarter turn
    assert torch.equal(actions.act_image(dihedral(4), 5, x), torch.rot90(x.flip(-1), 1, (-2, -1)))
    assert actions.act_image(cyclic(8), 2, x).tolist() == [[2, 4], [1, 3]]


def test_feature_axis_is_rolled_forward() -> None:
    x = numbers(1, 1, 4, 3, 3)
    out = actions.act_features(cyclic(4), 1, x)
    assert torch.equal(out, torch.rot90(x, 1, (-2, -1)).roll(1, 2))
    for group in EXACT:
        x = numbers(2, 2, group.order, 4, 4)
        for g, h in itertools.product(range(group.order), repeat=2):
            moved = actions.act_features(group, g, x)[:, :, group.product(g, h)]
            assert torch.equal(moved, actions.act_image(group, g, x[:, :, h]))


@exact_groups
def test_features_are_fields_of_the_regular_representation(group: Group) -> None:
    x = numbers(2, 3, group.order, 5, 5)
    for g in range(group.order):
        assert torch.equal(actions.act_features(group, g, x), actions.act_field(regular(group), g, x))


@exact_groups
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_grid_permutation_is_the_action_on_pixels(group: Group, size: int) -> None:
    w = numbers(2, 3, size, size)
    permutation = actions.grid_permutation(group, size)
    assert permutation.shape == (group.order, size * size)
    assert permutation.dtype == torch.int64
    for g in range(group.order):
        assert torch.equal(
            w.reshape(2, 3, -1)[..., permutation[g]], actions.act_image(group, g, w).flatten(-2)
        )


@exact_groups
def test_fields_follow_the_group_law_exactly(group: Group) -> None:
    for rep in signed_permutations(group):
        x = numbers(2, 3, rep.size, 4, 4)
        for g, h in itertools.product(range(group.order), repeat=2):
            once = actions.act_field(rep, group.product(g, h), x)
            assert torch.equal(actions.act_field(rep, g, actions.act_field(rep, h, x)), once)


def test_vectors_turn_with_their_pixels() -> None:
    field = torch.zeros(2, 3, 3)
    field[0, 0, 0] = 1.0  # at the top left, to the right
    turned = actions.act_vectors(cyclic(4), 1, field)
    assert turned[:, 2, 0].tolist() == [0, 1]  # at the bottom left, up
    assert turned.abs().sum() == 1
    mirrored = actions.act_vectors(dihedral(4), 4, field)
    assert mirrored[:, 0, 2].tolist() == [-1, 0]  # at the top right, to the left


@exact_groups
def test_the_gradient_of_an_image_is_a_vector_field(group: Group) -> None:
    def gradient(image: Tensor) -> Tensor:  # centered differences, periodic border; y runs up
        dx = image.roll(-1, -1) - image.roll(1, -1)
        dy = image.roll(1, -2) - image.roll(-1, -2)
        return torch.stack([dx, dy], dim=-3)

    image = numbers(2, 6, 6)
    for g in range(group.order):
        moved = gradient(actions.act_image(group, g, image))
        assert torch.equal(moved, actions.act_vectors(group, g, gradient(image)))


def test_volumes_follow_the_group_law_exactly() -> None:
    group = octahedral()
    cube, box = numbers(2, 4, 4, 4), numbers(2, 3, 4, 5)
    vectors = numbers(2, 3, 3, 3, 3)
    for g, h in itertools.product(range(24), repeat=2):
        gh = group.product(g, h)
        for x in (cube, box):
            twice = actions.act_volume(group, g, actions.act_volume(group, h, x))
            assert torch.equal(twice, actions.act_volume(group, gh, x))
        twice = actions.act_vectors(group, g, actions.act_vectors(group, h, vectors))
        assert torch.equal(twice, actions.act_vectors(group, gh, vectors))
    assert len({tuple(actions.act_volume(group, g, cube).flatten().tolist()) for g in range(24)}) == 24


def test_volume_rotations_move_points_as_their_matrices_do() -> None:
    for g, matrix in enumerate(cube_rotations()):
        x = torch.zeros(5, 5, 5)
        point = np.array([1, 2, -1])  # (x, y, z) from the center; y up, against the rows
        x[2 + point[2], 2 - point[1], 2 + point[0]] = 1
        moved = actions.act_volume(octahedral(), g, x)
        q = matrix @ point
        assert moved[2 + q[2], 2 - q[1], 2 + q[0]] == 1


def test_quarter_turn_about_z_turns_every_slice() -> None:
    x = numbers(2, 3, 5, 4)
    quarter = octahedral().generators[0]
    assert torch.equal(actions.act_volume(octahedral(), quarter, x), torch.rot90(x, 1, (-2, -1)))
    assert torch.equal(actions.act_volume(dihedral(4), 5, x), actions.act_image(dihedral(4), 5, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_latent_vectors_follow_the_group_law_exactly(dtype: torch.dtype) -> None:
    for group in (*EXACT, octahedral(), direct_product(cyclic(2), dihedral(3))):
        for rep in signed_permutations(group):
            x = (numbers(2, 3, rep.size) * 9).to(dtype)
            for g, h in itertools.islice(itertools.product(range(group.order), repeat=2), 200):
                once = actions.act_latent(rep, group.product(g, h), x)
                assert torch.equal(actions.act_latent(rep, g, actions.act_latent(rep, h, x)), once)


@given(st.sampled_from([cyclic(5), cyclic(8), dihedral(3), dihedral(6), octahedral()]), st.data())
@settings(max_examples=60, deadline=None)
def test_latent_vectors_follow_the_group_law_for_every_irrep(group: Group, data: st.DataObject) -> None:
    rep = data.draw(st.sampled_from(irreps(group)))
    g, h = (data.draw(st.integers(0, group.order - 1)) for _ in range(2))
    x = numbers(4, rep.size, seed=data.draw(st.integers(0, 99))).double()
    twice = actions.act_latent(rep, g, actions.act_latent(rep, h, x))
    assert torch.allclose(twice, actions.act_latent(rep, group.product(g, h), x), atol=1e-12)
    assert torch.allclose(actions.act_latent(rep, g, x), x @ torch.tensor(rep(g)).T, atol=1e-12)


def test_one_element_for_each_latent_vector() -> None:
    rep = irreps(dihedral(3))[2]
    x = numbers(7, 2, 2).requires_grad_()
    elements = torch.tensor([0, 5, 3, 3, 1, 0, 2])
    out = actions.act_latent(rep, elements, x)
    for b, g in enumerate(elements.tolist()):
        assert torch.allclose(out[b], actions.act_latent(rep, g, x[b]))
    out.square().sum().backward()
    assert torch.allclose(x.grad, 2 * x.detach(), atol=1e-5)  # the matrices are orthogonal
    with pytest.raises(ValueError, match="one for each"):
        actions.act_latent(rep, elements[:3], x)


def blob(size: int = 33, x: float = 5.0, y: float = 2.0) -> Tensor:
    """Draw a smooth spot at ``(x, y)`` from the center, ``y`` up.

    Its second derivatives are at most 1/9, so that linear interpolation is off by at most 2/8/9 = 0.028.
    """
    axis = torch.arange(size) - (size - 1) / 2
    return torch.exp(-((axis - x) ** 2 + (-axis[:, None] - y) ** 2) / 18)


@pytest.mark.parametrize("group", [cyclic(8), cyclic(3), dihedral(6), dihedral(8)], ids=repr)
def test_interpolated_actions_move_a_blob_where_the_matrix_says(group: Group) -> None:
    for g in range(group.order):
        moved = actions.act_image(group, g, blob())
        expected = blob(33, *(defining(group)(g) @ [5.0, 2.0]))
        assert (moved - expected).abs().max() < 0.028
        turned = actions.act_vectors(group, g, torch.stack([blob(), 0 * blob()]))
        assert (
            turned - torch.tensor(defining(group)(g)[:, 0, None, None]).float() * expected
        ).abs().max() < 0.028


@pytest.mark.parametrize("group", [cyclic(8), dihedral(3)], ids=repr)
def test_interpolated_actions_follow_the_group_law_approximately(group: Group) -> None:
    for g, h in itertools.product(range(group.order), repeat=2):
        twice = actions.act_image(group, g, actions.act_image(group, h, blob()))
        assert (twice - actions.act_image(group, group.product(g, h), blob())).abs().max() < 0.056


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-8, 8))
def test_quarter_turns_are_exact_in_rotate_image(height: int, width: int, turns: int) -> None:
    x = numbers(2, height, width)
    assert torch.equal(actions.rotate_image(x, 90.0 * turns), torch.rot90(x, turns, (-2, -1)))


@pytest.mark.parametrize("size", [8, 9])
def test_warp_agrees_with_the_exact_action_on_the_grid(size: int) -> None:
    x = numbers(3, size, size).double()
    for g in range(8):
        matrix = defining(dihedral(4))(g)
        assert torch.allclose(actions.warp(x, matrix), actions.act_image(dihedral(4), g, x), atol=1e-12)
    volume = numbers(size, size, size).double()
    for g, matrix in enumerate(cube_rotations()):
        assert torch.allclose(
            actions.warp(volume, matrix), actions.act_volume(octahedral(), g, volume), atol=1e-12
        )


def test_rotation_is_counter_clockwise_keeps_the_size_and_fills_with_zero() -> None:
    x = torch.ones(1, 21, 31)
    out = actions.rotate_image(x, 45)
    assert out.shape == x.shape
    assert out[0, 10, 15] == pytest.approx(1)
    assert out[0, 0, 0] == out[0, -1, -1] == 0
    assert (
        actions.rotate_image(blob(), 30) - blob(33, *(5 * np.cos(np.pi / 6) - 1, 2.5 + np.sqrt(3)))
    ).abs().max() < 0.028
    back = actions.rotate_image(actions.rotate_image(blob(), 30), -30)
    assert (back - blob()).abs().max() < 0.056


def test_half_precision_is_interpolated_and_keeps_its_type() -> None:
    out = actions.rotate_image(blob().bfloat16(), 30)
    assert out.dtype == torch.bfloat16
    assert (out.float() - actions.rotate_image(blob(), 30)).abs().max() < 0.02


def test_interpolation_is_differentiable() -> None:
    x = numbers(1, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: actions.rotate_image(t, 33), x)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: actions.act_image(octahedral(), 1, torch.zeros(3, 3)), "does not act on the plane"),
        (lambda: actions.act_image(cyclic(4), 4, torch.zeros(3, 3)), "elements 0 to 3, not 4"),
        (lambda: actions.act_volume(octahedral(), -1, torch.zeros(3, 3, 3)), "elements 0 to 23"),
        (lambda: actions.act_image(cyclic(8), 1, torch.zeros(3, 3, dtype=torch.uint8)), "floating-point"),
        (lambda: actions.act_features(cyclic(4), 1, torch.zeros(1, 4, 8, 3, 3)), r"\(B, C, 4, H, W\)"),
        (lambda: actions.act_field(regular(cyclic(4)), 1, torch.zeros(1, 4, 8, 3, 3)), "needs size 4"),
        (lambda: actions.act_latent(regular(cyclic(4)), 1, torch.zeros(4, 3)), "needs size 4"),
        (lambda: actions.grid_permutation(cyclic(8), 3), "does not map the pixel grid"),
        (lambda: actions.grid_permutation(octahedral(), 3), "does not map the pixel grid"),
    ],
)
def test_misuse_is_refused(call, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()


def test_actions_on_the_gpu_equal_those_on_the_cpu(gpu: str) -> None:
    features, volume, image = numbers(2, 3, 8, 5, 5), numbers(2, 3, 4, 4, 4), numbers(3, 9, 9)
    for g in range(8):
        moved = actions.act_features(dihedral(4), g, features.to(gpu))
        assert torch.equal(moved.cpu(), actions.act_features(dihedral(4), g, features))
        rotated = actions.act_image(cyclic(8), g, image.to(gpu))
        assert torch.allclose(rotated.cpu(), actions.act_image(cyclic(8), g, image), atol=1e-5)
        latent = actions.act_latent(regular(dihedral(4)), g, features.movedim(2, -1).to(gpu))
        assert torch.equal(latent.cpu(), actions.act_latent(regular(dihedral(4)), g, features.movedim(2, -1)))
    for g in range(24):
        moved = actions.act_vectors(octahedral(), g, volume.to(gpu))
        assert torch.equal(moved.cpu(), actions.act_vectors(octahedral(), g, volume))
