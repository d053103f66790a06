"""One paper's page, ``reports/<paper>/index.html``: answer, claims, tables and figures, deviations, runs.

It is one file that loads nothing. Tables come from templates and not from a library such as Great Tables:
their cells lead to runs, carry what the filters need and become cards on a phone, and all is escaped in one
place.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.base import bounded, paths
from shared.report import contents, html, published, text, trail
from shared.report.contents import Report
from shared.report.figures import Figure
from shared.report.summary import summary
from shared.report.tables import Cell, Row, Table
from shared.runs import config

#: Up to how many columns a table has which class; style.css says on what width each is set as cards.
_WIDTHS = ((3, "narrow"), (5, "medium"), (8, "wide"))
#: Bytes of a figure's file.
_MOST_OF_A_FIGURE = 16 << 20


#: A table of more rows, or beside a figure, is folded up at first.
OPEN = 8


@dataclass(frozen=True)
class Group:
    """What stands in one frame: figures, and the table of their numbers; either may be missing.

    Attributes:
        name: anchor on the page.
        title: that of its first figure, or of the table.
        short: in the contents; no other group has it.
        table: None for figures alone.
        figures: in the order of the report.
    """

    name: str
    title: str
    short: str
    table: Table | None
    figures: tuple[Figure, ...]


def page(report: Report) -> str:
    """The whole page as HTML."""
    numbers = [table for table in report.tables if not table.claims]
    return html.fill(
        "paper.html",
        title=report.title,
        paper=report.paper,
        warning=contents.DEMO_WARNING if report.demo else "",
        summary=summary(report),
        claims=next((table for table in report.tables if table.claims), None),
        agreement=[(f, picture(report, f)) for f in report.figures if f.name == config.AGREEMENT],
        groups=[_shown(report, group) for group in groups(report)],
        deviations=report.deviations,
        runs=_runs(report),
        filters=_filters(numbers, report),
        root="../" * (3 if report.demo else 2),
        script=script(),
        script_hash=script_hash(),
    )


def script() -> str:
    """The page's only script: filters, search, enlarged figures. Without it the page is whole."""
    return html.source("page.js")


def script_hash() -> str:
    """What the Content-Security-Policy lets run: this script and no other."""
    digest = hashlib.sha256(script().encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def groups(report: Report) -> list[Group]:
    """Tables with the figures that belong to them, in reading order, without claims and agreement."""
    found: list[list[Table | Figure]] = []
    for block in report.blocks():
        if block.name == config.AGREEMENT or (isinstance(block, Table) and block.claims):
            continue
        if isinstance(block, Table):
            found.append([block])
        elif found and isinstance(found[-1][0], Table) and _belongs(block, found[-1][0]):
            found[-1].append(block)
        else:
            found.append([block])
    return list(_titled(found))


def _belongs(figure: Figure, table: Table) -> bool:
    return figure.name == table.name or figure.name.startswith(f"{table.name}_")


def _titled(found: list[list[Table | Figure]]) -> Iterator[Group]:
    """The groups, each with a title of its own: short where that is enough to tell them apart."""
    titles = [_title(blocks) for blocks in found]
    shorts = Counter(title.partition(":")[0] for title in titles)
    full = Counter(titles)
    for blocks, title in zip(found, titles):
        name = blocks[0].name
        short = title.partition(":")[0]
        short = short if shorts[short] == 1 else title if full[title] == 1 else f"{title} ({name})"
        table = next((block for block in blocks if isinstance(block, Table)), None)
        figures = tuple(block for block in blocks if isinstance(block, Figure))
        yield Group(name, title, text.plain(short), table, figures)


def _title(blocks: list[Table | Figure]) -> str:
    same = (block for block in blocks if isinstance(block, Figure) and block.name == blocks[0].name)
    return next(same, blocks[0]).title


def _shown(report: Report, group: Group) -> dict[str, Any]:
    table = group.table
    width = len(table.columns) if table else 0
    return {
        "group": group,
        "anchor": trail.slug(group.name),
        "pictures": [(figure, picture(report, figure)) for figure in group.figures],
        "rows": [_row(table, row) for row in table.rows] if table else [],
        "width": next((name for most, name in _WIDTHS if width <= most), "widest"),
        "tally": _tally(table) if table else {},
        "usual": _usual(table) if table else "",
        "open": table is not None and not group.figures and len(table.rows) <= OPEN,
    }


def picture(report: Report, figure: Figure) -> str:
    """The figure as an element of the page; "" if there is nothing to draw yet."""
    if figure.draw is None:
        return ""
    file = paths.reports(report.demo) / report.paper / f"{figure.name}.svg"
    prefix = (
        f"f{[one.name for one in report.figures].index(figure.name)}"  # short: it stands in each reference
    )
    svg = bounded.read_text(file, paths.shown(file), _MOST_OF_A_FIGURE)
    return html.inline_svg(svg, prefix, figure.title, figure.alt, paths.shown(file))


def _row(table: Table, row: Row) -> dict[str, Any]:
    """A row with what its cells are filtered by, and where their runs stand."""
    cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row.cells]
    return {
        "title": row.title,
        "headline": row.headline,
        "cells": [(column, cell, _kind(cell), _link(cell)) for column, cell in zip(table.columns[1:], cells)],
    }


def _kind(cell: Cell) -> dict[str, str]:
    """Verdict, tier and origin of one cell, as the filters ask for them."""
    found = {}
    if cell.verdict is not None:
        found["verdict"] = html.SIGNS[cell.verdict.status][0] if cell.verdict.status else "unjudged"
    if cell.sample.n:
        found["tier"] = cell.sample.tier
    if cell.published:
        found["origin"] = cell.published.origin
    return found


def _link(cell: Cell) -> str:
    """Anchor of the runs behind a cell, "" if they are not known."""
    return trail.anchor(*cell.sample.sources[0]) if cell.sample.n and cell.sample.sources else ""


def _usual(table: Table) -> str:
    """Number of runs and tier of most cells of a table: ``n = 10, paper``."""
    found = Counter(cell.provenance for _, _, cell in table.cells() if cell.provenance)
    return found.most_common(1)[0][0] if found else ""


def _tally(table: Table) -> dict[str | None, int]:
    """How many numbers of a table have each verdict."""
    found = Counter(
        cell.verdict.status for _, _, cell in table.cells() if cell.verdict and cell.verdict.status
    )
    return {status: found[status] for status in html.SIGNS if found[status]}


def _filters(tables: Iterable[Table], report: Report) -> dict[str, list[str]]:
    """What the page can be filtered by: only what occurs."""
    cells = [cell for table in tables for _, _, cell in table.cells()]
    tiers = {cell.sample.tier for cell in cells if cell.sample.n}
    tiers |= {row.parts[0].verdict.tier for table in report.tables for row in table.rows if row.parts}
    origins = {cell.published.origin for cell in cells if cell.published}
    return {
        "tiers": [tier for tier in paths.TIERS if tier in tiers],
        "origins": [*(origin for origin in published.ORIGINS if origin in origins), "ours"],
    }


def _runs(report: Report) -> list[dict[str, Any]]:
    """Each experiment with its records and its arms."""
    found: dict[str, dict[str, Any]] = {}
    for origin in report.origins:
        if origin.experiment not in found:
            arms, shared = trail.arms(report.results, origin.experiment)
            title = report.declared.experiment(origin.experiment).title
            found[origin.experiment] = {
                "name": origin.experiment,
                "anchor": trail.anchor(origin.experiment),
                "title": title,
                "origins": [],
                "arms": arms,
                "shared": shared,
                "command": origin.command,
            }
        found[origin.experiment]["origins"].append(origin)
    return list(found.values())
