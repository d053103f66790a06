"""What functions that move, cut and join the axes of tensors say of maps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from shared.atlas.calls import Call, check_float, dim_of, rule
from shared.atlas.layers import Layer
from shared.atlas.values import Track


@rule("contiguous clone detach data alias requires_grad_ positive", "input memory_format=None")
def _same(call: Call) -> Track:
    return call.x


@rule("float double half bfloat16 cpu cuda", "input device=None memory_format=None non_blocking=False")
def _converted(call: Call) -> Track:
    return call.x


@rule("to type_as type", "input a=None b=None c=None d=None dtype=None device=None non_blocking=False "
       "copy=False memory_format=None other=None")  # fmt: skip
def _to(call: Call) -> Track:
    check_float(call, call.out.dtype)
    return call.x


def _shape_change(call: Call) -> Track:
    return call.x.reshaped(call.out.shape, call.name)


rule("flatten", "input start_dim=0 end_dim=-1")(_shape_change)
rule("squeeze unsqueeze", "input dim=None")(_shape_change)
rule("unflatten", "input dim sizes")(lambda call: call.sized() or _shape_change(call))
rule("view_as reshape_as", "input other")(lambda call: call.sized() or _shape_change(call))


@rule("view reshape", "input a=None b=None c=None d=None e=None f=None g=None shape=None")
def _reshape(call: Call) -> Track:
    if isinstance(call["a"], torch.dtype):
        raise call.refusal("reads the bytes of the map as other numbers")
    call.sized()
    return _shape_change(call)


@rule("permute", "input a=None b=None c=None d=None e=None f=None g=None dims=None")
def _permute(call: Call) -> Track:
    given = [call[a] for a in "abcdefg" if call[a] is not None]
    order = call["dims"] or (given[0] if isinstance(given[0], tuple | list) else given)
    return call.x.permuted([dim_of(call, d) for d in order])


@rule("transpose swapaxes swapdims", "input dim0 dim1")
def _transpose(call: Call) -> Track:
    order = list(range(len(call.x.axes)))
    i, j = dim_of(call, call["dim0"]), dim_of(call, call["dim1"])
    order[i], order[j] = order[j], order[i]
    return call.x.permuted(order)


@rule("mT mH", "input")
def _matrix_transpose(call: Call) -> Track:
    count = len(call.x.axes)
    return call.x.permuted([*range(count - 2), count - 1, count - 2])


@rule("movedim moveaxis", "input source destination")
def _movedim(call: Call) -> Track:
    both = [[d] if isinstance(d, int) else list(d) for d in (call["source"], call["destination"])]
    source, target = ([dim_of(call, d) for d in dims] for dims in both)
    rest = iter([i for i in range(len(call.x.axes)) if i not in source])
    place = dict(zip(target, source))
    return call.x.permuted([place[i] if i in place else next(rest) for i in range(len(call.x.axes))])


def _parts(call: Call) -> list[Track]:
    """Cut along the channels: each part is some channels."""
    dim = dim_of(call, call["dim"])
    if not call.x.only(dim, "channels") or len(call.x.holding("channels")) != 1:
        raise call.refusal("cuts another axis than that of the channels")
    return [_some_channels(call, call.x, dim, part.shape[dim]) for part in call.out]


rule("chunk", "input chunks dim=0")(_parts)
rule("split", "input split_size dim=0")(_parts)
rule("tensor_split", "input indices_or_sections dim=0")(_parts)


@rule("narrow", "input dim start length")
def _narrow(call: Call) -> Track:
    index = [slice(None)] * len(call.x.axes)
    index[dim_of(call, call["dim"])] = slice(call["start"], call["start"] + call["length"])
    return _taken(call, tuple(index))


@rule("select", "input dim index")
def _select(call: Call) -> Track:
    index: list[Any] = [slice(None)] * len(call.x.axes)
    index[dim_of(call, call["dim"])] = call["index"]
    return _taken(call, tuple(index))


@rule("unbind __iter__", "input dim=0")
def _unbind(call: Call) -> list[Track]:
    dim = dim_of(call, call["dim"])
    if not call.x.only(dim, "channels"):
        raise call.refusal("cuts another axis than that of the channels")
    return [_without(_some_channels(call, call.x, dim, 1), dim) for _ in call.out]


def _without(track: Track, dim: int) -> Track:
    return track.with_axes([axis for i, axis in enumerate(track.axes) if i != dim])


def _some_channels(call: Call, track: Track, dim: int, count: int) -> Track:
    """Some channels of an axis, which stand for others than the rest: multiplied by a number of their own."""
    if track.composite:
        raise call.refusal("takes apart channels that were joined, or are known to differ")
    axes = list(track.axes)
    axes[dim] = (("channels", count),) if count > 1 else ()
    return call.pixelwise(Layer(call.name, "affine", positive=True), track, axes)


@rule("__getitem__", "input index")
def _getitem(call: Call) -> Track:
    index = call["index"] if isinstance(call["index"], tuple) else (call["index"],)
    return _taken(call, index)


@rule("flip", "input a=None b=None dims=None")
def _flip(call: Call) -> Track:
    given = [call[a] for a in ("a", "b") if call[a] is not None]
    dims = call["dims"] or (given[0] if given and isinstance(given[0], tuple | list) else given)
    cuts, track = {}, call.x
    for dim in {dim_of(call, d) for d in dims}:
        names = [name for name, _ in track.axes[dim]]
        if names not in (["height"], ["width"], []):
            raise call.refusal("reverses another axis than height or width")
        cuts.update(dict.fromkeys(names, (None, None, -1)))
    return _cut(call, track, cuts) if cuts else track


def _cut(call: Call, track: Track, cuts: dict[str, tuple]) -> Track:
    whole = (None, None, 1)
    layer = Layer(call.name, "slice", slices=(cuts.get("height", whole), cuts.get("width", whole)))
    ref = call.builder.add(layer, replace(track.ref, spatial=True))
    sizes = dict(zip(("height", "width"), call.builder.sizes[-1]))
    axes = [tuple((n, sizes.get(n, s)) for n, s in axis if sizes.get(n, s) > 1) for axis in track.axes]
    return replace(track, ref=ref, axes=tuple(axes))


def _taken(call: Call, index: tuple) -> Track:
    """Slices, new axes and single entries."""
    track, whole = call.x, slice(None)
    spent = sum(item is not None and item is not Ellipsis for item in index)
    if Ellipsis not in index:
        index = (*index, Ellipsis)
    at = index.index(Ellipsis)
    index = (*index[:at], *[whole] * (len(track.axes) - spent), *index[at + 1 :])
    cuts, dim, gone, fresh = {}, 0, [], []
    for place, item in enumerate(index):
        if item is None:
            fresh.append(place)
            continue
        names = {name for name, _ in track.axes[dim]}
        size = track.sizes[dim]
        if isinstance(item, bool) or not isinstance(item, slice | int):
            raise call.refusal("picks entries by something else than slices and whole numbers")
        full = isinstance(item, slice) and range(*item.indices(size)) == range(size)
        if isinstance(item, int):
            gone.append(place)
        if not full and size > 1:
            if names == {"channels"}:
                count = 1 if isinstance(item, int) else len(range(*item.indices(size)))
                track = _some_channels(call, track, dim, count)
            elif isinstance(item, slice) and names in ({"height"}, {"width"}):
                cuts[names.pop()] = (item.start, item.stop, item.step or 1)
            else:
                raise call.refusal(f"picks entries of the axis of {' by '.join(names)}")
        dim += 1
    track = _cut(call, track, cuts) if cuts else track
    axes = iter(track.axes)
    made = [(place, () if item is None else next(axes)) for place, item in enumerate(index)]
    return track.with_axes([axis for place, axis in made if place not in gone])
