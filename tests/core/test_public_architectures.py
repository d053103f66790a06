"""A U-Net, a ConvNeXt and a vision transformer are measured, judged or refused, and trained as if alone."""

from __future__ import annotations

from collections.abc import Callable

import differential
import pytest
import torch
from public_architectures import ConvNeXt, UNet, ViT
from torch import nn

from shared.algebra.groups import cyclic
from shared.atlas import atlas
from shared.base.errors import UserError
from shared.measure import equivariance_error, errors_by_stage
from shared.testing import assert_equivariant, shake
from shared.train import FitSettings, TrainingSet, fit

C4, SIDE = cyclic(4), 8
DICE = torch.Generator().manual_seed(0)
IMAGES = torch.randn(24, 1, SIDE, SIDE, generator=DICE, dtype=torch.float64)
CLASSES = torch.randint(0, 3, (24,), generator=DICE)
PIXELS = torch.randint(0, 3, (24, SIDE, SIDE), generator=DICE)

NETWORKS: dict[str, tuple[Callable[[], nn.Module], torch.Tensor, str]] = {
    "U-Net": (UNet, PIXELS, "computes something else"),
    "U-Net of p4": (lambda: UNet(tied=True), PIXELS, "computes something else"),
    "U-Net that adds": (lambda: UNet(summed=True), PIXELS, ""),
    "ConvNeXt": (ConvNeXt, CLASSES, "cannot be trained side by side"),
    "ViT": (ViT, CLASSES, "cannot be trained side by side"),
}


def made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make().double()
    shake(net, torch.Generator().manual_seed(seed))  # no zero of an initialization hides a part
    return net


@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_measured(name: str) -> None:
    net = made(NETWORKS[name][0], 0).eval()
    found = equivariance_error(net, IMAGES[:4], C4)
    for g in range(1, 4):
        right = differential.relative(net, C4, g, IMAGES[:4])
        assert found.elements[C4.element_names[g]].relative_mean == pytest.approx(right, abs=1e-12)
    single = equivariance_error(net.float(), IMAGES[:4].float(), C4, dtype=torch.float64)
    assert single.relative_mean == pytest.approx(found.relative_mean, rel=1e-3, abs=1e-12)
    assert (found.relative_max < 1e-12) == (name == "U-Net of p4")


def test_the_stage_that_breaks_is_found() -> None:
    errors = errors_by_stage(made(UNet, 0), IMAGES[:4], C4, ["first", "down", "middle", "classes"])
    assert min(e.relative_mean for e in errors.values()) > 0.01
    assert_equivariant(UNet(tied=True), "p4", size=SIDE, in_channels=1)
    with pytest.raises(AssertionError, match="UNet is not equivariant to C4 at 8x8"):
        assert_equivariant(UNet(), "p4", size=SIDE)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_atlas_agrees_or_refuses(name: str) -> None:
    net = made(NETWORKS[name][0], 0).eval()
    if isinstance(net, ViT):
        with pytest.raises(UserError, match=r"cat.*joins maps and known numbers.*shared.atlas.register"):
            atlas(net, SIDE)
        return
    verdict = atlas(net, SIDE)
    assert verdict.exact == (equivariance_error(net, IMAGES[:4], C4).relative_max < 1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_seeds_train_as_each_of_them_alone(name: str) -> None:
    make, labels, why = NETWORKS[name]
    how = FitSettings(epochs=2, batch_size=6, lr=0.01, optimizer="adam")
    rows, lines = [torch.arange(12), torch.arange(12, 24)], []
    models = [made(make, seed) for seed in range(2)]
    data = TrainingSet(IMAGES, labels, rows, validation=[torch.arange(6)] * 2)
    both = fit(models, data, how, [0, 1], log=lines.append)
    assert (why in lines[0]) if why else not any("one by one" in line for line in lines)
    for seed, model in enumerate(models):
        alone = made(make, seed)
        own = TrainingSet(IMAGES, labels, [rows[seed]], validation=[torch.arange(6)])
        one = fit([alone], own, how, [seed])
        assert both.losses[seed] == pytest.approx(one.losses[0], rel=1e-6)
        assert both.validations[seed] == one.validations[0]
        for a, b in zip(model.state_dict().values(), alone.state_dict().values()):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
