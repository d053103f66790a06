"""``relu(sum_i L_i h W^i + b)`` in the cheapest order of its products, with gradients.

The products of a Lie algebra convolution can be taken in several orders. Their costs differ by factors of
up to 60, which order is best depends on the shapes, and the released formulations store a tensor with one
copy of the output for each generator. Here that tensor does not exist, the biases and the identity are part
of a matrix product, and everything that is as large as the output is touched in pieces that stay in the
processor's cache.

| order | what is done | good for |
|---|---|---|
| VUW | encoder, decoder, then all channel mixing in one product | few channels in (first layers) |
| VWU | encoder, channel mixing on the rank, then decoder | hidden layers |
| WVU | channel mixing, encoder, decoder | few channels out |
| LW, WL | generators as full matrices, mixing last or first | dense generators |
| plain | one generator after the other, from dense ones | checking; `torch.func`, second derivatives |
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from shared.base.errors import unknown

#: Images in a batch over which the cost of building a dense generator from its factors is spread.
NOMINAL_BATCH = 128
#: Bytes of the output that one CPU thread works on at a time: they stay in its cache.
CHUNK_BYTES = 2 << 20

LOW_RANK_ORDERS = ("VUW", "VWU", "WVU", "LW", "WL")
DENSE_ORDERS = ("LW", "WL")


def contraction_costs(
    pixels: int, in_channels: int, out_channels: int, count: int, rank: int | None, identity: bool = True
) -> dict[str, float]:
    """Multiply-adds per image of the forward pass, by order of contraction.

    Args:
        pixels: d, the size of the generators.
        in_channels: channels of the input.
        out_channels: channels of the output.
        count: n, the number of generators without the identity.
        rank: k of ``L_i = U_i V_i``; None for dense generators.
        identity: whether there is an identity term.

    Returns:
        The cost of every order that fits the kind of generators; "VUW" before "VWU" if
        ``in < k out / (k + out)``, up to the small product in the middle of VWU.
    """
    d, c, o, n = pixels, in_channels, out_channels, count
    mix = (n + identity) * d * c * o
    dense = {"LW": n * d * d * c + mix, "WL": mix + n * d * d * o}
    if rank is None:
        return {name: float(cost) for name, cost in dense.items()}
    built = n * d * d * rank / NOMINAL_BATCH
    side = n * rank * d
    return {
        "VUW": float(2 * side * c + mix),
        "VWU": float(side * c + n * rank * c * o + side * o + identity * d * c * o),
        "WVU": float(mix + 2 * side * o),
        **{name: cost + built for name, cost in dense.items()},
    }


def contract(
    h: Tensor, generators: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None, order: str, relu: bool
) -> Tensor:
    """Compute ``sum_i L_i h W^i + b``, and its positive part if ``relu``.

    Args:
        h: features.
        generators: ``(U, V)`` with ``L_i = U_i V_i``, or ``(L,)``.
        weight: channel mixing; one term more than generators means that the last one is the identity's.
        bias: or None.
        order: a key of `contraction_costs`, or "plain".
        relu: whether to cut off below zero.

    Shape:
        h (batch, d, in), U (n, d, k), V (n, k, d), L (n, d, d), weight (n or n + 1, in, out), bias (out,);
        result (batch, d, out)

    Raises:
        ValueError: on another order.
    """
    known = DENSE_ORDERS if len(generators) == 1 else LOW_RANK_ORDERS
    if order not in (*known, "plain"):
        raise ValueError(unknown("order of contraction", order, ("plain", *known)))
    if order == "plain" or not len(h):
        return plain(h, generators, weight, bias, relu)
    device = h.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        h, weight = h.to(kind), weight.to(kind)
        generators = tuple(part.to(kind) for part in generators)
        bias = None if bias is None else bias.to(kind)
        with torch.autocast(device, enabled=False):
            return _contract(h, generators, weight, bias, order, relu)
    return _contract(h, generators, weight, bias, order, relu)


def _contract(
    h: Tensor, generators: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None, order: str, relu: bool
) -> Tensor:
    if order in DENSE_ORDERS and len(generators) == 2:
        generators = (generators[0] @ generators[1],)
    if order in ("VUW", "LW"):
        encoder = generators[1] if order == "VUW" else None
        return MixLast.apply(h, generators[0], encoder, weight, bias, relu)
    if order == "VWU":
        return MixOnRank.apply(h, *generators, weight, bias, relu)
    return _mix_first(h, generators, weight, bias, relu)


def plain(
    h: Tensor, generators: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None, relu: bool
) -> Tensor:
    """Compute the definition term by term; arguments and shapes as in `contract`."""
    count = generators[0].shape[0]
    dense = generators[0] @ generators[1] if len(generators) == 2 else generators[0]
    total = sum(dense[i] @ h @ weight[i] for i in range(count))
    if len(weight) > count:
        total = total + h @ weight[count]
    if bias is not None:
        total = total + bias
    return total.relu() if relu else total


def _mix_first(
    h: Tensor, generators: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None, relu: bool
) -> Tensor:
    """Channel mixing, then the generators: rows (term, channel out) over columns (image, pixel)."""
    (batch, d, c), o = h.shape, weight.shape[2]
    n = len(generators[0])
    flat = h.permute(2, 0, 1).reshape(c, batch * d)
    rows = (weight.transpose(1, 2).reshape(-1, c) @ flat).view(len(weight), o * batch, d)
    if len(generators) == 2:
        decoder, encoder = generators
        codes = torch.bmm(rows[:n], encoder.transpose(1, 2))
        left, right = codes.transpose(0, 1).flatten(1), decoder.transpose(1, 2).flatten(0, 1)
    else:
        left, right = rows[:n].transpose(0, 1).flatten(1), generators[0].transpose(1, 2).flatten(0, 1)
    total = torch.addmm(rows[n], left, right) if len(weight) > n else left @ right
    total = total.view(o, batch, d)
    if bias is not None:
        total = total + bias[:, None, None]
    total = total.permute(1, 2, 0)
    return total.relu() if relu else total


def _chunks(batch: int, image: Tensor) -> list[slice]:
    """Cut a batch into equal pieces that stay in the cache; a GPU gets it whole.

    Args:
        batch: images in it.
        image: the largest thing that belongs to one image.
    """
    if image.device.type != "cpu":
        return [slice(0, batch)]
    most = max(1, CHUNK_BYTES * torch.get_num_threads() // max(1, image.numel() * image.element_size()))
    pieces = max(1, -(-batch // most))
    bounds = [batch * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


def _masked(grad: Tensor, out: Tensor | None) -> Tensor:
    """Gradient in front of the ReLU, contiguous."""
    return (grad if out is None else torch.ops.aten.threshold_backward(grad, out, 0)).contiguous()


def _sum_type(like: Tensor) -> torch.dtype:
    """Type to add up the pieces of a gradient in."""
    return like.dtype if like.dtype in (torch.float32, torch.float64) else torch.float32


def _stacked(t: Tensor, count: int) -> Tensor:
    """(batch, count * k, c) -> (count, batch * k, c), contiguous."""
    return t.unflatten(1, (count, -1)).transpose(0, 1).flatten(1, 2)


def _unstacked(t: Tensor, batch: int) -> Tensor:
    """(count, batch * k, c) -> (batch, count * k, c), contiguous."""
    return t.unflatten(1, (batch, -1)).transpose(0, 1).flatten(1, 2)


class MixLast(torch.autograd.Function):
    """All ``L_i h`` below each other in one buffer, with the identity and a row of ones; then one product.

    The buffer has the rows (term, channel), and one of ones for the bias, over columns (image, pixel).
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, u: Tensor, v: Tensor | None, weight: Tensor, bias: Tensor | None, relu: bool
    ) -> Tensor:
        (batch, d, c), (n, o) = h.shape, (u.shape[0], weight.shape[2])
        terms = len(weight) * c
        buffer = h.new_empty(terms + (bias is not None), batch, d)
        if len(weight) > n:
            rows = buffer[n * c : terms].copy_(h.permute(2, 0, 1)).view(c * batch, d)
        else:
            rows = h.permute(2, 0, 1).reshape(c * batch, d)
        parts = rows.expand(n, -1, -1)
        if v is not None:
            parts = (rows @ v.flatten(0, 1).T).view(c * batch, n, -1).transpose(0, 1)
        torch.bmm(parts, u.transpose(1, 2), out=buffer[: n * c].view(n, c * batch, d))
        mixing = weight.flatten(0, 1)
        if bias is not None:
            buffer[terms].fill_(1)
            mixing = torch.cat([mixing, bias[None]])
        out = h.new_empty(batch, d, o)
        for piece in _chunks(batch, out[:1]):
            part = out[piece].flatten(0, 1)
            torch.mm(buffer[:, piece].flatten(1).T, mixing, out=part)
            if relu:
                part.relu_()
        ctx.save_for_backward(buffer, rows, parts, u, v, mixing, out if relu else None)
        ctx.biased = bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        buffer, rows, parts, u, v, mixing, out = ctx.saved_tensors
        n, (batch, d), o = len(u), buffer.shape[1:], grad.shape[2]
        c = len(rows) // batch
        terms = len(buffer) - ctx.biased
        need_h, need_u, need_v = ctx.needs_input_grad[:3]
        kept = terms if need_h else n * c  # the identity's rows matter to the input's gradient only
        d_buffer = grad.new_empty(kept, batch, d)
        d_mixing = torch.zeros_like(mixing, dtype=_sum_type(mixing))
        for piece in _chunks(batch, grad[:1]):
            part = _masked(grad[piece], None if out is None else out[piece]).view(-1, o)
            d_mixing += torch.mm(buffer[:, piece].flatten(1), part)
            d_buffer[:, piece] = torch.mm(mixing[:kept], part.T).view(kept, -1, d)
        d_parts = d_buffer[: n * c].view(n, c * batch, d)
        d_u = torch.bmm(d_parts.transpose(1, 2), parts) if need_u else None
        d_v = d_rows = None
        if need_v or need_h:
            back = torch.bmm(d_parts, u)
            if v is None:
                d_rows = back.sum(0)
            else:
                back = back.transpose(0, 1).flatten(1)
                d_v = (back.T @ rows).view_as(v) if need_v else None
                d_rows = back @ v.flatten(0, 1) if need_h else None
        d_h = None
        if need_h:
            d_h = d_rows.view(c, batch, d)
            d_h = (d_h + d_buffer[n * c :] if terms > n * c else d_h).permute(1, 2, 0)
        d_mixing = d_mixing.to(mixing.dtype)
        d_bias = d_mixing[-1] if ctx.biased else None
        return d_h, d_u, d_v, d_mixing[:terms].unflatten(0, (-1, c)), d_bias, None


class MixOnRank(torch.autograd.Function):
    """Encoder, mixing of the channels where there are only ``n k`` rows, decoder."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, u: Tensor, v: Tensor, weight: Tensor, bias: Tensor | None, relu: bool
    ) -> Tensor:
        h = h.contiguous()
        (batch, d, c), (n, o) = h.shape, (len(u), weight.shape[2])
        encoder, decoder = v.flatten(0, 1), u.transpose(0, 1).flatten(1)
        codes = h.new_empty(batch, encoder.shape[0], c)
        mixed = h.new_empty(batch, encoder.shape[0], o)
        out = h.new_empty(batch, d, o)
        for piece in _chunks(batch, (h if c > o else out)[:1]):
            part, size = out[piece], piece.stop - piece.start
            torch.bmm(encoder.expand(size, -1, -1), h[piece], out=codes[piece])
            mixed[piece] = _unstacked(torch.bmm(_stacked(codes[piece], n), weight[:n]), size)
            if len(weight) > n:
                torch.mm(h[piece].flatten(0, 1), weight[n], out=part.flatten(0, 1))
                part.baddbmm_(decoder.expand(size, -1, -1), mixed[piece])
            else:
                torch.bmm(decoder.expand(size, -1, -1), mixed[piece], out=part)
            if bias is not None:
                part += bias
            if relu:
                part.relu_()
        ctx.save_for_backward(h, encoder, decoder, weight, codes, mixed, out if relu else None)
        ctx.count, ctx.biased = n, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        h, encoder, decoder, weight, codes, mixed, out = ctx.saved_tensors
        n, d, (c, o) = ctx.count, h.shape[1], weight.shape[1:]
        kind = _sum_type(grad)
        d_encoder, d_decoder = (torch.zeros_like(m, dtype=kind) for m in (encoder, decoder))
        d_weight = torch.zeros_like(weight, dtype=kind)
        d_bias = torch.zeros(o, dtype=kind, device=grad.device) if ctx.biased else None
        need_h, need_u, need_v = ctx.needs_input_grad[:3]
        d_h = torch.empty_like(h) if need_h else None
        # copies, because many small products with a transposed matrix take up to twice as long
        encoder_back, decoder_back = encoder.T.contiguous(), decoder.T.contiguous()
        for piece in _chunks(len(h), (h if c > o else grad)[:1]):
            size = piece.stop - piece.start
            part = _masked(grad[piece], None if out is None else out[piece])
            flat, inputs = part.view(-1, o), h[piece]
            if d_bias is not None:
                d_bias += flat.sum(0)
            if need_u:
                d_decoder += torch.mm(_columns(part), _columns(mixed[piece]).T)
            back = _stacked(torch.bmm(decoder_back.expand(size, -1, -1), part), n)
            d_weight[:n] += torch.bmm(_stacked(codes[piece], n).transpose(1, 2), back)
            if need_v or need_h:
                back = _unstacked(torch.bmm(back, weight[:n].transpose(1, 2)), size)
            if need_v:
                d_encoder += torch.mm(_columns(back), _columns(inputs).T)
            if len(weight) > n:
                d_weight[n] += torch.mm(inputs.flatten(0, 1).T, flat)
            if need_h:
                torch.bmm(encoder_back.expand(size, -1, -1), back, out=d_h[piece])
                if len(weight) > n:
                    d_h[piece].view(-1, c).addmm_(flat, weight[n].T)
        d_u = d_decoder.to(grad.dtype).view(d, n, -1).transpose(0, 1) if need_u else None
        d_v = d_encoder.to(grad.dtype).view(n, -1, d) if need_v else None
        return d_h, d_u, d_v, d_weight.to(grad.dtype), None if d_bias is None else d_bias.to(grad.dtype), None


def _columns(t: Tensor) -> Tensor:
    """(batch, rows, channels) -> (rows, batch * channels): sums over images become one product."""
    return t.transpose(0, 1).flatten(1)
