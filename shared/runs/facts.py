"""What records and sidecars say of a run, besides its rows: each fact with its type.

Everything that reads them counts on these types, so they are checked wherever such a file is read: collected
results, the store, what `merge` takes in, and earlier revisions. A fact that is not known here may be any
JSON: it is from a later version.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from shared.base import bounded

#: A test of a value, and what it should be in words.
_Kind = tuple[Callable[[Any], bool], str]
_LONGEST = 10_000
#: Levels of the lists that a setting may be.
_DEEPEST_SETTING = 8


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e15


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(one) for one in value.values())


def _is_setting(value: Any) -> bool:
    if isinstance(value, list):
        return not bounded.is_deep(value, _DEEPEST_SETTING) and all(map(_is_setting, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 1 << 63)


_TEXT: _Kind = (_is_text, "a text")
_NUMBER: _Kind = (_is_number, "a number from 0 on")
_WHOLE: _Kind = (_is_whole, "a whole number from 0 on")
_TEXTS: _Kind = (_is_texts, "texts by name")
_STAMPS: _Kind = (
    lambda value: (
        isinstance(value, list)
        and all(isinstance(v, dict) and all(t is None or _is_text(t) for t in v.values()) for v in value)
    ),
    "a list of stamps, each of texts by name",
)
_ENVIRONMENT: Mapping[str, _Kind] = {
    **dict.fromkeys(
        ("commit", "device", "device_name", "cpu", "cpu_capability", "onednn_max_cpu_isa"), _TEXT
    ),
    **dict.fromkeys(("finished", "fingerprint", "precision"), _TEXT),
    **dict.fromkeys(("wall_s", "peak_mb", "device_peak_mb", "throughput"), _NUMBER),
    **dict.fromkeys(("execution", "replicas", "threads"), _WHOLE),
    "dirty": (lambda value: value is None or isinstance(value, bool), "true, false or null"),
    "resumed": (lambda value: isinstance(value, bool), "true or false"),
    "versions": _TEXTS,
    "notes": (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of texts"),
    "accepted": _STAMPS,
}
_INPUTS: Mapping[str, _Kind] = {
    "paper": _TEXT,
    "seed": _WHOLE,
    "revision": _WHOLE,
    "data": _TEXTS,
    "settings": (
        lambda value: isinstance(value, dict) and all(map(_is_setting, value.values())),
        "plain values by name",
    ),
}


def wrong(environment: Any, inputs: Any) -> str | None:
    """The first fact of a run that has another type than it should, in words; None if all are right.

    Args:
        environment: the circumstances of a run.
        inputs: what the run is made from.
    """
    for what, facts, kinds in (("environment", environment, _ENVIRONMENT), ("inputs", inputs, _INPUTS)):
        if not isinstance(facts, dict):
            return f"its {what} should hold facts by name, not be {reprlib.repr(facts)}"
        for name, (is_right, wanted) in kinds.items():
            if name in facts and not is_right(facts[name]):
                return f"{name} should be {wanted}, not {reprlib.repr(facts[name])}"
    return None
