"""What torch's functions of layers say of maps: convolutions, norms, pools, attention, reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from shared.atlas import constants, pointwise, reshaping
from shared.atlas.calls import RULES, Call, Rule, check_float, dim_of, learned, rule
from shared.atlas.layers import TRANSPOSED, Layer
from shared.atlas.modules import pool, resize, two
from shared.atlas.pointwise import NAMES, with_known
from shared.atlas.values import Ref, Track

__all__ = ["FREE", "RULES", "SIZES", "flattened", "pointwise", "reshaping"]


def _known_filter(call: Call, weight: Any, transposed: bool = False) -> Any:
    if isinstance(weight, Track):
        raise call.refusal("has filters that depend on the input")
    if learned(weight):
        return None
    return constants.kernel(call.look(weight))


def _sides_of(call: Call, padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> Any:
    if padding == "valid":
        return 0
    if padding == "same":  # an odd pixel is put last
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in two(padding, call.name))


@rule("conv2d", "input weight bias=None stride=1 padding=0 dilation=1 groups=1")
def _convolution(call: Call) -> Track:
    weight, dilation = call["weight"], two(call["dilation"], call.name)
    ref, values = call.map(4), _known_filter(call, call["weight"])
    kernel = tuple(weight.shape[2:])
    layer = Layer(
        call.name, "conv", kernel, two(call["stride"], call.name),
        _sides_of(call, call["padding"], kernel, dilation), dilation,
        bias=call["bias"] is not None, values=values,
    )  # fmt: skip
    apart = values is not None and not constants.alike(weight.detach().flatten(0, 1))
    kept = call.x.composite and call["groups"] > 1
    return call.made(layer, ref, composite=apart or kept)


@rule("conv_transpose2d", "input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1")
def _transposed(call: Call) -> Track:
    ref, weight = call.map(4), call["weight"]
    values = _known_filter(call, weight)
    layer = Layer(
        call.name, TRANSPOSED, tuple(weight.shape[2:]), two(call["stride"], call.name),
        tuple((p, p) for p in two(call["padding"], call.name)), two(call["dilation"], call.name),
        bias=call["bias"] is not None, values=values, extra=two(call["output_padding"], call.name),
    )  # fmt: skip
    apart = values is not None and not constants.alike(weight.detach().flatten(0, 1))
    return call.made(layer, ref, composite=apart or (call.x.composite and call["groups"] > 1))


@rule("pixel_shuffle", "input upscale_factor")
def _shuffle(call: Call) -> Track:
    factor, ref = call["upscale_factor"], call.map(4)
    if call.x.composite:
        raise call.refusal("makes pixels of channels that were joined, or made of pixels")
    return call.made(Layer(call.name, TRANSPOSED, factor, factor, bias=False, mode="shuffle"), ref)


@rule("pixel_unshuffle", "input downscale_factor")
def _unshuffle(call: Call) -> Track:
    factor, ref = call["downscale_factor"], call.map(4)
    call.sized()
    return call.made(
        Layer(call.name, "conv", factor, factor, bias=False, mode="shuffle"), ref, composite=True
    )


@rule("linear", "input weight bias=None")
def _linear(call: Call) -> Track:
    track, bias = call.x, call["bias"] is not None
    if isinstance(call["weight"], Track):
        raise call.refusal("has weights that depend on the input")
    last = len(track.axes) - 1
    axes = (*track.axes[:-1], (("channels", call["weight"].shape[0]),) if call["weight"].shape[0] > 1 else ())
    if track.only(last, "channels"):
        if len(track.axes) == 2:
            ref = track.canonical() or call.map()
            return Track(call.builder.add(Layer(call.name, "linear", bias=bias), ref), axes)
        return replace(call.pixelwise(Layer(call.name, "mix", bias=bias), axes=axes), composite=False)
    inside = {name for name, _ in track.axes[last]}
    if "batch" in inside or any(set(range(1, last)) & set(track.holding(name)) for name in NAMES):
        raise call.refusal("is dense but does not get a plain vector; pool or flatten before it")
    vector = flattened(call.builder, track)
    call.sized()
    return Track(call.builder.add(Layer(call.name, "linear", bias=bias), vector), axes)


def flattened(builder: Any, track: Track) -> Ref:
    """Append the layer that makes channels of pixels and orientations."""
    return builder.add(Layer(track.flattened or "flatten", "flatten"), track.ref)


@rule(
    "batch_norm", "input running_mean running_var weight=None bias=None training=False momentum=0.1 eps=1e-5"
)
def _batch_norm(call: Call) -> Track:
    if call["training"] or call["running_mean"] is None:
        if call["running_mean"] is not None:
            raise call.refusal("updates its statistics in eval mode, too")
        call.map(2, 4, 5)
        return call.pixelwise(Layer(call.name, "norm"))
    if not call.x.only(1, "channels"):
        raise call.refusal("scales the entries of another axis than channels")
    return call.pixelwise(Layer(call.name, "affine"))


@rule(
    "instance_norm",
    "input running_mean=None running_var=None weight=None bias=None use_input_stats=True momentum=0.1 "
    "eps=1e-5",
)
def _instance_norm(call: Call) -> Track:
    call.map(4, 5)
    if not call["use_input_stats"]:
        return call.pixelwise(Layer(call.name, "affine"))
    return call.pixelwise(Layer(call.name, "norm", mode="channel"))


@rule("group_norm", "input num_groups weight=None bias=None eps=1e-5")
def _group_norm(call: Call) -> Track:
    call.map(4, 5)
    alone = call["num_groups"] == call.x.sizes[1]
    return call.pixelwise(Layer(call.name, "norm", mode="channel" if alone else ""))


@rule("layer_norm", "input normalized_shape weight=None bias=None eps=1e-5")
def _layer_norm(call: Call) -> Track:
    """Over the channels of a pixel; or over channels and pixels, with weights for each."""
    track, count = call.x, len(call["normalized_shape"])
    last = range(len(track.axes) - count, len(track.axes))
    names = {name for i in last for name, _ in track.axes[i]}
    if any(set(track.holding(name)) - set(last) for name in names):
        raise call.refusal("normalizes over a part of the channels, or of the pixels")
    if not names:
        raise call.refusal("normalizes one channel by itself, which makes the same of all values")
    if names <= {"channels"}:
        return call.pixelwise(Layer(call.name, "act", curve="softmax"))
    call.sized()
    whole = {"channels", *(["group"] if track.ref.oriented else [])} <= names | {
        n for n in ("channels",) if not track.holding(n)
    }
    if not whole and (track.ref.oriented or "channels" in names):
        raise call.refusal("normalizes over a part of the axes of channels, orientations and pixels")
    track = call.pixelwise(Layer(call.name, "norm", mode="" if "channels" in names else "channel"))
    for kind, value in (("mul", call["weight"]), ("add", call["bias"])):
        track = track if value is None else with_known(call, kind, track, value)
    return track


@rule("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout",
       "input p=0.5 training=True inplace=False")  # fmt: skip
def _dropout(call: Call) -> Track:
    if call["training"]:
        raise call.refusal("drops at random in eval mode, too; pass training=self.training")
    return call.pixelwise(Layer(call.name, "identity"))


_MAX = "input kernel_size stride=None padding=0 dilation=1 ceil_mode=False return_indices=False"
_AVG = "input kernel_size stride=None padding=0 ceil_mode=False count_include_pad=True divisor_override=None"


def _pool(kind: str, deep: bool) -> Rule:
    def made(call: Call) -> Any:
        layer = pool(call.name, kind, deep, call.given)
        return call.made(layer, call.map(5 if deep else 4))

    return made


def _pool_with_indices(call: Call) -> Any:
    raise call.refusal("returns indices")


def _adaptive(kind: str, deep: bool) -> Rule:
    def made(call: Call) -> Any:
        layer = Layer(call.name, kind, output=two(call["output_size"], call.name, deep, None))
        return call.made(layer, call.map(5 if deep else 4))

    return made


for _deep, _d in ((False, "2d"), (True, "3d")):
    rule(f"max_pool{_d}", _MAX)(_pool("max_pool", _deep))
    rule(f"avg_pool{_d}", _AVG)(_pool("avg_pool", _deep))
    rule(f"max_pool{_d}_with_indices", _MAX)(_pool_with_indices)
    rule(f"adaptive_avg_pool{_d}", "input output_size")(_adaptive("adaptive_avg", _deep))
    rule(f"adaptive_max_pool{_d}", "input output_size return_indices=False")(_adaptive("adaptive_max", _deep))


@rule(
    "interpolate",
    "input size=None scale_factor=None mode='nearest' align_corners=None recompute_scale_factor=None "
    "antialias=False",
)
def _interpolate(call: Call) -> Track:
    if call["recompute_scale_factor"] or call["antialias"]:
        raise call.refusal("uses recompute_scale_factor or antialias")
    layer = resize(call.name, call["size"], call["scale_factor"], call["mode"], call["align_corners"])
    return call.made(layer, call.map(4, 5))


@rule("pad", "input pad mode='constant' value=None")
def _pad(call: Call) -> Track:
    sides, ref = [int(s) for s in call["pad"]], call.map(4, 5)
    if any(sides[4:]) or call["value"] not in (0, None):
        raise call.refusal(
            f"pads other axes than pixels, or with {call['value']}; the atlas knows zeros only"
        )
    left, right, top, bottom = (sides + [0] * 4)[:4]
    filling = {"constant": "zeros"}.get(call["mode"], call["mode"])
    return call.made(Layer(call.name, "pad", padding=((top, bottom), (left, right)), mode=filling), ref)


@rule(
    "scaled_dot_product_attention",
    "query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None enable_gqa=False",
)
def _attention(call: Call) -> Track:
    """Pixels attend to pixels; (batch, heads, pixels, channels of a head)."""
    parts = [call[name] for name in ("query", "key", "value")]
    if (
        call["attn_mask"] is not None
        or call["is_causal"]
        or call["dropout_p"]
        or len({p.axes for p in parts}) > 1
    ):
        raise call.refusal("has a mask, dropout, or queries and keys of different shapes")
    names = {n for axis in parts[0].axes[-2:-1] for n, _ in axis}
    spatial = {n for n in ("height", "width", "group") if parts[0].holding(n)}
    if names != spatial or not parts[0].only(len(parts[0].axes) - 1, "channels"):
        raise call.refusal("does not attend from all pixels to all pixels")
    ref = call.builder.add(Layer(call.name, "cat"), *[p.ref for p in parts])
    ref = call.builder.add(Layer(call.name, "attention"), ref)
    return Track(ref, parts[0].axes, any(p.composite for p in parts))


@rule(
    "multi_head_attention_forward",
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v add_zero_attn "
    "dropout_p out_proj_weight out_proj_bias training=True key_padding_mask=None need_weights=True "
    "attn_mask=None use_separate_proj_weight=False q_proj_weight=None k_proj_weight=None v_proj_weight=None "
    "static_k=None static_v=None average_attn_weights=True is_causal=False",
)
def _multi_head_attention(call: Call) -> list[Track | None]:
    """Self-attention of all pixels; (pixels, batch, channels)."""
    query = call["query"]
    masked = any(call[name] is not None for name in ("attn_mask", "key_padding_mask", "static_k", "static_v"))
    if masked or call["is_causal"] or any(call[name] != query for name in ("key", "value")):
        raise call.refusal("has a mask, or another query than keys and values")
    if call["training"] and call["dropout_p"]:
        raise call.refusal("drops at random in eval mode, too")
    whole = {name for name in ("height", "width", "group") if query.holding(name)}
    if len(query.axes) != 3 or {name for name, _ in query.axes[0]} != whole or not query.only(2, "channels"):
        raise call.refusal("does not attend from all pixels to all pixels")
    track = call.pixelwise(Layer(call.name, "attention"))
    return [track, *[None] * (len(call.out) - 1)]


@rule("mean sum", "input dim=None keepdim=False dtype=None")
def _mean(call: Call) -> Track:
    check_float(call, call["dtype"])
    return _reduced(call, "mean")


@rule("amax", "input dim=None keepdim=False")
def _maximum(call: Call) -> Track:
    return _reduced(call, "max")


@rule("max", "input dim=None keepdim=False")
def _maximum_and_place(call: Call) -> Any:
    if not isinstance(call["dim"], int):
        raise call.refusal("compares two maps, or reduces over all axes")
    call.execute_out = call.out
    return [_reduced(call, "max", call.out[0]), None]


def _reduced(call: Call, mode: str, out: Tensor | None = None) -> Track:
    """Over whole pixels, orientations or channels, one after the other."""
    track, out = call.x, call.out if out is None else out
    dims = call["dim"]
    dims = (
        [dims] if isinstance(dims, int) else list(dims) if dims is not None else list(range(len(track.axes)))
    )
    dims = sorted({dim_of(call, d) for d in dims})
    names = {name for d in dims for name, _ in track.axes[d]}
    if "batch" in names or any(set(track.holding(name)) - set(dims) for name in names):
        raise call.refusal(
            f"reduces over {', '.join(sorted(names)) or 'all axes'} in part, or over the batch"
        )
    ref, pixels, keep = track.ref, names & {"height", "width"}, call["keepdim"]
    if pixels:
        short = {"mean": "avg"}.get(mode, mode)
        whole = len(pixels) == 2 and not keep
        size = tuple(1 if name in pixels else None for name in ("height", "width"))
        layer = Layer(
            call.name, f"global_{short}" if whole else f"adaptive_{short}", output=None if whole else size
        )
        ref = replace(call.builder.add(layer, replace(ref, spatial=True)), spatial=not whole)
    if "group" in names:
        ref = call.builder.add(Layer(call.name, "group_pool", mode=mode), ref)
    composite = track.composite
    if "channels" in names and mode == "mean":
        ref, composite = call.builder.add(Layer(call.name, "mix", bias=False), ref), False
    elif "channels" in names:
        if composite:
            raise call.refusal("takes the maximum of channels that were joined")
        ref = call.builder.add(Layer(call.name, "act", curve="channel_max"), ref)
    if call.function == "sum":
        call.sized()
        count = math.prod(track.sizes[d] for d in dims)
        ref = call.builder.add(Layer(call.name, "affine", numbers=(float(count), 0.0)), ref)
    axes = [() if i in dims else axis for i, axis in enumerate(track.axes) if keep or i not in dims]
    return Track(ref, tuple(axes), composite)


#: Methods and properties whose results are no maps; those of the second kind hang on sizes.
FREE = {
    *("dim", "ndimension", "ndim", "dtype", "device", "layout", "is_cuda", "is_cpu", "is_floating_point"),
    *("requires_grad", "is_nested", "element_size", "itemsize", "_version", "__hash__", "__repr__"),
    *("is_complex", "get_device", "is_contiguous", "is_meta", "is_mps", "is_sparse", "is_quantized"),
    *("is_leaf", "names", "is_inference", "grad_fn", "grad"),
    *("__format__", "__len__", "has_names", "is_mkldnn", "is_xpu", "retain_grad", "register_hook"),
}  # fmt: skip
SIZES = {"shape", "size", "numel", "nelement", "stride", "nbytes"}
