"""The front door: ``reports/index.html``, one self-contained page, its Markdown twin, and the README's
verdict table."""

from __future__ import annotations

import html as escaping
import os
from collections.abc import Mapping
from pathlib import Path

from shared import config, paths
from shared.files import write_atomic
from shared.report import contents, counts, html, markdown, render, style, text
from shared.report.contents import Report
from shared.report.tables import Table

TITLE = "Equivariance, reproduced"
DEMO_TITLE = "Equivariance, reproduced: demo"
LEAD = (
    "Every number and claim of the papers beside ours, with the number of runs, the spread between seeds "
    "and a verdict. All of it is computed from the records in this repository; the command beside each "
    "table computes it again."
)
#: The page may load nothing at all: style is inline, pictures are inline, there are no scripts.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
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
    title = DEMO_TITLE if demo else TITLE
    warning = (
        f'<p class="warning" role="note">{text.inline_html(contents.DEMO_WARNING)}</p>\n' if demo else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>\n{style.sheet()}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the results</a>\n<div class="layout">\n'
        f'<header class="top">\n<h1>{title}</h1>\n{warning}<p class="lead">{LEAD}</p>\n</header>\n'
        f'{_contents(reports)}<main id="main">\n{_summary(reports)}{"".join(map(_paper, reports))}</main>\n'
        f"<footer><p>Generated from <code>pipelines/*/results</code> and <code>pipelines/*/paper.csv</code>; "
        f"do not edit by hand. The same as Markdown: "
        f'<a href="index.md">index.md</a>.</p></footer>\n</div>\n</body>\n</html>\n'
    )


def _contents(reports: list[Report]) -> str:
    entries = [
        '<li><a href="#summary">Verdicts</a></li>',
        '<li><a href="#rules">How verdicts are made</a></li>',
    ]
    for report in reports:
        inner = ""
        for block in report.blocks():
            short = text.inline_html(block.title.partition(":")[0])
            inner += f'<li><a href="#{_anchor(report, block)}">{short}</a></li>'
        inner += f'<li><a href="#{report.paper}-deviations">Deviations</a></li>'
        inner += f'<li><a href="#{report.paper}-records">Records</a></li>'
        title = escaping.escape(report.title)
        entries.append(f'<li><a href="#{report.paper}"><strong>{title}</strong></a><ul>{inner}</ul></li>')
    return (
        '<nav class="toc" aria-labelledby="toc-title">\n<h2 id="toc-title">Contents</h2>\n'
        f"<ul>{''.join(entries)}</ul>\n</nav>\n"
    )


def _summary(reports: list[Report]) -> str:
    rows = []
    for report in reports:
        cells, claims = report.counts()
        found = report.headline()
        title = f'<a href="#{report.paper}">{escaping.escape(report.title)}</a>'
        claim, ours = "-", "-"
        if found:
            claim = f'<a href="#{_anchor(report, found.table)}">{text.inline_html(found.row.title)}</a>'
            ours = (
                html.small(f"paper: {found.paper}")
                + html.small(f"ours: {found.ours}")
                + html.badge(found.verdict)
            )
        rows.append((title, claim, ours, _badges(claims), _badges(cells)))
    header = ("Paper", "Headline claim", "Outcome", "All claims", "All numbers")
    rules = "".join(f"<li>{text.inline_html(rule)}</li>" for rule in counts.rules())
    return (
        f'<section id="summary" aria-labelledby="summary-title">\n<h2 id="summary-title">Verdicts</h2>\n'
        f"{html.plain_table(header, rows)}"
        f'<details class="block" id="rules"><summary>How verdicts are made</summary>'
        f'<ul class="rules">{rules}</ul></details>\n</section>\n'
    )


def _badges(of: Mapping[counts.Kind, int]) -> str:
    return html.count_badges(counts.phrases(of))


def _paper(report: Report) -> str:
    blocks = "".join(_block(report, block) for block in report.blocks())
    cells, claims = report.counts()
    title = escaping.escape(report.title)
    status = f"Claims: {_badges(claims)}<br>Numbers: {_badges(cells)}"
    return (
        f'<section id="{report.paper}" aria-labelledby="{report.paper}-title">\n'
        f'<h2 id="{report.paper}-title">{title} {html.permalink(report.paper)}</h2>\n'
        f"<p>{status}</p>\n{blocks}{_deviations(report)}{_records(report)}</section>\n"
    )


def _block(report: Report, block: object) -> str:
    anchor = _anchor(report, block)
    if isinstance(block, Table):
        return html.table(block, anchor)
    picture = ""
    if block.draw:
        file = paths.reports(report.demo) / report.paper / f"{block.name}.svg"
        if not file.is_file():
            render.render_figures(report)
        picture = html.inline_svg(file.read_text(encoding="utf-8"), anchor, block.title, block.alt)
    return html.figure(block.title, block.caption, block.footnotes(), picture, anchor)


def _anchor(report: Report, block: object) -> str:
    kind = "table" if isinstance(block, Table) else "figure"
    return f"{report.paper}-{kind}-{block.name}"


def _deviations(report: Report) -> str:
    rows = [
        [text.inline_html(field) for field in (d.what, d.paper, d.ours, d.why, d.expected_effect)]
        for d in report.deviations
    ]
    header = ("What", "Paper", "Ours", "Why", "Expected effect")
    return (
        f'<details class="block" id="{report.paper}-deviations">'
        f"<summary>Deviations from the paper ({len(rows)})</summary>\n"
        f"{html.plain_table(header, rows) if rows else '<p>None.</p>'}</details>\n"
    )


def _records(report: Report) -> str:
    up = "../" * (2 if report.demo else 1)
    rows = []
    for origin in report.origins:
        links = [f'<a href="{up}{file}">{Path(file).name}</a>' for file in origin.files]
        facts = "<br>".join(text.inline_html(fact) for fact in (*origin.facts, *origin.notes))
        facts = facts or f"not run: <code>{escaping.escape(origin.command)}</code>"
        seeds = escaping.escape(origin.seeds or "-")
        rows.append(
            (escaping.escape(origin.experiment), origin.tier or "-", seeds, facts, "<br>".join(links) or "-")
        )
    header = ("Experiment", "Tier", "Seeds", "Circumstances", "Records")
    return (
        f'<details class="block" id="{report.paper}-records"><summary>Where the numbers come from</summary>\n'
        f"{html.plain_table(header, rows)}</details>\n"
    )


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
            command = f"`{found.table.commands[0]}`" if found.table.commands else "-"
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
