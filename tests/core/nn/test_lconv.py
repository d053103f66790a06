"""The Lie algebra convolution: parameters, initialization, order of its products, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from shared.algebra import lie
from shared.nn import LConv

ORDERS = {True: ("VUW", "VWU", "WVU", "LW", "WL"), False: ("LW", "WL")}


def test_order_follows_the_shapes():
    assert LConv(1, 32, 784).order == LConv(3, 32, 1024).order == "VUW"
    assert LConv(32, 32, 784).order == "VWU"
    assert LConv(32, 1, 784).order == "WVU"
    assert LConv(2, 8, 64, rank=None).order == "LW"
    assert LConv(8, 2, 64, rank=None).order == "WL"
    assert LConv(1, 8, 64, rank=64).order == "LW"  # factors of full rank are twice the work
    # U before W while c < k o / (k + o), about 10.7 for rank 16 and 32 channels out
    assert [LConv(c, 32, 784).order for c in (10, 11)] == ["VUW", "VWU"]
    assert LConv(32, 32, 784, order="VUW").order == "VUW"


@pytest.mark.parametrize("bias", ["each", "one", "none"])
@pytest.mark.parametrize("identity", [True, False])
def test_parameters_are_those_of_the_formula(bias, identity):
    layer = LConv(3, 32, 1024, 8, rank=8, identity=identity, bias=bias)
    terms = 8 + identity
    expected = 2 * 8 * 8 * 1024 + terms * 3 * 32 + {"each": terms * 32, "one": 32, "none": 0}[bias]
    assert sum(p.numel() for p in layer.parameters()) == expected
    assert layer.frozen() == 0


def test_released_count_for_cifar100():
    """A number printed in the released notebooks: K = 9, rank 8, 32 filters."""
    assert sum(p.numel() for p in LConv(3, 32, 1024, 8, rank=8).parameters()) == 132_224


def test_frozen_generators_are_saved_but_not_trained():
    torch.manual_seed(0)
    learned, frozen = LConv(1, 4, 16, 3, rank=2), LConv(1, 4, 16, 3, rank=2, mode="random")
    assert {n for n, _ in frozen.named_parameters()} == {"weight", "bias"}
    assert frozen.frozen() == 2 * 3 * 2 * 16
    assert set(frozen.state_dict()) == set(learned.state_dict())
    frozen.load_state_dict(learned.state_dict())
    x = torch.randn(5, 16, 1)
    assert torch.equal(frozen(x), learned(x))
    before = frozen.matrices().clone()
    optimizer = torch.optim.SGD(frozen.parameters(), lr=0.1)
    frozen(x).sum().backward()
    optimizer.step()
    assert torch.equal(frozen.matrices(), before)


def test_given_generators_act():
    rotation = lie.group("so2", 5)
    layer = LConv(1, 1, 25, rotation, mode="fixed", bias="none", activation="none").requires_grad_(False)
    layer.weight.copy_(torch.tensor([2.0, 3.0], dtype=torch.float64).view(2, 1, 1))
    x = torch.randn(4, 25, 1, dtype=torch.float64)
    torch.testing.assert_close(layer(x), 2 * rotation[0] @ x + 3 * x)
    u, v = torch.randn(2, 25, 3), torch.randn(2, 3, 25)
    start = LConv(1, 4, 25, (u, v))
    assert torch.equal(start.decoder, u)
    assert start.rank == 3
    start.reset_parameters()
    assert torch.equal(start.encoder, v)  # given ones stay
    assert start.encoder.requires_grad


def test_given_generators_are_copied():
    given_ = lie.group("so2", 4)
    before = given_.clone()
    layer = LConv(1, 1, 16, given_)
    with torch.no_grad():
        layer.dense.zero_()
    assert torch.equal(given_, before)


def test_initialization_is_kerass():
    """Normal cut at two standard deviations, variance 2 / (fan_in + fan_out) with n in both fans."""
    torch.manual_seed(0)
    layer = LConv(16, 32, 784, 8, rank=16)
    for tensor in (layer.decoder, layer.encoder, layer.weight):
        n, a, b = tensor.shape
        variance = 2 / (n * (a + b))
        assert float(tensor.detach().var()) == pytest.approx(variance, rel=0.1)
        cut = 2 * math.sqrt(variance) / 0.87962566103423978
        assert 0.95 * cut < float(tensor.detach().abs().max()) <= cut
    assert not layer.bias.detach().any()


def test_scale_of_random_generators():
    """Released: norm(L x) / norm(x) is about sqrt(d k) 2 / (n (k + d)), here 0.066; "unit": one."""
    torch.manual_seed(0)
    x = torch.randn(256, 196)

    def size(layer: LConv) -> Tensor:
        moved = torch.einsum("nde,be->nbd", layer.matrices(), x)
        return moved.square().sum((1, 2)).sqrt() / x.norm()

    released = size(LConv(1, 1, 196, 8, rank=16, mode="random"))
    assert released.mean().item() == pytest.approx(math.sqrt(196 * 16) * 2 / (8 * 212), rel=0.05)
    for rank in (16, None):
        unit = size(LConv(1, 1, 196, 8, rank=rank, mode="random", scale="unit"))
        torch.testing.assert_close(unit, torch.ones(8), atol=0.05, rtol=0)


def test_biases_add_up():
    torch.manual_seed(0)
    each = LConv(2, 3, 9, 4, rank=2)
    one = LConv(2, 3, 9, 4, rank=2, bias="one")
    with torch.no_grad():
        each.bias.normal_()
    one.load_state_dict({**each.state_dict(), "bias": each.bias.sum((0, 1))})
    x = torch.randn(2, 9, 2)
    torch.testing.assert_close(each(x), one(x))
    each(x).sum().backward()
    one(x).sum().backward()
    torch.testing.assert_close(each.bias.grad, one.bias.grad.expand(5, 1, 3))


def test_plain_order_works_for_several_models_at_once():
    torch.manual_seed(0)
    layers = [LConv(1, 3, 9, 2, rank=2, order="plain") for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(layers)
    x = torch.randn(3, 4, 9, 1)

    def call(p: dict, b: dict, inputs: Tensor) -> Tensor:
        return torch.func.functional_call(layers[0], (p, b), inputs)

    together = torch.vmap(call)(parameters, buffers, x)
    torch.testing.assert_close(together, torch.stack([layer(part) for layer, part in zip(layers, x)]))


@pytest.mark.parametrize("order", [*ORDERS[True], "plain"])
def test_autocast(order):
    torch.manual_seed(0)
    layer, x = LConv(3, 4, 16, 2, rank=2, order=order), torch.randn(2, 16, 3)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16 or order == "plain"
    out.float().sum().backward()
    assert layer.encoder.grad.dtype == torch.float32
    torch.testing.assert_close(out.float(), layer(x), atol=0.05, rtol=0.05)


def test_no_generators_is_a_layer_of_single_pixels():
    layer = LConv(2, 3, 9, 0, rank=2, activation="none")
    x = torch.randn(2, 9, 2)
    torch.testing.assert_close(layer(x), x @ layer.weight[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 10}, "rank must be from 1 to 9"),
        ({"rank": 0}, "rank must be from 1 to 9"),
        ({"mode": "learnt"}, "unknown mode 'learnt'; did you mean 'learned'"),
        ({"bias": "two"}, "unknown bias"),
        ({"activation": "tanh"}, "unknown activation"),
        ({"scale": "kaiming"}, "unknown scale"),
        ({"order": "VWW"}, "unknown order of contraction 'VWW'"),
        ({"rank": None, "order": "VUW"}, "unknown order of contraction 'VUW'"),
        ({"mode": "fixed"}, "needs the generators themselves"),
        ({"generators": -1}, "generators must be a number of at least 0"),
        ({"generators": 0, "identity": False}, "at least 1"),
        ({"generators": True}, "generators must be a number"),
        ({"generators": 2.5}, "not float"),
        ({"in_channels": 0}, "in_channels must be an integer of at least 1"),
        ({"pixels": 9.0}, "pixels must be an integer"),
        ({"generators": torch.zeros(2, 8, 8)}, "do not act on 9 pixels"),
        ({"generators": torch.zeros(9, 9)}, "generators must be L"),
        ({"generators": torch.zeros(1, 9, 9), "mode": "random"}, "use mode='fixed'"),
        ({"generators": torch.zeros(1, 9, 9), "scale": "unit"}, "scale the given ones yourself"),
        ({"generators": torch.zeros(1, 9, 9).long()}, "floating point"),
        ({"generators": (torch.zeros(2, 9, 3), torch.zeros(2, 4, 9))}, "do not act on 9 pixels"),
        ({"generators": (torch.zeros(2, 9, 10), torch.zeros(2, 10, 9))}, "k at most 9"),
        ({"generators": (torch.zeros(2, 9, 3),) * 3}, "generators must be L"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        LConv(**{"in_channels": 2, "out_channels": 3, "pixels": 9, "rank": 2, **arguments})


@pytest.mark.parametrize("shape", [(4, 9), (4, 8, 2), (4, 9, 3), (4, 2, 3, 3)])
def test_input_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"LConv expects \(batch, 9 pixels, 2 channels\), not"):
        LConv(2, 3, 9, rank=2)(torch.zeros(shape))


def test_input_of_another_type():
    layer = LConv(1, 2, 9, lie.group("so2", 3))
    with pytest.raises(ValueError, match=r"the layer is torch.float64 and the input torch.float32"):
        layer(torch.zeros(2, 9, 1))
    assert layer.float()(torch.zeros(2, 9, 1)).shape == (2, 9, 2)
