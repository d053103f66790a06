"""Tests in two sizes: a short one by default, and a long one under `make torture`, whose counts are kept.

No test file itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make torture -->\n", "<!-- end -->\n"


def sizes(short: int, long: int) -> pytest.MarkDecorator:
    """Run a test with the argument ``size``: `short` by default, `long` under ``make torture``."""
    return pytest.mark.parametrize("size", [short, pytest.param(long, marks=pytest.mark.torture)])


def write_row(what: str, times: int, came: str, wrong: int) -> None:
    """Put one row into the table, in place of the one that says what came of the same thing before."""
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(BEGIN)
    rows, _, after = rest.partition(END)
    title, line, *known = rows.splitlines()
    known = [row for row in known if not row.startswith(f"| {what} |")]
    known.append(f"| {what} | {times:,} | {came} | {wrong} |")
    text = "\n".join([title, line, *sorted(known)])
    TABLE.write_text(f"{before}{BEGIN}{text}\n{END}{after}", encoding="utf-8")
