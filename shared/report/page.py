"""The front door: ``reports/index.html``, one card for each paper, its Markdown twin, and the README's
verdict table. Each paper has a page of its own (`shared.report.paper_page`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from shared.base import paths
from shared.base.files import write_atomic
from shared.report import contents, counts, html, markdown, safe, verdicts
from shared.report.contents import Report
from shared.report.forest import support
from shared.report.summary import Claim, summary
from shared.runs import config

TITLE = "Equivariance, reproduced"
DEMO_TITLE = "Equivariance, reproduced: demo"
LEAD = (
    "Do these papers hold up? Each was run again: claims tested over seeds, the paper's numbers beside ours."
)
README_START, README_END = "<!-- verdicts -->", "<!-- /verdicts -->"


def write(demo: bool = False) -> Path:
    """Write ``index.html`` and ``index.md`` of the committed results or of the demo; update the README for
    the former.

    Returns:
        The path of ``index.html``.
    """
    reports = [Report(paper, demo) for paper in config.papers()]
    folder = paths.reports(demo)
    write_atomic(folder / "index.html", page(reports, demo))
    write_atomic(folder / "index.md", safe.markdown(index_markdown(reports, demo)))
    if not demo:
        update_readme(reports)
    return folder / "index.html"


def page(reports: list[Report], demo: bool = False) -> str:
    """The start page as HTML: one card for each paper."""
    return html.fill(
        "start.html",
        title=DEMO_TITLE if demo else TITLE,
        lead=LEAD,
        warning=contents.DEMO_WARNING if demo else "",
        rules=counts.rules(),
        cards=[_card(report) for report in reports],
        root="../" * (2 if demo else 1),
    )


def _card(report: Report) -> dict[str, Any]:
    """One paper: its summary, and the claims that differ."""
    found = summary(report)
    return {
        "paper": report.paper,
        "title": report.title,
        "summary": found,
        "differing": found.those(verdicts.DIFFERS),
    }


def index_markdown(reports: list[Report], demo: bool = False) -> str:
    """The Markdown twin of the page: the verdict table, and links to each paper's report."""
    parts = [f"# {DEMO_TITLE if demo else TITLE}\n"]
    parts += [f"> {contents.DEMO_WARNING}\n"] if demo else []
    parts += [f"{LEAD}\n", verdict_table(reports, "")]
    for report in reports:
        inner = "".join(f"- {block.title}\n" for block in report.blocks())
        parts.append(f"## [{report.title}]({report.paper}/report.md)\n\n{inner}")
    rules = "".join(f"- {rule}\n" for rule in counts.rules())
    return "\n".join([*parts, f"## How verdicts are made\n\n{rules}"])


def verdict_table(reports: list[Report] | None = None, folder: str = "reports/") -> str:
    """One line per paper: headline claim, the paper's number and ours, all verdicts, and the command.

    A headline of several comparisons shows the one that supports it least, since all of them have to hold.

    Args:
        reports: of all papers if None.
        folder: where the reports are, seen from the file with this table.
    """
    rows = []
    for report in [Report(paper) for paper in config.papers()] if reports is None else reports:
        found = summary(report)
        claims = "\n".join(counts.phrases(report.tally()["claims"]).values()) or "-"
        numbers = "\n".join(f"{of}: {', '.join(said.values())}" for of, said in found.numbers.items())
        title = f"[{report.title}]({folder}{report.paper}/report.md)"
        rows.append((title, *_headline(found.headline), claims, numbers or "-"))
    return markdown.grid(("Paper", "Headline claim", "Does it hold?", "All claims", "All numbers"), rows)


def _headline(found: Claim | None) -> tuple[str, str]:
    """What the headline says with its command, and the numbers with the verdict."""
    if found is None:
        return "-", "-"
    part = min(found.parts, key=support)
    in_part = found.verdict.status == verdicts.NOT_RUN and not found.waits
    said = [f"**{found.word if in_part else found.verdict.text}**"]
    said += [f"paper {part.reference}"] if part.reference not in ("", "-") else []
    several = f" (the weakest of {len(found.parts)})" if len(found.parts) > 1 else ""
    said += [f"ours {part.ours}{several}"] if part.ours else []
    command = [f"`{found.command}`"] if found.command else []
    return "\n".join([f"**{found.key}** {found.statement}", *command]), "\n".join(said)


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
    new = f"{before}{start}\n{safe.markdown(verdict_table(reports))}{end}{after}"
    if new == old:
        return False
    mode = os.stat(file).st_mode
    write_atomic(file, new)
    os.chmod(file, mode)
    return True
