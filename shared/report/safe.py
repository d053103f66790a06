"""What reports show cannot act: SVG is rebuilt from what figures are drawn with, Markdown holds no HTML of
others, and no cell of a CSV is a formula.

Names and texts come from files that many people edit, and figures lie in a folder where anybody may; whoever
opens a report should not have to trust them.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from markupsafe import escape

from shared.base.errors import UserError

_DRAWING = (
    "svg g path defs use rect clipPath pattern image style title desc circle ellipse line "
    "polygon polyline text tspan linearGradient radialGradient stop marker symbol mask "
)
_DRAWN = (
    "id class d x y x1 x2 y1 y2 cx cy r rx ry dx dy width height viewBox version type "
    "transform style fill points stroke opacity offset role clip-path clip-rule clipPathUnits "
    "fill-opacity fill-rule stroke-width mask stroke-dasharray stroke-dashoffset "
    "stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity font-family font-size "
    "font-style font-weight text-anchor dominant-baseline patternUnits patternTransform "
    "patternContentUnits gradientUnits gradientTransform stop-color stop-opacity "
    "preserveAspectRatio href xlink:href xmlns xmlns:xlink xml:space aria-label "
    "aria-labelledby aria-hidden "
)
_ELEMENTS, _ATTRIBUTES = frozenset(_DRAWING.split()), frozenset(_DRAWN.split())
_SPACES = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
#: Where a reference may lead: to the same figure, or to a picture that it holds itself.
_REFERENCE = re.compile(r"#[A-Za-z0-9_.:-]+|data:image/png;base64,[A-Za-z0-9+/=\s]+")
#: What styles may not do: load, hide a word behind an escape, run.
_ACTIVE = re.compile(r"url\((?!\s*#[A-Za-z0-9_.-]+\s*\))|[\\@<]|expression|javascript:", re.IGNORECASE)
_DEEPEST = 100


def svg(text: str, name: str) -> str:
    """An SVG file as one element without comments and metadata, to stand within HTML.

    Args:
        text: of the file.
        name: of the file, for the message.

    Raises:
        UserError: if it is not XML, or holds anything else than what draws: a script, a link, a style that
            loads something, an entity.
    """
    made: list[str] = []
    depth, skipped, is_open, is_style = 0, 0, False, False

    def close() -> None:
        nonlocal is_open
        made.append(">" if is_open else "")
        is_open = False

    def start(tag: str, attributes: list[str]) -> None:
        nonlocal depth, skipped, is_open, is_style
        depth += 1
        if depth > _DEEPEST:
            _refuse(name, "elements nested very deep")
        if skipped or tag == "metadata":
            skipped += 1
            return
        if tag not in _ELEMENTS or (tag == "svg") != (depth == 1):
            _refuse(name, f"<{tag[:40]}>")
        close()
        pairs = list(zip(attributes[::2], attributes[1::2]))
        for key, value in pairs:
            _check_attribute(name, key, value)
        is_style = tag == "style"
        made.append(f"<{tag}" + "".join(f' {key}="{escape(value)}"' for key, value in pairs))
        is_open = True

    def end(tag: str) -> None:
        nonlocal depth, skipped, is_open, is_style
        depth -= 1
        if skipped:
            skipped -= 1
            return
        made.append("/>" if is_open else f"</{tag}>")
        is_open = is_style = False

    def data(content: str) -> None:
        if not skipped:
            close()
            if is_style and _ACTIVE.search(content):
                _refuse(name, f"the text {content[:40]!r}")
            made.append(str(escape(content)))

    parser = expat.ParserCreate()
    parser.ordered_attributes = parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    parser.EntityDeclHandler = lambda *_: _refuse(name, "an entity of its own")
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise UserError(f"{name} is not SVG ({error}); delete it and render the report again") from None
    return "".join(made)


def _check_attribute(name: str, key: str, value: str) -> None:
    if key not in _ATTRIBUTES or _SPACES.get(key, value) != value:
        _refuse(name, f"the attribute {key[:40]}={value[:40]!r}")
    if key.endswith("href"):
        if not _REFERENCE.fullmatch(value):
            _refuse(name, f"a reference to {value[:40]!r}")
    elif _ACTIVE.search(value) and not key.startswith("aria-"):
        _refuse(name, f"the attribute {key}={value[:40]!r}")


def _refuse(name: str, what: str) -> None:
    raise UserError(
        f"{name} holds {what}, which no figure is drawn with; delete it and render the report again"
    )


#: Code spans within a line and a cell, which show everything as it is; the rest is looked at.
_CODE = re.compile(r"((?<![\\`])(`+)(?!`)[^|\n]+?(?<!`)\2(?!`))")
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!br>)")
_PICTURE = re.compile(r"!(?=\[)(?!\[[^\]\n]*\]\([A-Za-z0-9_./-]+\))")
_ADDRESS = re.compile(r"\]\((?!(https?://[^\s<>()]+|[A-Za-z0-9_./#-]+)\))")
_DEFINITION = re.compile(r"^(\s*(?:[-*>]\s+)*)(?=\[[^\]\n]*\]:)", re.MULTILINE)


def markdown(text: str) -> str:
    """Markdown in which a browser finds nothing to run or load: links lead to the web or to files beside it.

    HTML is shown as it is written; only ``<br>``, which cells of tables are made with, stays.
    """
    parts = _CODE.split(_DEFINITION.sub(r"\1\\", text))
    for place in range(0, len(parts), 3):  # between code spans: text, span, its marks, text, ...
        part = _TAG.sub("&lt;", parts[place])
        parts[place] = _ADDRESS.sub(r"]\(", _PICTURE.sub(r"\!", part))
    return "".join(part for place, part in enumerate(parts) if place % 3 != 2)


#: A number with what may stand behind it: a spread, an interval, a unit of letters; nothing that calls.
_NUMBER = re.compile(r"[-+]?[0-9.,]+([eE][-+]?[0-9]+)?[^|!=@(]*(\([^|!=@(]*\))?[^|!=@(]*")


def csv_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like it gets an apostrophe in front."""
    bare = text.lstrip()
    if not bare or bare[0] not in "=+-@":
        return text
    if bare[0] in "+-" and all(line == "-" or _NUMBER.fullmatch(line) for line in bare.split("\n")):
        return text
    return f"'{text}"
