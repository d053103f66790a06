"""What is known of a run, and whether it is valid: decided from its inputs, never from times or commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared import collected, config, fingerprint, paths
from shared.errors import UserError
from shared.records import Record, stored

#: Tiers that retrain when the code behind them changes; elsewhere results are only marked "earlier code".
RETRAINED_TIERS = ("smoke", "demo")


def known(run: config.Run) -> Record | None:
    """The newest record of a run: from the store, or from any collected results of its paper.

    Raises:
        UserError: if all that there is of it is damaged.
    """
    here = collected.of(run.paper, run.experiment, run.tier)
    return _newest(run.id, [here]) or anywhere(run.paper, run.id)


def anywhere(paper: str, run_id: str) -> Record | None:
    """The newest record of a run by its name, from the store and all collected results of the paper.

    Raises:
        UserError: if the newest is damaged wherever it is.
    """
    folders = [paths.results(paper, tier) for tier in reversed(paths.TIERS)]
    places = [collected.read_file(file) for folder in folders for file in collected.files(folder)]
    found = _newest(run_id, places)
    damage = [place.damage[run_id] for place in places if run_id in place.damage]
    if found is None and damage:
        raise UserError(damage[0])
    return found


def _newest(run_id: str, places: Iterable[collected.Collected]) -> Record | None:
    """An intact record of the execution that was finished last; None if there is none.

    Of several it is the last collected one, so that committed facts stay as they are; but the store's if
    they have other rows of that very execution, since nobody edits the store.
    """
    own, copies, times = stored(run_id), [], []
    for place in places:
        if run_id in place.environments:
            times.append(_finished(place.environments[run_id]))
            if run_id not in place.damage:
                copies.append(place.record(run_id))
        elif own and place.rows.get(run_id, own.rows) != own.rows:
            return None  # rows without their circumstances, which may be newer than the store's
    last = max([*times, _finished(own.environment)] if own else times, default="")
    newest = [copy for copy in copies if copy is not None and _finished(copy.environment) == last]
    if own and _finished(own.environment) == last:
        newest = [copy for copy in newest if copy.rows == own.rows] or [own]
    return newest[-1] if newest else None


def _finished(environment: Mapping[str, Any]) -> str:
    return str(environment.get("finished", ""))


def why_stale(run: config.Run) -> list[str]:
    """Why a run has no valid result; empty if it has one.

    Reasons are ``missing``, or what of its inputs changed since the result collected for this arm and seed
    (such as ``settings.epochs: 50 -> 60``), or, at smoke and demo only, ``code``.
    """
    record = known(run)
    if record is None:
        here = collected.of(run.paper, run.experiment, run.tier)
        old = here.environments.get(here.runs.get((run.arm, run.seed), ""), {})
        return _changes(old.get("inputs", {}), run.inputs) or ["missing"]
    if run.tier in RETRAINED_TIERS and is_earlier_code(record.environment, run.paper):
        return ["code"]
    return []


def is_earlier_code(environment: Mapping[str, Any], paper: str) -> bool:
    """Whether a result was made by other code than the present one."""
    return environment.get("fingerprint") != fingerprint.fingerprint(paper)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if not old:
        return []
    before, after = _flat(old), _flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in inputs.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat
