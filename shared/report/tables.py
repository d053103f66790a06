"""Tables as data: a pipeline's ``tables.py`` builds `Table` objects, and nothing here knows about papers.

`shared.report.markdown` and `shared.report.html` show them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from shared.report import stats, text
from shared.report.published import PaperValue
from shared.report.stats import Summary, summary
from shared.report.verdicts import NOT_RUN, Verdict, shortest


@dataclass(frozen=True)
class Sample:
    """Our values of one quantity, one per seed.

    Attributes:
        values: by seed.
        tier: of the runs that they come from, "" if there are none.
        sources: experiment and arm of these runs, as far as known.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    tier: str = ""
    sources: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        stats.by_seed(self.values)  # a list would do for some uses and say nothing

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.values)

    @property
    def numbers(self) -> list[float]:
        """The values in the order of their seeds."""
        return [self.values[seed] for seed in sorted(self.values)]

    @property
    def summary(self) -> Summary:
        """Mean and standard deviation; raises ValueError if there are no values."""
        return summary(self.numbers)

    def map(self, function: Callable[[float], float]) -> Sample:
        """The same seeds with every value transformed."""
        return per_seed(function, self)

    def __sub__(self, other: Sample) -> Sample:
        """The difference of each seed that both have."""
        return per_seed(operator.sub, self, other)


def per_seed(function: Callable[..., float], *samples: Sample) -> Sample:
    """A function of one value of each sample, for the seeds that all have; the tier is the shortest one.

    Args:
        function: of as many numbers as there are samples.
        samples: one at least.
    """
    seeds = sorted(set.intersection(*(set(sample.values) for sample in samples)))
    values = {seed: function(*(sample.values[seed] for sample in samples)) for seed in seeds}
    return Sample(values, shortest([s.tier for s in samples]) if values else "", sources_of(samples))


def sources_of(samples: Iterable[Sample]) -> tuple[tuple[str, str], ...]:
    """Experiments and arms that these samples come from, each once."""
    return tuple(dict.fromkeys(source for sample in samples for source in sample.sources))


@dataclass(frozen=True)
class Cell:
    """One cell: a text, and for a measured one the sample, the paper's number and the verdict behind it.

    Attributes:
        text: what stands first in the cell; ours.
        paper: the paper's number as text, "" if there is none.
        verdict: None for cells that are not compared with anything.
        sample: our values by seed, for CSV and for comparing revisions.
        published: the paper's number, if it comes from paper.csv.
        decimals: of the difference that the verdict speaks about.
        command: what would fill the cell, if it is not run.
        note: a short remark shown last.
        steps: of a curve, how many steps the verdict is about; what is shown is the furthest one.
    """

    text: str
    paper: str = ""
    verdict: Verdict | None = None
    sample: Sample = field(default_factory=Sample)
    published: PaperValue | None = None
    decimals: int = 2
    command: str = ""
    note: str = ""
    steps: int = 0

    @property
    def not_run(self) -> bool:
        """Whether the cell waits for results."""
        return self.verdict is not None and self.verdict.status == NOT_RUN

    @property
    def provenance(self) -> str:
        """``n = 5, lite``, or nothing for a cell that is not measured."""
        return f"n = {self.sample.n}, {self.sample.tier}" if self.sample.n else ""

    @property
    def difference(self) -> str:
        """``-0.07 [-0.20, 0.06]``: ours minus the paper's with its 95 % interval, if the cell has one."""
        verdict = self.verdict
        if self.published is None or verdict is None or verdict.difference is None:
            return ""
        if verdict.low is None or verdict.high is None or verdict.low == verdict.high:
            return text.signed(verdict.difference, self.decimals) if verdict.difference else ""
        return (
            f"{text.signed(verdict.difference, self.decimals)} "
            f"{text.interval(verdict.low, verdict.high, self.decimals)}"
        )

    def lines(self) -> list[str]:
        """The cell's content, one Markdown text per line."""
        first = f"{self.text} ({self.provenance})" if self.provenance else self.text
        found = [first] if first and not self.not_run else []
        if self.paper:
            found.append(f"paper {self.paper}")
        if self.difference:
            found.append(f"Δ {self.difference}")
        if self.verdict is not None:
            found.append(f"**{self.verdict.text}**")
        return [*found, *([self.note] if self.note else [])]


@dataclass(frozen=True)
class Column:
    """One column: a short key for CSV and for naming cells, and the title people read."""

    key: str
    title: str


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Attributes:
        label: which one it is, "" if there is only one.
        reference: the paper's effect as text.
        ours: our effect as text, "" if there are no runs.
        verdict: the verdict on this part alone.
        effect: the difference that the verdict is about, as text; "" if it is about each run. Where ``ours``
            says it in another unit, the two differ.
        found: this difference and the ends of its 95 % interval.
        sources: experiment and arm of the runs, as far as known.
    """

    label: str
    reference: str
    ours: str
    verdict: Verdict
    effect: str = ""
    found: tuple[float, float, float] | None = None
    sources: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def told(self) -> tuple[float, float, float] | None:
        """The paper's effect with its 95 % interval, if the reference is one: ``+21.05 (se 0.261)``.

        Without a standard error the interval is the number itself.
        """
        found = _TOLD.fullmatch(self.reference)
        if found is None:
            return None
        value, kind, size = float(found[1]), found[2], float(found[3] or 0)
        half = {"se": stats.t_quantile(0.975, math.inf) * size, "±": size}.get(kind, 0.0)
        return value, value - half, value + half

    @property
    def test(self) -> str:
        """``paired t, n = 5, p = 3e-4, d = 2.1``, as far as known."""
        verdict = self.verdict
        known = [verdict.method] if verdict.method else []
        known += [f"n = {verdict.n}"] if verdict.n else []
        known += [text.p_value(verdict.p)] if verdict.p is not None else []
        known += [text.effect_size(verdict.effect)] if verdict.effect is not None else []
        return ", ".join(known) or "-"


#: A number with its sign, and what it is known by; references that say more are sentences.
_TOLD = re.compile(r"([+-]\d+(?:\.\d+)?)(?: \((se|sd|±) (\d+(?:\.\d+)?)\))?")


@dataclass(frozen=True)
class Row:
    """One row: key, the text of its header (the first column), and a cell for each further column.

    The row of a claim has ``parts``, which its cells show as text.
    """

    key: str
    title: str
    cells: tuple[Cell | str, ...]
    headline: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: file name without ending, and anchor.
        title, caption: texts; the caption is Markdown with inline markup only.
        columns: the first is the row header's.
        rows: in the order to print.
        commands: what computes the results shown, exactly as to be typed.
        notes: one line each, below the table.
        claims: whether the rows are claims (counted apart from cells in summaries).
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    claims: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns) - 1:
                raise ValueError(
                    f"table {self.name}, row {row.key}: {len(row.cells)} cells for {len(self.columns) - 1} "
                    "columns"
                )
        keys = [row.key for row in self.rows]
        if len(set(keys)) != len(keys):
            raise ValueError(
                f"table {self.name}: two rows have the same key; keys name cells, so they must differ"
            )

    def cells(self) -> Iterable[tuple[Row, Column, Cell]]:
        """Every cell with its row and column, plain texts made into cells."""
        for row in self.rows:
            for column, cell in zip(self.columns[1:], row.cells):
                yield row, column, cell if isinstance(cell, Cell) else Cell(cell)

    def missing_commands(self) -> tuple[str, ...]:
        """What to type to fill the cells that are not run."""
        return tuple(
            dict.fromkeys(cell.command for _, _, cell in self.cells() if cell.not_run and cell.command)
        )

    def footnotes(self) -> tuple[str, ...]:
        """Lines below the table: how to compute it, what is missing, the table's own notes."""
        commands = text.join([f"`{command}`" for command in self.commands])
        found = [f"Computed by {commands}."] if commands else []
        missing = self.missing_commands()
        if missing == self.commands:
            found = [f"Computed by {commands}; the same fills the cells marked *not run*."]
        elif missing:
            filled = text.join([f"`{command}`" for command in missing])
            found.append(f"Cells marked *not run* are filled by {filled}.")
        return (*found, *self.notes)


def measured(
    sample: Sample,
    *,
    verdict: Verdict | None = None,
    published: PaperValue | None = None,
    decimals: int = 2,
    form: Callable[[float], str] | None = None,
    command: str = "",
    note: str = "",
) -> Cell:
    """A cell for our values: mean ± standard deviation, or ``form(mean)`` if a form is given."""
    if sample.n == 0:
        shown = "not run"
    elif form is not None:
        shown = form(sample.summary.mean)
    else:
        shown = text.plus_minus(sample.summary.mean, sample.summary.sd, decimals)
    if verdict is None and sample.n == 0:
        verdict = Verdict(NOT_RUN)
    paper = published.text if published and form is not text.thousands else ""
    if published and form is text.thousands:
        paper = text.thousands(published.value)
    return Cell(shown, paper, verdict, sample, published, decimals, command, note)
