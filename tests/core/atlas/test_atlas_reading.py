"""How the atlas reads modules, functions and descriptions, and what it refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from atlas_networks import Block, lifted, toy
from torch import Tensor, nn

from shared.algebra.groups import cyclic, dihedral
from shared.atlas import Branches, Chain, Layer, atlas, register
from shared.base.errors import UserError
from shared.nn import GlobalAvgPool, GroupConv, GroupPool, LiftingConv

C4, D4 = cyclic(4), dihedral(4)


class Everything(nn.Module):
    """Functions and methods that the atlas reads."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.conv = LiftingConv(1, 2, 3, padding=1), GroupConv(4, 2, 3, padding=1)
        self.scale, self.head = nn.Parameter(torch.ones(2, 1, 1, 1)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 2, stride=2) if self.training else F.max_pool2d(x, 2)
        y = self.lift(F.interpolate(x, size=x.shape[-2:], mode="bilinear")) * self.scale
        y = torch.cat([y, torch.tanh(y) * 0.5], dim=1)
        y = F.dropout(self.conv(y), 0.5, self.training)
        z = y.amax(2)
        z = z * z.mean((2, 3), keepdim=True).sigmoid() + 1.0
        z = torch.cat([z, F.adaptive_avg_pool2d(z, z.shape[2:]) if False else z], 1)
        z = F.pad(z, (1, 1, 1, 1))
        z = F.log_softmax(self.head(torch.flatten(F.adaptive_max_pool2d(z, 1), 1)), dim=1)
        return z.view(z.size(0), -1)


class TestReading:
    def test_functions_and_methods(self) -> None:
        net = Everything()
        assert atlas(net, 8).exact
        broken = atlas(net, 9)
        assert broken.first_break.name == "max_pool2d"
        assert net.training  # read in eval mode, and put back
        assert [row.kind for row in broken.rows].count("cat") == 2

    def test_description_by_hand_equals_reading(self) -> None:
        conv = {"kernel": 3, "padding": 1, "bias": False}
        block = Branches(
            (
                [Layer("a", "affine"), Layer("r", "act"), Layer("c1", "group_conv", stride=2, **conv),
                 Layer("b", "affine"), Layer("s", "act"), Layer("c2", "group_conv", **conv)],
                [Layer("short", "group_conv", stride=2, bias=False), Layer("n", "affine")],
            )
        )  # fmt: skip
        chain = Chain(
            (
                Layer("stem", "lift", **conv),
                block,
                Layer("g", "group_pool", mode="max"),
                Layer("m", "global_avg"),
            )
        )
        module = nn.Sequential(
            LiftingConv(1, 1, 3, padding=1, bias=False), Block(2), GroupPool(), GlobalAvgPool()
        )
        for size in (8, 9):
            by_hand, read_off = atlas(chain, size), atlas(module, size)
            assert by_hand.exact == read_off.exact == (size == 9)
            assert by_hand.nearest_exact == read_off.nearest_exact
            grid = ("group_conv", "lift", "add")
            assert [r.output_size for r in by_hand.rows if r.kind in grid] == [
                r.output_size for r in read_off.rows if r.kind in grid
            ]

    def test_descriptions_are_checked_like_modules(self) -> None:
        with pytest.raises(UserError, match="it would pool over pixels"):
            atlas([Layer("g", "group_pool", mode="max")], 8)
        with pytest.raises(UserError, match="needs a map with pixels"):
            atlas([Layer("m", "global_avg"), Layer("p", "max_pool", 2)], 8)
        with pytest.raises(
            UserError, match=r"axes \(batch, channels, group\) and \(batch, channels, group, height"
        ):
            atlas([Layer("l", "lift", 3), Branches(([Layer("m", "global_avg")], []))], 8)

    def test_gates_and_quotients(self) -> None:
        class Gated(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                gate = 1 / (1 + torch.exp(-F.max_pool2d(x, 2)).mean((-2, -1), keepdim=True))
                return x * gate - x.abs()

        assert atlas(Gated(), 8).exact
        assert not atlas(Gated(), 9).exact

    def test_identity_branch_and_regular_input(self) -> None:
        chain = Chain((Branches(([Layer("c", "group_conv", 3, padding=1)], [])),), group=C4)
        assert atlas(chain, 6).exact
        assert atlas(GroupConv(1, 1, 3), 6).exact
        assert atlas(GroupPool(), 6, group=C4).exact
        assert atlas(nn.Identity(), 6).exact

    def test_learned_values(self) -> None:
        class Offset(nn.Module):
            def __init__(self, *shape: int) -> None:
                super().__init__()
                self.lift, self.offset = LiftingConv(1, 2, 3), nn.Parameter(torch.zeros(shape))

            def forward(self, x: Tensor) -> Tensor:
                return self.lift(x) + self.offset

        assert atlas(Offset(2, 1, 1, 1), 6).exact
        per_orientation = atlas(Offset(2, 4, 1, 1), 6)
        assert not per_orientation.exact
        assert "learned values" in per_orientation.first_break.reason
        assert not atlas(Offset(2, 1, 4, 4), 6).exact

    def test_users_own_layers(self) -> None:
        class Blur(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return F.conv2d(x, torch.ones(1, 1, 3, 3), stride=2, padding=1)

            def atlas_layer(self, name: str) -> Layer:
                return Layer(name, "avg_pool", 3, 2, 1)

        class Registered(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x[..., :: x.shape[-1]]

        register(Registered, lambda module, name: [Layer(name, "max_pool", 2), Layer(f"{name}.act", "act")])
        assert atlas(nn.Sequential(Blur(), LiftingConv(1, 1, 3)), 9).exact
        assert not atlas(nn.Sequential(Blur(), LiftingConv(1, 1, 3)), 8).exact
        assert atlas(Registered(), 8).exact
        assert not atlas(Registered(), 9).exact

    def test_subclass_that_changes_its_filters_is_not_taken_for_its_base(self) -> None:
        class Odd(LiftingConv):
            def filter_bank(self) -> Tensor:
                return super().filter_bank() + 1

        with pytest.raises(UserError):
            atlas(Odd(1, 1, 3), 8)

    @pytest.mark.parametrize(
        ("network", "message"),
        [
            (
                nn.Sequential(nn.Unfold(3)),
                r"does not know 'unfold' in the forward of Unfold \('0'\); put it.*by hand",
            ),
            (nn.Sequential(LiftingConv(1, 1, 3), nn.MaxPool2d(2)), "MaxPool2d .*five axes"),
            (nn.Sequential(LiftingConv(1, 1, 3), LiftingConv(1, 1, 3)), "'1' reads images"),
            (
                nn.Sequential(LiftingConv(1, 1, 3), GroupConv(1, 1, 3, group=D4)),
                "reads features of D4, but gets C4",
            ),
            (nn.Sequential(nn.ReLU(), GroupPool()), "it would pool over pixels"),
            (nn.Sequential(GlobalAvgPool(), nn.MaxPool2d(2)), "needs a map with pixels"),
            (nn.Linear(3, 3), "pool or flatten"),
            (nn.Flatten(2), "returns axes .batch, 1, height by width"),
            (nn.Softmax(-1), "another axis than channels"),
            (nn.ConstantPad2d(1, 5.0), "zeros only"),
            (nn.Sequential(LiftingConv(1, 1, 3), nn.AvgPool3d(2)), "pools over orientations"),
            (nn.LSTM(3, 3), "LSTM"),
            ([], "no layers"),
            ([nn.ReLU()], "neither a Layer nor Branches"),
            (torch.tanh, "reads modules"),
        ],
    )
    def test_refusals(self, network: object, message: str) -> None:
        with pytest.raises(UserError, match=message):
            atlas(network, 8)

    def test_forward_that_cannot_be_traced(self) -> None:
        class Decides(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x if x.mean() > 0 else -x

        with pytest.raises(UserError, match=r"mean.*over the batch.*describe the network by hand"):
            atlas(Decides(), 8)

        class Random(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return F.dropout(x, 0.5)

        with pytest.raises(UserError, match="drops at random in eval mode"):
            atlas(Random(), 8)

    def test_sizes_that_do_not_fit(self) -> None:
        with pytest.raises(UserError, match=r"layer '1' gets 2 pixels on the height.*larger input than 2"):
            atlas(lifted()[:1].append(GroupConv(2, 2, 3)), 2)
        with pytest.raises(UserError, match="have 4 and 5 pixels on the height"):
            atlas([Branches(([Layer("p", "max_pool", 2)], [Layer("q", "max_pool", 2, ceil_mode=True)]))], 9)
        with pytest.raises(UserError, match="altogether in its padding"):
            atlas([Layer("p", "max_pool", 2, padding=2, dilation=4)], 1)
        for size in (0, "8", (3, 4, 5)):
            with pytest.raises(UserError, match="size must be"):
                atlas(toy(), size)
        with pytest.raises(UserError, match="did you mean 'p4m'"):
            atlas(toy(), 8, "p4mm")
        with pytest.raises(UserError, match="unknown kind of layer 'konv'; did you mean 'conv'"):
            Layer("a", "konv")
        with pytest.raises(UserError, match="stride of 'a'"):
            Layer("a", "conv", stride=0)
        with pytest.raises(UserError, match="negative"):
            Layer("a", "conv", padding=-1)
