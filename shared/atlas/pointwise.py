"""What activations and arithmetic say of maps: functions of each pixel by itself, and known images."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from shared.atlas import constants
from shared.atlas.calls import Call, check_float, dim_of, learned, rule
from shared.atlas.layers import Layer
from shared.atlas.values import Ref, Track


def _act(call: Call, curve: str | None = None, *arguments: str) -> Track:
    values = tuple(call.number(a) for a in arguments)
    curve = curve or call.function.removesuffix("_")
    return call.pixelwise(Layer(call.name, "act", curve=curve, arguments=values))


_PLAIN = (
    "relu selu tanh softsign tanhshrink sigmoid exp sqrt log silu mish hardswish hardsigmoid relu6 "
    "abs square sin cos neg reciprocal rsqrt erf asinh atan"
)
rule(f"{_PLAIN} {_PLAIN.replace(' ', '_ ')}_", "input inplace=False")(_act)
rule("gelu", "input approximate='none'")(lambda call: _act(call, "gelu"))
rule("logsigmoid log_sigmoid", "input")(lambda call: _act(call, "logsigmoid"))
rule("leaky_relu leaky_relu_", "input negative_slope=0.01 inplace=False")(
    lambda call: _act(call, None, "negative_slope")
)
rule("elu elu_ celu celu_", "input alpha=1.0 inplace=False")(lambda call: _act(call, None, "alpha"))
rule("hardtanh hardtanh_", "input min_val=-1.0 max_val=1.0 inplace=False")(
    lambda call: _act(call, "hardtanh", "min_val", "max_val")
)
rule("softshrink hardshrink", "input lambd=0.5")(lambda call: _act(call, None, "lambd"))
rule("softplus", "input beta=1 threshold=20")(lambda call: _act(call, "softplus", "beta", "threshold"))
rule("threshold threshold_ _threshold", "input threshold value inplace=False")(
    lambda call: _act(call, "threshold", "threshold", "value")
)


@rule("clamp clamp_ clip clip_", "input min=None max=None")
def _clamp(call: Call) -> Track:
    low = -math.inf if call["min"] is None else call.number("min")
    high = math.inf if call["max"] is None else call.number("max")
    return call.pixelwise(Layer(call.name, "act", curve="clamp", arguments=(low, high)))


rule("clamp_min clamp_min_", "input min")(lambda c: _clamp(_with(c, max=None)))
rule("clamp_max clamp_max_", "input max")(lambda c: _clamp(_with(c, min=None)))


def _with(call: Call, **more: Any) -> Call:
    call.given = {"input": call["input"], "min": call.given.get("min"), "max": call.given.get("max")} | more
    return call


@rule("rrelu rrelu_", "input lower=0.125 upper=0.3333333333333333 training=False inplace=False")
def _rrelu(call: Call) -> Track:
    if call["training"]:
        raise call.refusal("is random in eval mode, too")
    slope = (call.number("lower") + call.number("upper")) / 2
    return call.pixelwise(Layer(call.name, "act", curve="leaky_relu", arguments=(slope,)))


@rule("prelu", "input weight")
def _prelu(call: Call) -> Track:
    if call["weight"].numel() > 1 and not call.x.only(1, "channels"):
        raise call.refusal("has a slope for each entry of an axis other than channels")
    return call.pixelwise(Layer(call.name, "act", curve="prelu"))


@rule("pow pow_", "input exponent")
def _power(call: Call) -> Track:
    if not isinstance(call["input"], Track):
        raise call.refusal("has a map for its exponent")
    exponent = call.number("exponent")
    return call.pixelwise(Layer(call.name, "act", curve="square" if exponent == 2 else "pow"))


@rule("softmax log_softmax", "input dim=None _stacklevel=3 dtype=None")
def _softmax(call: Call) -> Track:
    check_float(call, call["dtype"])
    return _over_channels(call, call["dim"])


@rule("normalize", "input p=2.0 dim=1 eps=1e-12 out=None")
def _unit(call: Call) -> Track:
    return _over_channels(call, call["dim"])


@rule("glu", "input dim=-1")
def _glu(call: Call) -> Track:
    track, dim = _over_channels(call, call["dim"]), dim_of(call, call["dim"])
    return _halved(call, track, dim)


def _halved(call: Call, track: Track, dim: int) -> Track:
    if track.composite:
        raise call.refusal("takes apart channels that were joined")
    axes = list(track.axes)
    axes[dim] = (("channels", call.out.shape[dim]),)
    return replace(track, axes=tuple(axes))


def _over_channels(call: Call, dim: Any) -> Track:
    """A function of the channels of each pixel."""
    if call.x.holding("channels") != [dim_of(call, dim)] or not call.x.only(dim_of(call, dim), "channels"):
        raise call.refusal("normalizes over another axis than channels")
    if call.x.sizes[dim_of(call, dim)] == 1:
        raise call.refusal("normalizes one channel by itself, which makes the same of all values")
    return call.pixelwise(Layer(call.name, "act", curve="softmax"))


@rule("add add_ sub sub_ subtract rsub __rsub__", "input other alpha=1")
def _sum(call: Call) -> Track:
    first, second = call["input"], call["other"]
    factor = call.number("alpha")
    if "rsub" in call.function:
        first, second = second, first
    elif not call.function.startswith("add"):
        factor = -factor
    second = _scaled(call, second, factor) if factor != 1 else second
    if "rsub" in call.function:
        second = _scaled(call, second, -1.0)
    return _joined(call, "add", first, second)


def _scaled(call: Call, value: Any, factor: float) -> Any:
    if not isinstance(value, Track):
        return value * factor
    return call.pixelwise(Layer(call.name, "affine", numbers=(factor, 0.0)), value)


@rule("mul mul_ multiply", "input other")
def _product(call: Call) -> Track:
    return _joined(call, "mul", call["input"], call["other"])


@rule("div div_ true_divide divide __rdiv__ __rtruediv__", "input other rounding_mode=None")
def _quotient(call: Call) -> Track:
    if call["rounding_mode"] is not None:
        raise call.refusal("rounds")
    above, below = call["input"], call["other"]
    if call.function.startswith("__r"):
        above, below = below, above
    if isinstance(below, Track):
        below = call.pixelwise(Layer(call.name, "act", curve="reciprocal"), below)
    elif not (isinstance(below, Tensor) and learned(below)):
        below = 1 / below
    return _joined(call, "mul", above, below)


def _joined(call: Call, kind: str, first: Any, second: Any) -> Track:
    """A sum or product of two maps, or of one and known or learned numbers."""
    if isinstance(first, Track) and isinstance(second, Track):
        return _merged(call, kind, first, second)
    track, value = (first, second) if isinstance(first, Track) else (second, first)
    if isinstance(value, Tensor) and value.numel() == 1 and not learned(value):
        value = call.look(value).item()
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise call.refusal(f"meets the number {value}")
        numbers = (float(value), 0.0) if kind == "mul" else (1.0, float(value))
        return call.pixelwise(Layer(call.name, "affine", numbers=numbers), track)
    if not isinstance(value, Tensor) or value.is_complex():
        raise call.refusal("is arithmetic that the atlas cannot follow")
    return with_known(call, kind, track, value)


def with_known(call: Call, kind: str, track: Track, value: Tensor) -> Track:
    """Meet a tensor: known numbers are looked at, learned ones may be anything that their shape allows."""
    shape = tuple(call.out.shape)
    if shape != track.sizes:
        raise call.refusal(f"spreads a map of shape {track.sizes} over {shape}")
    trained = learned(value)
    pattern = torch.rand(value.shape, device="cpu") if trained else call.look(value).double()
    full = _by_name(track, pattern.double().expand(shape))
    if not constants.alike(full):
        raise call.refusal("tells the images of a batch apart")
    full = full[0]  # (channels, orientations, H, W)
    composite = track.composite
    if bool((full == full[:, :1, :1, :1]).all()):
        positive = not trained and kind == "mul" and bool((full > 0).all())
        bias = kind == "add"
        layer = Layer(call.name, "affine", positive=positive, bias=bias)
        return call.pixelwise(layer, track)
    if full.shape[2] > 1 or full.shape[3] > 1:
        call.sized()
    values = None
    if not trained:
        values = constants.combined(full, track.ref.group)
        composite = composite or not constants.alike(full)
    return replace(
        call.pixelwise(Layer(call.name, "fixed", mode=kind, values=values), track), composite=composite
    )


#: Of axes, in the usual order.
NAMES = ("batch", "channels", "group", "height", "width")


def _by_name(track: Track, full: Tensor) -> Tensor:
    """A tensor in the axes of ``track`` as (batch, channels, orientations, H, W)."""
    parts = [part for axis in track.axes for part in axis]
    full = full.reshape([size for _, size in parts])
    order = [i for name in NAMES for i, part in enumerate(parts) if part[0] == name]
    sizes = [math.prod(size for what, size in parts if what == name) for name in NAMES]
    return full.permute(order).reshape(sizes)


def _merged(call: Call, kind: str, first: Track, second: Track) -> Track:
    ndim = max(len(first.axes), len(second.axes))
    pair = [((),) * (ndim - len(t.axes)) + t.axes for t in (first, second)]
    axes = []
    for a, b in zip(*pair):
        if a != b and a and b:
            kinds = " and ".join(f"({', '.join(t.names)})" for t in (first, second))
            raise call.refusal(f"meets tensors with axes {kinds}, which must be the same")
        axes.append(a or b)
    wide = [t for t, own in zip((first, second), pair) if sum(map(len, own)) == sum(map(len, axes))]
    if not wide:
        raise call.refusal("spreads both of its maps over the other")
    groups = {t.ref.group for t in (first, second) if t.ref.oriented}
    group, spatial = next(iter(groups), None), first.ref.spatial or second.ref.spatial
    refs = [t.ref if len(groups) > 1 else Ref(t.ref.number, group, spatial) for t in (first, second)]
    ref = call.builder.add(Layer(call.name, kind), *refs)
    return Track(ref, tuple(axes), first.composite or second.composite, first.flattened or second.flattened)


@rule("cat concat concatenate", "tensors dim=0")
def _concatenate(call: Call) -> Track:
    tracks = list(call["tensors"])
    if not all(isinstance(t, Track) for t in tracks):
        raise call.refusal("joins maps and known numbers")
    if call["dim"] % len(tracks[0].axes) != 1 or any(t.canonical() is None for t in tracks):
        raise call.refusal("concatenates other axes than channels (dim=1)")
    ref = call.builder.add(Layer(call.name, "cat"), *[t.canonical() for t in tracks])
    axes = list(tracks[0].axes)
    axes[1] = (("channels", call.out.shape[1]),)
    return Track(ref, tuple(axes), True)
