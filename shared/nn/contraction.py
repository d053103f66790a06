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

import torch
from torch import Tensor

from shared.base.errors import unknown
from shared.nn.contraction_steps import MixLast, MixOnRank

#: Images in a batch over which the cost of building a dense generator from its factors is spread.
NOMINAL_BATCH = 128

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
