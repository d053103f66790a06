"""HTML from the files in ``templates/``: valid, accessible, without anything loaded from elsewhere.

Every value that a template shows is escaped, and a name that it does not have is an error.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report import counts, safe, text, theme, trail, verdicts

#: Not color alone: each status has a sign of its own.
SIGNS = {
    verdicts.REPRODUCED: ("good", "✓"),
    verdicts.DIFFERS: ("bad", "≠"),
    verdicts.TOO_FEW: ("open", "…"),
    verdicts.NOT_RUN: ("none", "○"),
    None: ("unjudged", "-"),
}


def fill(template: str, **values: Any) -> str:
    """A template with its values filled in.

    Args:
        template: name of a file in ``templates/``.
        values: what it shows. Strings are escaped; those with Markdown pass the filter ``inline`` there.

    Raises:
        jinja2.UndefinedError: for a name that is not among the values, or that a value does not have.
    """
    return environment().get_template(template).render(values)


@functools.cache
def environment() -> Environment:
    """What all templates share: escaping, filters for Markdown, the signs of verdicts, the colors."""
    made = Environment(
        loader=PackageLoader("shared.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["inline"] = lambda markdown: text.inline_html(str(markdown))  # str fails if undefined
    made.filters["plain"] = lambda markdown: text.plain(str(markdown))
    made.globals |= {"signs": SIGNS, "light": theme.LIGHT, "dark": theme.DARK, "anchor": trail.anchor}
    made.globals["class_names"] = counts.CLASSES
    made.globals["declarations"] = theme.declarations
    return made


def source(template: str) -> Markup:
    """A file of ``templates/`` as it is, for what must not be escaped: a script."""
    loader = environment().loader
    if loader is None:
        raise ValueError("the templates have no loader; use `environment`")
    return Markup(loader.get_source(environment(), template)[0])


def inline_svg(svg: str, prefix: str, title: str, description: str, name: str = "the figure") -> Markup:
    """An SVG file as an element of the page: unique ids, a name for screen readers, the page's colors.

    Args:
        svg: content of the file.
        prefix: what makes the ids of this figure different from those of every other one on the page.
        title, description: read out instead of the picture.
        name: of the file, for the message.

    Raises:
        UserError: if the file holds anything that does not draw (`safe.svg`).
    """
    body = safe.svg(svg, name)
    prefix = re.sub(r"[^A-Za-z0-9_.-]", "_", prefix)
    body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><")  # text is drawn as paths: blanks are nothing
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    for color, (variable, _) in theme.SWAPS.items():
        body = body.replace(color, f"var({variable})")
    opening, rest = body.split(">", 1)
    opening = re.sub(r' style="[^"]*"', "", opening)
    names = Markup(
        ' role="img" aria-labelledby="{0}-svg-title {0}-svg-description">'
        '<title id="{0}-svg-title">{1}</title><desc id="{0}-svg-description">{2}</desc>'
    ).format(prefix, text.plain(title), text.plain(description))
    return Markup(f"{opening}{names}{rest}".strip())
