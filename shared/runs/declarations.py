"""Reading ``experiments.yaml``: strict YAML, known keys only, every mistake one sentence with its place.

`parse` checks the form of a declaration; `resolve` makes typed settings of the values in it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import reprlib
import types
import typing
from collections import abc
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from shared.base import bounded, paths, strict_yaml
from shared.base.errors import Mistakes, UserError, unknown
from shared.base.strict_yaml import Mapping

PAPER_KEYS = ("title", "revision", "tables", "figures", "experiments")
EXPERIMENT_KEYS = ("title", "produces", "settings", "arms", "rows", "tiers", "cost", "needs")
EXPERIMENT_KEYS_NEEDED = ("title", "settings", "arms", "tiers")  # DVC looks at the settings, too
TIER_KEYS = ("seeds", "arms", "replicas")  # every other key of a tier overrides a setting
COST_KEYS = ("minutes", "memory_mb")
#: Seeds of a tier, runs of an experiment at a tier, and the largest seed (torch's generators take 64 bits).
_MOST_SEEDS, _MOST_RUNS, _LARGEST_SEED = 10_000, 100_000, 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")  # names of files, too
_ARTICLES = {int: "a whole number", float: "a number", str: "text (in quotes)", bool: "true or false"}


def text_of(paper: str) -> str:
    """The text of a paper's declaration.

    Raises:
        UserError: if there is no such paper, or the file is not text.
    """
    file = paths.pipeline(paper) / "experiments.yaml"
    try:
        return bounded.read_text(file, paths.shown(file))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(unknown("paper", paper, _names())) from None


def parse(paper: str, text: str) -> dict[str, Any]:
    """The declaration of one paper: its keys and experiments, checked for form but not for settings.

    Raises:
        UserError: if the text is not YAML, or has keys or values that make no sense: a line for each.
    """
    where = f"pipelines/{paper}/experiments.yaml"
    content = strict_yaml.load(text, where)
    own = [key for key, _ in _items(content) if not str(key).startswith((".", "x-"))]
    if own != [paper]:
        line = content.lines[own[0]] if own else 1
        raise UserError(
            f"{where}, line {line}: there should be the one top key {paper!r} (and anchors under x-...), "
            f"not {', '.join(map(repr, own)) or 'none'}"
        )
    if mistakes := list(_check_paper(paper, content)):
        raise Mistakes(f"{where}, line {line}: {said}" for line, said in sorted(mistakes))
    return dict(content[paper])


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """Seeds from a list of whole numbers, or text such as ``0-4,7``.

    Raises:
        UserError: if it is none of these, empty, or names a seed twice.
    """
    numbers = value
    if isinstance(value, str):
        numbers = []
        for part in value.split(","):
            numbers += _span(part.strip(), where)
            if len(numbers) > _MOST_SEEDS:
                raise UserError(f"{where}: these are more than {_MOST_SEEDS} seeds; name fewer")
    if type(value) is int:
        raise UserError(f"{where}: seeds: {value} may mean two things; write [{value}] for one, 0-9 for ten")
    good = isinstance(numbers, (list, tuple)) and all(type(n) is int and n >= 0 for n in numbers)
    if not good or not 0 < len(numbers) <= _MOST_SEEDS or len(set(numbers)) != len(numbers):
        raise UserError(
            f"{where}: seeds should be different whole numbers such as [0, 1, 2] or 0-4, not "
            f"{reprlib.repr(value)}"
        )
    if max(numbers) > _LARGEST_SEED:
        raise UserError(f"{where}: the seed {max(numbers)} is larger than {_LARGEST_SEED}; name another")
    return tuple(numbers)


def _span(part: str, where: str) -> Iterable[int]:
    match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", part)
    if match is None:
        raise UserError(f"{where}: {part[:40]!r} is not a seed or a span of seeds such as 0-4")
    first, last = int(match[1]), int(match[2] or match[1])
    if last - first >= _MOST_SEEDS:
        raise UserError(f"{where}: {part!r} are more than {_MOST_SEEDS} seeds; name fewer")
    return range(first, last + 1)


#: What to write for a key that seems needless; DVC looks at the settings, too.
_HINTS = {"settings": "; if all are as settings.py has them: settings: {}"}
#: The line of a mistake, and what to say of it.
_Mistake = tuple[int, str]


def _check_paper(paper: str, content: Mapping) -> Iterator[_Mistake]:
    yield from _form(content, paper, PAPER_KEYS, ("title", "revision", "experiments"))
    declared = content[paper]
    if not _holds_keys(declared):
        return
    yield from _title(declared)
    revision = declared.get("revision", 1)
    if type(revision) is not int or not 0 < revision < 1 << 31:
        line = declared.lines["revision"]
        yield line, f"revision should be a whole number from 1 on, not {revision!r}"
    for key in ("tables", "figures"):
        names = declared.get(key, [])
        good = isinstance(names, list) and all(isinstance(n, str) and _NAME.fullmatch(n) for n in names)
        if not good or len(set(names)) < len(names):
            line = declared.lines[key]
            yield line, f"{key} should be a list of different names such as [{key[:-1]}1], not {names!r}"
    if "experiments" in declared:
        yield from _names_of(declared, "experiments")
        for name, experiment in _items(declared["experiments"]):
            yield from _form(declared["experiments"], name, EXPERIMENT_KEYS, EXPERIMENT_KEYS_NEEDED)
            if _holds_keys(experiment):
                yield from _check_experiment(experiment)


def _title(holder: Mapping) -> Iterator[_Mistake]:
    if not isinstance(holder.get("title", ""), str):
        yield holder.lines["title"], f"title should be a text, not {reprlib.repr(holder['title'])}"


def _check_experiment(experiment: Mapping) -> Iterator[_Mistake]:
    yield from _title(experiment)
    yield from _form(experiment, "settings", may_be_empty=True)
    produces = experiment.get("produces") or []
    if not isinstance(produces, list) or not all(isinstance(p, str) for p in produces):
        line = experiment.lines["produces"]
        yield line, f"produces should be a list of names of tables and figures, not {produces!r}"
    needs = experiment.get("needs") or []
    if not isinstance(needs, list) or not all(isinstance(n, str) and n.isidentifier() for n in needs):
        yield experiment.lines["needs"], f"needs should be a list of packages such as [escnn], not {needs!r}"
    for key in (key for key in ("arms", "tiers") if key in experiment):
        yield from _names_of(experiment, key)
    for arm, _ in _items(experiment.get("arms")):
        yield from _form(experiment["arms"], arm, may_be_empty=True)
    for name, tier in _items(experiment.get("tiers")):
        yield from _form(experiment["tiers"], name, needed=("seeds",))
        if name not in paths.TIERS:
            yield experiment["tiers"].lines[name], unknown("tier", name, paths.TIERS)
        if _holds_keys(tier):
            yield from _check_tier(tier, [arm for arm, _ in _items(experiment.get("arms"))])
    yield from _form(experiment, "rows", may_be_empty=True)
    for arm, row in _items(experiment.get("rows")):
        yield from _check_row(experiment, arm, {"title": row} if isinstance(row, str) else row)
    yield from _form(experiment, "cost", may_be_empty=True)
    for name, cost in _items(experiment.get("cost")):
        yield from _form(experiment["cost"], name, COST_KEYS)
        if name not in dict(_items(experiment.get("tiers"))):
            known = [tier for tier, _ in _items(experiment.get("tiers"))]
            yield experiment["cost"].lines[name], f"cost: {unknown('tier', name, known)}"
        for key, value in _items(cost):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                yield cost.lines[key], f"{key} should be a number, not {value!r}"


def _check_tier(tier: Mapping, arms: list[Any]) -> Iterator[_Mistake]:
    if "seeds" in tier:
        try:
            found = seeds(tier["seeds"], "")
        except UserError as error:
            yield tier.lines["seeds"], str(error).removeprefix(": ")
        else:
            if len(found) * len(arms) > _MOST_RUNS:
                yield tier.lines["seeds"], f"these are more than {_MOST_RUNS} runs; declare fewer"
    yield from _form(tier, "arms", may_be_empty=True)
    for arm, _ in _items(tier.get("arms")):
        yield from _form(tier["arms"], arm, may_be_empty=True)
        if arms and arm not in arms:  # with none at all, one sentence says it
            yield tier["arms"].lines[arm], unknown("arm", arm, map(str, arms))
    replicas = tier.get("replicas", 1)
    if type(replicas) is not int or not 0 < replicas <= _MOST_SEEDS:
        yield tier.lines["replicas"], f"replicas should be a whole number from 1 on, not {replicas!r}"


def _check_row(experiment: Mapping, arm: Any, row: Any) -> Iterator[_Mistake]:
    """What tables say of an arm: a title; or that, the arm that it is compared with, and words of columns."""
    rows, arms = experiment["rows"], [name for name, _ in _items(experiment.get("arms"))]
    if not isinstance(rows[arm], str):
        yield from _form(rows, arm, needed=("title",))
    if not isinstance(row, dict):
        return
    for key, value in row.items():
        if not isinstance(value, str):
            yield rows.lines[arm], f"{key} of the row {arm} should be a text, not {value!r}"
    for name in dict.fromkeys((arm, row.get("base", arm))):
        if arms and name not in arms:
            yield rows.lines[arm], unknown("arm", name, map(str, arms))


def _holds_keys(value: Any) -> TypeGuard[Mapping]:
    return isinstance(value, Mapping)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values; none where there should be some, which `_form` says."""
    return value.items() if _holds_keys(value) else ()


def _form(
    holder: Mapping,
    name: Any,
    known: tuple[str, ...] = (),
    needed: tuple[str, ...] = (),
    may_be_empty: bool = False,
) -> Iterator[_Mistake]:
    """Whether what ``holder`` has under a name, if anything, holds keys: only known ones, all needed ones."""
    if name not in holder or (may_be_empty and holder[name] is None):
        return
    value, line = holder[name], holder.lines[name]
    if not _holds_keys(value):
        yield line, f"{name} should hold keys and values, not {value!r}"
        return
    foreign = [key for key in value if known and key not in known]
    for key in foreign:
        yield value.lines[key], unknown("key", key, known)
    for key in needed:
        if key not in value and not difflib.get_close_matches(key, map(str, foreign), cutoff=0.5):
            yield line, f"{name}: the key {key!r} is missing{_HINTS.get(key, '')}"


def _names_of(holder: Mapping, name: str) -> Iterator[_Mistake]:
    """Whether what it has under a name holds good names, one at least."""
    yield from _form(holder, name)
    if holder[name] == {}:
        yield holder.lines[name], f"{name} is empty; declare at least one"
    for key, _ in _items(holder[name]):
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            line = holder[name].lines[key]
            yield line, f"{key!r} is not a good name; use letters, digits and _.+- (not in front)"


def _names() -> list[str]:
    return [file.parent.name for file in paths.pipelines().glob("*/experiments.yaml")]


def resolve(
    cls: type, values: abc.Mapping[str, Any], *, where: str, places: abc.Mapping[str, str] | None = None
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
    except (ValueError, ArithmeticError, UserError) as error:
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
        if any(value == choice and type(value) is type(choice) for choice in typing.get_args(kind)):
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
            number = bounded.number(value) if isinstance(value, str) else float(value)
        except (ValueError, OverflowError):
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
