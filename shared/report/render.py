"""Writing a paper's report: one file per table and figure, ``report.md`` and ``index.html`` with all of them.

Everything is made from collected results and hand-written tables; nothing is trained. The same inputs give
the same bytes on every processor, so a changed file in git means a changed number. Of a PNG only this is
promised: each says in its metadata which SVG it is a picture of, and while that is the SVG of today, it
stays as it is. Drawn anew, its smoothed edges may differ by a level of gray, as processors round differently;
so no workflow engine may delete it first (Snakemake's ``update``, DVC's ``persist``).
"""

from __future__ import annotations

from pathlib import Path

from shared.base import paths
from shared.base.files import write_atomic
from shared.report import agreement, contents, counts, markdown, paper_page, safe
from shared.report.contents import Report
from shared.report.tables import Table
from shared.runs import config

#: Endings of generated files; others in a report's folder are left alone.
_GENERATED = (".md", ".csv", ".svg", ".png", ".html")


def render_all(demo: bool = False) -> None:
    """Render the report of every paper, committed results or demo."""
    for paper in config.papers():
        render(paper, demo)


def render(paper: str, demo: bool = False) -> Path:
    """Render one paper's report into ``reports/<paper>/`` (demo: ``reports/demo/<paper>/``).

    Generated files of tables and figures that no longer exist are removed.

    Args:
        paper: its name.
        demo: from the demo tier.

    Returns:
        The folder.

    Raises:
        UserError: if the paper is unknown or one of its files has a mistake.
    """
    report = Report(paper, demo)
    folder = paths.reports(demo) / paper
    for table in report.tables:
        write_atomic(folder / f"{table.name}.md", safe.markdown(_table_page(report, table)))
        write_atomic(folder / f"{table.name}.csv", markdown.to_csv(table))
    render_figures(report)
    write_atomic(folder / "report.md", safe.markdown(report_markdown(report)))
    write_atomic(folder / "index.html", paper_page.page(report))
    expected = {"report.md", "index.html"}
    expected |= {f"{table.name}{ending}" for table in report.tables for ending in (".md", ".csv")}
    expected |= {f"{figure.name}{ending}" for figure in report.figures for ending in (".svg", ".png")}
    for file in folder.iterdir():
        if file.suffix in _GENERATED and file.name not in expected:
            file.unlink()
    return folder


def render_figures(report: Report) -> None:
    """Write the figures as SVG and PNG; one without results says what computes them."""
    if not report.figures:
        return
    from shared.report import figures  # loads matplotlib

    folder = paths.reports(report.demo) / report.paper
    for figure in report.figures:
        picture = folder / f"{figure.name}.png"
        svg, png = figures.render(figure, picture.read_bytes() if picture.is_file() else b"")
        write_atomic(folder / f"{figure.name}.svg", svg)
        write_atomic(picture, png)


def report_markdown(report: Report) -> str:
    """The whole report as Markdown: verdicts, tables, figures, deviations, sources."""
    parts = [f"# {report.title}\n"]
    if report.demo:
        parts.append(f"> {contents.DEMO_WARNING}\n")
    else:
        found = counts.lines(report.tally()).items()
        parts.append("".join(f"- {what[:1].upper()}{what[1:]}: {said}\n" for what, said in found))
        parts.append(f"{agreement.sentence(report.judged)}\n")
    for block in report.blocks():
        if isinstance(block, Table):
            parts.append(markdown.of_table(block))
        else:
            parts.append(f"## {block.title}\n")
            if block.draw:
                parts.append(f"![{block.alt}]({block.name}.svg)\n")
            parts += [f"{line}\n" for line in (block.caption, *block.footnotes())]
    parts += [deviations_markdown(report), sources_markdown(report)]
    parts.append("## How verdicts are made\n")
    parts.append("".join(f"- {rule}\n" for rule in counts.rules()))
    return "\n".join(parts)


def deviations_markdown(report: Report, table: Table | None = None) -> str:
    """What we do differently from the paper: all of it, or what concerns one table (all of it for claims)."""
    found = report.deviations
    if table is not None and not table.claims:
        found = [deviation for deviation in found if deviation.concerns(table.name)]
    header = ("What", "Paper", "Ours", "Why", "Expected effect")
    rows = [(d.what, d.paper, d.ours, d.why, d.expected_effect) for d in found]
    body = markdown.grid(header, rows) if rows else "None.\n"
    if len(found) < len(report.deviations):
        place = "[the report](report.md#deviations-from-the-paper)"
        count = f"{len(found)} of {len(report.deviations)}"
        body += f"\n{count}; the others do not concern this table and are in {place}.\n"
    return f"{'##' if table is None else '###'} Deviations from the paper\n\n{body}"


def sources_markdown(report: Report) -> str:
    """Where the numbers come from: experiment, tier, seeds, circumstances, files."""
    up = "../" * (3 if report.demo else 2)
    rows = []
    for origin in report.origins:
        files = ", ".join(f"[{Path(file).name}]({up}{file})" for file in origin.files)
        facts = "\n".join((*origin.facts, *origin.notes)) or f"not run: `{origin.command}`"
        rows.append((origin.experiment, origin.tier or "-", origin.seeds or "-", facts, files or "-"))
    header = ("Experiment", "Tier", "Seeds", "Circumstances", "Records")
    return f"## Where the numbers come from\n\n{markdown.grid(header, rows)}"


def _table_page(report: Report, table: Table) -> str:
    """The file of one table: the table, what differs from the paper, and the warning if it is a demo."""
    warning = f"> {contents.DEMO_WARNING}\n\n" if report.demo else ""
    return f"{warning}{markdown.of_table(table)}\n{deviations_markdown(report, table)}"
