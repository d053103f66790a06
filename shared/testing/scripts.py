"""A network as the Python that builds it, so that a finding can be run by whoever reads it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from shared.algebra.groups import Group
from shared.testing import parts

_HEAD = """\
import torch
from torch import nn
from shared import nn as ours
from shared.algebra.groups import cyclic, dihedral
from shared.testing import parts
"""
_BLANK = "nn.Identity()"


def source(module: nn.Module) -> str:
    """The call that builds a layer or network of `random_network`, its weights apart.

    Arguments are read off the attributes of the same names, as torch and this library keep them.

    Raises:
        ValueError: if an argument is kept nowhere.
    """
    kind = type(module)
    wing = {"torch": "nn.", "shared": "ours."}[kind.__module__.split(".")[0]]
    name = ("parts." if kind.__module__ == parts.__name__ else wing) + kind.__name__
    arguments = []
    for key, parameter in inspect.signature(kind.__init__).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            members = module if isinstance(module, nn.Sequential) else next(module.children(), ())
            arguments += [source(member) for member in members]
        elif (
            key not in ("self", "device", "dtype", "inplace") and parameter.kind is not parameter.VAR_KEYWORD
        ):
            value = _value(module, key)
            if not (isinstance(value, type(parameter.default)) and value == parameter.default):
                arguments.append(f"{key}={_literal(value)}")
    return f"{name}({', '.join(arguments)})"


def _value(module: nn.Module, key: str) -> Any:
    value = getattr(module, key, inspect.Parameter.empty)
    if key == "bias":
        return value is not None
    if value is inspect.Parameter.empty:
        raise ValueError(f"{type(module).__name__} does not keep its argument {key}")
    return value


def _literal(value: Any) -> str:
    if isinstance(value, Group) and value.family:
        family, numbers = value.family
        return f"{family}({', '.join(map(str, numbers))})"
    return source(value) if isinstance(value, nn.Module) else repr(value)


def built(layers: Iterable[str], edits: Iterable[str] = ()) -> nn.Sequential:
    """The network of some `source`, in float64, with ``edits`` done to it."""
    space: dict[str, Any] = {}
    exec(_HEAD, space)
    space["network"] = nn.Sequential(*[eval(layer, space) for layer in layers]).double()
    for edit in edits:
        exec(edit, space)
    return space["network"]


def script(layers: Iterable[str], edits: Iterable[str], size: tuple[int, int], ending: str) -> str:
    """A program that builds a network in float64 and an input ``x`` of two channels, and ends as told.

    Args:
        layers: the `source` of each.
        edits: statements about ``network`` that follow.
        size: of the input.
        ending: lines that use ``network`` and ``x``.
    """
    lines = [
        _HEAD,
        "torch.manual_seed(0)",
        "network = nn.Sequential(",
        *[f"    {layer}," for layer in layers],
    ]
    lines += [
        ").double()",
        *edits,
        f"x = torch.randn(8, 2, {size[0]}, {size[1]}, dtype=torch.float64)",
        ending,
    ]
    return "\n".join(lines)


def shrunk(
    layers: Sequence[str], edits: Sequence[str], fails: Callable[[list[str], list[str]], bool]
) -> tuple[list[str], list[str]]:
    """What is left of layers and edits when everything is taken away without which it fails just so.

    Args:
        layers, edits: for which ``fails`` is true.
        fails: whether some of them, in order, still do.
    """
    layers, edits = list(layers), list(edits)
    for place in reversed(range(len(edits))):
        fewer = edits[:place] + edits[place + 1 :]
        edits = fewer if fails(layers, fewer) else edits
    again = True
    while again:
        again = False
        for place in reversed(range(len(layers))):
            blank = [] if not edits else [_BLANK]  # edits know the layers by number
            fewer = layers[:place] + blank + layers[place + 1 :]
            if fewer != layers and fails(fewer, edits):
                layers, again = fewer, True
    return layers, edits
