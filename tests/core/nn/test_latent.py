"""The latent loss: tables are representations, equal to dense matrices, and a wrong one is caught."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from shared.algebra import representations
from shared.algebra.actions import act_image, act_latent, act_volume
from shared.algebra.groups import cube_rotations, cyclic, dihedral, direct_product, octahedral
from shared.nn import latent

C4, D1, D4 = cyclic(4), dihedral(1), dihedral(4)
GROUPS = {
    "C4": C4,
    "D1": D1,
    "D4": D4,
    "D1xD1": direct_product(D1, D1),
    "D4xD4": direct_product(D4, D4),
    "S4": octahedral(),
}
CASES = pytest.mark.parametrize(
    ("name", "size"), [("C4", 64), ("D1xD1", 66), ("D4", 9), ("D4xD4", 66), ("S4", 48)]
)


def dense(group, size):
    """I_m (x) W(g) (+) 1, as the paper writes it."""
    copies, rest = divmod(size, group.order)
    parts = [representations.regular(group)] * copies + [representations.trivial(group)] * rest
    return representations.direct_sum(parts)


def is_homomorphism(group, action):
    """rho(g) rho(h) = rho(g h) for every pair of elements, acting on every unit vector."""
    n = group.order
    g, h = (pairs.flatten() for pairs in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    z = torch.eye(action.size, dtype=torch.float64).expand(n * n, -1, -1)
    product = torch.as_tensor(group.table.copy())[g, h]
    return torch.equal(action(action(z, h), g), action(z, product))


@CASES
def test_the_action_is_a_homomorphism_and_the_dense_matrix(name, size):
    group = GROUPS[name]
    action = latent.regular(group, size)
    assert is_homomorphism(group, action)
    np.testing.assert_array_equal(action.matrices(), dense(group, size).matrices)


@CASES
def test_one_element_for_each_sample(name, size):
    group, generator = GROUPS[name], torch.Generator().manual_seed(0)
    z = torch.randn(50, size, generator=generator, dtype=torch.float64)
    g = torch.randint(group.order, (50,), generator=generator)
    assert torch.equal(latent.regular(group, size)(z, g), act_latent(dense(group, size), g, z))


def test_a_transposed_table_is_no_homomorphism():
    """The planted mistake: W(g^-1) for W(g), which commuting groups do not show."""
    for name in ("D4", "D4xD4", "S4"):
        group = GROUPS[name]
        wrong = latent.PermutationAction(latent.regular(group, group.order).table[group.inverse.tolist()])
        assert not is_homomorphism(group, wrong), name


def test_feature_maps_turn():
    x = torch.randn(8, 3, 6, 6)
    g = torch.arange(8)
    turned = latent.grid(D4, 6)(x, g)
    for element in range(8):
        assert torch.equal(turned[element], act_image(D4, element, x[element]))


def test_volumes_turn():
    x, g = torch.randn(24, 2, 5, 5, 5), torch.arange(24)
    turned = latent.volume(octahedral(), 5)(x, g)
    for element in range(24):
        assert torch.equal(turned[element], act_volume(octahedral(), element, x[element]))


def test_even_feature_maps_are_copies_of_the_regular_representation():
    character = np.trace(latent.grid(C4, 8).matrices(), axis1=1, axis2=2)
    np.testing.assert_array_equal(character, [64, 0, 0, 0])


@pytest.mark.parametrize("name", ["D1xD1", "D4", "D4xD4", "S4"])
def test_controls(name):
    group, size = GROUPS[name], 66
    z = torch.randn(group.order, size)
    everything = torch.arange(group.order)
    assert torch.equal(latent.trivial(group, size)(z, everything), z)
    cosets = latent.cosets(group, size)
    assert is_homomorphism(group, cosets)
    fixed = np.trace(cosets.matrices(), axis1=1, axis2=2)
    assert fixed[1:].max() > 2  # the regular one and its padding leave 2 of 66 or fewer alone
    assert cosets.size == size
    assert not is_homomorphism(group, latent.shuffled(group, size))
    assert not is_homomorphism(group, latent.wrong_group(group, size))
    assert not torch.equal(latent.shuffled(group, size, 1).table, latent.shuffled(group, size, 2).table)
    for control in (cosets, latent.shuffled(group, size), latent.wrong_group(group, size)):
        assert torch.equal(control(z, torch.zeros_like(everything)), z)  # the identity moves nothing


def test_the_gradient_flows_through_both():
    group = GROUPS["S4"]
    z, moved_z = (torch.randn(5, 48, dtype=torch.float64, requires_grad=True) for _ in range(2))
    g = torch.tensor([0, 3, 7, 11, 23])
    action = latent.regular(group, 48)
    assert torch.autograd.gradcheck(lambda a, b: latent.latent_loss(action, a, b, g), (z, moved_z))
    latent.latent_loss(action, z, moved_z, g).backward()
    assert z.grad.abs().min() > 0
    assert moved_z.grad.abs().min() > 0


class Equivariant(nn.Module):
    """Entry h of its latent vector is the sum of a fixed picture times the image turned by h^-1."""

    def __init__(self, group, inverse=True):
        super().__init__()
        self.group, self.inverse = group, inverse
        self.picture = nn.Parameter(torch.randn(7, 7, dtype=torch.float64))
        self.latent, self.head = nn.Identity(), nn.Linear(group.order, 3, dtype=torch.float64)

    def forward(self, x):
        elements = self.group.inverse if self.inverse else range(self.group.order)
        turned = [(act_image(self.group, int(h), x) * self.picture).sum((-2, -1)) for h in elements]
        return self.head(self.latent(torch.stack(turned, -1)))


def test_the_loss_is_zero_for_an_equivariant_encoder_only():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 7, 7, generator=generator, dtype=torch.float64)
    g = torch.randint(8, (40,), generator=generator)
    moved = torch.stack([act_image(D4, int(e), one) for e, one in zip(g, x)])
    right, wrong = (latent.LatentLoss(Equivariant(D4, inverse), "latent", D4) for inverse in (True, False))
    assert right(x, moved, g)[2].item() < 1e-24
    assert wrong(x, moved, g)[2].item() > 1
    assert right(x, moved, g.roll(1))[2].item() > 1


def test_any_layer_can_be_tapped_and_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    before = copy.deepcopy(network.state_dict())
    x, moved, g = torch.randn(6, 4, 4), torch.randn(6, 4, 4), torch.arange(6) % 4
    for layer, size in (("1", 8), ("0", 16)):
        method = latent.LatentLoss(network, layer, C4)
        logits, moved_logits, penalty = method(x, moved, g)
        assert method.move.size == size
        assert torch.equal(logits, network(x))
        assert torch.equal(moved_logits, network(moved))
        assert penalty.shape == ()
    assert list(before) == list(network.state_dict())
    assert not network[1]._forward_hooks


def test_a_spatial_action_is_given_by_hand():
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(48, 2))
    method = latent.LatentLoss(network, "0", C4, latent.grid(C4, 4))
    x, g = torch.randn(4, 2, 4, 4), torch.arange(4)
    moved = torch.stack([torch.rot90(one, k, (-2, -1)) for k, one in enumerate(x)])
    assert method(x, moved, g)[2].item() < 1e-12
    assert method(x, x, g)[2].item() > 1e-2


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


def test_bad_input_gets_a_sentence():
    action = latent.regular(C4, 8)
    z, g = torch.randn(3, 8), torch.tensor([0, 1, 3])
    with pytest.raises(ValueError, match="does not hold the regular representation of O, which needs 24"):
        latent.regular(octahedral(), 23)
    with pytest.raises(ValueError, match="tap another layer, or name the right axes"):
        action(torch.randn(3, 8, 2), g)
    with pytest.raises(ValueError, match="an integer for each"):
        action(z, g[:2])
    with pytest.raises(ValueError, match="an integer for each"):
        action(z, g.float())
    with pytest.raises(ValueError, match="elements are 0 to 3, not -1 to 4"):
        action(z, torch.tensor([-1, 4, 0]))
    with pytest.raises(ValueError, match="must be a permutation"):
        latent.PermutationAction([[0, 1], [1, 1]])
    with pytest.raises(ValueError, match="cannot be compared"):
        latent.latent_loss(action, z, z[:1], g)
    with pytest.raises(ValueError, match="has no layer 'encoder'; it has 0, 1"):
        latent.tapped(nn.Sequential(nn.ReLU(), nn.ReLU()), "encoder", z)
    with pytest.raises(ValueError, match="ran 2 times"):
        latent.tapped(Twice(), "layer", torch.randn(2, 4))
    with pytest.raises(ValueError, match="no wrong one"):
        latent.wrong_group(C4, 8)
    with pytest.raises(ValueError, match=r"torch\.bool do not fit 2 samples"):
        latent.regular(C4, 8)(torch.randn(2, 8), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="C3 does not map voxels to voxels"):
        latent.volume(cyclic(3), 4)
    maps = nn.Sequential(nn.Conv2d(1, 8, 3))
    x = torch.randn(2, 1, 7, 7)
    with pytest.raises(ValueError, match=r"features of shape .2, 8, 5, 5., not vectors"):
        latent.LatentLoss(maps, "0", C4)(x, x, torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="pixel grid"):
        latent.grid(cyclic(3), 4)


def test_the_rotations_of_the_cube_are_the_group_of_the_table():
    """Element i of the group is matrix i: volumes and latent vectors are moved by the same element."""
    matrices, table = cube_rotations(), octahedral().table
    np.testing.assert_array_equal(matrices[:, None] @ matrices[None], matrices[table])
