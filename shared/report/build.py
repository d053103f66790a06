"""Tables from descriptions: which number, of which arm, stands in which column.

A `Quantity` says how a run's rows become one number, a `Line` which arms one row of the table is about, and a
column what it makes of them: `compared`, `plain`, `words`, `change`, `before_after`, or a `Filled` with a
function of a `Place`. A column is code, so that a table may have one that no other has. Title, caption and
notes are words, and stand in the paper's ``captions.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shared.report import captions, text, verdicts
from shared.report.published import PaperValue
from shared.report.results import Results, difference
from shared.report.tables import Cell, Column, Row, Sample, Table, measured

#: Experiment and arm.
Where = tuple[str, str]


@dataclass(frozen=True)
class Quantity:
    """One number for each run of an arm.

    Attributes:
        metric: its name in the rows.
        steps: where it is taken, all steps if None.
        reduce: from the values at these steps to one.
        last: the value at the last step instead.
        form: how its mean is written, if not as mean ± standard deviation with this many ``decimals``.
        decimals: of the number, and of its difference from the paper's.
        counted: whether there is no chance in it, as in a count of parameters.
        protocol: the shorter protocol that it is measured at, as ``paper.csv`` calls it; "" for the paper's.
        shared_se: of an arm, or of the difference of two (the first minus the second), the standard error
            that all seeds share (see `shared.report.verdicts`): what is measured of it, never a guess.
        note: a remark in each of its cells.
    """

    metric: str
    steps: Sequence[float] | None = None
    reduce: Callable[[np.ndarray], float] = np.mean
    last: bool = False
    form: Callable[[float], str] | None = None
    decimals: int = 2
    counted: bool = False
    protocol: str = ""
    shared_se: Callable[[Results, Sequence[Where], Quantity], float] | None = None
    note: Callable[[Results, Where], str] | None = None

    def at(self, *steps: float, **changes: Any) -> Quantity:
        """The same at these steps."""
        return replace(self, steps=steps, **changes)

    def of(self, results: Results, where: Where) -> Sample:
        """Our values by seed."""
        if self.last:
            return results.last(*where, self.metric)
        return results.sample(*where, self.metric, self.steps, self.reduce)

    def shared_error(self, results: Results, *arms: Where) -> float:
        """Standard error that all seeds share, of an arm or of the difference of two; 0 if there is none."""
        return self.shared_se(results, arms, self) if self.shared_se else 0.0

    def cell(self, results: Results, where: Where, place: tuple[str, str, str] | None = None) -> Cell:
        """Our values; beside the paper's number and with a verdict, if paper.csv has one at ``place``.

        Args:
            results: ours.
            where: experiment and arm.
            place: table, row and column; None for what is compared with nothing.
        """
        sample = self.of(results, where)
        note = self.note(results, where) if self.note else ""
        if place is None:
            command = results.command(where[0])
            return measured(sample, decimals=self.decimals, form=self.form, command=command, note=note)
        return results.cell(
            *place,
            sample,
            experiment=where[0],
            decimals=self.decimals,
            form=self.form,
            shared_se=self.shared_error(results, where),
            counted=self.counted,
            protocol=self.protocol,
            note=note,
        )


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        key, title: of the row.
        arm: what it is about, the key if empty. An arm alone is one of the table's experiment.
        arms: further arms by name; the one called "base" is what `change` compares with.
        words: texts by column, for `words`.
        headline: whether the row stands for the paper.
    """

    key: str
    title: str
    arm: str | Where = ""
    arms: Mapping[str, str | Where] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    headline: bool = False


def declared(results: Results, experiment: str) -> list[Line]:
    """A line for each of the ``rows`` that an experiment has in ``experiments.yaml``, in their order."""
    return [
        Line(
            arm,
            row["title"],
            (experiment, arm),
            {"base": (experiment, row["base"])} if "base" in row else {},
            {key: value for key, value in row.items() if key not in ("title", "base")},
        )
        for arm, row in results.declared.experiment(experiment).rows.items()
    ]


@dataclass(frozen=True)
class Place:
    """One cell to be filled, of a table of an experiment."""

    results: Results
    table: str
    experiment: str
    line: Line
    column: str

    def where(self, arm: str = "") -> Where:
        """Experiment and arm: the line's own, or its further one of this name."""
        found = self.line.arms[arm] if arm else self.line.arm or self.line.key
        return (self.experiment, found) if isinstance(found, str) else found


@dataclass(frozen=True)
class Filled(Column):
    """A column that says how its cells are filled."""

    fill: Callable[[Place], Cell | str]


def compared(key: str, title: str, what: Quantity, arm: str = "") -> Filled:
    """Ours beside the paper's number at this place, with the verdict."""
    return Filled(key, title, lambda p: what.cell(p.results, p.where(arm), (p.table, p.line.key, key)))


def curve(
    key: str,
    title: str,
    what: Quantity,
    arm: str = "",
    printed: Callable[[Place], tuple[str, str]] | None = None,
) -> Filled:
    """A curve of the paper's as one verdict; shown is the step at which ours is furthest from it.

    Args:
        key, title: of the column.
        what: our number at each of the paper's steps.
        arm: the line's own, or its further one of this name.
        printed: table and row of the paper's numbers in paper.csv, whose columns are the steps; this table
            and the line if not given.
    """

    def fill(place: Place) -> Cell:
        at = printed(place) if printed else (place.table, place.line.key)
        return _curve(place.results, place.where(arm), at, what)

    return Filled(key, title, fill)


def _curve(results: Results, where: Where, at: tuple[str, str], what: Quantity) -> Cell:
    """The curve at all steps that our runs have; how many are lacking is said."""
    known, command, tier = results.plotted(*at), results.command(where[0]), results.tier(*where)
    if not known:
        return Cell("-")
    samples = {step: sample for step in known if (sample := what.at(step).of(results, where)).n}
    seeds = sorted(set.intersection(*(set(one.values) for one in samples.values()))) if samples else []
    if not seeds:
        return measured(Sample(), command=command)
    ours = {step: [sample.values[seed] for seed in seeds] for step, sample in samples.items()}
    papers = {step: _printed(known[step], what.at(step).shared_error(results, where)) for step in samples}
    found = verdicts.curve(ours, papers, tier=tier)
    if not all(verdicts.comparable(tier, what.protocol, known[step].protocol) for step in samples):
        found = verdicts.withheld(found)
    step = next(iter(samples)) if found.step is None else found.step
    sample = Sample({seed: samples[step].values[seed] for seed in seeds}, tier, samples[step].sources)
    cell = measured(sample, verdict=found, published=known[step], decimals=what.decimals, command=command)
    notes = [f"{len(samples)} of {len(known)} steps"] if len(samples) < len(known) else []
    notes += [found.reason] if found.reason == verdicts.SHARED else []
    return replace(cell, text=f"at {step:g}: {cell.text}", steps=len(samples), note="\n".join(notes))


def _printed(paper: PaperValue, shared_se: float) -> verdicts.Printed:
    known = (paper.value, paper.spread, paper.n, paper.spread_kind, paper.rounding)
    return verdicts.Printed(*known, shared_se)


def plain(key: str, title: str, what: Quantity, arm: str = "", absent: str = "") -> Filled:
    """Ours, compared with nothing; ``absent``, if given, where the arm has results but not these."""

    def fill(place: Place) -> Cell:
        where = place.where(arm)
        cell = what.cell(place.results, where)
        return Cell(absent) if absent and not cell.sample.n and place.results.tier(*where) else cell

    return Filled(key, title, fill)


def words(key: str, title: str, of_arm: Mapping[str, str] | None = None) -> Filled:
    """A text: the line's for this column, or that of its arm."""
    return Filled(key, title, lambda p: p.line.words[key] if of_arm is None else of_arm[p.where()[1]])


def change(
    key: str, title: str, what: Quantity, arm: str = "", base: str = "base", decimals: int = 2
) -> Filled:
    """An arm minus another with the 95 % interval; a dash where they are the same."""

    def fill(place: Place) -> str:
        first, second = place.where(arm), place.where(base)
        both = (what.of(place.results, one) for one in (first, second))
        return "-" if first == second else gap(*both, decimals)

    return Filled(key, title, fill)


def before_after(key: str, title: str, metric: str, arms: Sequence[str] = ("",)) -> Filled:
    """``8.6e-03 → 4.6e-01``: the first and the last value, means over seeds; a line for each arm."""
    ends = Quantity(metric, [0]), Quantity(metric, last=True)

    def fill(place: Place) -> str:
        found = []
        for arm in arms:
            samples = [what.of(place.results, place.where(arm)) for what in ends]
            if all(sample.n for sample in samples):
                found.append(" → ".join(text.scientific(sample.summary.mean) for sample in samples))
        return "\n".join(found) or "-"

    return Filled(key, title, fill)


def gap(first: Sample, second: Sample, decimals: int = 2) -> str:
    """First minus second with its 95 % interval over seeds; "-" without runs of one tier on both sides."""
    found = difference(first, second)
    if found is None or first.tier != second.tier:
        return "-"
    return f"{text.signed(found.value, decimals)} {text.interval(*found.interval(), decimals)}"


def table(
    results: Results,
    name: str,
    columns: Sequence[Column],
    lines: Iterable[Line],
    *,
    experiment: str = "",
    **fields: str | None,
) -> Table:
    """A table with a row for each line; its title, caption and notes stand in ``captions.md``.

    Args:
        results: ours.
        name: of the table.
        columns: the first is the row header's; the others are `Filled`.
        lines: the rows.
        experiment: where arms are looked up that name none; the one of the table's name if empty.
        fields: what is filled into the words (`shared.report.captions`).
    """
    rows, found = [], []
    filled = [column for column in columns[1:] if isinstance(column, Filled)]
    for line in lines:
        places = [Place(results, name, experiment or name, line, column.key) for column in filled]
        cells = [column.fill(place) for column, place in zip(filled, places)]
        rows.append(Row(line.key, line.title, tuple(cells), line.headline))
        found += [places[0].where(arm)[0] for arm in ("", *line.arms)]
    said = captions.words(results, name, fields)
    commands = tuple(results.command(one) for one in dict.fromkeys(found))
    return Table(name, said.title, tuple(columns), tuple(rows), said.caption, commands, said.notes)
