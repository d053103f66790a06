"""A Lie algebra convolution, forward and backward: ours, bare matrix products, and the released formulations.

python -m benchmarks.lconv [--repetitions 15] [--batch 128] [--threads 2] [--out]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from shared.nn import LConv
from shared.nn.contraction import plain

NOTE = (
    "One call is forward and backward of one layer with 9 generators and the identity, 32 channels out, "
    "float32; the gradients of all parameters, and where the title says so of the input. *bare products* are "
    "the matrix products that V, U, W need, forward and backward, on operands that lie ready: no "
    "concatenation, bias, ReLU or sum. The released formulations are rewritten from their description: "
    "*released, low rank* applies V, then U, appends the identity, multiplies every term with its W^i, adds "
    "the biases, sums; *released, dense* is one einsum with full generators. In brackets: the order of the "
    "products. Peak memory is beyond that of a batch of 2, so without the generators themselves."
)
BARE, RELEASED, DENSE = "bare products (V, U, W)", "released, low rank", "released, dense"
OURS = "ours (order from the shapes)"
COUNT, OUT = 9, 32


@dataclass(frozen=True)
class _Shape:
    """One layer and its input."""

    batch: int
    pixels: int
    channels: int
    rank: int
    out: int = OUT
    input_gradient: bool = False

    def layer(self, order: str = "auto", rank: int | None = 0) -> LConv:
        torch.manual_seed(0)
        rank = self.rank if rank == 0 else rank
        return LConv(self.channels, self.out, self.pixels, COUNT, rank=rank, order=order)

    def scaled(self, part: float) -> _Shape:
        size = max(2, round(self.batch * part))
        return _Shape(size, self.pixels, self.channels, self.rank, self.out, self.input_gradient)

    def data(self, device: str) -> tuple[Tensor, Tensor]:
        """Input, and the gradient of the output."""
        torch.manual_seed(1)
        h = torch.randn(self.batch, self.pixels, self.channels, device=device)
        grad = torch.randn(self.batch, self.pixels, self.out, device=device)
        return h.requires_grad_(self.input_gradient), grad


def _backward(forward: Callable[[LConv, Tensor], Tensor], layer: LConv, shape: _Shape, device: str) -> Step:
    layer = layer.to(device)
    h, grad = shape.data(device)
    leaves = [*layer.parameters(), *([h] if shape.input_gradient else [])]
    return lambda: torch.autograd.grad(forward(layer, h), leaves, grad)


def released_low_rank(layer: LConv, h: Tensor) -> Tensor:
    """V, U, the identity appended, one broadcast product with W, a bias for each term, their sum, ReLU."""
    codes = layer.encoder @ h[:, None]
    terms = torch.cat([layer.decoder @ codes, h[:, None]], 1)
    return (terms @ layer.weight + layer.bias).sum(1).relu()


def released_dense(layer: LConv, h: Tensor) -> Tensor:
    """Full generators, all contracted by one einsum; then the identity, bias and ReLU."""
    terms = torch.einsum("nde,bec,nco->bdo", layer.dense, h, layer.weight[:-1])
    return (terms + h @ layer.weight[-1] + layer.bias.sum(0)).relu()


def bare_products(shape: _Shape, device: str) -> Step:
    """The products of V, U, W and of their gradients, nothing else.

    Everything they read exists before; a gradient has the shape of what it belongs to, so that the buffers of
    the forward pass stand for them.
    """
    layer = shape.layer().to(device)
    h, grad = (part.detach() for part in shape.data(device))
    u, v, weight = (p.detach() for p in (layer.decoder, layer.encoder, layer.weight))
    n, c, batch, d = COUNT, shape.channels, shape.batch, shape.pixels
    rows = h.permute(2, 0, 1).reshape(c * batch, d).contiguous()
    encoder, mixing = v.flatten(0, 1), weight.flatten(0, 1)
    codes = rows @ encoder.T
    parts = codes.view(c * batch, n, -1).transpose(0, 1).contiguous()
    moved = torch.bmm(parts, u.transpose(1, 2))
    terms = torch.cat([moved, rows[None]]).view(-1, batch * d).T.contiguous()
    flat = grad.flatten(0, 1)

    def step() -> None:
        torch.mm(rows, encoder.T)
        torch.bmm(parts, u.transpose(1, 2))
        torch.mm(terms, mixing)
        torch.mm(terms.T, flat)
        torch.mm(flat, mixing.T)
        torch.bmm(moved.transpose(1, 2), parts)
        torch.bmm(moved, u)
        torch.mm(codes.T, rows)
        if shape.input_gradient:
            torch.mm(codes, encoder)

    return step


def _variants(shape: _Shape, device: str) -> dict[str, Callable[[float], Step]]:
    def make(forward: Callable[[LConv, Tensor], Tensor], **how: object) -> Callable[[float], Step]:
        def build(part: float) -> Step:
            scaled = shape.scaled(part)
            return _backward(forward, scaled.layer(**how), scaled, device)

        return build

    def call(layer: LConv, h: Tensor) -> Tensor:
        return layer(h)

    def term_by_term(layer: LConv, h: Tensor) -> Tensor:
        return plain(h, layer.factors(), layer.weight, layer.bias.sum((0, 1)), True)

    return {
        BARE: lambda part: bare_products(shape.scaled(part), device),
        OURS: make(call),
        "ours (VUW)": make(call, order="VUW"),
        "ours (VWU)": make(call, order="VWU"),
        "ours, dense": make(call, rank=None),
        "definition, term by term": make(term_by_term),
        RELEASED: make(released_low_rank),
        DENSE: make(released_dense, rank=None),
    }


def shapes(options: Options) -> dict[str, _Shape]:
    """First layers of MNIST and CIFAR, and a hidden layer; with the paper's batch of 32 once."""
    if options.tiny:
        batch = options.batch or 4
        return {"first layer": _Shape(batch, 36, 1, 3), "hidden layer": _Shape(batch, 36, 4, 3, out=4)}
    batch = options.batch or 128
    return {
        "first layer, 28 x 28 x 1": _Shape(batch, 784, 1, 16),
        "first layer, 28 x 28 x 1, the paper's batch": _Shape(options.batch or 32, 784, 1, 16),
        "first layer, 32 x 32 x 3": _Shape(batch, 1024, 3, 16),
        "hidden layer, 28 x 28 x 32": _Shape(batch, 784, 32, 16),
        "hidden layer, 28 x 28 x 32, with the input's gradient": _Shape(
            batch, 784, 32, 16, input_gradient=True
        ),
    }


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """One case for each layer."""
    ratios: dict[str, Callable[[str], str | None]] = {
        "time / bare products": lambda variant: BARE,
        "time / released, low rank": lambda variant: RELEASED,
        "time / released, dense": lambda variant: DENSE,
    }
    return [
        Case(
            f"{title}, batch {shape.batch}, rank {shape.rank} (order {shape.layer().order})",
            shape.batch,
            _variants(shape, options.device),
            ratios,
        )
        for title, shape in shapes(options).items()
    ], []


BENCHMARK = Benchmark("lconv", "Lie algebra convolution", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("lconv")
