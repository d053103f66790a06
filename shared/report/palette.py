"""The colors of figures and page, in one place and without matplotlib, so that the page can swap them for
dark mode."""

from __future__ import annotations

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
