"""The products of a Lie algebra convolution: every order against the definition, costs, the benchmark."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import lconv as benchmark
from shared.nn import contraction, contraction_costs
from shared.nn.contraction import NOMINAL_BATCH, contract, plain

ORDERS = {True: ("VUW", "VWU", "WVU", "LW", "WL"), False: ("LW", "WL")}


def case(
    sizes: tuple[int, int, int, int, int, int], low_rank: bool, identity: bool, bias: bool
) -> tuple[Tensor, tuple[Tensor, ...], Tensor, Tensor | None]:
    batch, d, c, o, n, k = sizes

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    generators = (draw(n, d, k), draw(n, k, d)) if low_rank else (draw(n, d, d),)
    return draw(batch, d, c), generators, draw(n + identity, c, o), draw(o) if bias else None


def definition(h: Tensor, dense: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """The layer's formula, entry by entry."""
    if len(weight) > len(dense):
        dense = torch.cat([dense, torch.eye(dense.shape[1]).to(dense)[None]])
    out = torch.einsum("ide,bec,ico->bdo", dense, h, weight) + (0 if bias is None else bias)
    return out.clamp_min(0) if relu else out


@given(
    sizes=st.tuples(*(st.integers(1, high) for high in (5, 7, 4, 4, 3, 3))),
    flags=st.tuples(*[st.booleans()] * 4),
    chunk=st.sampled_from([1, 300, 1 << 20]),
)
@settings(deadline=None, max_examples=50, derandomize=True)
def test_every_order_computes_the_definition_and_its_gradients(sizes, flags, chunk):
    low_rank, identity, bias, relu = flags
    torch.manual_seed(sum(sizes))
    h, generators, weight, b = case(sizes, low_rank, identity, bias)
    dense = generators[0] @ generators[1] if low_rank else generators[0]
    leaves = [h, *generators, weight, *([b] if bias else [])]
    truth = definition(h, dense, weight, b, relu)
    grad = torch.randn_like(truth)
    gradients = torch.autograd.grad(truth, leaves, grad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contraction, "CHUNK_BYTES", chunk)
        for order in (*ORDERS[low_rank], "plain"):
            out = contract(h, generators, weight, b, order, relu)
            assert out.shape == truth.shape
            torch.testing.assert_close(out, truth, atol=1e-11, rtol=1e-11, msg=order)
            for mine, theirs in zip(torch.autograd.grad(out, leaves, grad), gradients):
                torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-10, msg=order)


@pytest.mark.parametrize("order", ORDERS[True])
@pytest.mark.parametrize("trained", list(itertools.product([False, True], repeat=3)), ids=str)
def test_gradients_of_some_inputs_only(order, trained):
    torch.manual_seed(0)
    h, (u, v), weight, bias = case((3, 6, 2, 3, 2, 2), True, True, True)
    for tensor, wanted in zip((h, u, v), trained):
        tensor.requires_grad_(wanted)
    leaves = [t for t in (h, u, v, weight, bias) if t.requires_grad]
    truth = definition(h, u @ v, weight, bias, True)
    expected = torch.autograd.grad(truth.sum(), leaves)
    found = torch.autograd.grad(contract(h, (u, v), weight, bias, order, True).sum(), leaves)
    for mine, theirs in zip(found, expected):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("identity", [True, False])
def test_costs_count_the_multiplications(identity):
    d, c, o, n, k, batch = 30, 3, 5, 4, 2, NOMINAL_BATCH
    h, generators = torch.randn(batch, d, c), (torch.randn(n, d, k), torch.randn(n, k, d))
    weight = torch.randn(n + identity, c, o)
    for order, cost in contraction_costs(d, c, o, n, k, identity).items():
        if identity and order == "VWU":
            cost -= n * k * d * o  # adding to the identity's term in place: torch does not count it
        with FlopCounterMode(display=False) as counter:
            contract(h, generators, weight, None, order, False)
        assert counter.get_total_flops() / 2 / batch == pytest.approx(cost), order


def test_the_benchmark_compares_the_same_layer():
    """The released formulations, as the benchmark has them, compute what the layer computes."""
    shape = benchmark._Shape(3, 16, 2, 4, out=5)
    layer = shape.layer()
    h, _ = shape.data("cpu")
    with torch.no_grad():
        layer.bias.normal_()
    truth = plain(h, layer.factors(), layer.weight, layer.bias.sum((0, 1)), True)
    torch.testing.assert_close(layer(h), truth)
    torch.testing.assert_close(benchmark.released_low_rank(layer, h), truth)
    dense = shape.layer(rank=None)
    torch.testing.assert_close(benchmark.released_dense(dense, h), dense(h))


@pytest.mark.parametrize("input_gradient", [True, False])
def test_bare_products_multiply_as_often_as_the_layer_in_that_order(input_gradient):
    shape = benchmark._Shape(4, 16, 2, 4, out=5, input_gradient=input_gradient)
    layer, (h, grad) = shape.layer("VUW"), shape.data("cpu")
    with FlopCounterMode(display=False) as bare:
        benchmark.bare_products(shape, "cpu")()
    setup = 2 * 4 * 16 * 9 * 4 * 2 * 2  # V and U are applied once to have operands
    with FlopCounterMode(display=False) as ours:
        layer(h).backward(grad)
    bias, unused = 2 * 4 * 16 * 5, 0 if input_gradient else 2 * 4 * 16 * 2 * 5
    # ours adds a row of ones, forward and backward, and leaves out the identity's gradient if nobody wants it
    assert ours.get_total_flops() - 2 * bias + unused == bare.get_total_flops() - setup
