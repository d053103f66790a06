"""Read the layers of a module by running it: every call of torch that touches a map is taken down.

The module runs twice, in eval mode, on different random images and with its learned parameters shifted at
random. Whatever Python does in between (hooks, overridden methods, branches that hang on sizes) simply
happens. Known numbers that enter are looked at; if they differ between the two runs, or other layers are
taken down, the forward does something with the input's values that was not followed, and is refused.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from shared import nn as ours
from shared.algebra.groups import Group
from shared.atlas.calls import Call, same
from shared.atlas.functions import FREE, RULES, SIZES, flattened
from shared.atlas.graph import INPUT, DoesNotFitError, Graph, Size
from shared.atlas.layers import Layer
from shared.atlas.modules import describe
from shared.atlas.values import BY_HAND, Builder, Ref, Track, canonical_axes
from shared.base.errors import UserError
from shared.nn.train_mode import restored_modes

_FEATURES = (ours.GroupConv, ours.GroupBatchNorm)
_BATCH = 2
#: Deviation of the shift of learned parameters, relative to their root mean square.
_SHIFT = 0.3
_module_call = nn.Module.__call__


class _ReadsFeatures(Exception):
    """The first layer reads regular features of a group."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.group = group


@dataclass
class _Recorder(TorchFunctionMode):
    """Takes down what happens to the maps of one run."""

    names: Mapping[nn.Module, str]
    builder: Builder
    known: list[Tensor] = field(default_factory=list)
    sized: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.tracks: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.inside: list[nn.Module] = []
        self.paused = False
        self.used: dict[str, int] = {}

    # Tensors and what they hold

    def hold(self, tensor: Tensor, track: Track) -> None:
        self.tracks[tensor] = (track, _version(tensor))

    def track(self, tensor: Tensor) -> Track | None:
        found = self.tracks.get(tensor)
        if found is None:
            return None
        if found[1] != _version(tensor):
            raise UserError(f"{self.where()} changes a tensor in place that is read again; change a copy")
        return found[0]

    def _replaced(self, argument: Any) -> Any:
        if isinstance(argument, Tensor):
            found = self.track(argument)
            return argument if found is None else found
        if isinstance(argument, list | tuple) and not isinstance(argument, torch.Size):
            return (
                type(argument)(map(self._replaced, argument)) if type(argument) in (list, tuple) else argument
            )
        return argument

    # Names

    def where(self) -> str:
        """The module that is running, for messages."""
        kind = self.inside[-1] if self.inside else None
        if kind is None:
            return "the forward"
        name = self.names.get(kind, "")
        return f"the forward of {type(kind).__name__}" + (f" ({name!r})" if name else "")

    def name(self, function: str) -> str:
        """That of the running module if it is torch's; else the function's, numbered."""
        module = self.inside[-1] if self.inside else None
        if module is not None and type(module).__module__.startswith("torch.nn.modules"):
            name = self.names.get(module) or type(module).__name__
            return f"{name}.pad" if function == "pad" and "Conv" in type(module).__name__ else name
        function = _SAID.get(function, function)
        self.used[function] = self.used.get(function, -1) + 1
        return f"{function}_{self.used[function]}" if self.used[function] else function

    # What happens

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if self.paused:
            return function(*args, **kwargs)
        tracked = _replaced_all(self._replaced, args, kwargs)
        if not any(map(_holds, (*tracked[0], *tracked[1].values()))):
            return function(*args, **kwargs)
        name = _name_of(function)
        if name in FREE or name in SIZES:
            self.sized |= name in SIZES
            return function(*args, **kwargs)
        call = self._call(name, partial(function, *args, **kwargs), *tracked)
        result = RULES[name][1](call)
        self._take(call.out, result)
        return call.out

    def _call(self, name: str, execute: Callable[[], Any], args: tuple, kwargs: dict[str, Any]) -> Call:
        if name not in RULES:
            raise UserError(f"the atlas does not know {name!r} in {self.where()}; {BY_HAND}")
        signature = RULES[name][0]
        called = self.name(name)
        given = dict(signature)
        positional = list(signature)
        if len(args) > len(positional):
            raise UserError(f"{called!r} gets more arguments than the atlas knows; {BY_HAND}")
        given.update(zip(positional, args))
        unknown = {k: v for k, v in kwargs.items() if k not in signature}
        for key in ("self", "tensor", "x") if unknown else ():
            if key in unknown and positional[0] not in kwargs:
                given[positional[0]] = unknown.pop(key)
        if "axis" in unknown and "dim" in signature:
            given["dim"] = unknown.pop("axis")
        if unknown:
            raise UserError(f"{called!r} gets {', '.join(unknown)}, which the atlas does not know; {BY_HAND}")
        given.update({k: v for k, v in kwargs.items() if k in signature})
        module = self.inside[-1] if self.inside else None
        return Call(self.builder, name, called, given, execute, self.known, self._mark_sized, (module,))

    def _mark_sized(self) -> None:
        self.sized = True

    def _take(self, out: Any, result: Any) -> None:
        """Remember what the tensors that came out hold."""
        if isinstance(result, Track):
            if not isinstance(out, Tensor) or tuple(out.shape) != result.sizes:
                raise UserError(f"the atlas lost track of the axes in {self.where()}; {BY_HAND}")
            self.hold(out, result)
        else:
            for tensor, track in zip(out, result, strict=True):
                if track is not None:
                    self._take(tensor, track)

    # Modules

    def call(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Run a module; one that the atlas knows as a whole, with its hooks around it."""
        if self.paused:
            return _module_call(module, *args, **kwargs)
        self.inside.append(module)
        try:
            name = self.names.get(module) or type(module).__name__
            layers = describe(module, name)
            if layers is None:
                return _module_call(module, *args, **kwargs)
            forward = module.forward
            vars(module)["forward"] = partial(self._leaf, module, forward, layers, name)
            try:
                return _module_call(module, *args, **kwargs)
            finally:
                del vars(module)["forward"]
        finally:
            self.inside.pop()

    def _leaf(
        self, module: nn.Module, forward: Callable, layers: list[Layer], name: str, *args: Any, **kwargs: Any
    ) -> Any:
        track = self.track(args[0]) if args and isinstance(args[0], Tensor) else None
        if track is None or len(args) != 1 or kwargs:
            raise UserError(f"the atlas expects {name!r} to get one map and nothing else; {BY_HAND}")
        if module.training and any(True for _ in module.modules()):
            raise UserError(f"{name!r} stays in training mode in eval mode; let eval() reach it")
        if isinstance(module, _FEATURES) and track.ref.number == INPUT and not track.ref.oriented:
            raise _ReadsFeatures(module.group)
        ref = track.canonical()
        if ref is None:
            raise UserError(
                f"{name!r} reads a tensor with axes ({', '.join(track.names)}); bring them into the "
                "order batch, channels, (group,) height, width before it"
            )
        for layer in layers:
            ref = self.builder.add(layer, ref)
        self.paused = True
        try:
            out = forward(*args)
        finally:
            self.paused = False
        if not isinstance(out, Tensor) or out.dim() != len(ref.axes):
            raise UserError(
                f"{name!r} does not return a map with axes ({', '.join(ref.axes)}) as its rule says"
            )
        self.hold(out, Track(ref, canonical_axes(ref, out.shape), track.composite))
        return out


_SAID = {"__getitem__": "slice", "__rsub__": "sub", "__rdiv__": "div", "__rtruediv__": "div"}


def _name_of(function: Callable) -> str:
    name = getattr(function, "__name__", str(function))
    if name == "__get__":  # a property such as x.shape
        return getattr(getattr(function, "__self__", None), "__name__", name)
    return name


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _replaced_all(replaced: Callable, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    return tuple(map(replaced, args)), {key: replaced(value) for key, value in kwargs.items()}


def _holds(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return any(map(_holds, argument))
    return isinstance(argument, Track)


@dataclass(frozen=True)
class _Reading:
    """What one run shows."""

    graph: Graph
    known: list[Tensor]
    sized: bool


def trace(module: nn.Module, size: Size, group: Group | None = None, in_channels: int | None = None) -> Graph:
    """Read a network's layers in eval mode.

    Args:
        module: the network; it is left as it was.
        size: of the images to run on.
        group: of the input if it is a regular feature map; found by itself if the first layer says so.
        in_channels: of the input; read from the first layer that says so if left out.

    Raises:
        DoesNotFitError: if the network does not run on images of this size.
        UserError: if it does something that the atlas does not know or cannot follow.
    """
    if any(isinstance(p, UninitializedTensorMixin) for p in (*module.parameters(), *module.buffers())):
        raise UserError("the network has a lazy layer without weights; run it on an input first")
    said = [in_channels] if in_channels else _said_channels(module)
    fault: Exception | None = None
    for channels, kind in itertools.product(said or (1, 3, 2, 4), _kinds(module)):
        try:
            found = _read(module, size, group, channels, kind)
        except _ReadsFeatures as features:
            return trace(module, size, features.group, in_channels)
        except Exception as error:
            if isinstance(error, UserError) and said:
                raise
            if fault is None or (isinstance(error, UserError) and not isinstance(fault, UserError)):
                fault = error
            continue
        reread = partial(trace, module, group=group, in_channels=channels) if found.sized else None
        return replace(found.graph, reread=reread)
    if isinstance(fault, UserError):
        raise fault
    why = " ".join(str(fault).split("\n")[0].split())[:300]
    raise DoesNotFitError(
        f"the forward of {type(module).__name__} does not run on {size[0]}x{size[1]} pixels ({why}); "
        "use another size, or give in_channels=..."
    ) from fault


def _kinds(module: nn.Module) -> list[dict[str, Any]]:
    """Types and devices that the input may have."""
    floats = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    if floats:
        return [{"dtype": floats[0].dtype, "device": floats[0].device}]
    return [{"dtype": torch.float32}, {"dtype": torch.float64}]


def _said_channels(module: nn.Module) -> list[int]:
    """Number of channels of the input, if a layer says it."""
    likely = [
        getattr(m, "in_channels", None) or getattr(m, "channels", None) or getattr(m, "num_features", None)
        for m in module.modules()
        if isinstance(m, nn.Conv2d | ours.GroupBatchNorm | nn.modules.batchnorm._BatchNorm)
        or isinstance(getattr(m, "in_channels", None), int)
    ]
    return [n for n in likely[:1] if isinstance(n, int)]


def _read(
    module: nn.Module, size: Size, group: Group | None, channels: int, kind: Mapping[str, Any]
) -> _Reading:
    first, second = (_run(module, size, group, channels, kind, seed) for seed in (0, 1))
    if first.graph != second.graph or not same(first.known, second.known):
        raise UserError(
            f"the forward of {type(module).__name__} draws random numbers in eval mode, or decides by "
            f"the values of its input; {BY_HAND}"
        )
    return first


def _run(
    module: nn.Module, size: Size, group: Group | None, channels: int, kind: Mapping[str, Any], seed: int
) -> _Reading:
    names = {part: name for name, part in reversed(list(module.named_modules(remove_duplicate=False)))}
    recorder = _Recorder(names, Builder(sizes=[size]))
    floats = [p for p in module.parameters() if p.is_floating_point()]
    shape = (_BATCH, channels, *([group.order] if group else []), *size)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), restored_modes(module), _shifted(floats):
        module.eval()
        torch.manual_seed(seed)
        x = torch.randn(shape, **kind)
        recorder.hold(x, Track(ref := Ref(INPUT, group, True), canonical_axes(ref, shape)))
        with mock.patch.object(nn.Module, "__call__", lambda m, *a, **k: recorder.call(m, *a, **k)), recorder:
            out = module(x)
    track = recorder.track(out) if isinstance(out, Tensor) else None
    if track is None:
        raise UserError(
            f"the forward of {type(module).__name__} must return one tensor that depends on its input for "
            "the atlas to judge"
        )
    result = _result(recorder.builder, track)
    return _Reading(
        Graph(tuple(recorder.builder.nodes), group, result.number), recorder.known, recorder.sized
    )


def _result(builder: Builder, track: Track) -> Ref:
    """The map that the network returns, flattened if its tensor is."""
    ref = track.canonical()
    if ref is None and len(track.axes) == 2 and track.only(0, "batch"):
        ref = flattened(builder, track)
    if ref is None:
        raise UserError(
            f"the network returns axes ({', '.join(track.names)}), but the atlas judges (batch, channels, "
            "[group], [height, width]); bring them into this order"
        )
    return builder.add(Layer("output", "identity"), ref) if ref.number == INPUT else ref


@contextlib.contextmanager
def _shifted(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Let learned parameters have other values, so that no zero of an initialization is taken for known."""
    numbers = torch.Generator().manual_seed(0)
    kept = [(p, p.data) for p in parameters if p.requires_grad and not p.is_meta]
    try:
        for p, values in kept:
            scale = _SHIFT * max(float(values.float().square().mean().sqrt()) if values.numel() else 0, 0.1)
            p.data = values + (scale * torch.randn(p.shape, generator=numbers)).to(values)
        yield
    finally:
        for p, values in kept:
            p.data = values
