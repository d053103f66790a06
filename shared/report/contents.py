"""Everything one paper's report says, before it becomes Markdown, CSV or HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from shared.base import paths
from shared.base.errors import UserError
from shared.report import agreement, counts, published, results, text, verdicts
from shared.report.tables import Cell, Row, Table
from shared.runs import config, ledger
from shared.runs.paper_modules import blamed, made

if TYPE_CHECKING:
    import pandas as pd

    from shared.report.figures import Figure

DEMO_WARNING = (
    "**Demo.** These numbers come from short trainings of small networks on embedded data, made to show "
    "that everything runs. They are not comparable with the paper and get no verdict; the paper's numbers "
    "stand beside them only to show the form of the report."
)


@dataclass(frozen=True)
class Origin:
    """Where the numbers of one experiment come from.

    Attributes:
        experiment, tier: names; the tier is "" for an experiment without results.
        seeds: in short, for example ``0-4``.
        facts: device, versions, precision, time, commit, one phrase each.
        notes: what the records note about the data, and whether the code has changed since.
        files: CSV and sidecar, relative to the repository; empty without results.
    """

    experiment: str
    tier: str
    seeds: str
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Headline:
    """The one claim or number that stands for a paper: where it is, the paper's value, ours, the verdict."""

    table: Table
    row: Row
    paper: str
    ours: str
    verdict: verdicts.Verdict


class Report:
    """The tables, figures, deviations and sources of one paper."""

    def __init__(self, paper: str, demo: bool = False, source: results.Source = ledger) -> None:
        self.paper = paper
        self.demo = demo
        self.declared = config.load(paper)
        self.results = results.Results(paper, demo, source)

    @property
    def title(self) -> str:
        """The paper's title."""
        return self.declared.title

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that the pipeline's ``tables.py`` makes.

        Raises:
            UserError: if it fails, two have one name, or the names are not those of experiments.yaml.
        """
        return self._as_declared("tables", made(self.paper, "tables", self.results))

    @cached_property
    def figures(self) -> list[Figure]:
        """The figures that the pipeline's ``figures.py`` makes, if it has one, and that of `agreement`.

        Raises:
            UserError: as `tables`; and from ``draw``, if that fails.
        """
        there = (paths.pipeline(self.paper) / "figures.py").is_file()
        found = self._as_declared("figures", made(self.paper, "figures", self.results) if there else [])
        found = [replace(f, draw=f.draw and partial(_drawn, self.paper, f.draw)) for f in found]
        return [*found, agreement.figure(self.judged)]

    def _as_declared(self, what: str, found: list[Any]) -> list[Any]:
        """Tables, or figures: each is a file, which the workflow knows by the name in experiments.yaml."""
        for name, count in Counter(block.name for block in found).items():
            if count > 1:
                place = f"pipelines/{self.paper}/{what}.py"
                raise UserError(f"{place} makes {count} {what} called {name!r}; rename one")
        declared, names = getattr(self.declared, what), [block.name for block in found]
        different = sorted({*declared} ^ {*names})
        if different and (self.declared.tables or self.declared.figures):
            raise UserError(
                f"pipelines/{self.paper}/experiments.yaml names other {what} than {what}.py makes (see to "
                f"{text.join(different)}); write there: {what}: [{', '.join(names)}]"
            )
        return found

    @cached_property
    def deviations(self) -> list[published.Deviation]:
        """What we do differently from the paper."""
        return published.deviations(self.paper)

    def blocks(self) -> Iterator[Table | Figure]:
        """Tables and figures in reading order.

        A figure follows the table of its name, or of the beginning of its name: ``table1_angles`` stands
        below ``table1``. The others come last.
        """
        left = list(self.figures)
        for table in self.tables:
            yield table
            below = [f for f in left if f.name == table.name or f.name.startswith(f"{table.name}_")]
            yield from below
            left = [figure for figure in left if figure not in below]
        yield from left

    @cached_property
    def origins(self) -> list[Origin]:
        """One entry per declared experiment and tier shown."""
        return [origin for name in self.declared.experiments for origin in _origins(self.results, name)]

    @cached_property
    def judged(self) -> list[counts.Judged]:
        """Every cell that counts, each measurement once."""
        return counts.judged(self.tables)

    def tally(self) -> dict[str, Counter[counts.Kind]]:
        """How often each status and tier occurs in each of `counts.CLASSES`."""
        return counts.count(self.judged)

    def headline(self) -> Headline | None:
        """The first row marked as headline, read from its first cell that has a verdict."""
        for table in self.tables:
            for row in table.rows:
                if row.headline:
                    cells = {column.key: cell for of_row, column, cell in table.cells() if of_row is row}
                    judged = next((cell for cell in cells.values() if cell.verdict), None)
                    if judged is not None and judged.verdict is not None:
                        paper = judged.paper or cells.get("reference", Cell("-")).text
                        ours = judged.text or cells.get("ours", Cell("-")).text
                        parts = paper.split("\n")
                        paper = "; ".join(parts if len(set(parts)) > 1 else parts[:1])
                        ours = ours.replace("\n", "; ")
                        ours = "-" if judged.verdict.status == verdicts.NOT_RUN else ours
                        return Headline(table, row, paper, ours, judged.verdict)
        return None


def _drawn(paper: str, draw: Callable[[], Any]) -> Any:
    with blamed(paper):
        return draw()


def _origins(found: results.Results, experiment: str) -> list[Origin]:
    frame, command = found.frame(experiment), found.command(experiment)
    tiers = list(dict.fromkeys(frame["tier"]))
    records = found.records(experiment)
    return [
        _origin(found.paper, experiment, tier, frame[frame["tier"] == tier], records, command)
        for tier in tiers
    ] or [Origin(experiment, "", "", (), (), (), command)]


def _origin(
    paper: str,
    experiment: str,
    tier: str,
    frame: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    command: str,
) -> Origin:
    shown = list(dict.fromkeys(frame["run"]))
    facts = [records[run] for run in shown if run in records]
    notes = list(dict.fromkeys(note for entry in facts for note in entry.get("notes", ())))
    earlier = ledger.of(paper).earlier_code(experiment, tier) & set(shown)
    if earlier:
        notes.append(f"{text.lines(len(earlier), 'run')} of {len(shown)} made by earlier code")
    csv = paths.collected(paper, experiment, tier)
    files = tuple(file.relative_to(paths.root()).as_posix() for file in (csv, paths.sidecar(csv)))
    seeds = text.spans([int(seed) for seed in frame["seed"].unique()])
    return Origin(experiment, tier, seeds, _facts(facts, len(shown)), tuple(notes), files, command)


def _facts(entries: list[Mapping[str, Any]], count: int) -> tuple[str, ...]:
    """One phrase per circumstance, the same for every rerun but for time: what ran where, for how long."""

    def each(key: str) -> list[str]:
        return list(dict.fromkeys(str(entry[key]) for entry in entries if entry.get(key) not in (None, "")))

    versions = [entry["versions"] for entry in entries if isinstance(entry.get("versions"), dict)]
    torch = list(dict.fromkeys(str(version["torch"]) for version in versions if "torch" in version))
    hours = sum(float(str(entry.get("wall_s", 0))) for entry in entries) / 3600
    facts = [text.lines(count, "run"), " / ".join(each("device_name") or each("cpu") or each("device"))]
    facts += [f"torch {text.join(torch)}"] if torch else []
    facts += [text.join(each("precision"))] if each("precision") else []
    facts += [f"{hours:.1f} h in all" if hours >= 1 else f"{hours * 60:.1f} min in all"] if hours else []
    commits = [commit[:8] for commit in each("commit")]
    changed = " with uncommitted changes" if any(entry.get("dirty") for entry in entries) else ""
    facts += [f"commit {text.join(commits)}{changed}"] if commits else []
    return tuple(fact for fact in facts if fact)
