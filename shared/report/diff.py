"""Which table cells changed since a git revision, and whether the change is more than noise.

``python -m pipelines diff main`` prints Markdown for a pull request. The tables of the working tree are
filled twice, from the committed results at the revision and from those in the working tree, and compared cell
by cell. Seeds that both have are compared in pairs: the same seed gives the same split and the same starting
weights, so pairs remove what seeds share.

Verdicts that changed come first, then one line that counts, then measured cells that kept their verdict, and,
folded, the texts that follow from measured cells. What a comment on GitHub cannot hold is left out from the
end, and the last line says what and where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.report import counts, markdown, safe, stats, text
from shared.report.contents import Report
from shared.report.revisions import Revision, find
from shared.report.tables import Cell, Table
from shared.report.verdicts import NOT_RUN
from shared.runs import config, environment

#: Characters of a report, below the 65,536 that a comment on GitHub may have.
LIMIT = 60_000
#: Kept for what stands around the rows.
_FRAME = 6_000
#: The most names or kinds that a sentence lists.
_NAMED = 10
#: What is counted apart, in short words.
_CLASSES = {
    "claims": "claims",
    "printed": "printed numbers",
    "logged": "logged numbers",
    "curves": "curves",
    "facts": "facts",
}
_HEADER = ("Paper", "Cell", "Before", "After", "Difference", "Common seeds", "p", "Verdict")
_NOTE = "Differences are after - before: paired t test over common seeds, else Welch's t test.\n"


@dataclass(frozen=True)
class Change:
    """One table cell before and after; an empty cell stands for one that was not there.

    ``of`` is what it counts as (`counts.CLASSES`), "" if it is not counted.
    """

    paper: str
    table: str
    place: str
    before: Cell
    after: Cell
    of: str = ""

    @property
    def verdicts(self) -> tuple[str, str]:
        """The verdicts before and after as text, "" where there is none."""
        before, after = (cell.verdict.text if cell.verdict else "" for cell in (self.before, self.after))
        return before, after

    @property
    def is_verdict(self) -> bool:
        """Whether the verdict changed; that a cell without a reference has been run is none."""
        before, after = self.verdicts
        return before != after and not {before, after} <= {"", NOT_RUN}

    @property
    def is_measured(self) -> bool:
        """Whether the cell shows values of our runs, and not a text that follows from others."""
        return bool(self.before.sample.n or self.after.sample.n)

    @cached_property
    def line(self) -> tuple[str, ...]:
        """The fields of its row."""
        before, after = self.verdicts
        moved = (after or "-") if before == after else f"{before or 'none'} → **{after or 'none'}**"
        compared = _compare(self.before, self.after)
        return (self.paper, self.place, _shown(self.before), _shown(self.after), *compared, moved)


def main(revision: str, full: bool = False) -> int:
    """Print the changed table cells of every paper as Markdown; returns 0.

    Raises:
        UserError: if git does not know the revision.
    """
    print(report(revision, full), end="")
    return 0


def report(revision: str, full: bool = False) -> str:
    """The changes since ``revision`` as Markdown, in at most `LIMIT` characters unless ``full``.

    Raises:
        UserError: if git does not know the revision.
    """
    since = find(revision)
    found = [change for paper in config.papers() for change in changes(paper, since)]
    if found:
        return _report(found, since, None if full else LIMIT - _FRAME)
    files = since.changed_files()
    named = [*files[:_NAMED], f"{len(files) - _NAMED} more"] if len(files) > _NAMED + 1 else files
    rest = f" Result files that differ: {text.join(named)}." if files else ""
    return f"No table cell changed since {since.title}.{rest}\n"


def changes(paper: str, since: Revision) -> Iterator[Change]:
    """The cells of one paper's tables that differ between a revision and the working tree."""
    before = {key: (of, cell) for key, of, cell in _cells(Report(paper, source=since))}
    after = {key: (of, cell) for key, of, cell in _cells(Report(paper))}
    for key in dict.fromkeys((*after, *before)):
        (was, old), (now, new) = (side.get(key, ("", Cell(""))) for side in (before, after))
        if _content(old) != _content(new):
            yield Change(paper, key[0], "/".join(key), old, new, now or was)


def _report(found: Sequence[Change], since: Revision, room: int | None) -> str:
    """All parts; ``room`` is how many characters the rows may take, None for no limit."""
    moved = [change for change in found if change.is_verdict]
    moved.sort(key=lambda change: change.verdicts[0] in ("", NOT_RUN))  # first results after what moved
    measured = [change for change in found if change.is_measured and not change.is_verdict]
    derived = [change for change in found if not change.is_measured and not change.is_verdict]
    left: list[Change] = []
    grids = []
    for part in (moved, measured, derived):
        grid, room = _grid(part, room, left)
        grids.append(grid)
    parts = [f"### {text.lines(len(found), 'table cell')} changed since {since.title}\n", grids[0]]
    parts += [_summary(moved, measured, derived), grids[1]]
    if grids[2]:
        parts.append(f"<details><summary>{_texts(derived)}</summary>\n\n{grids[2]}\n</details>\n")
    return "\n".join(filter(None, [*parts, _NOTE, _pointer(left, since)]))


def _grid(part: Sequence[Change], room: int | None, left: list[Change]) -> tuple[str, int | None]:
    """The changes as a table, as far as there is room, and the room that is left after it."""
    if room is None:
        return (_lined([change.line for change in part]) if part else ""), None
    rows, head, empty = [], len(_lined([])), len(_lined([], ()))
    for change in part:
        size = len(_lined([change.line], ())) - empty + (0 if rows else head)
        if size > room:
            left.append(change)
        else:
            rows.append(change.line)
            room -= size
    return (_lined(rows) if rows else ""), room


def _summary(moved: Sequence[Change], measured: Sequence[Change], derived: Sequence[Change]) -> str:
    """How many verdicts changed, by what is judged and how, and how many other cells."""
    parts = [f"{text.lines(len(moved), 'verdict')} changed"]
    for of, words in (*_CLASSES.items(), ("", "not counted")):
        kinds = Counter(" → ".join(side or "none" for side in c.verdicts) for c in moved if c.of == of)
        named = [f"{count} {kind}" for kind, count in kinds.most_common(_NAMED)]
        named += ["others"] if len(kinds) > _NAMED else []
        parts += [f"{words}: {', '.join(named)}"] if named else []
    verdicts = f"{parts[0]} ({'; '.join(parts[1:])})" if parts[1:] else parts[0]
    return f"**{verdicts}, {text.lines(len(measured), 'other measured cell')}, and {_texts(derived)}.**\n"


def _texts(derived: Sequence[Change]) -> str:
    return f"{text.lines(len(derived), 'text')} that follow{'s' if len(derived) == 1 else ''} from such cells"


def _pointer(left: Sequence[Change], since: Revision) -> str:
    """What was left out, and where it is to be found."""
    if not left:
        return ""
    tables = Counter(f"{change.paper}/{change.table}" for change in left)
    # from a comment of a pull request, whose address ends in pull/1, to the tables of this commit
    base = f"../blob/{environment.code()['commit']}/reports"
    named = [f"[{name}]({base}/{name}.md) ({count})" for name, count in tables.most_common(_NAMED)]
    named += [f"{len(tables) - _NAMED} more tables"] if len(tables) > _NAMED else []
    command = f"python -m pipelines diff {since.name} --full"
    rows = text.lines(len(left), "row")
    return f"**{rows} left out** for their length, of {text.join(named)}; `{command}` prints all.\n"


def _lined(rows: Iterable[Sequence[str]], header: Sequence[str] = _HEADER) -> str:
    return safe.markdown(markdown.grid(header, rows))


def _cells(found: Report) -> Iterator[tuple[tuple[str, ...], str, Cell]]:
    """Place, class and content of each cell; a claim is one cell of its effect and its verdict."""
    for table in found.tables:
        if table.claims:
            yield from _claims(table)
            continue
        for row, column, cell in table.cells():
            yield (table.name, row.key, column.key), counts.class_of(table, cell), cell


def _claims(table: Table) -> Iterable[tuple[tuple[str, ...], str, Cell]]:
    effects: dict[str, str] = {}
    judged: dict[str, Cell] = {}
    for row, column, cell in table.cells():
        if column.key == "ours":
            effects[row.key] = cell.text
        elif column.key == "verdict":
            judged[row.key] = cell
    for key in dict.fromkeys((*judged, *effects)):
        cell = Cell(effects.get(key, ""), verdict=judged.get(key, Cell("")).verdict)
        yield (table.name, key), counts.class_of(table, cell), cell


def _content(cell: Cell) -> tuple[object, ...]:
    """What makes cells equal: the values if there are any, else the text; and the verdict and the tier."""
    verdict = cell.verdict.text if cell.verdict else ""
    values = tuple(sorted(cell.sample.values.items()))
    return (values or cell.text, cell.sample.tier, verdict)


def _compare(before: Cell, after: Cell) -> tuple[str, str, str]:
    """Difference, number of common seeds and p-value as text, "-" where there is none."""
    old, new = before.sample, after.sample
    if not old.n or not new.n:
        return "-", "-", "-"
    decimals = after.decimals + 1
    common = [seed for seed in new.values if seed in old.values]
    shown = text.signed(new.summary.mean - old.summary.mean, decimals)
    if len(common) > 1:
        found = stats.paired(new.values, old.values)
        shown = text.signed(found.value, decimals)
    elif min(old.n, new.n) > 1:
        found = stats.welch(new.numbers, old.numbers)
    else:
        return shown, str(len(common)), "-"
    p = "-" if found.se == 0 and found.value == 0 else text.p_value(found.p_different()).removeprefix("p = ")
    return shown, str(len(common)), p


def _shown(cell: Cell) -> str:
    if not cell.sample.n:
        return text.plain(cell.text) or "-"
    return f"{text.plain(cell.text)} ({cell.provenance})"
