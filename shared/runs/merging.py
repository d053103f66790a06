"""Results from other machines: taken in as a whole, or refused as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.base import bounded, paths
from shared.base.errors import UserError
from shared.runs import committed, config, ledger, records


@dataclass(frozen=True)
class Merged:
    """What a merge did: numbers of records, and the collected results that changed."""

    new: int
    known: int
    undeclared: int
    changed: list[str]


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
    papers = config.papers(include_templates=True)
    with records.writing():  # two merges at once, which contradict each other, must not both find nothing
        ledgers = {paper: ledger.of(paper) for paper in papers}
        fresh = _new(found, ledgers)
        touched = list(ledger.sharing(papers, found))
        for experiment, tier in touched:
            ledgers[experiment.paper].verify(experiment, tier)  # before anything is written
        for record in fresh:
            records.save(record)
    begun = _begun(files)
    asked = [
        (experiment, tier)
        for experiment, tier in touched
        if not begun or {(tier, experiment.name), ("", experiment.name)} & begun
    ]
    declared = {run.id for experiment, tier in touched for run in experiment.runs(tier)}
    return Merged(
        new=len(fresh),
        known=len(found) - len(fresh),
        undeclared=len(found.keys() - declared),
        changed=[f"{e.paper}/{e.name} ({tier})" for e, tier in ledger.collect(asked, touched)],
    )


def _new(found: Mapping[str, records.Record], ledgers: Mapping[str, ledger.Ledger]) -> list[records.Record]:
    """The records of runs that are not known here.

    Raises:
        UserError: if one has other rows than ours.
    """
    fresh = []
    for record in found.values():
        paper = str(record.inputs.get("paper"))
        here = ledgers[paper].record(record.run) if paper in ledgers else records.stored(record.run)
        _agree(here, record, "here", "there")
        if here is None:
            fresh.append(record)
    return fresh


def _agree(mine: records.Record | None, theirs: records.Record, here: str, there: str) -> None:
    problem = mine.contradiction(theirs) if mine is not None else None
    if problem:
        names = f"{theirs.inputs.get('paper')}, run {theirs.run}"
        raise UserError(
            f"{names} contradicts: {problem} ({here}, {there}); nothing was merged, keep one of the two"
        )


def _begun(files: list[Path]) -> set[tuple[str, str]]:
    """Tier and experiment of the collected results there; no tier if the folder does not tell it.

    What was begun there is collected here; if there are records only, all that has a merged run is.
    """
    tables = [file for file in files if file.suffix == ".csv"]
    return {(file.parent.name if file.parent.name in paths.TIERS else "", file.stem) for file in tables}


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
        return paths.sidecar(file).is_file()
    return len(file.stem) == 16 and set(file.stem) <= set("0123456789abcdef")


def _json(file: Path) -> Any:
    try:
        return bounded.json_of(bounded.read_text(file, file.name, bounded.MOST_RECORDED))
    except ValueError as error:
        raise UserError(
            f"{file} is no record of a run ({error}); copy it anew, or name another file or folder"
        ) from None


def _from_file(file: Path) -> Iterator[records.Record]:
    if file.suffix != ".csv":
        yield records.parse(_json(file), file.name)
        return
    content = committed.read_file(file)
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
