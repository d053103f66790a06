"""The pages in a real browser: nothing cut off, keyboard, filters, enlarged figures, rules of accessibility.

The pages are those of this checkout, as committed. Needs Playwright's Python package and Chromium; the
rules of axe are checked if AXE names the file axe.min.js (``npm pack axe-core``).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REPORTS = Path(__file__).resolve().parents[3] / "reports"
PAGES = sorted(file.relative_to(REPORTS).as_posix() for file in REPORTS.glob("*/index.html"))
WIDTHS = (390, 768, 1024, 1400)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
AXE = os.environ.get("AXE", "")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; set CHROMIUM to its path"),
    pytest.mark.skipif(not PAGES, reason="the pages are not rendered: python -m pipelines report"),
]
every_page = pytest.mark.parametrize("name", ["index.html", *PAGES])
of_papers = pytest.mark.parametrize("name", PAGES)
#: Elements that reach beyond the window and are not there to be scrolled.
CUT = """() => [...document.querySelectorAll("main *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1) && !e.closest("svg, thead");
}).map((e) => e.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def shown(browser):
    """Opens a page from the file system; a message in the console is an error."""
    contexts = []

    def open_page(name, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto((REPORTS / name).as_uri())
        assert page.problems == []
        return page

    yield open_page
    for context in contexts:
        context.close()


@every_page
def test_nothing_is_cut_off_at_any_width(shown, name):
    page = shown(name)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        assert page.evaluate(CUT) == [], width


@every_page
def test_the_page_is_whole_without_javascript(shown, name):
    page = shown(name, java_script_enabled=False)
    assert page.locator("main").inner_text().strip()
    assert page.locator(".filters:visible").count() == 0


@of_papers
def test_filters_and_search_leave_what_was_asked_for(shown, name):
    page = shown(name)
    claims = page.locator(".claim")
    total = claims.count()
    visible = "(one) => one.filter((e) => !e.hidden).map((e) => e.dataset.verdict)"
    page.locator("button[data-value=good]").click()
    assert page.locator("button[data-value=good]").get_attribute("aria-pressed") == "true"
    assert set(claims.evaluate_all(visible)) == {"good"}
    assert f" of {total} claims" in page.locator(".found").inner_text()
    rows = page.locator("#numbers tbody tr:not([hidden])")
    assert rows.count() == page.locator("#numbers tbody tr:not([hidden]):has(td[data-verdict=good])").count()
    page.locator("button[data-value=good]").click()
    key = claims.first.locator(".key").inner_text()
    page.locator("#search").fill(key)
    assert 0 < len(claims.evaluate_all(visible)) < total
    page.locator("#search").fill("no such words anywhere")
    assert claims.evaluate_all(visible) == []
    page.locator("#search").fill("")
    assert len(claims.evaluate_all(visible)) == total


@of_papers
def test_figures_are_enlarged_and_come_back_by_keyboard(shown, name):
    page = shown(name)
    link = page.locator("#numbers a.enlarge").first
    link.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] svg").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert link.locator("svg").count() == 1
    assert link.evaluate("(one) => one === document.activeElement"), "the focus returns"


@of_papers
def test_a_number_leads_to_its_runs(shown, name):
    page = shown(name)
    link = page.locator("td a.ours").first
    link.evaluate("(one) => { const d = one.closest('details'); if (d) d.open = true; }")
    link.click()
    target = page.locator(":target")
    assert target.is_visible()
    assert "rerun" in target.inner_text()


@every_page
def test_tab_reaches_the_results_first(shown, name):
    page = shown(name)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"


@every_page
def test_print_shows_the_results_alone(shown, name):
    page = shown(name)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("nav:visible, .filters:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(20, 23, 27)"


@pytest.mark.skipif(not AXE, reason="AXE does not name axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@every_page
def test_no_rule_of_accessibility_is_broken(shown, name, scheme):
    page = shown(name, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == []
