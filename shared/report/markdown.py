"""Tables as Markdown that gives small diffs, and as CSV with one line per cell.

Markdown has one method per line, declared order, fixed decimals, no padding and no dates. CSV has everything
about a cell: our mean, spread, n and tier, the paper's number, the difference with its interval, the verdict.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from shared.report import safe, text
from shared.report.tables import Cell, Row, Table

CSV_COLUMNS = (
    "row",
    "column",
    "text",
    "mean",
    "sd",
    "n",
    "tier",
    "paper",
    "paper_spread",
    "paper_spread_kind",
    "paper_n",
    "paper_read_from",
    "difference",
    "low",
    "high",
    "p",
    "verdict",
)


def of_table(table: Table) -> str:
    """The table with title, caption and notes as Markdown."""
    parts = [f"## {table.title}\n"]
    if table.caption:
        parts.append(f"{table.caption}\n")
    parts.append(grid([column.title for column in table.columns], [_fields(row) for row in table.rows]))
    parts += [f"{line}\n" for line in table.footnotes()]
    return "\n".join(parts)


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A bare Markdown table, unpadded so that one longer cell changes one line only."""
    body = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(text.markdown_cell(field) for field in fields)} |\n" for fields in body)


def _fields(row: Row) -> list[str]:
    cells = ["\n".join(cell.lines()) if isinstance(cell, Cell) else cell for cell in row.cells]
    return [row.title, *cells]


def to_csv(table: Table) -> str:
    """One line per cell, numbers with six significant digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row, column, cell in table.cells():
        fields = [row.key, column.key, text.plain(cell.text), *_numbers(cell)]
        writer.writerow(map(safe.csv_cell, fields))
    return out.getvalue()


def _numbers(cell: Cell) -> list[str]:
    ours = ["", "", "", ""]
    if cell.sample.n:
        found = cell.sample.summary
        ours = [text.significant(found.mean), text.significant(found.sd), str(found.n), cell.sample.tier]
    paper = cell.published
    theirs = ["", "", "", "", ""]
    if paper:
        theirs = [paper.printed, paper.printed_spread, paper.spread_kind, str(paper.n or ""), paper.read_from]
    verdict = cell.verdict
    if verdict is None:
        return [*ours, *theirs, "", "", "", "", ""]
    compared = [text.significant(number) for number in (verdict.difference, verdict.low, verdict.high)]
    return [*ours, *theirs, *compared, text.significant(verdict.p, 3), verdict.text]
