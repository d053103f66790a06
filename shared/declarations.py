"""Reading ``experiments.yaml``: strict YAML, known keys only, every mistake one sentence with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared import paths, strict_yaml
from shared.errors import UserError, unknown

PAPER_KEYS = ("title", "revision", "experiments")
EXPERIMENT_KEYS = ("title", "produces", "settings", "arms", "tiers", "cost")
TIER_KEYS = ("seeds", "arms", "replicas")  # every other key of a tier overrides a setting
COST_KEYS = ("minutes", "memory_mb")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def text_of(paper: str) -> str:
    """The text of a paper's declaration.

    Raises:
        UserError: if there is no such paper, or the file is not text.
    """
    file = paths.pipeline(paper) / "experiments.yaml"
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{paths.shown(file)} is not text in UTF-8 ({error}); save it as such") from None
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(unknown("paper", paper, _names())) from None


def parse(paper: str, text: str) -> dict[str, Any]:
    """The declaration of one paper: its keys and experiments, checked for form but not for settings.

    Raises:
        UserError: if the text is not YAML, or has a key or value that makes no sense.
    """
    where = f"pipelines/{paper}/experiments.yaml"
    content = _mapping(strict_yaml.load(text, where), where)
    own = [key for key in content if not str(key).startswith((".", "x-"))]
    if own != [paper]:
        raise UserError(f"{where} should have the one top key {paper!r} (and anchors under x-...), not {own}")
    declared = _mapping(content[paper], f"{where}: {paper}")
    _known(declared, PAPER_KEYS, where)
    _required(declared, ("title", "revision", "experiments"), where)
    if type(declared["revision"]) is not int or declared["revision"] < 1:
        raise UserError(f"{where}: revision should be a whole number from 1 on, not {declared['revision']!r}")
    for name, experiment in _named(declared["experiments"], f"{where}: experiments").items():
        _check_experiment(experiment, f"{where}: {name}")
    return declared


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """Seeds from a list of whole numbers, or text such as ``0-4,7``.

    Raises:
        UserError: if it is none of these, empty, or names a seed twice.
    """
    numbers = value
    if isinstance(value, str):
        numbers = [n for part in value.split(",") for n in _span(part.strip(), where)]
    if type(value) is int:
        raise UserError(f"{where}: seeds: {value} may mean two things; write [{value}] for one, 0-9 for ten")
    good = isinstance(numbers, (list, tuple)) and all(type(n) is int and n >= 0 for n in numbers)
    if not good or not numbers or len(set(numbers)) != len(numbers):
        raise UserError(
            f"{where}: seeds should be different whole numbers such as [0, 1, 2] or 0-4, not {value!r}"
        )
    return tuple(numbers)


def _span(part: str, where: str) -> Iterable[int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
    if match is None:
        raise UserError(f"{where}: {part!r} is not a seed or a span of seeds such as 0-4")
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1)


def _check_experiment(experiment: Any, where: str) -> None:
    _known(_mapping(experiment, where), EXPERIMENT_KEYS, where)
    _required(experiment, ("title", "arms", "tiers"), where)
    if "settings" not in experiment:  # DVC looks at them, too
        raise UserError(
            f"{where}: the key 'settings' is missing; if all are as settings.py has them: settings: {{}}"
        )
    _mapping(experiment["settings"] or {}, f"{where}: settings")
    produces = experiment.get("produces") or []
    if not isinstance(produces, list) or not all(isinstance(p, str) for p in produces):
        raise UserError(
            f"{where}: produces should be a list of names of tables and figures, not {produces!r}"
        )
    arms = _named(experiment["arms"], f"{where}: arms")
    for name, values in arms.items():
        _mapping(values or {}, f"{where}: arm {name}")
    tiers = _mapping(experiment["tiers"], f"{where}: tiers")
    for name, tier in tiers.items():
        if name not in paths.TIERS:
            raise UserError(f"{where}: {unknown('tier', name, paths.TIERS)}")
        _required(_mapping(tier, f"{where}: tier {name}"), ("seeds",), f"{where}: tier {name}")
        for arm, values in _mapping(tier.get("arms") or {}, f"{where}: tier {name}, arms").items():
            if arm not in arms:
                raise UserError(f"{where}: tier {name}: {unknown('arm', arm, arms)}")
            _mapping(values or {}, f"{where}: tier {name}, arm {arm}")
        replicas = tier.get("replicas", 1)
        if type(replicas) is not int or replicas < 1:
            raise UserError(
                f"{where}: tier {name}: replicas should be a whole number from 1 on, not {replicas!r}"
            )
    for name, cost in _mapping(experiment.get("cost") or {}, f"{where}: cost").items():
        if name not in tiers:
            raise UserError(f"{where}: cost: {unknown('tier', name, tiers)}")
        _known(_mapping(cost, f"{where}: cost of {name}"), COST_KEYS, f"{where}: cost of {name}")
        for key, value in cost.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise UserError(f"{where}: cost of {name}: {key} should be a number, not {value!r}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} should hold keys and values, not {value!r}")
    return value


def _named(value: Any, where: str) -> dict[str, Any]:
    for name in _mapping(value, where):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserError(
                f"{where}: {name!r} is not a good name; use letters, digits and _.+- (not in front)"
            )
    if not value:
        raise UserError(f"{where} is empty; declare at least one")
    return value


def _known(value: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in value:
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', key, keys)}")


def _required(value: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if key not in value:
            raise UserError(f"{where}: the key {key!r} is missing")


def _names() -> list[str]:
    return [file.parent.name for file in paths.pipelines().glob("*/experiments.yaml")]
