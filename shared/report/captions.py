"""What a paper's tables, figures and claims say in words, from its ``captions.md``, where a writer finds it.

A block for the paper, for each table, by its name, for each figure, by its file, for each claim, and for
sentences that several of them say::

    ## paper: Authors, venue, year

    What the paper claims, in one sentence.

    ## figure5: Figure 5 in numbers: accuracy by the rotation of the test images

    Paragraphs are the caption. {protocol}

    - An item is a note below the table. {fewer_images}

    ## figure5.svg: Figure 5: accuracy over the rotation of the test images

    Mean over {seeds}.

    A paragraph or an item with a field that is None is left out. {price}

    Alt: What the picture shows, for people who do not see it.

    ### S5

    The exact network beats the approximate one on {dataset}

    ### fewer_images

    The interval includes the error of testing on fewer images.

Fields in braces are filled in by the code that makes the table, or with the sentence of that name. Lines may
be broken anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.base import bounded, paths
from shared.base.errors import UserError, unknown

if TYPE_CHECKING:
    from shared.report.results import Results

FILE = "captions.md"
#: A field, whose name it captures; or a brace, written twice.
_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|\{\{|\}\}")
#: The block that the page shows for the paper: the title says who wrote it, the caption what it claims.
PAPER = "paper"
#: How the name of a figure's block ends, and what its alternative text begins with.
FIGURE, ALT = ".svg", "Alt: "


@dataclass(frozen=True)
class Words:
    """What is written about a table (with notes) or a figure (with alt); the others have a caption alone."""

    title: str = ""
    caption: str = ""
    notes: tuple[str, ...] = ()
    alt: str = ""


def read(paper: str) -> dict[str, Words]:
    """The blocks of a paper's ``captions.md`` by name, fields not filled in; none without the file.

    Raises:
        UserError: if it is too large or no text, a heading has no name or no title, one name stands twice, a
            figure has no alt text, or a brace is not that of a field.
    """
    file = paths.pipeline(paper) / FILE
    if not file.is_file():
        return {}
    found: dict[str, Words] = {}
    text = bounded.read_text(file, _shown(paper))
    for level, block in re.findall(r"^(###?) (.*(?:\n(?!###? ).*)*)", text, re.MULTILINE):
        heading, _, body = block.partition("\n")
        name, _, title = heading.partition(": ") if level == "##" else (heading, "", "")
        if level == "##" and not title.strip():
            raise UserError(f"{_shown(paper)}: write the heading '## {heading}' as '## name: title'")
        if name in found:
            raise UserError(f"{_shown(paper)}: two blocks are called {name!r}; keep one of them")
        parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=- )", body) if part.strip()]
        notes = tuple(part.removeprefix("- ") for part in parts if part.startswith("- "))
        alt = " ".join(part.removeprefix(ALT) for part in parts if part.startswith(ALT))
        if name.endswith(FIGURE) and not alt:
            raise UserError(f"{_shown(paper)}: say below '{name}' what the picture shows: '{ALT}...'")
        caption = "\n\n".join(part for part in parts if not part.startswith(("- ", ALT)))
        found[name] = Words(title, caption, notes, alt)
        if brace := re.search(r"[{}]", _FIELD.sub("", "".join((title, caption, *notes, alt)))):
            raise UserError(
                f"{_shown(paper)}, {name}: a {brace[0]!r} stands alone; a field is a name in braces, and a "
                "brace itself is written twice"
            )
    return found


def words(results: Results, name: str, fields: Mapping[str, str | None]) -> Words:
    """One block of the paper, its fields filled in; the results note that it was asked for.

    Raises:
        UserError: as `read`; if there is no such block, or it names a field that is not given.
    """
    paper = results.paper
    results.said.add(name)
    blocks = read(paper)
    if name not in blocks:
        raise UserError(f"{_shown(paper)}: {unknown('block', name, blocks)}")
    block = blocks[name]
    given = {key: one.caption for key, one in blocks.items() if not one.title} | dict(fields)
    for field in _named(block):
        if field not in given:
            raise UserError(f"{_shown(paper)}, {name}: {unknown('field', field, given)}")

    def filled(*parts: str) -> list[str]:
        said = [part for part in parts if all(given[field] is not None for field in _fields(part))]
        return [" ".join(_filled(part, given).split()) for part in said]

    title, alt = ("".join(filled(part)) for part in (block.title, block.alt))
    caption = " ".join(filter(None, filled(*block.caption.split("\n\n"))))
    return Words(title, caption, tuple(filled(*block.notes)), alt)


def unused(results: Results) -> list[str]:
    """The blocks that no table, figure or claim has asked for, and no other block names."""
    blocks = read(results.paper)
    said = {PAPER, *results.said, *(field for block in blocks.values() for field in _named(block))}
    return [name for name in blocks if name not in said]


def _named(block: Words) -> list[str]:
    return [
        field for part in (block.title, block.caption, *block.notes, block.alt) for field in _fields(part)
    ]


def _fields(part: str) -> list[str]:
    return [name for name in _FIELD.findall(part) if name]


def _filled(part: str, given: Mapping[str, str | None]) -> str:
    """With the fields filled in: names only, none of the formats and attributes that Python's own has."""
    return _FIELD.sub(lambda found: str(given[found[1]]) if found[1] else found[0][0], part)


def _shown(paper: str) -> str:
    return f"pipelines/{paper}/{FILE}"
