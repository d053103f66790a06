"""What the atlas computes with in its field is what torch computes."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.atlas import Layer, axes, read, reals
from shared.atlas.activations import CURVES
from shared.atlas.field import PrimeField, in_field

FIELD = PrimeField()


def to_field(matrix: Tensor) -> Tensor:
    """Floats that are simple fractions, as elements of the field."""
    residues = [in_field(Fraction(value).limit_denominator(20_000)) for value in matrix.flatten().tolist()]
    return torch.tensor(residues, dtype=torch.float64).view(matrix.shape)


class TestMatrices:
    """What the field computes with is what torch computes."""

    @pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
    @pytest.mark.parametrize("align", [False, True])
    def test_resize(self, mode: str, align: bool) -> None:
        corners = align if mode.startswith("bi") else None
        for size, out in itertools.product((1, 2, 3, 5, 6), (1, 2, 4, 7)):
            layer = Layer("up", "resize", output=(out, out), mode=mode, align_corners=align)
            ours = FIELD.matrix(axes.weights(layer, 0, size, out), size)
            image = torch.eye(size, dtype=torch.float64)[None, :, :, None].expand(1, size, size, 3)
            theirs = F.interpolate(image, size=(out, 3), mode=mode, align_corners=corners)[0, :, :, 0].T
            assert torch.equal(ours, to_field(theirs)), (size, out)

    @pytest.mark.parametrize("scale", [0.5, 1.5, 2.0, 2.5])
    @pytest.mark.parametrize("mode", ["nearest", "bilinear"])
    def test_resize_by_a_factor(self, scale: float, mode: str) -> None:
        for size in range(2, 8):
            layer = Layer("up", "resize", scale=(scale, scale), mode=mode)
            out = layer.out_size(0, size)
            ours = FIELD.matrix(axes.weights(layer, 1, size, out), size)
            image = torch.eye(size, dtype=torch.float64)[None, :, :, None].expand(1, size, size, 4)
            theirs = F.interpolate(image, scale_factor=(scale, 1.0), mode=mode)[0, :, :, 0].T
            assert torch.equal(ours, to_field(theirs)), size

    @pytest.mark.parametrize("ceil_mode", [False, True])
    @pytest.mark.parametrize("count_padding", [False, True])
    @pytest.mark.parametrize("divisor", [None, 3])
    def test_average_pool(self, ceil_mode: bool, count_padding: bool, divisor: int | None) -> None:
        for k, s, p, size in itertools.product((2, 3), (1, 2, 3), (0, 1), (3, 4, 5, 6)):
            layer = Layer(
                "pool", "avg_pool", (k, 1), (s, 1), (p, 0),
                ceil_mode=ceil_mode, count_padding=count_padding, divisor=divisor,
            )  # fmt: skip
            ours = FIELD.matrix(axes.weights(layer, 0, size, layer.out_size(0, size)), size)
            image = torch.eye(size, dtype=torch.float64)[None, :, :, None]
            theirs = F.avg_pool2d(image, (k, 1), (s, 1), (p, 0), ceil_mode, count_padding, divisor)[
                0, :, :, 0
            ].T
            assert torch.equal(ours, to_field(theirs)), (k, s, p, size)

    def test_adaptive_pool(self) -> None:
        for size, out in itertools.product(range(1, 8), range(1, 8)):
            layer = Layer("pool", "adaptive_avg", output=(out, out))
            ours = FIELD.matrix(axes.weights(layer, 0, size, out), size)
            image = torch.eye(size, dtype=torch.float64)[None, :, :, None]
            theirs = F.adaptive_avg_pool2d(image, (out, 1))[0, :, :, 0].T
            assert torch.equal(ours, to_field(theirs)), (size, out)

    @pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
    def test_padding(self, mode: str) -> None:
        layer = Layer("pad", "pad", padding=((1, 2), (0, -1)), mode=mode)
        image = torch.arange(1.0, 13).view(1, 1, 3, 4)
        rows, columns = (
            FIELD.matrix(axes.weights(layer, a, n, layer.out_size(a, n)), n)
            for a, n in enumerate(image.shape[2:])
        )
        expected = F.pad(image[..., :-1], (0, 0, 1, 2), mode={"zeros": "constant"}.get(mode, mode))
        assert torch.equal(rows.float() @ image[0, 0] @ columns.float().T, expected[0, 0])


ACTIVATIONS = [
    *(nn.ReLU(), nn.ReLU6(), nn.SELU(), nn.Tanh(), nn.Softsign(), nn.Tanhshrink(), nn.Sigmoid(), nn.GELU()),
    *(nn.LogSigmoid(), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.PReLU(), nn.GELU("tanh")),
    *(nn.LeakyReLU(a) for a in (0.01, 0.0, 1.5, -0.5)),
    *(nn.ELU(a) for a in (1.0, 0.0, -1.0)),
    *(nn.CELU(a) for a in (1.0, -1.0)),
    *(nn.Hardtanh(*a) for a in ((), (-2, 3), (0.5, 1), (-3, -1), (0, 1))),
    *(nn.Softplus(*a) for a in ((), (2, 30), (-1, 20), (1, 0.5), (1, -3), (-2, 1))),
    *(nn.Threshold(*a) for a in ((0, 0), (1, 0), (1, 2), (-1, 3), (-1, -2), (2, 1.5), (-1, 0))),
    *(kind(a) for kind in (nn.Softshrink, nn.Hardshrink) for a in (0.5, 0.0)),
    *(nn.Hardshrink(-1.0), nn.RReLU(), nn.RReLU(-0.8, 0.2)),
]


class Clamped(nn.Module):
    def __init__(self, *limits: float | None) -> None:
        super().__init__()
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(*self.limits)


@pytest.mark.parametrize(
    "module",
    [*ACTIVATIONS, *(Clamped(*a) for a in ((0,), (None, 0), (-1, 2), (1, 2), (-2, -1), (-1,), (None, -1)))],
    ids=lambda m: f"{m}{getattr(m, 'limits', '')}",
)
def test_curves_are_those_of_the_modules(module: nn.Module) -> None:
    """Also with arguments that turn a rising function into one that is not."""
    (node,) = read(module, size=3).nodes
    curve = node.layer.bend
    x = torch.linspace(-6, 6, 1201, dtype=torch.float64)
    with torch.no_grad():
        module = module.double().eval()
        y, at_zero = module(x), module(torch.zeros(1, dtype=torch.float64))
    from_zero = y[x >= 0]
    assert not curve.keeps_zero or at_zero == 0
    assert not curve.rising or (y.diff() >= 0).all()
    assert not curve.rising_from_zero or ((from_zero.diff() >= 0).all() and (from_zero >= 0).all())
    assert not curve.nonnegative or (y >= 0).all()
    assert not curve.identity_from_zero or torch.equal(from_zero, x[x >= 0])
    if not isinstance(module, nn.PReLU | nn.GELU):
        assert torch.allclose(reals.curve(node.layer.curve, x, "", node.layer.arguments), y)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_real_stand_ins_have_the_properties_of_their_curves(name: str) -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64).view(1, 1, 1, 1, -1).expand(5, 1, 1, 1, -1)
    y, known = reals.curve(name, x, "seed"), CURVES[name]
    assert torch.isfinite(y).all()
    assert not known.keeps_zero or (y[x == 0] == 0).all()
    assert not known.nonnegative or (y >= 0).all()
    assert not known.rising or (y.diff() >= 0).all() or name in ("log", "sqrt")  # not numbers below zero


def test_maxima_of_both_arithmetics_are_torchs() -> None:
    layer = Layer("pool", "max_pool", 3, 2, 1, ceil_mode=True)
    numbers = reals.Reals(4, 0)
    x = numbers.random_map("x", (6, 7), None)
    read = [axes.windows(layer, a, x.size[a], layer.out_size(a, x.size[a])) for a in (0, 1)]
    expected = F.max_pool2d(x.values[:, 0], 3, 2, 1, ceil_mode=True)
    assert torch.equal(numbers.maximum(x, *read).values[:, 0], expected)
    taken = FIELD.maximum(
        FIELD.random_map("x", (6, 7), None), *read
    ).values  # sets: equal only if all members are
    same = F.max_pool2d(torch.zeros(1, 6, 7), 3, 2, 1, ceil_mode=True).shape[1:]
    assert taken.shape[-2:] == same
    assert len(taken[0].unique()) == same.numel()
