"""The two hand-written tables of a pipeline: what the paper prints, and what we do differently.

``paper.csv`` has one line per printed number; its place in our reports is (table, row, column). Numbers are
kept as written, because the number of printed digits says how precisely they are known. The column
``origin`` says where the number comes from (`ORIGINS`), the column ``protocol`` at which shorter protocol the
reference itself stands ("3 epochs"); empty is the paper's own. ``deviations.csv`` has one line per difference
of protocol; it is printed under the tables that it concerns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

from shared.base import bounded, paths
from shared.base.errors import UserError
from shared.report.verdicts import SPREAD_KINDS

PAPER_COLUMNS = (
    "claim",
    "table",
    "row",
    "column",
    "metric",
    "unit",
    "direction",
    "value",
    "spread",
    "spread_kind",
    "n",
    "origin",
    "protocol",
    "read_from",
    "note",
)
#: Where a number comes from: the paper's text and tables; its authors' logs and notebooks; a figure; or what
#: is known already: code and shapes (a parameter count), other numbers (a mean of them, a test of them).
ORIGINS = ("printed", "logged", "read", "derived")
#: Decimals of a number, and the runs that it is the mean of.
_MOST_DECIMALS, _MOST_RUNS = 300, 1_000_000_000
DEVIATION_COLUMNS = ("what", "paper", "ours", "why", "expected_effect", "tables")


@dataclass(frozen=True)
class PaperValue:
    """One number of a paper. ``printed`` and ``printed_spread`` keep the digits as the source gives them."""

    claim: str
    table: str
    row: str
    column: str
    metric: str
    unit: str
    direction: str
    printed: str
    printed_spread: str
    spread_kind: str
    n: int | None
    origin: str
    protocol: str
    read_from: str
    note: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)

    @property
    def spread(self) -> float | None:
        """What follows the plus-minus sign, None if nothing does."""
        return float(self.printed_spread) if self.printed_spread else None

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit: how far rounding may have moved the number."""
        return 0.5 * 10.0 ** Decimal(self.printed).as_tuple().exponent

    @property
    def text(self) -> str:
        """As a table shows it: ``97.69 ± 0.17, n = 100``."""
        spread = f" ± {self.printed_spread}" if self.printed_spread else ""
        return f"{self.printed}{spread}" + (f", n = {self.n}" if self.n else "")


@dataclass(frozen=True)
class Deviation:
    """One difference between the paper's protocol and ours.

    Attributes:
        what, paper, ours, why, expected_effect: in words.
        tables: patterns (``*`` for any letters) of the names of tables.
        others: whether it concerns the tables that none of the patterns fits, instead of those that one fits.
    """

    what: str
    paper: str
    ours: str
    why: str
    expected_effect: str
    tables: tuple[str, ...] = ()
    others: bool = True

    def concerns(self, table: str) -> bool:
        """Whether it concerns the table of this name."""
        return any(fnmatchcase(table, pattern) for pattern in self.tables) != self.others


def paper_values(paper: str) -> dict[tuple[str, str, str], PaperValue]:
    """The numbers of ``pipelines/<paper>/paper.csv`` by (table, row, column), in the file's order.

    Raises:
        UserError: if the file is missing or a line of it makes no sense; the message names file and line.
    """
    found: dict[tuple[str, str, str], PaperValue] = {}
    file = paths.pipeline(paper) / "paper.csv"
    for where, line in _lines(file, PAPER_COLUMNS):
        value = _paper_value(where, line)
        key = (value.table, value.row, value.column)
        if key in found:
            raise UserError(f"{where}: {'/'.join(key)} was given before; keep one of the two lines")
        found[key] = value
    return found


def deviations(paper: str) -> list[Deviation]:
    """The lines of ``pipelines/<paper>/deviations.csv``.

    Its field ``tables`` names the tables that a deviation concerns, separated by blanks: ``table1 figure*``;
    or those that it does not concern: ``not networks``. An empty one means all.

    Raises:
        UserError: if the file is missing or has other columns, or a field but ``tables`` is empty.
    """
    found = []
    for where, line in _lines(paths.pipeline(paper) / "deviations.csv", DEVIATION_COLUMNS):
        empty = [name for name in DEVIATION_COLUMNS[:-1] if not line[name].strip()]
        if empty:
            raise UserError(
                f"{where}: the field {empty[0]!r} is empty; every deviation says what, why and its effect"
            )
        words = line["tables"].split()
        others = words[:1] in ([], ["not"])
        fields = {name: line[name].strip() for name in DEVIATION_COLUMNS[:-1]}
        found.append(Deviation(**fields, tables=tuple(words[1:] if others else words), others=others))
    return found


def _paper_value(where: str, line: Mapping[str, str]) -> PaperValue:
    fields = {name: line[name].strip() for name in PAPER_COLUMNS}
    for name in ("table", "row", "column", "metric", "value", "origin", "read_from"):
        if not fields[name]:
            raise UserError(
                f"{where}: the field {name!r} is empty; a number needs a place, a value and a source"
            )
    _choice(where, "spread_kind", fields["spread_kind"], SPREAD_KINDS)
    _choice(where, "origin", fields["origin"], ORIGINS)
    if bool(fields["spread"]) != bool(fields["spread_kind"]):
        raise UserError(f"{where}: give both spread and spread_kind or neither")
    _parse(where, "value", fields["value"], _number)
    if fields["spread"] and _parse(where, "spread", fields["spread"], _number) < 0:
        raise UserError(f"{where}: spread is {fields['spread']!r}, but a spread cannot be negative")
    runs = _parse(where, "n", fields["n"], _runs) if fields["n"] else None
    if runs is not None and runs < 1:
        raise UserError(
            f"{where}: n is {runs}, but a number of runs starts at 1; leave it empty if it is unknown"
        )
    names = {"value": "printed", "spread": "printed_spread"}
    return PaperValue(
        **{names.get(name, name): runs if name == "n" else fields[name] for name in PAPER_COLUMNS}
    )


def _number(text: str) -> float:
    number = bounded.number(text)
    if abs(Decimal(text).as_tuple().exponent) > _MOST_DECIMALS:  # type: ignore[arg-type]
        raise ValueError("more decimals than a double has")
    return number


def _runs(text: str) -> int:
    if (number := bounded.whole(text)) > _MOST_RUNS:
        raise ValueError("more runs than anybody makes")
    return number


def _parse(where: str, name: str, text: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(text)
    except ValueError:
        raise UserError(f"{where}: {name} is {text[:40]!r}, which is not a number") from None


def _choice(where: str, name: str, text: str, known: tuple[str, ...]) -> None:
    if text not in known:
        nothing = ", or nothing" if "" in known else ""
        raise UserError(f"{where}: {name} is {text!r}; use one of {', '.join(filter(None, known))}{nothing}")


def _wrong(reader: csv.DictReader[str], columns: tuple[str, ...]) -> str:
    """What distinguishes a header from the right one."""
    there = tuple(reader.fieldnames or ())
    if len(there) == 1 and any(mark in there[0] for mark in ";\t"):
        return "its fields are not separated by commas"
    lacking = [f"it lacks {name!r}" for name in columns if name not in there]
    foreign = [f"it has {name!r}" for name in there if name not in columns]
    return " and ".join([*lacking, *foreign]) or "the order is another, or a column is there twice"


def _lines(file: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """The data lines of a CSV file with exactly these columns, each with its place for error messages."""
    name = paths.shown(file)
    try:
        text = bounded.read_text(file, name)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist; pipelines/_template has one to start from") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)  # a cell may have several lines
    try:
        if tuple(reader.fieldnames or ()) != columns:
            wrong = _wrong(reader, columns)
            raise UserError(f"{name} should start with the line {','.join(columns)}; {wrong}")
        found = []
        for line in reader:
            where = f"{name}, line {reader.line_num}"
            if None in line or None in line.values():
                raise UserError(
                    f"{where}: the number of fields is not {len(columns)}; quote fields that hold a comma"
                )
            cells = {name: " ".join(cell.splitlines()) for name, cell in line.items()}
            found.append((where, cells))
        return found
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num}: not valid CSV ({error})") from None
