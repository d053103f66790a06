"""What reports show cannot act: hand-edited SVG, HTML in texts, formulas in CSV."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from shared.base.errors import UserError
from shared.report import html, markdown, safe
from shared.report.tables import Cell, Column, Row, Table

ROOT = Path(__file__).resolve().parents[3]
FIGURE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
 <metadata><rdf:RDF xmlns:rdf="x"><a onload="b()"/></rdf:RDF></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style>
 <clipPath id="c"><rect width="9" height="9"/></clipPath></defs>
 <!-- <script>alert(1)</script> -->
 <path d="M 0 0" clip-path="url(#c)" style="fill: none"/><use xlink:href="#c"/>
 <image xlink:href="data:image/png;base64,AAAA" width="1" height="1"/>%s
</svg>
"""


def test_a_figure_is_rebuilt_without_what_does_not_draw():
    found = safe.svg(FIGURE % "<title>a &lt; b</title>", "f.svg")
    assert found.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert found.endswith("</svg>")
    for word in ("script", "metadata", "onload", "DOCTYPE", "<!--"):
        assert word not in found
    assert '<path d="M 0 0" clip-path="url(#c)" style="fill: none"/><use xlink:href="#c"/>' in found
    assert "<title>a &lt; b</title>" in found
    assert safe.svg(found, "again") == found


@pytest.mark.parametrize(
    ("inner", "says"),
    [
        *(("<script>a()</script>", "<script>"), ("<foreignObject/>", "<foreignObject>"), ("<a/>", "<a>")),
        *(('<g onload="a()"/>', "the attribute onload"), ("<svg/>", "<svg>"), ("<iframe/>", "<iframe>")),
        *(('<use xlink:href="javascript:a()"/>', "reference"), ('<use href="http://x/#a"/>', "reference")),
        ('<image xlink:href="data:text/html;base64,AAAA"/>', "a reference to 'data:text/html"),
        ('<image xlink:href="data:image/svg+xml;base64,AAAA"/>', "a reference"),
        *(('<g style="fill: url(http://x)"/>', "style"), ('<g fill="url(//x)"/>', "fill")),
        *(("<style>@import 'x'</style>", "the text"), (r"<style>a{b:u\72l(x)}</style>", "the text")),
        ("<style>&lt;/style>&lt;script></style>", "the text"),
        ('<g xmlns="http://www.w3.org/1999/xhtml"/>', "xmlns"),
        ('<g xmlns:h="http://www.w3.org/1999/xhtml"/>', "xmlns:h"),
        ('<animate attributeName="href"/>', "<animate>"),
        ("<g>" * 200 + "</g>" * 200, "nested very deep"),
    ],
)
def test_what_acts_in_a_figure_is_refused(inner, says):
    with pytest.raises(UserError, match=r"^f\.svg holds .*; delete it and render the report again") as caught:
        html.inline_svg(FIGURE % inner, "f", "Title", "What it shows.", "f.svg")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "<svg", "<html/>", "a", "\ud800", "<svg>&x;</svg>", "<svg/><svg/>"),
        '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
        "<!DOCTYPE svg ["
        + "".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(99))
        + "]><svg>&a98;</svg>",
    ],
)
def test_what_is_no_figure_is_refused(text):
    with pytest.raises(UserError, match=r"^f\.svg (is not SVG|holds )"):
        safe.svg(text, "f.svg")


def test_identifiers_cannot_leave_their_attribute():
    found = html.inline_svg(FIGURE % "", 'x" onload="a()', "Title", "What it shows.")
    assert 'id="x__onload__a__-c"' in found
    assert 'x"' not in found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <script>b()</script>", "a &lt;script>b()&lt;/script>"),
        ("<!-- a --> <?b?> </c> <http://x> <b@c>", "&lt;!-- a --> &lt;?b?> &lt;/c> &lt;http://x> &lt;b@c>"),
        ("p < 0.05 and 3<4, a<br>b", "p < 0.05 and 3<4, a<br>b"),
        ("`<b>` and <b> and ``a`<b>``", "`<b>` and &lt;b> and ``a`<b>``"),
        (r"\`<b>` and `|<b>`", r"\`&lt;b>` and `|&lt;b>`"),
        ("`` ` <img src=x>", "`` ` &lt;img src=x>"),
        ("[a](javascript:b)", r"[a]\(javascript:b)"),
        ("[a]( javascript:b) [a](<javascript:b>)", r"[a]\( javascript:b) [a]\(&lt;javascript:b>)"),
        (r"\\[a\\](data:b)", r"\\[a\\]\(data:b)"),
        ("[a](https://b.org/c) [a](b/c.md#d)", "[a](https://b.org/c) [a](b/c.md#d)"),
        ("L[32]h[6](k[9])", r"L[32]h[6]\(k[9])"),
        ("![a](b.svg) ![a](http://b/c.png)", r"![a](b.svg) \![a](http://b/c.png)"),
        ("[a]: javascript:b\n> [c]: d", "\\[a]: javascript:b\n> \\[c]: d"),
    ],
)
def test_markdown_holds_no_html_and_leads_to_no_script(text, shown):
    assert safe.markdown(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+cmd()",
        "-2+3+cmd|' /C c'!A0",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "-x",
        "-1\n=2",
        "+1(a)(b)",
    ],
)
def test_what_a_spreadsheet_would_compute_is_text(text):
    assert safe.csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a=b", "-0.12", "+1e-3", "-", "+5.32 (se 0.129)\n-5.27 (se 0.128)", "-\n-", "-1 %"]
)
def test_numbers_stay_numbers(text):
    assert safe.csv_cell(text) == text


def test_no_cell_of_a_report_is_a_formula():
    column = Column("=c", "C")
    made = markdown.to_csv(
        Table("t", "T", (Column("row", "R"), column), (Row("=r", "R", (Cell("=cmd()"),)),))
    )
    row = list(csv.reader(io.StringIO(made)))[1]
    assert row[:3] == ["'=r", "'=c", "'=cmd()"]


def test_the_committed_reports_are_what_passes():
    for file in sorted(ROOT.glob("reports/*/*.svg"))[:8]:
        assert safe.svg(file.read_text(encoding="utf-8"), file.name).endswith("</svg>")


def test_a_page_may_load_nothing():
    frame = html.source("base.html")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', frame)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    for file in (ROOT / "shared" / "report" / "templates").glob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", ""), file.name
        assert "script-src 'unsafe-inline'" not in text
