"""Lie algebra convolution: generators of a symmetry act on the pixels, weights mix the channels.

``y = relu(sum_i L_i h W^i + h W^0 + b)`` on flattened images ("Lie Algebra Convolutional Networks with
Automatic Symmetry Extraction", the L-conv layer). The generators may be learned, random, or given (for
example by `shared.algebra.lie`), as dense matrices or of low rank, ``L_i = U_i V_i``.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from shared.base.errors import unknown
from shared.nn.contraction import DENSE_ORDERS, LOW_RANK_ORDERS, contract, contraction_costs

#: Standard deviation of a unit normal distribution cut off at two standard deviations.
_CUT = 0.87962566103423978
_CHOICES = {
    "mode": ("learned", "random", "fixed"),
    "bias": ("each", "one", "none"),
    "activation": ("relu", "none"),
    "scale": ("glorot", "unit"),
}


class LConv(nn.Module):
    """Lie algebra convolution on flattened images.

    Equivariant to a transformation of the pixels that commutes with every ``L_i`` (shifts: a convolution);
    for other groups equivariant up to a mixing of the ``W^i`` by the adjoint action. A relabeling of the
    pixels turns ``L_i`` into ``P L_i P^T``, so that learning does not care about the order of the pixels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        pixels: d, pixels of the flattened image.
        generators: their number without the identity (the paper's "n_L = 9" is 8 in its code, and the
            identity); or the generators themselves, dense ``L`` or a pair ``(U, V)``.
        rank: k of ``L_i = U_i V_i``; None for dense generators. Given generators have their own.
        mode: "learned": the generators are parameters, and given ones the start. "random": drawn, then
            frozen. "fixed": given ones, frozen. Frozen ones are buffers: saved, but not trained or counted.
        identity: whether ``L_0 = I`` is among the terms, as the last of them.
        bias: "each": one for each term, as released (they add up to one bias that learns faster under
            RMSprop or Adam); "one"; "none".
        activation: "relu" or "none"; the ReLU is part of the contraction.
        scale: of drawn generators: "glorot" as released, where ``norm(L_i x)`` is about 0.03 ``norm(x)``, so
            that frozen ones hardly do anything; "unit" rescales each to ``norm(L_i x) = norm(x)`` on average
            over directions x.
        order: of the products, see `shared.nn.contraction`; "auto" takes the one with the fewest
            multiplications.

    Attributes:
        weight: ``W``, identity last.
        decoder, encoder: ``U`` and ``V`` of low rank, or `dense`.

    Shape:
        in  (batch, pixels, in_channels)
        out (batch, pixels, out_channels)
        weight (K, in, out) with K = generators + identity; bias (K, 1, out) or (out,); U (n, d, k);
        V (n, k, d); L (n, d, d)

    Raises:
        ValueError: on arguments that do not fit together, or an input of another shape or type.
    """

    bias: nn.Parameter | None
    decoder: Tensor
    encoder: Tensor
    dense: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        pixels: int,
        generators: int | Tensor | tuple[Tensor, Tensor] = 8,
        *,
        rank: int | None = 16,
        mode: Literal["learned", "random", "fixed"] = "learned",
        identity: bool = True,
        bias: Literal["each", "one", "none"] = "each",
        activation: Literal["relu", "none"] = "relu",
        scale: Literal["glorot", "unit"] = "glorot",
        order: str = "auto",
    ) -> None:
        super().__init__()
        for name, value in (("mode", mode), ("bias", bias), ("activation", activation), ("scale", scale)):
            if value not in _CHOICES[name]:
                raise ValueError(unknown(name, value, _CHOICES[name]))
        _check_counts(in_channels=in_channels, out_channels=out_channels, pixels=pixels)
        self.in_channels, self.out_channels, self.pixels = in_channels, out_channels, pixels
        self.mode, self.identity, self.scale, self.activation = mode, bool(identity), scale, activation
        start = _given(generators, pixels) if not isinstance(generators, int) else None
        _check_mode(mode, scale, given=start is not None)
        if start is None:
            _check_drawn(generators, rank, pixels, self.identity)
        self.count = len(start[0]) if start else generators
        self.rank = (start[0].shape[2] if len(start) == 2 else None) if start else rank
        self.order = self._choose(order)
        self._drawn = start is None
        self._register(start, bias)
        self.reset_parameters()

    def _register(self, start: tuple[Tensor, ...] | None, bias: str) -> None:
        """Make the tensors: generators as parameters or buffers, mixing weights and biases."""
        for index, (name, shape) in enumerate(_shapes(self.count, self.pixels, self.rank).items()):
            value = start[index].clone() if start else torch.empty(shape)
            if self.mode == "learned":
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        kind = {"dtype": start[0].dtype} if start else {}
        terms, out = self.count + self.identity, self.out_channels
        self.weight = nn.Parameter(torch.empty(terms, self.in_channels, out, **kind))
        shape = {"each": (terms, 1, out), "one": (out,), "none": None}[bias]
        self.bias = None if shape is None else nn.Parameter(torch.empty(shape, **kind))

    def _choose(self, order: str) -> str:
        costs = contraction_costs(
            self.pixels, self.in_channels, self.out_channels, self.count, self.rank, self.identity
        )
        if order == "auto":
            return min(costs, key=costs.__getitem__) if self.count else "plain"
        known = DENSE_ORDERS if self.rank is None else LOW_RANK_ORDERS
        if order not in (*known, "plain"):
            raise ValueError(unknown("order of contraction", order, ("auto", "plain", *known)))
        return order if self.count else "plain"

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw weights, and generators that were not given: normal, cut off at two standard deviations.

        The variance is 2 / (fan_in + fan_out), where both fans of a tensor (n, a, b) contain n, as in the
        released code. Biases become zero.
        """
        drawn = self._tensors() if self._drawn and self.count else ()
        for tensor in (*drawn, self.weight):
            n, a, b = tensor.shape
            std = math.sqrt(2 / (n * (a + b))) / _CUT
            nn.init.trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std)
        if drawn and self.scale == "unit":
            norms = torch.linalg.matrix_norm(self.matrices())
            factor = (math.sqrt(self.pixels) / norms)[:, None, None]
            for tensor in drawn:
                tensor *= factor if self.rank is None else factor.sqrt()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def _tensors(self) -> tuple[Tensor, ...]:
        return (self.dense,) if self.rank is None else (self.decoder, self.encoder)

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """``(U, V)``, shapes (n, d, k) and (n, k, d); None for dense generators."""
        return None if self.rank is None else (self.decoder, self.encoder)

    def matrices(self) -> Tensor:
        """Return all ``L_i`` as dense matrices (n, d, d), differentiable."""
        return self.dense if self.rank is None else self.decoder @ self.encoder

    def frozen(self) -> int:
        """Count the entries of frozen generators, which are no parameters."""
        return 0 if self.mode == "learned" else sum(t.numel() for t in self._tensors())

    def forward(self, h: Tensor) -> Tensor:
        if h.dim() != 3 or h.shape[1:] != (self.pixels, self.in_channels):
            raise ValueError(
                f"LConv expects (batch, {self.pixels} pixels, {self.in_channels} channels), not "
                f"{tuple(h.shape)}; flatten images (N, C, H, W) by x.flatten(2).transpose(1, 2)"
            )
        if h.dtype != self.weight.dtype and not torch.is_autocast_enabled(h.device.type):
            raise ValueError(f"the layer is {self.weight.dtype} and the input {h.dtype}; convert one of them")
        bias = self.bias.sum((0, 1)) if self.bias is not None and self.bias.dim() == 3 else self.bias
        return contract(h, self._tensors(), self.weight, bias, self.order, self.activation == "relu")

    def extra_repr(self) -> str:
        bias = "none" if self.bias is None else "each" if self.bias.dim() == 3 else "one"
        return (
            f"{self.in_channels}, {self.out_channels}, pixels={self.pixels}, generators={self.count}, "
            f"rank={self.rank}, mode={self.mode}, identity={self.identity}, bias={bias}, "
            f"activation={self.activation}, order={self.order}"
        )


def _shapes(count: int, pixels: int, rank: int | None) -> dict[str, tuple[int, int, int]]:
    if rank is None:
        return {"dense": (count, pixels, pixels)}
    return {"decoder": (count, pixels, rank), "encoder": (count, rank, pixels)}


def _check_counts(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")


def _check_mode(mode: str, scale: str, given: bool) -> None:
    if given and mode == "random":
        raise ValueError("mode 'random' draws the generators; to freeze given ones use mode='fixed'")
    if not given and mode == "fixed":
        raise ValueError(
            "mode 'fixed' needs the generators themselves, such as shared.algebra.lie.group('so2', side)"
        )
    if given and scale == "unit":
        raise ValueError("scale='unit' is for drawn generators; scale the given ones yourself")


def _check_drawn(count: int, rank: int | None, pixels: int, identity: bool) -> None:
    if isinstance(count, bool) or count < 0 or count + identity < 1:
        raise ValueError(f"generators must be a number of at least {int(not identity)}, not {count!r}")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= pixels):
        raise ValueError(
            f"rank must be from 1 to {pixels}, the number of pixels, or None for dense; not {rank!r}"
        )


def _given(generators: object, pixels: int) -> tuple[Tensor, ...]:
    """Check given generators, and return them as (L,) or (U, V)."""
    parts = (generators,) if isinstance(generators, Tensor) else generators
    if not (isinstance(parts, (tuple, list)) and all(isinstance(p, Tensor) for p in parts)):
        raise ValueError(
            f"generators must be a number, a tensor L or a pair (U, V), not {type(generators).__name__}"
        )
    shapes = [tuple(part.shape) for part in parts]
    if any(len(shape) != 3 for shape in shapes) or len(parts) not in (1, 2):
        raise ValueError(f"generators must be L (n, d, d) or U (n, d, k) and V (n, k, d), not {shapes}")
    (n, d, k), (m, j, e) = shapes[0], shapes[-1]
    fits = (d, k) == (pixels, pixels) if len(parts) == 1 else (m, j, d, e) == (n, k, pixels, pixels)
    if not fits or n < 1 or not 1 <= k <= pixels:
        raise ValueError(
            f"generators of shape {' and '.join(map(str, shapes))} do not act on {pixels} pixels; give "
            f"(n, {pixels}, {pixels}), or (n, {pixels}, k) and (n, k, {pixels}) with k at most {pixels}"
        )
    if any(not p.is_floating_point() or p.dtype != parts[0].dtype for p in parts):
        raise ValueError(f"generators must be floating point of one type, not {[p.dtype for p in parts]}")
    return tuple(part.detach() for part in parts)


__all__ = ["LConv", "contraction_costs"]
