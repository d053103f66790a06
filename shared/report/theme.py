"""The colors of figures and page, light and dark, in one place and without matplotlib.

Figures are drawn in the light colors; the page swaps them for dark mode by CSS variables.
"""

from __future__ import annotations

from collections.abc import Mapping

INK = "#24292e"
MUTED = "#5b646d"
GRID = "#d9dee3"
#: Blue, vermilion, green, purple, orange, sky: told apart under the common forms of color blindness.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a6609a", "#b37900", "#3f97c6")

#: What each color becomes on a dark ground, with the name of the CSS variable that carries it.
SWAPS = {
    INK: ("--figure-ink", "#e6e9ec"),
    MUTED: ("--figure-muted", "#a2abb4"),
    GRID: ("--figure-grid", "#363d45"),
    SERIES[0]: ("--series-0", "#4aa8e0"),
    SERIES[1]: ("--series-1", "#f08a4b"),
    SERIES[2]: ("--series-2", "#2fc79b"),
    SERIES[3]: ("--series-3", "#d59acb"),
    SERIES[4]: ("--series-4", "#e0b04a"),
    SERIES[5]: ("--series-5", "#86c5ea"),
}

#: Bars of verdicts (Okabe and Ito): told apart under the common forms of color blindness, light and dark.
BARS = {
    "--good-fill": "#009e73",
    "--bad-fill": "#d55e00",
    "--open-fill": "#e6b800",
    "--unjudged-fill": "#7fb3d9",
}

#: The page's own colors, as the variables that its style sheet uses.
LIGHT = {
    "--ground": "#fbfaf8",
    "--card": "#ffffff",
    "--ink": "#1f2328",
    "--soft": "#565e67",
    "--line": "#e2dfd9",
    "--shade": "#00000040",
    "--stripe": "#f6f4f0",
    "--accent": "#0b5c8f",
    "--good": "#17663a",
    "--good-ground": "#e3f3e8",
    "--bad": "#9a2a1b",
    "--bad-ground": "#fbe9e5",
    "--open": "#775200",
    "--open-ground": "#fbf0d6",
    "--none": "#565e67",
    "--none-ground": "#eeece8",
    **BARS,
    "--none-fill": "#b6bec7",
    "--band": "#dfe9f3",
    **{variable: color for color, (variable, _) in SWAPS.items()},
}
DARK = {
    "--ground": "#14171b",
    "--card": "#1b1f24",
    "--ink": "#e6e9ec",
    "--soft": "#a2abb4",
    "--line": "#30363d",
    "--shade": "#000000c0",
    "--stripe": "#20252b",
    "--accent": "#79b8e8",
    "--good": "#7ddba0",
    "--good-ground": "#16301f",
    "--bad": "#ff9e8c",
    "--bad-ground": "#3b1d18",
    "--open": "#efc667",
    "--open-ground": "#352a10",
    "--none": "#a2abb4",
    "--none-ground": "#2a3037",
    **BARS,
    "--none-fill": "#56616c",
    "--band": "#24364a",
    **dict(SWAPS.values()),
}


def declarations(colors: Mapping[str, str]) -> str:
    """``--ink: #1f2328; --soft: #565e67;``: colors as CSS declares them."""
    return " ".join(f"{name}: {color};" for name, color in colors.items())
