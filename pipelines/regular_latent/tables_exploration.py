"""Tables 1 to 3: what representation is learned, beside other starts and the algebra loss alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pipelines.regular_latent.quantities import training
from shared.report import protocol, text
from shared.report.build import Filled, Line, Place, Quantity, Where, declared, table
from shared.report.results import Results
from shared.report.tables import Cell, Column, Sample, Table, measured, per_seed

#: Key of the row of a single run; that of seed i is run i + 1. And of the row, and arm, of their mean.
RUN, LEARNED = "run_", "learned"
#: Of the algebra loss alone.
NULL = "alone"
RUNS = range(1, 6)


@dataclass(frozen=True)
class Exploration:
    """The learned representation of a group.

    Attributes:
        name: of its table, and of the experiment that has the paper's runs.
        group: its name.
        parts: metric and title of what is counted, by column: irreps, or of a cyclic group roots of unity.
        regular: how often each occurs in copies of the regular representation.
        relators: of the presentation: the name that metrics have of each, and how it is written.
        rounded: whether counts are whole numbers as they are made (eigenvalues by their nearest root).
    """

    name: str
    group: str
    parts: dict[str, tuple[str, str]]
    regular: tuple[int, ...]
    relators: dict[str, str]
    rounded: bool = True

    @property
    def experiments(self) -> tuple[str, str, str]:
        """The paper's runs; other starts and switches; the algebra loss alone."""
        return self.name, f"{self.name}_controls", f"{self.name}_null"

    @property
    def decimals(self) -> int:
        """Of a count of one run."""
        return 0 if self.rounded else 3


_ROOTS = {"root_0": "1", "root_1": "i", "root_2": "-1", "root_3": "-i"}
EXPLORATIONS = (
    Exploration(
        name="table1",
        group="C2",
        parts={"trivial": ("root_0", "Trivial (+1)"), "sign": ("root_1", "Sign (-1)")},
        regular=(21, 21),
        relators={"g2": "g^2"},
    ),
    Exploration(
        name="table2",
        group="D3",
        parts={name: (f"class_{name}", name.capitalize()) for name in ("trivial", "sign", "standard")},
        regular=(5, 5, 10),
        relators={"r3": "r^3", "s2": "s^2", "rsrs": "rsrs"},
        rounded=False,
    ),
    Exploration(
        name="table3",
        group="C4",
        parts={name: (name, title) for name, title in _ROOTS.items()},
        regular=(16, 16, 16, 16),
        relators={"g4": "g^4"},
    ),
)
#: Largest distance of a printed count from that of the regular representation, after training and before.
DISTANCE, DISTANCE_BEFORE = Quantity("regular_distance"), Quantity("start_regular_distance")
#: Largest distance of a count from a whole number, which an exact representation would have.
BETWEEN = Quantity("integer_distance")
#: Losses on test images: input to latent vector (L3), latent vector to output (L2), of the task (L1).
LATENT_LOSS = Quantity("latent_loss", form=text.scientific)
OUTPUT_LOSS = Quantity("output_loss", form=text.scientific)
TASK_LOSS = Quantity("task_loss", form=text.scientific)
#: Mean square of an entry of a latent vector.
LATENT_SQUARE = Quantity("latent_square", form=text.scientific)


def residual(relator: str) -> Quantity:
    """Mean squared difference of a relator from the identity; ``relator`` as metrics name it."""
    return Quantity(f"residual_{relator}", form=text.scientific)


def ratio(results: Results, where: tuple[str, str], first: Quantity, second: Quantity) -> Sample:
    """One quantity over another, by seed."""
    return per_seed(lambda a, b: a / b, first.of(results, where), second.of(results, where))


def alone_as_long(results: Results, null: Where, learned: Where) -> Sample:
    """Distances of the algebra loss alone after as many steps as networks are tested after, on average.

    A null's counts go on moving, of D3 away from the regular representation again; it is observed after
    blocks of steps. A null that is shorter counts at its end, and so does one without networks beside it.
    """
    tested = per_seed(
        lambda best, epochs, steps: best / epochs * steps,
        *(results.sample(*learned, metric) for metric in ("best_epoch", "epochs", "steps")),
    )
    path = results.curves(*null, "path_regular_distance")
    if not tested.n or path.empty:
        return DISTANCE.of(results, null)
    step = min(path.columns, key=lambda step: abs(step - tested.summary.mean))
    values = path[step].dropna()
    return Sample(dict(zip(map(int, values.index), values.tolist())), results.tier(*null))


def tables(results: Results) -> list[Table]:
    """Tables 1 to 3."""
    return [explored(results, one) for one in EXPLORATIONS]


def explored(results: Results, one: Exploration) -> Table:
    """The table of one group."""
    columns = [Column("run", "Run")]
    for key, (metric, title) in one.parts.items():
        columns.append(Filled(key, title, partial(_count, what=Quantity(metric), decimals=one.decimals)))
    columns.append(Filled("regular", "Distance from regular", partial(_distance, one=one)))
    columns.append(_plain("whole", "From whole numbers", BETWEEN))
    columns += [
        _plain(f"residual_{name}", f"Residual of {word}", residual(name))
        for name, word in one.relators.items()
    ]
    columns.append(_plain("to_latent", "Input to latent (L3)", LATENT_LOSS))
    columns.append(
        Filled("relative", "L3 / mean square", partial(_ratio, first=LATENT_LOSS, second=LATENT_SQUARE))
    )
    columns.append(_plain("to_output", "Latent to output (L2)", OUTPUT_LOSS))
    columns.append(_plain("task", "Task (L1)", TASK_LOSS))
    learned, controls, null = one.experiments
    lines = [Line(f"{RUN}{number}", f"run {number}", (learned, LEARNED)) for number in RUNS]
    lines.append(Line(LEARNED, "mean of these runs", (learned, LEARNED)))
    lines += declared(results, controls)
    lines += [replace(line, key=f"null_{line.key}") for line in declared(results, null)]
    alone = protocol.protocol(results, null, ("{steps} steps",)).removeprefix("Ours: ").rstrip(".")
    return table(results, one.name, columns, lines, protocol=training(results, learned), steps=alone or None)


def printed(results: Results, one: Exploration) -> list[list[float]]:
    """The counts of each of the paper's runs."""
    runs = [[results.published(one.name, f"{RUN}{n}", key) for key in one.parts] for n in RUNS]
    return [[value.value for value in run if value] for run in runs]


def distances(results: Results, one: Exploration) -> list[float]:
    """Largest distance from the regular representation of each of the paper's runs."""
    return [distance(run, one) for run in printed(results, one)]


def distance(counts: Sequence[float], one: Exploration) -> float:
    """Largest distance of counts from those of the regular representation."""
    return max(abs(a - b) for a, b in zip(counts, one.regular, strict=True))


def _cell(
    place: Place, sample: Sample, decimals: int = 2, paper: str = "", note: str = "", **form: object
) -> Cell:
    """Ours, of a single run its value alone; none is judged, as our runs are no pairs of the paper's."""
    where, seed = place.where(), place.line.key.removeprefix(RUN)
    run = place.line.key.startswith(RUN)
    if run:
        sample = Sample({s: v for s, v in sample.values.items() if s == int(seed) - 1}, sample.tier)
    if not sample.n and place.results.tier(*where):  # a null has no network, a demo has fewer runs
        return Cell("-", paper)
    cell = measured(sample, decimals=decimals, command=place.results.command(where[0]), **form)  # type: ignore[arg-type]
    return replace(cell, paper=paper, note=note if sample.n else "")


def _plain(key: str, title: str, what: Quantity) -> Filled:
    return Filled(key, title, lambda p: _cell(p, what.of(p.results, p.where()), form=what.form))


def _ratio(place: Place, first: Quantity, second: Quantity) -> Cell:
    return _cell(place, ratio(place.results, place.where(), first, second), form=text.scientific)


def _count(place: Place, what: Quantity, decimals: int) -> Cell:
    known = place.results.published(place.table, place.line.key, place.column)
    sample = what.of(place.results, place.where())
    one_run = place.line.key.startswith(RUN)
    return _cell(place, sample, decimals if one_run else 2, known.printed if known else "")


def _distance(place: Place, one: Exploration) -> Cell:
    """With that of the paper's runs, which their counts give, and that before training."""
    theirs, where = distances(place.results, one), place.where()
    paper = ""
    if place.line.key.startswith(RUN):
        paper = text.significant(theirs[int(place.line.key.removeprefix(RUN)) - 1], 3)
    elif place.line.key == LEARNED:
        paper = f"{text.plus_minus(statistics.fmean(theirs), statistics.stdev(theirs), 2)}, n = {len(theirs)}"
    before = DISTANCE_BEFORE.of(place.results, where)
    shown = before.n and not place.line.key.startswith(RUN)
    note = f"before training {text.fixed(before.summary.mean, 2)}" if shown else ""
    return _cell(place, DISTANCE.of(place.results, where), paper=paper, note=note)
