"""Tables and figures as HTML fragments: valid, accessible, without scripts and without anything loaded from
elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from shared import verdicts
from shared.report import palette, text
from shared.report.tables import Cell, Row, Table

#: Not color alone: each status has a sign of its own.
SIGNS = {
    verdicts.REPRODUCED: ("good", "✓"),
    verdicts.DIFFERS: ("bad", "≠"),
    verdicts.TOO_FEW: ("open", "…"),
    verdicts.NOT_RUN: ("none", "○"),
    None: ("none", "-"),
}


def badge(verdict: verdicts.Verdict) -> str:
    """A verdict as a small label; its reason is the tooltip and is read out by screen readers."""
    kind, sign = SIGNS[verdict.status]
    reason = f' title="{html.escape(verdict.reason)}"' if verdict.reason else ""
    shown = f'<span aria-hidden="true">{sign}</span> {html.escape(verdict.text)}'
    return f'<span class="badge {kind}"{reason}>{shown}</span>'


def small(line: str) -> str:
    """A secondary line, from Markdown."""
    return f'<span class="small">{text.inline_html(line)}</span>'


def count_badges(phrases: dict[str, str]) -> str:
    """A label for each status from its phrase, such as ``3 reproduced``; a dash if there are none."""
    found = [
        f'<span class="badge {SIGNS[status][0]}"><span aria-hidden="true">{SIGNS[status][1]}</span> '
        f"{phrase}</span>"
        for status, phrase in phrases.items()
    ]
    return " ".join(found) or "-"


def table(found: Table, anchor: str, level: int = 3) -> str:
    """A table with heading, caption and footnotes; wide ones scroll sideways inside their frame."""
    title = text.inline_html(found.title)
    head = "".join(f'<th scope="col">{text.inline_html(column.title)}</th>' for column in found.columns)
    body = "\n".join(_row(row) for row in found.rows)
    kind = "claims" if found.claims else "numbers"
    return (
        f'<section class="block" id="{anchor}" aria-labelledby="{anchor}-title">\n'
        f'<h{level} id="{anchor}-title">{title} {permalink(anchor)}</h{level}>\n'
        f"{_paragraphs([found.caption], 'caption')}"
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{anchor}-title">\n'
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n</div>\n'
        f"{_paragraphs(found.footnotes(), 'note')}</section>\n"
    )


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "plain") -> str:
    """A simple table; the fields are HTML already, the first of each row is its header."""
    head = "".join(f'<th scope="col">{field}</th>' for field in header)
    body = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{field}</td>" for field in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(text.plain(header[0]))}">'
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n'
    )


def figure(title: str, caption: str, notes: Sequence[str], picture: str, anchor: str, level: int = 3) -> str:
    """A figure with heading and caption; ``picture`` is inline SVG, or empty if there is nothing to show."""
    shown = picture or '<p class="empty">Not run yet.</p>'
    return (
        f'<section class="block" id="{anchor}" aria-labelledby="{anchor}-title">\n'
        f'<h{level} id="{anchor}-title">{text.inline_html(title)} {permalink(anchor)}</h{level}>\n'
        f"<figure>\n{shown}\n<figcaption>{text.inline_html(caption)}</figcaption>\n</figure>\n"
        f"{_paragraphs(notes, 'note')}</section>\n"
    )


def permalink(anchor: str) -> str:
    """A link to the place itself."""
    return f'<a class="permalink" href="#{anchor}" aria-label="Link to this section">#</a>'


def inline_svg(svg: str, prefix: str, title: str, description: str) -> str:
    """An SVG file as an element of the page: unique ids, a name for screen readers, the page's colors.

    Args:
        svg: content of the file.
        prefix: what makes the ids of this figure different from those of every other one on the page.
        title, description: read out instead of the picture.
    """
    body = svg[svg.index("<svg") :]
    # metadata (license boilerplate of the writer) is of no use inside a page and would be repeated per figure
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    for color, (variable, _) in palette.SWAPS.items():
        body = body.replace(color, f"var({variable})")
    opening, rest = body.split(">", 1)
    opening = re.sub(r' style="[^"]*"', "", opening)
    names = f'role="img" aria-labelledby="{prefix}-svg-title {prefix}-svg-description"'
    return (
        f'{opening} {names}><title id="{prefix}-svg-title">{html.escape(text.plain(title))}</title>'
        f'<desc id="{prefix}-svg-description">{html.escape(text.plain(description))}</desc>{rest}'
    ).strip()


def _row(row: Row) -> str:
    cells = "".join(f"<td>{_cell(cell if isinstance(cell, Cell) else Cell(cell))}</td>" for cell in row.cells)
    kind = ' class="headline"' if row.headline else ""
    return f'<tr{kind}><th scope="row">{text.inline_html(row.title)}</th>{cells}</tr>'


def _cell(cell: Cell) -> str:
    parts = []
    if cell.text and not cell.not_run:
        ours = text.inline_html(cell.text)
        parts.append(f'<span class="ours">{ours}</span>' if cell.sample.n else f"<span>{ours}</span>")
    parts += [small(cell.provenance)] if cell.provenance else []
    parts += [small(f"paper {cell.paper}")] if cell.paper else []
    parts += [small(f"Δ {cell.difference}")] if cell.difference else []
    parts += [badge(cell.verdict)] if cell.verdict is not None else []
    parts += [small(cell.note)] if cell.note else []
    return "".join(parts)


def _paragraphs(lines: Sequence[str], kind: str) -> str:
    return "".join(f'<p class="{kind}">{text.inline_html(line)}</p>\n' for line in lines if line)
