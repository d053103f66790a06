"""The page's style sheet. System fonts, no images, light and dark, readable on a phone and on paper."""

from __future__ import annotations

from shared.report.palette import SWAPS

_LIGHT = {
    "--ground": "#fbfaf8",
    "--card": "#ffffff",
    "--ink": "#1f2328",
    "--soft": "#565e67",
    "--line": "#e2dfd9",
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
}
_DARK = {
    "--ground": "#14171b",
    "--card": "#1b1f24",
    "--ink": "#e6e9ec",
    "--soft": "#a2abb4",
    "--line": "#30363d",
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
}

_RULES = """
*, *::before, *::after { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
a { color: var(--accent); text-underline-offset: 0.15em; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: 0.5rem 1rem; z-index: 2; }

.layout { display: grid; grid-template-columns: minmax(0, 1fr); max-width: 94rem; margin: 0 auto;
  padding: 0 clamp(1rem, 3vw, 2.5rem) 3rem; column-gap: 2rem; }
header.top { padding: 2.5rem 0 0.5rem; }
main { min-width: 0; }
@media (min-width: 72rem) {
  .layout { grid-template-columns: 12.5rem minmax(0, 1fr); }
  header.top, footer { grid-column: 1 / -1; }
  nav.toc { position: sticky; top: 1rem; align-self: start; max-height: calc(100vh - 2rem); overflow: auto; }
}

h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: clamp(1.7rem, 4vw, 2.5rem); margin: 0 0 0.5rem; letter-spacing: -0.015em; }
h2 { font-size: 1.6rem; margin: 3.5rem 0 0.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
main > section:first-child > h2 { border: 0; margin-top: 0.5rem; padding-top: 0; }
h3 { font-size: 1.15rem; margin: 0 0 0.4rem; }
p { max-width: 52rem; margin: 0 0 0.75rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.warning { background: var(--open-ground); border-left: 4px solid var(--open); padding: 0.75rem 1rem;
  max-width: none; border-radius: 0 6px 6px 0; }
.caption { color: var(--soft); }
.note, figcaption { color: var(--soft); font-size: 0.88rem; max-width: 56rem; margin: 0.6rem 0 0; }
.permalink { color: var(--soft); text-decoration: none; font-weight: 400; opacity: 0.35; }
.permalink:hover, .permalink:focus { opacity: 1; }
code { font: 0.88em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  background: var(--stripe); border-radius: 4px; padding: 0.08em 0.3em; overflow-wrap: anywhere; }

nav.toc { font-size: 0.9rem; line-height: 1.45; }
nav.toc h2 { font-size: 0.8rem; letter-spacing: 0.08em; text-transform: uppercase; color: var(--soft);
  border: 0; margin: 1.25rem 0 0.25rem; padding: 0; }
nav.toc ul { list-style: none; margin: 0; padding: 0; }
nav.toc ul ul { padding-left: 0.9rem; border-left: 1px solid var(--line); margin: 0.2rem 0 0.5rem; }
nav.toc a { display: block; padding: 0.22rem 0; text-decoration: none; color: var(--ink); }
nav.toc a:hover { color: var(--accent); text-decoration: underline; }

.block { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 1.25rem 0;
  padding: clamp(0.9rem, 2.5vw, 1.4rem); scroll-margin-top: 1rem; }
.scroll { overflow-x: auto; margin: 0.75rem 0 0.25rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; line-height: 1.5;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.6rem; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 0.15rem; }
thead th { color: var(--soft); font-weight: 600; font-size: 0.8rem; line-height: 1.35; vertical-align: bottom;
  border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; min-width: 6.5rem; }
tbody tr:last-child > * { border-bottom: 0; }
tbody tr:hover { background: var(--stripe); }
.numbers td { white-space: nowrap; }
.numbers th:first-child { position: sticky; left: 0; background: var(--card); }
.claims tbody th { font-weight: 400; min-width: 13rem; }
.claims tbody tr.headline th { font-weight: 600; }
.claims td { white-space: nowrap; }
.claims td .small { white-space: normal; max-width: 10rem; }
.claims td:last-child { font-size: 0.8rem; line-height: 1.65; }
.plain th { font-weight: 400; min-width: 9rem; }
.plain td { min-width: 8rem; }
td > span { display: block; }
td > .badge { display: inline-block; margin-top: 0.2rem; }
.ours { font-weight: 600; font-size: 0.98rem; }
.small { display: block; color: var(--soft); font-size: 0.8rem; line-height: 1.45; }
.badge { display: inline-block; border-radius: 99px; padding: 0.05rem 0.6rem; margin: 0.1rem 0.15rem 0.1rem 0;
  font-size: 0.78rem; font-weight: 600; white-space: nowrap; }
#summary .badge { font-size: 0.74rem; padding: 0.05rem 0.45rem; }
.badge.good { color: var(--good); background: var(--good-ground); }
.badge.bad { color: var(--bad); background: var(--bad-ground); }
.badge.open { color: var(--open); background: var(--open-ground); }
.badge.none { color: var(--none); background: var(--none-ground); }

figure { margin: 0.5rem 0 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 54rem; }
.empty { color: var(--soft); font-style: italic; border: 1px dashed var(--line); border-radius: 8px;
  padding: 2rem; text-align: center; max-width: none; }
details { margin: 1rem 0; }
details.block { padding-top: 0.9rem; padding-bottom: 0.9rem; }
summary { cursor: pointer; font-weight: 600; }
details[open] > summary { margin-bottom: 0.5rem; }
.rules { max-width: 52rem; padding-left: 1.2rem; margin: 0.25rem 0; }
.rules li { margin: 0.35rem 0; }
footer { color: var(--soft); font-size: 0.88rem; border-top: 1px solid var(--line); margin-top: 3rem;
  padding-top: 1rem; }

@media print {
  nav.toc, .permalink, .skip { display: none; }
  .layout { display: block; max-width: none; padding: 0; }
  .block { border: 0; padding: 0; break-inside: avoid-page; }
  .scroll { overflow: visible; }
}
"""


def sheet() -> str:
    """The whole style sheet."""
    light = _LIGHT | {variable: color for color, (variable, _) in SWAPS.items()}
    dark = _DARK | dict(SWAPS.values())
    return (
        f":root {{ color-scheme: light dark; {_declarations(light)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_declarations(dark)} }} }}"
        f"{_RULES}"
    )


def _declarations(values: dict[str, str]) -> str:
    return " ".join(f"{name}: {value};" for name, value in values.items())
