"""Copies of modules, and of tensors, in another number type."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from shared.base.errors import UserError

_COMPLEX = {
    torch.float16: torch.complex32,
    torch.float32: torch.complex64,
    torch.float64: torch.complex128,
}


def converted(t: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor in another type; a complex one keeps its imaginary part, in numbers of that size."""
    if dtype is None or not t.is_complex() or dtype.is_complex:
        return t if dtype is None else t.to(dtype)
    return t.to(_COMPLEX.get(dtype, torch.complex64))


def copied(module: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy of a module, its numbers in another type if one is given.

    Tensors that a layer has computed and kept as plain attributes, as torch's older ``weight_norm`` and
    ``spectral_norm`` do, are copied and converted as well; whole numbers keep their type.

    Raises:
        UserError: if a part of the module cannot be copied (a lock, an open file, a compiled engine).
    """
    memo: dict[int, Any] = {}
    seen: set[int] = set()
    for part in module.modules():
        _remember(vars(part), memo, seen)
    try:
        clone = copy.deepcopy(module, memo)
    except Exception as error:  # whatever a part's own way of copying raises
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{type(module).__name__} cannot be copied ({why}); put it in eval mode and in the type to "
            "measure in, and give a function that calls it, such as lambda x: module(x)"
        ) from error
    if {id(t) for t in _tensors(clone)} & {id(t) for t in _tensors(module)}:
        raise UserError(
            f"{type(module).__name__} copies itself without its weights; measure it in its own type; in a "
            "test give a function that calls it, such as lambda x: module(x)"
        )
    if dtype is not None:
        clone._apply(lambda t: _number(t, dtype))
        for part in clone.modules():
            for key, value in vars(part).items():
                if not key.startswith("_"):
                    part.__dict__[key] = _numbers(value, dtype)
    return clone


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _remember(value: Any, memo: dict[int, Any], seen: set[int]) -> None:
    """Note copies of tensors that hang on a graph: torch refuses to copy these."""
    if isinstance(value, Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
    elif isinstance(value, dict | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            _remember(item, memo, seen)


def _number(t: Tensor, dtype: torch.dtype) -> Tensor:
    return converted(t, dtype) if t.is_floating_point() or t.is_complex() else t


def _numbers(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return _number(value, dtype)
    if type(value) in (list, tuple):
        return type(value)(_numbers(item, dtype) for item in value)
    if type(value) is dict:
        return {key: _numbers(item, dtype) for key, item in value.items()}
    return value
