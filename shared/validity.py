"""What is known of a run, and whether it is valid: decided from its inputs, never from times or commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import collected, config, fingerprint, paths
from shared.records import Record, stored

#: Tiers that retrain when the code behind them changes; elsewhere results are only marked "earlier code".
RETRAINED_TIERS = ("smoke", "demo")


def known(run: config.Run) -> Record | None:
    """The newest record of a run: from the store, or from any collected results of its paper."""
    found = [stored(run.id), collected.of(run.paper, run.experiment, run.tier).record(run.id)]
    return _newest(found) or anywhere(run.paper, run.id)


def anywhere(paper: str, run_id: str) -> Record | None:
    """The newest record of a run by its name, from the store and all collected results of the paper."""
    folders = [paths.results(paper, tier) for tier in reversed(paths.TIERS)]
    files = [file for folder in folders for file in sorted(folder.glob("*.csv"))]
    return _newest([stored(run_id), *(collected.read_file(file).record(run_id) for file in files)])


def _newest(found: list[Record | None]) -> Record | None:
    """The record that was finished last; of equals the last one, so that committed facts stay as they are."""
    records = [record for record in found if record is not None]
    return max(reversed(records), key=lambda r: str(r.environment.get("finished", "")), default=None)


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
