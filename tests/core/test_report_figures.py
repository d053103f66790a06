"""Figures: the same bytes whatever the reader's settings, and safe to put several into one page."""

from __future__ import annotations

import re

import matplotlib

from shared.report import figures, html, palette, style


def figure(color=palette.SERIES[0]):
    def draw():
        drawn, (axes,) = figures.canvas(3, 2)
        axes.plot([0, 1], [1, 0], color=color)
        axes.fill_between([0, 1], [0, 0], [1, 1], alpha=0.2)
        axes.set(xlabel="x", xlim=(0.2, 0.8))
        return drawn

    return figures.Figure("f", "Title <1>", "Caption.", "A `line`.", draw)


def test_a_readers_own_settings_do_not_change_figures(monkeypatch):
    plain = figures.render(figure())
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20.0)
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
    assert figures.render(figure()) == plain
    assert matplotlib.rcParams["font.size"] == 20.0
    assert figures.render(figure(palette.SERIES[1])) != plain


def test_figures_carry_no_date_and_no_version():
    svg, png = figures.render(figure())
    assert not re.search(r"\b20\d\d-\d\d", svg)
    assert matplotlib.__version__ not in svg
    assert matplotlib.__version__.encode() not in png
    assert png.startswith(b"\x89PNG")


def test_inlined_figures_keep_their_references_apart():
    svg, _ = figures.render(figure())
    both = [html.inline_svg(svg, name, "Title <1>", "A `line`.") for name in ("one", "two")]
    first, second = (set(re.findall(r'\bid="([^"]+)"', found)) for found in both)
    assert first
    assert not first & second
    for found, ids in zip(both, (first, second)):
        used = re.findall(r'href="#([^"]+)"', found) + re.findall(r"url\(#([^)]+)\)", found)
        assert used
        assert set(used) <= ids
        assert found.startswith("<svg")
        assert 'role="img"' in found
        assert "Title &lt;1&gt;</title>" in found
        assert palette.SERIES[0] not in found
        assert "var(--series-0)" in found


def test_every_color_has_a_dark_form_and_reads_well():
    sheet = style.sheet()
    for color, (variable, dark) in palette.SWAPS.items():
        assert f"{variable}: {color};" in sheet
        assert f"{variable}: {dark};" in sheet
    for status in ("good", "bad", "open", "none"):
        for colors in (style._LIGHT, style._DARK):
            assert contrast(colors[f"--{status}"], colors[f"--{status}-ground"]) >= 4.5
            assert contrast(colors["--soft"], colors["--card"]) >= 4.5


def contrast(first, second):
    """Contrast ratio of two colors as the accessibility guidelines define it."""

    def luminance(color):
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
