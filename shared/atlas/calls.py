"""One call of a torch function in a forward: its arguments by name, and what it says of maps."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from shared.atlas.layers import Layer
from shared.atlas.values import BY_HAND, Axis, Builder, Ref, Track, canonical_axes
from shared.base.errors import UserError

_REQUIRED = object()


def _parse(signature: str) -> dict[str, Any]:
    """Arguments and defaults of ``"input kernel_size stride=None"``."""
    parts = (word.partition("=") for word in signature.split())
    return {name: ast.literal_eval(value) if sign else _REQUIRED for name, sign, value in parts}


@dataclass
class Call:
    """A call with tensors that hold maps among its arguments.

    Args:
        builder: collects the layers.
        function: name of torch's function or method.
        name: what to call it in the report.
        given: arguments by name, with a `Track` in the place of a tensor that holds a map.
        execute: computes what the call returns.
        known: collects known numbers that enter.
        sized: called where the layers hang on the size of the input.
        extras: the module that is running.
    """

    builder: Builder
    function: str
    name: str
    given: dict[str, Any]
    execute: Callable[[], Any]
    known: list[Tensor]
    sized: Callable[[], None]
    extras: Sequence[Any] = field(default_factory=tuple)

    def __getitem__(self, argument: str) -> Any:
        return self.given[argument]

    @cached_property
    def out(self) -> Any:
        """What torch returns."""
        return self.execute()

    @property
    def x(self) -> Track:
        """The first argument, which must hold a map."""
        track = next(iter(self.given.values()))
        if not isinstance(track, Track):
            raise self.refusal("gets a map where the atlas expects known numbers, or the other way round")
        return track

    def refusal(self, why: str) -> UserError:
        """An error that names the call."""
        return UserError(f"{self.name!r} ({self.function}) {why}; {BY_HAND}")

    def map(self, *dims: int) -> Ref:
        """The map that the first argument holds, if its axes are those that a layer of maps expects."""
        track = self.x
        ref = track.canonical()
        if ref is None or (dims and len(track.axes) not in dims):
            if ref is not None and ref.spatial:
                has = {4: "four", 5: "five"}[len(track.axes)]
                raise UserError(f"{self.label} cannot read maps with {has} axes; use shared.nn's layers")
            if ref is not None:
                raise UserError(f"layer {self.name!r} needs a map with pixels, but gets a vector")
            raise self.refusal(f"reads a tensor with axes ({', '.join(track.names)})")
        return ref

    @property
    def label(self) -> str:
        """The module, or the function."""
        kind = self.extras[0] if self.extras else None
        return f"{type(kind).__name__} ({self.name!r})" if isinstance(kind, nn.Module) else repr(self.name)

    def made(self, layer: Layer, *refs: Ref, composite: bool | None = None) -> Track:
        """Append a layer that makes a map with the usual axes."""
        ref = self.builder.add(layer, *refs)
        axes = canonical_axes(ref, self.out.shape)
        return Track(ref, axes, self.x.composite if composite is None else composite)

    def pixelwise(
        self, layer: Layer, track: Track | None = None, axes: Sequence[Axis] | None = None
    ) -> Track:
        """Append a layer that treats all pixels by themselves, however the axes lie."""
        track = self.x if track is None else track
        ref = replace(self.builder.add(layer, track.ref), spatial=track.ref.spatial)
        return replace(track, ref=ref, axes=track.axes if axes is None else tuple(axes))

    def look(self, tensor: Tensor) -> Tensor:
        """Known numbers that enter, on the CPU."""
        if tensor.is_meta:
            raise self.refusal(
                "meets known numbers that the meta device does not hold; build the network elsewhere"
            )
        self.known.append(tensor.detach().clone())
        return tensor.detach().cpu()

    def number(self, argument: str) -> float:
        """An argument that must be a number."""
        value = self[argument]
        if isinstance(value, Tensor) and value.numel() == 1 and not learned(value):
            value = self.look(value).item()
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self.refusal(f"gets {argument}={_short(value)} where the atlas knows numbers only")
        return float(value)


def _short(value: Any) -> str:
    return "a tensor" if isinstance(value, Tensor | Track) else repr(value)


def learned(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter that is trained, so that its present values mean nothing."""
    return isinstance(tensor, nn.Parameter) and tensor.requires_grad


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether two lists hold the same numbers."""
    pairs = zip(first, second, strict=False)
    return len(first) == len(second) and all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs
    )


Rule = Callable[[Call], Any]
#: By the name of torch's function or method: its arguments with their defaults, and what it says of maps.
RULES: dict[str, tuple[dict[str, Any], Rule]] = {}


def rule(names: str, signature: str) -> Callable[[Rule], Rule]:
    """Register a rule for functions of these names, with these arguments."""

    def add(made: Rule) -> Rule:
        RULES.update(dict.fromkeys(names.split(), (_parse(signature), made)))
        return made

    return add


def dim_of(call: Call, dim: Any) -> int:
    """A number of an axis, from 0 on."""
    count = len(call.x.axes)
    if isinstance(dim, bool) or not isinstance(dim, int) or not -count <= dim < count:
        raise call.refusal(f"works on the axis {dim!r} of {count}")
    return dim % count


def check_float(call: Call, kind: Any) -> None:
    """Refuse types of whole numbers."""
    if isinstance(kind, torch.dtype) and not kind.is_floating_point:
        raise call.refusal(f"makes {kind} of the map, which rounds")
