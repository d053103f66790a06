"""Lie algebra convolution in two orders of its products, forward and backward, without large intermediates.

Everything that is as large as the output is touched in pieces that stay in the processor's cache. See
`shared.nn.contraction`, which chooses the order and calls what is here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Bytes of the output that one CPU thread works on at a time: they stay in its cache.
CHUNK_BYTES = 2 << 20


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
