"""What a forward really does is what the atlas judges, or refuses: attached, overridden, known, moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, weight_norm

from shared.algebra.groups import cyclic
from shared.atlas import Layer, atlas, register
from shared.base.errors import UserError
from shared.measure import equivariance_error
from shared.nn import GlobalAvgPool, GroupConv, LiftingConv

C4 = cyclic(4)
BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.float64)[None, None] / 16


class Fn(nn.Module):
    """A function of the input and of some parts."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def edited(module: nn.Module, edit: Callable[[Any], object]) -> nn.Module:
    edit(module)
    return module


def shifted(x: Tensor) -> Tensor:
    return F.pad(x, (1, 0, 1, 0))


class OwnDense(LiftingConv):
    def _dense(self, x: Tensor, bank: Tensor) -> Tensor:
        return super()._dense(shifted(x), bank)


class OwnBank(LiftingConv):
    def filter_bank(self) -> Tensor:
        return super().filter_bank() + 1


class OwnConv(nn.Conv2d):
    def _conv_forward(self, *arguments: Any) -> Tensor:
        return super()._conv_forward(*arguments)[..., 1:]


class Summed(nn.Module):
    """Makes filters symmetric."""

    def forward(self, weight: Tensor) -> Tensor:
        return sum(weight.rot90(k, (-2, -1)) for k in range(4))


def gate(x: Tensor, line: nn.Module) -> Tensor:
    return x * line(F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1)).sigmoid().view(x.size(0), -1, 1, 1)


def halves(x: Tensor, conv: nn.Module, join: Callable) -> Tensor:
    return join(*conv(x).chunk(2, 1))


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def pooled(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def like(x: Tensor, *window: int) -> Tensor:
    return x + F.interpolate(F.max_pool2d(x, *window), size=x.shape[-2:], mode="bilinear")


def by_size(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1)) if x.shape[-1] % 2 else x[..., 1:, 1:]


def ramp(x: Tensor, power: int) -> Tensor:
    rows, columns = (torch.linspace(-1, 1, n, dtype=x.dtype) ** power for n in x.shape[-2:])
    return x + rows[:, None] + columns


def conv(*arguments: Any, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(*arguments, **options)


#: Makes the network, sides of the input, channels, whether it is exact (None: refused).
CASES: dict[str, tuple[Callable[[], nn.Module], int | tuple[int, int], int, bool | None]] = {
    # attached and overridden
    "hook": (
        lambda: edited(conv(1, 1, 1), lambda n: n.register_forward_hook(lambda m, i, o: o[..., 1:])),
        9,
        1,
        False,
    ),
    "hook of ours": (
        lambda: edited(
            LiftingConv(1, 2, 3), lambda n: n.register_forward_pre_hook(lambda m, i: shifted(i[0]))
        ),
        9,
        1,
        False,
    ),
    "hook that looks": (
        lambda: edited(LiftingConv(1, 2, 3), lambda n: n.register_forward_hook(lambda m, i, o: None)),
        9,
        1,
        True,
    ),
    "forward of the object": (
        lambda: edited(
            LiftingConv(1, 2, 3), lambda n: setattr(n, "forward", lambda x, f=n.forward: f(shifted(x)))
        ),
        9,
        1,
        None,
    ),
    "filters of the object": (
        lambda: edited(
            LiftingConv(1, 2, 3),
            lambda n: setattr(n, "filter_bank", lambda f=n.filter_bank: f() + torch.rand(3, 3)),
        ),
        9,
        1,
        None,
    ),
    "index of the object": (
        lambda: edited(LiftingConv(1, 2, 3).double(), lambda n: n._bank_index.copy_(n._bank_index.flip(0))),
        9,
        1,
        None,
    ),
    "own part": (lambda: OwnDense(1, 2, 3), 9, 1, None),
    "own filters": (lambda: OwnBank(1, 2, 3), 9, 1, None),
    "own part of torch": (lambda: OwnConv(1, 2, 1), 9, 1, False),
    "weight norm": (lambda: weight_norm(LiftingConv(1, 2, 3)), 9, 1, True),
    "weight norm of torch": (lambda: parametrizations.weight_norm(conv(1, 2, 3)), 9, 1, False),
    "filters made symmetric": (
        lambda: edited(conv(1, 2, 3), lambda n: parametrize.register_parametrization(n, "weight", Summed())),
        9,
        1,
        True,
    ),
    # known numbers
    "blur": (lambda: Fn(lambda x: F.conv2d(x, BLUR, padding=1)), 9, 1, True),
    "blur with steps": (lambda: Fn(lambda x: F.conv2d(x, BLUR, padding=1, stride=2)), 8, 1, False),
    "edges": (lambda: Fn(lambda x: F.conv2d(x, BLUR * torch.arange(3))), 9, 1, False),
    "frozen blur": (
        lambda: edited(
            conv(1, 1, 3, bias=False), lambda n: (n.weight.data.copy_(BLUR), n.requires_grad_(False))
        ),
        9,
        1,
        True,
    ),
    "frozen": (lambda: conv(1, 2, 3).requires_grad_(False), 9, 1, False),
    "coordinates": (lambda: Fn(lambda x: ramp(x, 1)), 9, 1, False),
    "distance": (lambda: Fn(lambda x: ramp(x, 2)), 9, 1, True),
    "means of channels": (
        lambda: Fn(lambda x: (x - torch.rand(3, 1, 1)) / torch.rand(1, 3, 1, 1).add(1)),
        9,
        3,
        None,
    ),
    "doubled maxima": (lambda: Fn(lambda x: pooled(F.max_pool2d(x, 3, 1, 1) * 2.0)), 3, 1, True),
    "negative maxima": (lambda: Fn(lambda x: pooled(F.max_pool2d(x, 3, 1, 1) * -2.0)), 3, 1, False),
    "difference": (lambda: Fn(lambda x: pooled(x) - pooled(x)), 9, 1, True),
    # layers
    "transposed": (lambda: nn.ConvTranspose2d(1, 2, 2, 2), 8, 1, False),
    "transposed, one pixel": (lambda: nn.ConvTranspose2d(1, 2, 1, 2), 8, 1, True),
    "transposed, one end": (lambda: nn.ConvTranspose2d(1, 2, 1, 2, output_padding=1), 8, 1, False),
    "transposed blur": (lambda: Fn(lambda x: F.conv_transpose2d(x, BLUR, stride=2, padding=1)), 8, 1, True),
    "shuffle": (lambda: nn.Sequential(conv(1, 4, 1), nn.PixelShuffle(2)), 8, 1, False),
    "unshuffle": (lambda: nn.PixelUnshuffle(2), 8, 1, False),
    "there and back": (lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)), 8, 1, None),
    "norm of channels": (
        lambda: Fn(lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(3)),
        9,
        3,
        True,
    ),
    "norm with a weight for each pixel": (lambda: nn.LayerNorm([1, 9, 9]), 9, 1, False),
    "dense on channels": (lambda: Fn(lambda x, n: n(tokens(x)).mean(1), nn.Linear(3, 4)), 9, 3, True),
    "gate": (lambda: Fn(gate, nn.Linear(3, 3)), 9, 3, True),
    "attention": (
        lambda: Fn(
            lambda x, n: n(*[tokens(x)] * 3)[0].mean(1), nn.MultiheadAttention(4, 2, batch_first=True)
        ),
        6,
        4,
        True,
    ),
    "glu": (lambda: nn.Sequential(conv(1, 4, 1), nn.GLU(1)), 9, 1, True),
    # axes
    "crop": (lambda: Fn(lambda x: x[..., 1:-1, 1:-1]), 9, 1, True),
    "crop of a corner": (lambda: Fn(lambda x: x[:, :, 1:, 1:]), 9, 1, False),
    "every other pixel, odd": (lambda: Fn(lambda x: x[..., ::2, ::2]), 9, 1, True),
    "every other pixel, even": (lambda: Fn(lambda x: x[..., ::2, ::2]), 8, 1, False),
    "flip": (lambda: Fn(lambda x: x + x.flip(-1)), 9, 1, False),
    "half turn": (lambda: Fn(lambda x: x.flip((-1, -2))), 9, 1, True),
    "axes swapped": (lambda: Fn(lambda x: x.transpose(2, 3)), 9, 1, None),
    "halves": (lambda: Fn(lambda x, n: halves(x, n, torch.mul), conv(1, 4, 1)), 9, 1, True),
    "halves of what is broken": (
        lambda: Fn(lambda x, n: pooled(halves(x, n, torch.sub)), conv(1, 4, 1)),
        9,
        1,
        False,
    ),
    "part of what was joined": (
        lambda: Fn(lambda x: torch.cat([x, F.pad(x, (1, -1))], 1)[:, :1]),
        9,
        1,
        None,
    ),
    "channels": (lambda: Fn(lambda x: x * x.mean(1, keepdim=True) + x.amax(1, keepdim=True)), 9, 3, True),
    # branches and sizes
    "branch by size, odd": (lambda: Fn(by_size), 9, 1, True),
    "branch by size, even": (lambda: Fn(by_size), 8, 1, False),
    "branch by axes": (lambda: Fn(lambda x: x.relu() if x.dim() == 4 else x[..., 1:]), 9, 1, True),
    "size of another map": (lambda: Fn(lambda x: like(x, 2)), (8, 6), 1, True),
    "size of another map, odd": (lambda: Fn(lambda x: like(x, 3, 2, 1)), 8, 1, False),
    "branch by values": (lambda: Fn(lambda x: x if float(x[0, 0, 0, 0]) > 0 else shifted(x)), 9, 1, None),
    "random": (lambda: Fn(lambda x: x * torch.rand(())), 9, 1, None),
    "changed in place": (
        lambda: Fn(lambda x: (lambda y, part: (y.relu_(), part)[1])(*(lambda y: (y, y[..., 1:-1]))(x + 1))),
        9,
        1,
        None,
    ),
    "summed in place": (
        lambda: Fn(lambda x, n: (lambda y: y.add_(pooled(x).mean((2, 3), True)) + y)(n(x)), conv(1, 1, 1)),
        8,
        1,
        True,
    ),
    "power of a map": (lambda: Fn(lambda x: x.abs() ** x), 9, 1, None),
    "whole numbers": (lambda: Fn(lambda x: x.to(torch.int32).double()), 9, 1, None),
    "rounded quotient": (lambda: Fn(lambda x: torch.div(x, 0.1, rounding_mode="floor")), 9, 1, None),
}


@pytest.mark.parametrize("name", CASES)
def test_verdict_is_what_is_measured(name: str) -> None:
    make, size, channels, exact = CASES[name]
    torch.manual_seed(0)
    network = make().double().eval() if name != "index of the object" else make().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    if exact is None:
        with pytest.raises(UserError) as refused:
            atlas(network, size)
        assert "\n" not in str(refused.value)
        return
    found = atlas(network, size, in_channels=channels)
    assert found.exact == exact, found.explain()
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in kept.items())
    sides = (size, size) if isinstance(size, int) else size
    x = torch.randn(4, channels, *sides, generator=generator, dtype=torch.float64)
    try:
        error = equivariance_error(network, x, C4).relative_max
    except UserError:
        error = float("inf")  # the turned output has another shape
    assert (error < 1e-9) == exact


def test_what_is_refused_leads_to_register() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).sort(-1).values.mean(-1)

    with pytest.raises(UserError, match=r"know 'sort' in the forward of Sorted \('1'\).*atlas.register"):
        atlas(nn.Sequential(nn.ReLU(), Sorted()), 8)
    register(Sorted, lambda module, name: [Layer(name, "attention"), Layer(name, "global_avg")])
    assert atlas(nn.Sequential(nn.ReLU(), Sorted()), 8).exact

    class Changed(Sorted):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x[..., 1:])

    with pytest.raises(UserError, match="know 'sort' in the forward of Changed"):
        atlas(Changed(), 8)
    hooked = edited(Sorted(), lambda n: n.register_forward_pre_hook(lambda m, i: F.max_pool2d(i[0], 2)))
    assert atlas(hooked, 8).exact
    assert not atlas(hooked, 9).exact
    with pytest.raises(UserError, match="register takes a class"):
        register(Sorted(), lambda module, name: [])


def test_eval_that_does_not_reach_a_layer() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def train(self, mode: bool = True) -> nn.Module:
            return super().train(True)

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(x)

    with pytest.raises(UserError, match="drops at random in eval mode"):
        atlas(Keeps(), 8)


def test_the_network_and_the_random_numbers_are_left_alone() -> None:
    network = nn.Sequential(LiftingConv(1, 2, 3), nn.BatchNorm3d(2), nn.ReLU(inplace=True)).train()
    pointers = [p.data_ptr() for p in network.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    atlas(network, 9)
    assert torch.equal(torch.rand(3), expected)
    assert all(module.training for module in network.modules())
    assert pointers == [p.data_ptr() for p in network.parameters()]
    assert network[1].num_batches_tracked == 0
    assert "forward" not in vars(network[0])


def test_zeros_of_an_initialization_are_not_taken_for_known() -> None:
    """A layer scale that starts at 0 hides what is behind it only until it is trained."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.conv = nn.Parameter(torch.zeros(1)), nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x) * (self.scale * 1.0).tanh()

    assert not atlas(Scaled(), 9).exact


def test_channels_and_groups_of_the_input() -> None:
    assert atlas(nn.Sequential(GroupConv(3, 2, 3), GlobalAvgPool()), 9).exact
    with pytest.raises(UserError, match=r"does not run on 9x9 pixels.*in_channels"):
        atlas(nn.Conv2d(3, 2, 1), 9, in_channels=5)
