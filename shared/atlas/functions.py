"""Descriptions of the functions and tensor methods that a forward may call."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.parameter import UninitializedTensorMixin

from shared.atlas.activations import CURVES
from shared.atlas.layers import Layer
from shared.atlas.modules import pool, resize, two
from shared.atlas.values import BY_HAND, Builder, Constant, Extent, Ref
from shared.base.errors import UserError

_NOTHING = ("contiguous", "clone", "detach", "float", "double", "to", "type_as")
_ADD, _MUL = ("add", "iadd", "add_", "sub", "isub", "sub_"), ("mul", "imul", "mul_", "truediv", "div")

Rule = Callable[[Builder, str, tuple, dict], Any]


def constant(value: Any) -> Any:
    """A parameter or buffer as its shape; anything else as it is."""
    if isinstance(value, UninitializedTensorMixin):
        raise UserError("the network has a lazy layer without weights; run it on an input first")
    return Constant(tuple(value.shape)) if isinstance(value, Tensor) else value


def call_function(builder: Builder, function: Callable, name: str, args: tuple, kwargs: dict) -> Any:
    """Describe a call of ``function``; results that are no maps (sizes) are computed.

    Raises:
        UserError: if the atlas does not know the function.
    """
    if function is getattr and args[1] in ("shape", "ndim"):
        return args[0].shape if args[1] == "shape" else len(args[0].axes)
    if function is operator.getitem and not isinstance(args[0], Ref):
        return args[0][args[1]]
    return _call(builder, getattr(function, "__name__", str(function)), name, args, kwargs)


def call_method(builder: Builder, method: str, name: str, args: tuple, kwargs: dict) -> Any:
    """Describe a call of a tensor's method; raises as `call_function`."""
    if method == "size":
        return args[0].shape[args[1]] if len(args) > 1 else args[0].shape
    if method in ("dim", "ndimension"):
        return len(args[0].axes)
    return _call(builder, method, name, args, kwargs)


def _call(builder: Builder, function: str, name: str, args: tuple, kwargs: dict) -> Any:
    if function in CURVES and function not in _RULES:
        return builder.add(Layer(name, "act", curve=function), args[0])
    if function in _NOTHING:
        return builder.add(Layer(name, "identity"), args[0])
    if function in _ADD or function in _MUL:
        if function in ("truediv", "div") and not isinstance(args[0], Ref):
            return builder.add(Layer(name, "act", curve="reciprocal"), args[1])  # 1 / x
        return _arithmetic(builder, "add" if function in _ADD else "mul", name, args)
    if function not in _RULES:
        raise UserError(
            f"the atlas does not know {function!r} in the forward; use a module for it, or {BY_HAND}"
        )
    return _RULES[function](builder, name, args, kwargs)


def _arithmetic(builder: Builder, kind: str, name: str, args: tuple) -> Ref:
    maps = [a for a in args[:2] if isinstance(a, Ref)]
    others = [a for a in args[:2] if not isinstance(a, Ref)]
    if len(maps) == 2:
        return builder.add(Layer(name, kind), *maps)
    if not maps or not all(isinstance(a, int | float | Constant) for a in others):
        raise UserError(f"the atlas cannot follow the arithmetic at {name!r}; describe the network by hand")
    if others and isinstance(others[0], Constant) and others[0].untied(maps[0]):
        return builder.add(Layer(name, "fixed", mode=kind), maps[0])
    return builder.add(Layer(name, "affine", bias=kind == "add"), maps[0])


def _argument(position: int, keyword: str, default: Any, args: tuple, kwargs: dict) -> Any:
    return args[position] if len(args) > position else kwargs.get(keyword, default)


def _pool(kind: str, *names: str, deep: bool = False) -> Rule:
    """A pool with positional arguments ``names`` after the input."""

    def rule(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
        given = dict(zip(names, args[1:])) | kwargs
        if given.get("return_indices"):
            raise UserError(
                f"{name!r} returns indices, which the atlas cannot follow; describe the network by hand"
            )
        return builder.add(pool(name, kind, deep, given), args[0])

    return rule


def _adaptive(kind: str, deep: bool = False) -> Rule:
    def rule(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
        size = _argument(1, "output_size", None, args, kwargs)
        return builder.add(Layer(name, kind, output=two(size, name, deep, None)), args[0])

    return rule


def _interpolate(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    given = dict(zip(names, args[1:])) | kwargs
    if given.get("recompute_scale_factor") or given.get("antialias"):
        raise UserError(f"{name!r} uses recompute_scale_factor or antialias, which the atlas does not know")
    size, like = given.get("size"), None
    if isinstance(size, tuple | list) and any(isinstance(s, Extent) for s in size):
        sources = {s.ref for s in size[-2:] if isinstance(s, Extent)}
        if [getattr(s, "axis", None) for s in size[-2:]] != ["height", "width"] or len(sources) != 1:
            raise UserError(f"{name!r} mixes sizes of several maps; the atlas knows size=y.shape[-2:]")
        size, like = None, sources.pop()
    mode, corners = given.get("mode", "nearest"), given.get("align_corners")
    return builder.add(resize(name, size, given.get("scale_factor"), mode, corners), args[0], like=like)


def _pad(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    sides = list(_argument(1, "pad", (), args, kwargs))
    mode, value = _argument(2, "mode", "constant", args, kwargs), _argument(3, "value", 0, args, kwargs)
    if any(sides[4:]) or value not in (0, None) or any(not isinstance(s, int) for s in sides):
        raise UserError(
            f"{name!r} pads other axes than pixels, or with another value than 0; describe it by hand"
        )
    left, right, top, bottom = (sides + [0] * 4)[:4]
    filling = {"constant": "zeros"}.get(mode, mode)
    return builder.add(Layer(name, "pad", padding=((top, bottom), (left, right)), mode=filling), args[0])


def _reduce(mode: str) -> Rule:
    """Mean or maximum over pixels, or over orientations."""

    def rule(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
        x: Ref = args[0]
        dims = _argument(1, "dim", None, args, kwargs)
        named = {x.axis(d) for d in ((dims,) if isinstance(dims, int) else dims or ())}
        keep = _argument(2, "keepdim", False, args, kwargs)
        if named == {"group"} and not keep:
            return builder.add(Layer(name, "group_pool", mode=mode), x)
        if named != {"height", "width"}:
            raise UserError(
                f"{name!r} reduces over {', '.join(named) or 'all axes'}; the atlas knows pixels or the group"
            )
        short = {"mean": "avg"}.get(mode, mode)
        layer = Layer(name, f"adaptive_{short}", output=(1, 1)) if keep else Layer(name, f"global_{short}")
        return builder.add(layer, x)

    return rule


def _dropout(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    if _argument(2, "training", True, args, kwargs):
        raise UserError(f"{name!r} drops at random in eval mode, too; pass training=self.training")
    return builder.add(Layer(name, "identity"), args[0])


def _reshape(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    shape = args[1] if len(args) == 2 and isinstance(args[1], tuple | list) else args[1:]
    batch = isinstance(shape[0], Extent) and shape[0].axis == "batch"
    if len(shape) != 2 or not batch or not isinstance(shape[1], int):
        raise UserError(
            f"{name!r} reshapes other than to (batch, -1); use flatten(1), or describe the network by hand"
        )
    return builder.add(Layer(name, "flatten"), args[0])


def _flatten(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    start, end = _argument(1, "start_dim", 0, args, kwargs), _argument(2, "end_dim", -1, args, kwargs)
    if start != 1 or end not in (-1, len(args[0].axes) - 1):
        raise UserError(f"{name!r} flattens only some axes; the atlas knows flatten(1)")
    return builder.add(Layer(name, "flatten"), args[0])


def _concatenate(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    if _argument(1, "dim", 0, args, kwargs) != 1:
        raise UserError(
            f"{name!r} concatenates other axes than channels (dim=1); describe the network by hand"
        )
    return builder.add(Layer(name, "cat"), *_argument(0, "tensors", (), args, kwargs))


def _softmax(builder: Builder, name: str, args: tuple, kwargs: dict) -> Ref:
    if args[0].axis(_argument(1, "dim", 1, args, kwargs)) != "channels":
        raise UserError(f"{name!r} normalizes over another axis than channels; describe the network by hand")
    return builder.add(Layer(name, "act", curve="softmax"), args[0])


_MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_RULES: dict[str, Rule] = {
    "max_pool2d": _pool("max_pool", *_MAX),
    "max_pool3d": _pool("max_pool", *_MAX, deep=True),
    "avg_pool2d": _pool("avg_pool", *_AVG),
    "avg_pool3d": _pool("avg_pool", *_AVG, deep=True),
    "adaptive_avg_pool2d": _adaptive("adaptive_avg"),
    "adaptive_avg_pool3d": _adaptive("adaptive_avg", deep=True),
    "adaptive_max_pool2d": _adaptive("adaptive_max"),
    "adaptive_max_pool3d": _adaptive("adaptive_max", deep=True),
    **dict.fromkeys(("dropout", "dropout2d", "dropout3d"), _dropout),
    "interpolate": _interpolate,
    "pad": _pad,
    "mean": _reduce("mean"),
    "amax": _reduce("max"),
    "view": _reshape,
    "reshape": _reshape,
    "flatten": _flatten,
    **dict.fromkeys(("cat", "concat"), _concatenate),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
}
