"""The front door: ``reports/index.html``, one self-contained page, its Markdown twin, and the README's
verdict table."""

from __future__ import annotations

import os
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.base import paths
from shared.base.files import write_atomic
from shared.report import contents, counts, html, markdown, render
from shared.report.contents import Report
from shared.report.tables import Cell, Table
from shared.runs import config

if TYPE_CHECKING:
    from shared.report.figures import Figure

TITLE = "Equivariance, reproduced"
DEMO_TITLE = "Equivariance, reproduced: demo"
LEAD = (
    "Every number and claim of the papers beside ours, with the number of runs, the spread between seeds "
    "and a verdict. All of it is computed from the records in this repository; the command beside each "
    "table computes it again."
)
README_START, README_END = "<!-- verdicts -->", "<!-- /verdicts -->"


def write(demo: bool = False) -> Path:
    """Write ``index.html`` and ``index.md`` of the committed results or of the demo; update the README for
    the former.

    Figures are taken from the rendered files and drawn if they are missing.

    Returns:
        The path of ``index.html``.
    """
    reports = [Report(paper, demo) for paper in config.papers()]
    folder = paths.reports(demo)
    write_atomic(folder / "index.html", page(reports, demo))
    write_atomic(folder / "index.md", index_markdown(reports, demo))
    if not demo:
        update_readme(reports)
    return folder / "index.html"


def page(reports: list[Report], demo: bool = False) -> str:
    """The whole page as HTML."""
    return html.fill(
        "page.html",
        title=DEMO_TITLE if demo else TITLE,
        lead=LEAD,
        warning=contents.DEMO_WARNING if demo else "",
        rules=counts.rules(),
        papers=[_paper(report) for report in reports],
        root="../" * (2 if demo else 1),
    )


def _paper(report: Report) -> dict[str, Any]:
    numbers, claims = report.counts()
    return {
        "name": report.paper,
        "title": report.title,
        "numbers": counts.phrases(numbers),
        "claims": counts.phrases(claims),
        "headline": _headline(report),
        "blocks": [_block(report, block) for block in report.blocks()],
        "deviations": report.deviations,
        "origins": report.origins,
    }


def _headline(report: Report) -> dict[str, Any] | None:
    found = report.headline()
    if found is None:
        return None
    return {
        "anchor": _anchor(report, found.table),
        "title": found.row.title,
        "paper": found.paper,
        "ours": found.ours,
        "verdict": found.verdict,
    }


def _block(report: Report, block: Table | Figure) -> dict[str, Any]:
    anchor = _anchor(report, block)
    common = {"anchor": anchor, "short_title": block.title.partition(":")[0]}
    if isinstance(block, Table):
        layout = _claims(block) if block.claims else {"template": "table.html"}
        return {**common, **layout, "table": block}
    picture = _picture(report, block, anchor) if block.draw else ""
    return {**common, "template": "figure.html", "figure": block, "picture": picture}


def _claims(table: Table) -> dict[str, Any]:
    """Claims in lines: a claim's cells hold one line of text for each of its comparisons, which belong
    together. What is compared and our result come first."""
    first = [index for index, column in enumerate(table.columns) if column.key in ("part", "ours")]
    order = [*first, *(index for index in range(2, len(table.columns)) if index not in first)]
    rows = []
    for row in table.rows:
        verdict, *others = row.cells
        columns = [_lines(others[index - 2]) for index in order]
        lines = list(zip_longest(*columns, fillvalue=""))
        rows.append({"title": row.title, "headline": row.headline, "verdict": verdict, "lines": lines})
    columns = [*table.columns[:2], *(table.columns[index] for index in order)]
    return {"template": "claims.html", "columns": columns, "rows": rows}


def _lines(cell: Cell | str) -> list[Cell | str]:
    if isinstance(cell, Cell) and cell != Cell(cell.text):
        return [cell]  # with a verdict or values of its own
    return list((cell.text if isinstance(cell, Cell) else cell).split("\n"))


def _picture(report: Report, figure: Figure, anchor: str) -> str:
    file = paths.reports(report.demo) / report.paper / f"{figure.name}.svg"
    if not file.is_file():
        render.render_figures(report)
    return html.inline_svg(file.read_text(encoding="utf-8"), anchor, figure.title, figure.alt)


def _anchor(report: Report, block: Table | Figure) -> str:
    kind = "table" if isinstance(block, Table) else "figure"
    return f"{report.paper}-{kind}-{block.name}"


def index_markdown(reports: list[Report], demo: bool = False) -> str:
    """The Markdown twin of the page: the verdict table, and links to each paper's report."""
    parts = [f"# {DEMO_TITLE if demo else TITLE}\n"]
    parts += [f"> {contents.DEMO_WARNING}\n"] if demo else []
    parts += [f"{LEAD}\n", verdict_table(reports)]
    for report in reports:
        inner = "".join(f"- {block.title}\n" for block in report.blocks())
        parts.append(f"## [{report.title}]({report.paper}/report.md)\n\n{inner}")
    rules = "".join(f"- {rule}\n" for rule in counts.rules())
    return "\n".join([*parts, f"## How verdicts are made\n\n{rules}"])


def verdict_table(reports: list[Report] | None = None) -> str:
    """One line per paper: headline claim, the paper's number, ours, verdict, all verdicts, command."""
    rows = []
    for report in [Report(paper) for paper in config.papers()] if reports is None else reports:
        cells, claims = report.counts()
        found = report.headline()
        headline, paper, ours, verdict, command = "-", "-", "-", "-", "-"
        if found:
            headline, paper, ours = found.row.title, found.paper, found.ours
            verdict = f"**{found.verdict.text}**"
            # that of its own experiment; a table of claims names those of all
            own = [cell.command for cell in found.row.cells if isinstance(cell, Cell) and cell.command]
            command = next((f"`{line}`" for line in (*own, *found.table.commands)), "-")
        rows.append(
            (
                report.title,
                headline,
                paper,
                ours,
                verdict,
                counts.tally(claims),
                counts.tally(cells),
                command,
            )
        )
    header = (
        "Paper",
        "Headline claim",
        "Paper says",
        "Ours",
        "Verdict",
        "All claims",
        "All numbers",
        "Command",
    )
    return markdown.grid(header, rows)


def update_readme(reports: list[Report] | None = None) -> bool:
    """Put the verdict table between the README's markers; returns whether the README changed.

    A README without both markers is left alone.
    """
    file = paths.root() / "README.md"
    if not file.is_file():
        return False
    old = file.read_text(encoding="utf-8")
    before, start, rest = old.partition(README_START)
    _, end, after = rest.partition(README_END)
    if not start or not end:
        return False
    new = f"{before}{start}\n{verdict_table(reports)}{end}{after}"
    if new == old:
        return False
    mode = os.stat(file).st_mode
    write_atomic(file, new)
    os.chmod(file, mode)
    return True
