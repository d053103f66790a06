"""What `check` looks at: are the declarations, the hand-written files and the committed results in order?

Needs no data, no torch and no GPU, so that it can run for every change.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import is_temporary
from shared.data import catalogue
from shared.report import captions, published
from shared.report.contents import Report
from shared.runs import config, environment, fingerprint, ledger, records
from shared.runs.committed import Committed
from shared.workflow import dvc_files


@dataclass(frozen=True)
class Problem:
    """One thing that is not in order; a warning does not fail the check."""

    text: str
    warning: bool = False


def check(paper: str, strict_code: bool = False) -> list[Problem]:
    """All problems of one paper; empty if everything is in order.

    Args:
        paper: its name.
        strict_code: whether results of earlier code are an error instead of a warning.
    """
    try:
        declared = config.load(paper)
    except UserError as error:
        return [Problem(str(error))]
    parts = (_hand_written(paper), _names(declared), _code(declared), _stage(declared), _leftovers(declared))
    found = [problem for part in parts for problem in part]
    gone = dvc_files.locked() | environment.deleted()
    for experiment in declared.experiments.values():
        for tier in experiment.tiers:
            try:
                found += _tier(experiment, tier, gone)
            except UserError as error:
                found.append(Problem(str(error)))
    found += _contradictions(declared)
    found += [Problem(line, warning=not strict_code) for line in earlier_code(declared)]
    return list(dict.fromkeys(found))  # a damaged file is found by whatever needs it


def _hand_written(paper: str) -> Iterator[Problem]:
    for read in (published.paper_values, published.deviations):
        try:
            if not read(paper):
                file = "deviations.csv" if read is published.deviations else "paper.csv"
                yield Problem(f"pipelines/{paper}/{file} has no lines; it should have one at least")
        except UserError as error:
            yield Problem(str(error))


def _names(paper: config.Paper) -> Iterator[Problem]:
    """Whether the tables and figures that experiments.yaml and deviations.csv name are made."""
    try:
        report = Report(paper.name)
        tables = [table.name for table in report.tables]
        figures = {figure.name for figure in report.figures}
        known = {*tables, *figures}
    except UserError as error:
        yield Problem(str(error))
        return
    if not paper.tables:
        file = f"pipelines/{paper.name}/experiments.yaml"
        yield Problem(f"{file} names no tables; write there: tables: [{', '.join(tables)}]")
    for experiment in paper.experiments.values():
        for name in experiment.produces:
            if name not in known:
                text = f"produces {name!r}, but tables.py and figures.py make only {', '.join(sorted(known))}"
                yield Problem(f"{paper.name}/{experiment.name} {text}")
    for name in captions.unused(report.results):
        text = f"has words for {name!r}, which nothing asks for; correct the name or delete them"
        yield Problem(f"pipelines/{paper.name}/{captions.FILE} {text}")
    yield from _concerned(report, tables)
    yield from _unused(report, figures)


def _unused(report: Report, figures: set[str]) -> Iterator[Problem]:
    """Numbers of the paper that stand nowhere would vanish from the report without notice."""
    try:
        places = published.paper_values(report.paper)
    except UserError:
        return  # `_hand_written` says it
    for place in places:
        if place not in report.results.asked and place[0] not in figures:
            yield Problem(
                f"pipelines/{report.paper}/paper.csv: no table shows the number for {'/'.join(place)}; "
                "compare a line of a table with it (`shared.report.build.compared`), or correct its place"
            )


def _concerned(report: Report, tables: list[str]) -> Iterator[Problem]:
    try:
        deviations = report.deviations
    except UserError:
        return  # `_hand_written` says it
    for deviation in deviations:
        for pattern in deviation.tables:
            if not fnmatch.filter(tables, pattern):
                yield Problem(
                    f"pipelines/{report.paper}/deviations.csv: {deviation.what!r} names the table "
                    f"{pattern!r}, but tables.py makes only {', '.join(tables)}"
                )


def _stage(paper: config.Paper) -> Iterator[Problem]:
    if not paper.name.startswith("_"):
        yield from map(Problem, dvc_files.problems(paper))


def _code(paper: config.Paper) -> Iterator[Problem]:
    """Whether the modules that the experiment uses, and the readers, can be read."""
    try:
        fingerprint.fingerprint(paper.name, catalogue.load())
    except UserError as error:
        yield Problem(str(error))


def _leftovers(paper: config.Paper) -> Iterator[Problem]:
    folder = paths.pipeline(paper.name) / "results"
    for file in sorted(folder.glob("*")):
        if file.name not in paths.COMMITTED_TIERS:
            shown = file.relative_to(paths.root())
            yield Problem(f"{shown} is none of {', '.join(paths.COMMITTED_TIERS)}; delete or move it")
    for tier in paths.COMMITTED_TIERS:
        for file in sorted(paths.results(paper.name, tier).glob("*")):
            if is_temporary(file.name):
                text = "is what a killed command left; the next one that writes there removes it"
                yield Problem(f"{paths.shown(file)} {text}", warning=True)
                continue
            name = file.name.removesuffix(".csv").removesuffix(paths.SIDECAR)
            experiment = paper.experiments.get(name)
            if experiment is None or tier not in experiment.tiers:
                shown = file.relative_to(paths.root())
                yield Problem(f"{shown} belongs to no declared experiment; delete it or declare it")


def _tier(experiment: config.Experiment, tier: str, gone: Collection[str]) -> Iterator[Problem]:
    """Problems of one experiment at one tier: its settings, and its results if they are committed.

    Args:
        experiment: which.
        tier: which.
        gone: files that git or dvc.lock knows, among them all that are not there any more.
    """
    where = f"{experiment.paper}/{experiment.name} ({tier})"
    declared = experiment.runs(tier)
    if tier not in paths.COMMITTED_TIERS:
        return
    first: dict[str, config.Run] = {}
    for run in declared:
        if first.setdefault(run.id, run) is not run:
            yield Problem(
                f"{where}: the arms {first[run.id].arm} and {run.arm} have the same settings; drop one"
            )
    known = ledger.of(experiment.paper)
    here = known.committed(experiment.name, tier)
    yield from (Problem(f"{where}: {text}") for text in here.problems)
    if not here.rows and not here.environments:
        file = paths.shown(paths.collected(experiment.paper, experiment.name, tier))
        if file in gone:
            yield Problem(f"{where}: {file} was recorded and is gone; restore it and its sidecar from git")
        return
    if here.damage:
        yield Problem(_damage(experiment, tier, here))
    yield from _entries(here, where)
    names = {(run.arm, run.seed) for run in declared}
    for arm, seed in here.runs:
        if (arm, seed) not in names:
            yield Problem(
                f"{where}: {arm} with seed {seed} is left over; `python -m pipelines collect` drops it"
            )
    missing = [run for run in declared if (run.arm, run.seed) not in here.runs]
    if missing and here.rows:
        yield Problem(f"{where}: {len(missing)} of {len(declared)} runs are not recorded", warning=True)
    for run in declared:
        if here.runs.get((run.arm, run.seed), run.id) != run.id:
            why = "; ".join(known.why_stale(run)) or "a newer result is not collected"
            yield Problem(f"{where}: {run.arm} with seed {run.seed} is stale ({why})")
    if not here.damage and not known.is_collected(experiment, tier):
        yield Problem(
            f"{where}: the CSV is not up to date; `python -m pipelines collect` writes it", warning=True
        )


def _damage(experiment: config.Experiment, tier: str, here: Committed) -> str:
    """What has happened to the two files of an experiment, and the remedy that works."""
    file = paths.collected(experiment.paper, experiment.name, tier)
    sidecar = paths.sidecar(file)
    for lost, left in ((file, sidecar), (sidecar, file)):
        if not lost.exists():
            said = f"{paths.shown(lost)} is lost ({left.name} is there)"
            break
    else:
        count = len(here.damage)
        runs = f"the rows of {count} runs" if count > 1 else f"the rows of run {next(iter(here.damage))}"
        said = f"{runs} in {paths.shown(file)} do not match its sidecar {sidecar.name}"
    try:
        ledger.of(experiment.paper).compose(experiment, tier)
    except UserError:
        return f"{said}; restore both files from git"
    return f"{said}; `python -m pipelines collect` writes both files anew from the store"


def _entries(here: Committed, where: str) -> Iterator[Problem]:
    """Whether the sidecar's entry of each run that is not damaged says what the run is."""
    for run, facts in here.environments.items():
        if run in here.damage:
            continue
        if config.identity(facts.get("inputs", {})) != run:
            yield Problem(
                f"{where}: the inputs of run {run} do not give its name; restore the sidecar from git"
            )


def earlier_code(paper: config.Paper) -> list[str]:
    """One line for each experiment and committed tier with results of earlier code."""
    lines = []
    for name, experiment in paper.experiments.items():
        for tier in (tier for tier in experiment.tiers if tier in paths.COMMITTED_TIERS):
            try:
                runs = {run.id for run in experiment.runs(tier)}
                earlier = ledger.of(paper.name).earlier_code(name, tier) & runs
            except UserError:
                continue  # reported by _tier
            if earlier:
                fix = "`run --refresh` trains them again, `accept --why` keeps them"
                lines.append(
                    f"{paper.name}/{name} ({tier}): {len(earlier)} runs are from earlier code; {fix}"
                )
    return lines


def _contradictions(paper: config.Paper) -> Iterator[Problem]:
    """Runs that two experiments share must have the same rows in both."""
    seen: dict[str, tuple[str, Any]] = {}
    for name, experiment in paper.experiments.items():
        for tier in (tier for tier in experiment.tiers if tier in paths.COMMITTED_TIERS):
            try:
                here = ledger.of(paper.name).committed(name, tier)
            except UserError:
                continue  # reported by _tier
            for run, rows in here.rows.items():
                record = records.Record(run, {}, rows, {})  # as it stands, whether damaged or not
                where, other = seen.setdefault(run, (f"{name} ({tier})", record))
                text = other.contradiction(record)
                if text:
                    yield Problem(
                        f"{paper.name}: run {run} differs between {where} and {name} ({tier}): {text}"
                    )
