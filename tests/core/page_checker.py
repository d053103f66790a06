"""Reads pages as a browser would, for tests (no test file itself)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects ids, links and all that is shown or read out; complains about tags that do not nest."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.by_tag: dict[str, list[str]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.note(tag, attributes)

    def note(self, tag, attributes):
        self.tags.append(tag)
        self.elements.append((tag, dict(attributes)))
        for name, value in attributes:
            self.words.append(value)
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.links.append((tag, value))

    def handle_data(self, words):
        self.words.append(words)
        for tag in self.open:
            self.by_tag.setdefault(tag, []).append(words)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()


def check(file: Path, seen: dict[Path, Checker] | None = None) -> Checker:
    """Fails unless a page is well formed, loads nothing, and all its links lead somewhere."""
    seen = {} if seen is None else seen
    found = _read(file, seen)
    assert len(found.ids) == len(set(found.ids)), f"{file}: two elements have the same id"
    for tag, link in found.links:
        if link.startswith("data:") or (tag == "a" and re.match("https?://", link)):
            continue
        assert "//" not in link, f"{file}: {link} is loaded from elsewhere"
        name, _, anchor = link.partition("#")
        other = (file.parent / unquote(name)).resolve() if name else file
        assert other.exists(), f"{file}: {link} is a dead link"
        if anchor and other.suffix == ".html":
            assert unquote(anchor) in _read(other, seen).ids, f"{file}: {link} leads nowhere"
    return found


def _read(file: Path, seen: dict[Path, Checker]) -> Checker:
    if file not in seen:
        seen[file] = Checker(file.read_text(encoding="utf-8"))
    return seen[file]
