"""What a table says of how its runs were made, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from shared.report import text
from shared.report.results import Results


def protocol(
    results: Results,
    experiment: str,
    phrases: Sequence[str],
    arms: Sequence[str] = (),
    *,
    zero: str = "",
    read: Callable[[Results, str, str, str | None], list[Any]] = Results.settings,
) -> str:
    """Our protocol in one sentence, read from what the runs recorded; "" if there are none.

    Args:
        results: ours.
        experiment: whose runs.
        phrases: with settings in braces: ``"{epochs} epochs"``. One whose setting is 0 or not recorded is
            left out.
        arms: those to speak of, all if empty.
        zero: what 0 is called; phrases with it are then kept.
        read: the values of a setting, of an arm or of all (None).
    """

    def values(key: str) -> str:
        found = [value for arm in arms or (None,) for value in read(results, experiment, key, arm)]
        return text.join([zero if zero and value == 0 else number(value) for value in dict.fromkeys(found)])

    if not values("epochs"):
        return ""
    said = []
    for phrase in phrases:
        used = {key: values(key) for _, key, _, _ in Formatter().parse(phrase) if key}
        if not {"", "0"} & set(used.values()):
            said.append(phrase.format(**used))
    return f"Ours: {', '.join(said)}."


def number(value: object) -> str:
    """A setting as text: ``60,000``, ``0.001``, ``bf16``."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def lacking(results: Results, experiments: Mapping[str, str], titles: Mapping[str, str]) -> str | None:
    """A note on data sets that were not at hand, None if there are results on all of them.

    Args:
        results: ours.
        experiments: of each such data set, by its name in datasets.yaml.
        titles: of the data sets.
    """
    notes = [
        f"Not run: data not available. {titles[name]} was not at hand; `python -m pipelines get {name}` "
        f"fetches it, or says where to put it, and then `{results.command(experiment)}` fills the cells."
        for name, experiment in experiments.items()
        if not len(results.frame(experiment))
    ]
    return " ".join(notes) or None
