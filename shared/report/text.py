"""Numbers and short texts as reports print them.

All numbers are formatted here, never by pandas or numpy, whose output changes between versions. They are
rounded to twelve digits first (`settled`): the mean of 97.61 and 97.62 is 97.615 or 97.61500000000001,
whatever the processor makes of it, and must not be printed as 97.61 here and 97.62 there. Texts
(captions, notes, claims) are Markdown with code spans, bold, italics and links only; `inline_html` turns
exactly these into HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

_SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)")
#: Links are relative (records, other reports) or plain web addresses, nothing that a browser would execute.
_LINK = re.compile(r"(https?://|[A-Za-z0-9_./#-]+$)")


def settled(value: float) -> float:
    """The number without its last four digits, which differ between processors."""
    return float(f"{value:.12g}")


def fixed(value: float, decimals: int) -> str:
    """Fixed number of decimals, without a negative zero: ``fixed(-0.001, 2) == "0.00"``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    text = f"{settled(value):.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def signed(value: float, decimals: int) -> str:
    """Fixed decimals with the sign always shown, zero without one."""
    text = fixed(value, decimals)
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def scientific(value: float) -> str:
    """Two significant digits: ``2.1e-07``; zero is ``0``."""
    return "0" if value == 0 else f"{settled(value):.1e}"


def significant(value: float | None, digits: int = 6) -> str:
    """At most ``digits`` significant digits, for CSV; empty for None and NaN."""
    return "" if value is None or math.isnan(value) else f"{settled(value) + 0.0:.{digits}g}"


def plus_minus(mean: float, sd: float, decimals: int) -> str:
    """``97.62 ± 0.21``; the spread is left out if it is not known (one run)."""
    return fixed(mean, decimals) if math.isnan(sd) else f"{fixed(mean, decimals)} ± {fixed(sd, decimals)}"


def p_value(p: float) -> str:
    """``p = 0.031``, ``p = 3e-4`` or ``p < 1e-12``."""
    p = settled(p)
    if p < 1e-12:
        return "p < 1e-12"
    if p < 0.001:
        mantissa, exponent = f"{p:.0e}".split("e")
        return f"p = {mantissa}e{int(exponent)}"
    return f"p = {p:.3f}"


def effect_size(d: float) -> str:
    """``d = 2.1``; beyond 1000 only that, since seeds that differ by rounding alone give any number there."""
    if abs(d) > 1000:
        return "d > 1000" if d > 0 else "d < -1000"
    return f"d = {fixed(d, 1)}"


def interval(low: float, high: float, decimals: int) -> str:
    """``[-0.12, 0.34]``."""
    return f"[{fixed(low, decimals)}, {fixed(high, decimals)}]"


def thousands(value: float) -> str:
    """``25,570``."""
    return f"{round(settled(value)):,}"


def join(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    items = list(parts)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def spans(seeds: Sequence[int]) -> str:
    """Seeds in short: ``0-4, 7``."""
    pieces: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if pieces and pieces[-1][-1] == seed - 1:
            pieces[-1].append(seed)
        else:
            pieces.append([seed])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in pieces)


def markdown_cell(text: str) -> str:
    """Text that is safe inside one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", "<br>")


def inline_html(text: str) -> Markup:
    """HTML of a text with code spans, bold, italics and links; everything else is escaped."""
    pieces, position = [], 0
    for match in _SPAN.finditer(text):
        pieces += [escape(text[position : match.start()]), _span(match)]
        position = match.end()
    pieces.append(escape(text[position:]))
    return Markup("").join(pieces).replace("\n", Markup("<br>"))


def _span(match: re.Match[str]) -> Markup:
    code, strong, emphasis, label, address = match.groups()
    if code is not None:
        return Markup("<code>{}</code>").format(code)
    if strong is not None:
        return Markup("<strong>{}</strong>").format(inline_html(strong))
    if emphasis is not None:
        return Markup("<em>{}</em>").format(inline_html(emphasis))
    if not _LINK.match(address):
        return escape(match.group(0))
    return Markup('<a href="{}">{}</a>').format(address, inline_html(label))


def plain(text: str) -> str:
    """The same text without its markup, for titles and alternative texts."""
    return _SPAN.sub(lambda match: next(group for group in match.groups() if group is not None), text)


def lines(count: int, word: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
