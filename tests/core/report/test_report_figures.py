"""Figures: the same bytes whatever the reader's settings, and safe to put several into one page."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest

from shared.report import figures, html, theme


def figure(color=theme.SERIES[0]):
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
    assert figures.render(figure(theme.SERIES[1])) != plain


def test_figures_carry_no_date_and_no_version():
    svg, png = figures.render(figure())
    assert not re.search(r"\b20\d\d-\d\d", svg)
    assert matplotlib.__version__ not in svg
    assert matplotlib.__version__.encode() not in png
    assert png.startswith(b"\x89PNG")


def with_noise(noise, curve=0.0):
    """A figure with clip paths, markers, hatches, shapes and an image, its coordinates off by ``noise``."""

    def draw():
        drawn, axes = figures.canvas(4 + noise, 2, 1, 3)
        x = np.linspace(0, 1, 7) * (1 + noise)
        for one in axes[:2]:
            one.plot(x, x**2 + curve, marker="o")
            one.scatter(x, x, s=20 * (1 + x))
            one.bar(x, x, width=0.1, hatch="//")
            one.set(xlim=(-0.1, 1.1 + noise), ylim=(-0.1, 1.1))
        axes[2].imshow(np.outer(x, x) - x[3] ** 2 + noise, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
        return drawn

    return figures.Figure("f", "Title", "Caption.", "A line.", draw)


@pytest.mark.parametrize("noise", [1e-13, -1e-13])
def test_the_last_bits_of_a_float_do_not_change_figures(noise):
    svg, png = figures.render(with_noise(0.0))
    assert figures.render(with_noise(noise), png) == (svg, png)


def test_a_picture_is_drawn_anew_when_its_svg_changed_or_it_is_damaged():
    svg, png = figures.render(with_noise(0.0))
    moved, drawn = figures.render(with_noise(0.0, curve=0.01), png)
    assert moved != svg
    assert drawn != png
    assert figures.render(with_noise(0.0), png[:-40]) == (svg, png)
    assert figures.render(with_noise(0.0), b"no picture") == (svg, png)


def test_identifiers_are_counted_and_point_to_one_place():
    svg, _ = figures.render(with_noise(0.0))
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert {"p1", "p2", "m1", "h1", "image1"} <= set(ids)
    assert not [name for name in ids if re.search(r"[0-9a-f]{10}$", name)]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)) <= set(ids)


def test_equal_clip_paths_become_one_and_coordinates_are_short():
    clip = '<clipPath id="{}"><rect x="{}" y="2"/></clipPath>\n'
    uses = '<svg a="b"><g clip-path="url(#p0123456789)"/><path d="M {} 5" clip-path="url(#pabcdef0123)"/>'
    end = "</svg>"
    first = clip.format("p0123456789", "1.000001")
    two = figures._clean(uses.format("0.002812") + first + clip.format("pabcdef0123", "1.000002") + end)
    one = uses.replace("pabcdef0123", "p0123456789").format("0.002813")
    assert two == figures._clean(one + first + end)
    assert 'd="M 0.003 5" clip-path="url(#p1)"' in two
    kept = '<svg a="b"><g transform="translate(-0.0001 61.28125) scale(0.015625)"/></svg>'
    assert 'transform="translate(0 61.281) scale(0.015625)"' in figures._clean(kept)


def test_equal_images_in_one_figure_have_identifiers_of_their_own():
    def draw():
        drawn, axes = figures.canvas(3, 2, 1, 2)
        for one in axes:
            one.imshow(np.eye(3))
        return drawn

    svg, _ = figures.render(figures.Figure("f", "Title", "Caption.", "Two squares.", draw))
    assert {"image1", "image2"} <= set(re.findall(r'\bid="([^"]+)"', svg))


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
        assert theme.SERIES[0] not in found
        assert "var(--series-0)" in found


def test_every_color_has_a_dark_form_and_reads_well():
    assert set(theme.LIGHT) == set(theme.DARK)
    for color, (variable, dark) in theme.SWAPS.items():
        assert f"{variable}: {color};" in theme.declarations(theme.LIGHT)
        assert f"{variable}: {dark};" in theme.declarations(theme.DARK)
    for status in ("good", "bad", "open", "none"):
        for colors in (theme.LIGHT, theme.DARK):
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
