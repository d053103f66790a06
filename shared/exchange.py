"""Results from other machines (`merge`), and results kept after a change of code (`accept`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import collected, config, environment, fingerprint, paths, records, validity
from shared.collect import collect, is_worth_collecting, verify
from shared.errors import UserError
from shared.files import lock, write_json


@dataclass
class Merged:
    """What a merge did: numbers of records, and the collected results that changed."""

    new: int = 0
    known: int = 0
    undeclared: int = 0
    changed: list[str] = field(default_factory=list)


def merge(source: Path) -> Merged:
    """Take in run records from elsewhere: all of them, or none if one contradicts what is here.

    Args:
        source: a record (``.json``), collected results (``.csv`` with its sidecar), a folder of these, or
            another checkout.

    Raises:
        UserError: if there is nothing to merge, a record is damaged there or here, or one has other rows
            than ours.
    """
    found: dict[str, records.Record] = {}
    files = _files(source)
    for record in (record for file in files for record in _from_file(file)):
        _agree(found.get(record.run), record, "in the merged files", "twice")
        found[record.run] = record
    if not found:
        raise UserError(f"{source} holds no run records; give a record, a results folder or a checkout")
    result, fresh = Merged(), []
    papers = config.papers(include_templates=True)
    for record in found.values():
        paper = str(record.inputs.get("paper"))
        here = validity.anywhere(paper, record.run) if paper in papers else records.stored(record.run)
        _agree(here, record, "here", "there")
        if here is None:
            fresh.append(record)
    for experiment, tier in _experiments(set(found), papers):
        verify(experiment, tier)  # before anything is written
    for record in fresh:
        records.save(record)
    result.new, result.known = len(fresh), len(found) - len(fresh)
    _collect_all(set(found), papers, _begun(files), result)
    return result


def _agree(mine: records.Record | None, theirs: records.Record, here: str, there: str) -> None:
    problem = mine.contradiction(theirs) if mine is not None else None
    if problem:
        names = f"{theirs.inputs.get('paper')}, run {theirs.run}"
        raise UserError(
            f"{names} contradicts: {problem} ({here}, {there}); nothing was merged, keep one of the two"
        )


def _begun(files: list[Path]) -> set[tuple[str, str]]:
    """Tier and experiment of the collected results; no tier if the folder does not tell it."""
    tables = [file for file in files if file.suffix == ".csv"]
    return {(file.parent.name if file.parent.name in paths.TIERS else "", file.stem) for file in tables}


def _collect_all(merged: set[str], papers: list[str], begun: set[tuple[str, str]], result: Merged) -> None:
    """Collect the experiments that were ``begun`` there; if that is not known, all that have a merged run."""
    declared: set[str] = set()
    for experiment, tier in _experiments(merged, papers):
        declared |= {run.id for run in experiment.runs(tier)}
        asked = not begun or {(tier, experiment.name), ("", experiment.name)} & begun
        if (asked or is_worth_collecting(experiment, tier)) and collect(experiment, tier):
            result.changed.append(f"{experiment.paper}/{experiment.name} ({tier})")
    result.undeclared = len(merged - declared)


def _experiments(merged: set[str], papers: list[str]) -> Iterator[tuple[config.Experiment, str]]:
    """The experiments, and tiers of them, that have a merged run."""
    for paper in papers:
        for experiment in config.load(paper).experiments.values():
            for tier in experiment.tiers:
                if merged & {run.id for run in experiment.runs(tier)}:
                    yield experiment, tier


def _files(source: Path) -> list[Path]:
    """The file itself, or the records and collected results in a folder; other files are passed over."""
    if source.is_file():
        return [source]
    patterns = (
        "*.json",
        "runs/*.json",
        ".repro/runs/*.json",
        "*.csv",
        "*/*.csv",
        "results/*/*.csv",
        "*/results/*/*.csv",
        "pipelines/*/results/*/*.csv",
    )
    return sorted({file for pattern in patterns for file in source.glob(pattern) if _is_ours(file)})


def _is_ours(file: Path) -> bool:
    if file.suffix == ".csv":
        return _sidecar(file).is_file()
    return len(file.stem) == 16 and set(file.stem) <= set("0123456789abcdef")


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # also for bytes that are not UTF-8
        raise UserError(
            f"{file} is no record of a run ({error}); copy it anew, or name another file or folder"
        ) from None


def _sidecar(file: Path) -> Path:
    return file.with_name(f"{file.stem}.env.json")


def _from_file(file: Path) -> Iterator[records.Record]:
    if file.suffix != ".csv":
        yield records.parse(_json(file), file.name)
        return
    content = collected.read_file(file)
    for run_id in {**content.damage, **content.rows}:  # also runs whose rows were cut off
        record = content.record(run_id)
        assert record is not None  # for what is damaged raises
        as_json = {
            "run": run_id,
            "inputs": record.inputs,
            "rows": record.rows,
            "environment": record.environment,
        }
        yield records.parse(as_json, file.name)


def accept(experiment: config.Experiment, tier: str, why: str) -> int:
    """Stamp collected results with the present code's fingerprint, the reason on record.

    For a refactoring that was shown to change no number. Runs whose inputs changed are not touched.

    Returns:
        The number of runs stamped.

    Raises:
        UserError: if no reason is given, or the rows of a run do not match the sidecar.
    """
    if not why.strip():
        raise UserError('say why the earlier results still hold, as in --why "renamed a variable; same rows"')
    paper, name = experiment.paper, experiment.name
    code = fingerprint.fingerprint(paper)
    with lock(records.lock_path(f"collect-{paper}-{name}-{tier}")):
        here = collected.of(paper, name, tier)
        facts = json.loads(json.dumps(here.environments))
        earlier = [
            run.id
            for run in experiment.runs(tier)
            if here.record(run.id) and facts[run.id].get("fingerprint") != code
        ]
        for run_id in earlier:
            stamp = {"from": facts[run_id].get("fingerprint"), "to": code, "why": why.strip()}
            stamp["commit"] = str(environment.code()["commit"])
            facts[run_id]["accepted"] = [*facts[run_id].get("accepted", []), stamp]
            facts[run_id]["fingerprint"] = code
            _stamp_stored(run_id, facts[run_id])
        if earlier:
            write_json(collected.env_path(paper, name, tier), facts)
    return len(earlier)


def _stamp_stored(run_id: str, facts: dict[str, object]) -> None:
    """Bring the stored record of the same execution up to date with the sidecar."""
    record = records.stored(run_id)
    if record is None or record.environment.get("finished") != facts.get("finished"):
        return
    new = {key: value for key, value in facts.items() if key not in ("inputs", "rows")}
    records.save(records.Record(run_id, record.inputs, record.rows, new))
