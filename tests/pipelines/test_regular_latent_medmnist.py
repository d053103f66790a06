"""MedMNIST3D: rotations of the cube on volumes and latent vectors, handedness, the network, a training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pipelines.regular_latent import medmnist, models
from pipelines.regular_latent.pair_loss import latent_errors
from pipelines.regular_latent.settings import Settings
from shared.algebra.actions import act_volume
from shared.algebra.groups import octahedral
from shared.base.errors import UserError
from shared.nn import latent
from shared.runs.api import Context

pytestmark = pytest.mark.usefixtures("here")

GROUP = octahedral()
TINY = Settings(
    kind="medmnist",
    group="S4",
    dataset="volumes",
    channels=3,
    train_images=8,
    validation_images=2,
    test_images=2,
    batch_size=4,
    epochs=1,
)
QUIET = Context(log=lambda line: None)


@pytest.fixture(scope="module")
def actions():
    return {side: medmnist.VolumeAction(side == "left") for side in ("left", "released")}


def all_pairs():
    return (part.flatten() for part in torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij"))


def test_volumes_turn_voxel_to_voxel(actions):
    x = torch.rand(24, 1, 28, 28, 28)
    moved = actions["left"](x, torch.arange(24))
    for g in range(24):
        assert torch.equal(moved[g], act_volume(GROUP, g, x[g]))


@pytest.mark.parametrize("side", ["left", "released"])
def test_handedness(actions, side):
    """Turns compose as the group multiplies, as latent vectors do; as released, the other way round."""
    g, h = all_pairs()
    marks = torch.rand(28, 28, 28)
    product = torch.as_tensor(GROUP.table.copy())
    right, wrong = product[g, h], product[h, g]
    for start in range(0, len(g), 96):  # in parts, for memory
        part = slice(start, start + 96)
        x = marks.expand(len(g[part]), 1, -1, -1, -1)
        twice = actions[side](actions[side](x, h[part]), g[part])
        agrees = {
            name: (twice == actions[side](x, of[part])).flatten(1).all(1)
            for name, of in (("right", right), ("wrong", wrong))
        }
        commuting = product[g[part], h[part]] == product[h[part], g[part]]
        assert torch.equal(agrees["right"], commuting if side == "released" else torch.ones_like(commuting))
        assert torch.equal(agrees["wrong"], commuting if side == "left" else torch.ones_like(commuting))


class Correlating(torch.nn.Module):
    """Entry g of its latent vector is how well a volume agrees with a picture turned by g."""

    def __init__(self):
        super().__init__()
        picture = torch.randn(28, 28, 28, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.turned = torch.stack([act_volume(GROUP, g, picture) for g in range(24)]).flatten(1)
        self.latent = torch.nn.Identity()

    def forward(self, x):
        return self.latent(x.flatten(1).double() @ self.turned.T).sum(1, keepdim=True)


def test_with_the_released_handedness_no_encoder_is_equivariant(actions):
    x = torch.randn(40, 1, 28, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    g = torch.randint(24, (40,), generator=torch.Generator().manual_seed(1))
    regular = {"error": latent.regular(GROUP, 24)}
    errors = {
        side: latent_errors(Correlating(), regular, (x, action(x, g)), g)["error"]
        for side, action in actions.items()
    }
    assert errors["left"] < 1e-10
    assert errors["released"] > 0.5


@pytest.mark.parametrize(
    ("classes", "channels", "count"), [(2, 6, 141_998), (11, 6, 142_439), (2, 7, 191_942), (11, 7, 192_455)]
)
def test_parameters(classes, channels, count):
    settings = dataclasses.replace(TINY, channels=channels)
    assert models.count_parameters(models.build(settings, 0, classes)) == count


def test_sizes_on_the_way():
    network, x = models.build(TINY, 0, 4).eval(), torch.randn(1, 1, 28, 28, 28)
    sides = []
    for layer in network.features:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [29, 27, 13, 3, 1]
    assert x.shape == (1, 24, 1, 1, 1)


@pytest.mark.parametrize("changes", [{"augmented": False}, {"weight": 0.1}])
def test_it_learns(changes):
    """The loss falls, with and without the method and turned volumes."""
    settings = dataclasses.replace(TINY, epochs=5, batch_size=8, lr=0.001, **changes)
    rows = medmnist.run(settings, [0], QUIET)[0]
    losses = [row.value for row in rows if row.metric == "train_loss"]
    assert losses[-1] < losses[0] - 0.1
    assert {row.metric: row.value for row in rows}["majority"] == 0.5


def test_a_run_says_how_well_and_how_equivariant():
    settings = dataclasses.replace(TINY, weight=1.0, orbit=True, handedness="released", train_images=4)
    rows = medmnist.run(settings, [0], QUIET)[0]
    found = {row.metric for row in rows}
    assert {"accuracy", "accuracy_moved", "accuracy_orbit", "majority", "output_error"} <= found
    asked, regular = (
        [row.value for row in rows if row.metric == name] for name in ("asked_error", "latent_error")
    )
    assert len(asked) == len(regular) == 2
    assert asked != regular  # what it was trained for is not what true turns ask


def test_bad_volumes_get_a_sentence(monkeypatch):
    with pytest.raises(UserError, match="the rotations of the cube turn volumes of 1x28x28x28"):
        medmnist.run(dataclasses.replace(TINY, dataset="digits"), [0], QUIET)
    with pytest.raises(UserError, match="has 240 volumes for train_images, not 241"):
        medmnist.run(dataclasses.replace(TINY, train_images=241), [0], QUIET)
    flat = torch.zeros(9, 1, 28, 28, 27, dtype=torch.uint8), torch.zeros(9, dtype=torch.int64)
    monkeypatch.setattr(medmnist.shared.data, "load", lambda name, split: flat)
    with pytest.raises(UserError, match="images of shape 1x28x28x27"):
        medmnist.run(TINY, [0], QUIET)
    with pytest.raises(UserError, match="16 entries and the group acting on it has 24"):
        dataclasses.replace(TINY, channels=2, weight=1.0)
    with pytest.raises(UserError, match="set augmented to true"):
        dataclasses.replace(TINY, augmented=False, weight=1.0)


def test_volumes_are_standardized():
    assert medmnist.voxels(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
    assert np.isclose(medmnist.voxels(torch.tensor([51], dtype=torch.uint8)).item(), (51 / 255 - 0.5) / 0.5)
