"""Checked, typed settings: from a mapping as YAML gives it to a frozen dataclass."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from shared.errors import Mistakes, UserError, unknown


def resolve(
    cls: type, values: Mapping[str, Any], *, where: str, places: Mapping[str, str] | None = None
) -> Any:
    """Make a ``cls`` (a dataclass) from ``values``, with every value checked against its annotation.

    Whole numbers are taken for floats (``1`` is ``1.0``, so both spellings are one setting), text such as
    ``"1e-3"`` for floats, and lists for tuples.

    Args:
        cls: a dataclass whose fields are int, float, str, bool, tuple[...], or one of these or None.
        values: the keys and values given.
        where: the place named in errors.
        places: the place of each key, where it is known better.

    Raises:
        UserError: for unknown or missing keys and values of the wrong type, a line for each, or for what
            ``cls`` refuses with a ValueError or UserError in its ``__post_init__``.
    """
    hints = _hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls) if f.init}
    given, mistakes = {}, []
    for key, value in values.items():
        place = (places or {}).get(key, where)
        try:
            if key not in known:
                raise UserError(f"{place}: {unknown('setting', key, known)}")
            given[key] = _convert(hints[key], value, f"{place}: {key}")
        except UserError as error:
            mistakes.append(str(error))
    for name, f in known.items():
        optional = (f.default, f.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if name not in values and not optional:
            mistakes.append(f"{where}: no value for the setting {name!r}; give one in experiments.yaml")
    if mistakes:
        raise Mistakes(mistakes)
    try:
        return cls(**given)
    except (ValueError, UserError) as error:
        raise UserError(f"{where}: {error}") from error


@functools.lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    """The types of a class's fields; a paper's ``Settings`` is resolved once for each arm and tier."""
    return typing.get_type_hints(cls)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        return _convert(rest[0], value, where) if len(rest) == 1 else _first(rest, value, where)
    if origin is typing.Literal:
        if value in typing.get_args(kind):
            return value
        raise UserError(f"{where}: {unknown('value', value, map(str, typing.get_args(kind)))}")
    if kind is tuple or origin is tuple:
        return _convert_tuple(typing.get_args(kind), value, where)
    return _convert_scalar(kind, value, where)


def _first(kinds: list[Any], value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return _convert(kind, value, where)
        except UserError:
            continue
    raise UserError(f"{where} = {value!r} is none of {', '.join(k.__name__ for k in kinds)}")


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise UserError(f"{where} = {value!r} should be a list, as in [{value}]")
    if not kinds:
        return tuple(_convert_tuple((), v, where) if isinstance(v, list) else v for v in value)
    if len(kinds) == 2 and kinds[1] is ...:
        return tuple(_convert(kinds[0], v, where) for v in value)
    if len(kinds) != len(value):
        raise UserError(f"{where} = {value!r} should have {len(kinds)} entries")
    return tuple(_convert(kind, v, where) for kind, v in zip(kinds, value))


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number - number == 0:  # neither NaN nor infinite: those have no JSON and no meaning here
            return number
    elif kind in (int, str, bool) and type(value) is kind:
        return value
    elif kind not in (int, float, str, bool):
        raise UserError(
            f"{where}: a setting cannot be of the type {kind!r}; use int, float, str, bool or tuple"
        )
    raise UserError(f"{where} = {value!r} should be {_ARTICLES[kind]}")


_ARTICLES = {int: "a whole number", float: "a number", str: "text (in quotes)", bool: "true or false"}
