"""The committed pages of all papers: their size, their links, titles that can be told apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_checker import Checker, check

from shared.report import paper_page

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "reports" / "index.html"
PAGES = sorted(START.parent.glob("*/index.html"))
TEXTS = sorted(START.parent.glob("*/*.md"))
pytestmark = pytest.mark.skipif(not PAGES, reason="not rendered: python -m pipelines report")
#: Bytes that a page may have: a start page is read at once, a paper's holds its figures.
MOST = {True: 300_000, False: 3_000_000}
SEEN: dict[Path, Checker] = {}


@pytest.mark.parametrize("file", [START, *PAGES], ids=lambda file: file.parent.name)
def test_a_committed_page_is_small_whole_and_leads_somewhere(file):
    assert file.stat().st_size < MOST[file == START]
    found = check(file, SEEN)
    scripts = "".join(found.by_tag.get("script", []))
    assert scripts == ("" if file == START else paper_page.script()), "render the pages again"
    assert not re.search(r"&lt;(?!script)(span|a|td|svg|strong|code)\\b", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.parent.name)
def test_titles_in_the_contents_and_keys_of_claims_are_unique(file):
    content = file.read_text(encoding="utf-8")
    titles = re.findall(r'<li><a href="[^"]*">(.*?)</a></li>', content[: content.index("</nav>")])
    assert len(titles) == len(set(titles)), titles
    assert len(titles) > 4


@pytest.mark.parametrize(
    "file", sorted(START.parent.glob("*/*.md")), ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_no_text_became_a_link_by_accident(file):
    for address in re.findall(r"\]\(([^)\s]+)", re.sub(r"`[^`]*`", "", file.read_text(encoding="utf-8"))):
        if not re.match("https?://|#", address):
            assert (file.parent / address.partition("#")[0]).exists(), f"{file}: {address}"
