"""Reading YAML strictly: no key twice, no word that two versions of YAML read differently, lines known.

PyYAML reads YAML 1.1, where ``010`` is 8, ``1:30`` is 90 and ``no`` is false; DVC reads the same files by
YAML 1.2, where they are 10 and two texts. Such words are refused. Numbers such as ``1e-3``, which are text in
YAML 1.1 only, are numbers here, too.

A file is bounded, also in what its aliases stand for: a few lines of them could fill the memory of whoever
reads them (DVC, too, which is why its files are read here first). Tags such as ``!!int`` are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import yaml

from shared.base.errors import Mistakes, UserError

_TAG = "tag:yaml.org,2002:"
#: What a bare word is in YAML 1.2 (core schema); anything else is text.
_CORE = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
#: Letters of a file, levels of nesting, and values, each counted wherever an alias repeats it.
MOST_LETTERS, MOST_DEPTH, MOST_NODES = 1 << 20, 40, 200_000
#: Values of a file that another program wrote.
_MOST_LOOKED_AT = 20_000_000
#: Letters of a number; every whole number of so many fits into 64 bits.
_LONGEST_NUMBER = 18
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_KINDS = {
    **{"str": "text", "int": "a whole number", "float": "a number", "bool": "a truth value"},
    **{"timestamp": "a date", "value": "a sign of its own", "null": "nothing"},
}


class Mapping(dict[Any, Any]):
    """A mapping of a file that knows the lines of its keys.

    Attributes:
        line: where it begins.
        lines: of its keys.
    """

    line: int = 0
    lines: dict[Any, int]

    def copy(self) -> Mapping:
        """A copy that knows the lines, too."""
        return self.without(())

    def without(self, keys: Iterable[Any]) -> Mapping:
        """A copy that lacks some keys."""
        left_out = set(keys)
        found = Mapping((key, value) for key, value in self.items() if key not in left_out)
        found.line, found.lines = self.line, self.lines
        return found


class _Strict(yaml.SafeLoader):
    """Safe YAML that takes down what it does not take."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.mistakes: list[tuple[int, str]] = []
        self._nodes = 0
        self._known: dict[int, tuple[int, int]] = {}  # nodes in a node and its height, by its id
        self._heights = [0]  # of what is being read, from the outside in

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As ever, but count: what an alias stands for, too."""
        event, before = self.peek_event(), self._nodes
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "tags such as !!int are not taken; write the value without one")
        self._heights.append(0)
        if len(self._heights) > MOST_DEPTH:
            self._refuse(event, f"it is nested more than {MOST_DEPTH} deep")
        node = super().compose_node(parent, index)
        height = self._heights.pop() + 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._known:
                self._refuse(event, f"the alias *{event.anchor} stands within what it stands for")
            nodes, height = self._known[id(node)]
            self._nodes += nodes
            if len(self._heights) + height > MOST_DEPTH:
                self._refuse(event, f"with its aliases it is nested more than {MOST_DEPTH} deep")
        else:
            self._nodes += 1
            self._known[id(node)] = (self._nodes - before, height)
        if self._nodes > MOST_NODES:
            self._refuse(event, f"with its aliases it has more than {MOST_NODES:,} values")
        self._heights[-1] = max(self._heights[-1], height)
        return node

    def _refuse(self, event: yaml.Event, sentence: str) -> None:
        raise yaml.composer.ComposerError(None, None, sentence, event.start_mark)

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        bare = self.peek_event().implicit[0]
        node = super().compose_scalar_node(anchor)
        old = node.tag.removeprefix(_TAG)
        new = next((kind for kind, form in _CORE.items() if form.fullmatch(node.value)), "str")
        if not bare or old == "merge":
            return node
        if new in ("int", "float") and not _is_plain(new, node.value):
            self._note(node, f"{node.value[:40]} is not a number that can be computed with; write another")
            return node
        if (old, new) == ("str", "float"):
            node.tag = f"{_TAG}float"
        elif old != new or _LEADING_ZERO.fullmatch(node.value):
            sides = (_KINDS.get(old, old), _KINDS.get(new, new)) if old != new else ("octal", "decimal")
            right = "true or false" if old == "bool" else "a decimal number without zeros in front"
            self._note(
                node,
                f"{node.value} is {sides[0]} in YAML 1.1 and {sides[1]} in YAML 1.2; put it in quotes if it "
                f"is text, else write {right}",
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                merge = key.tag == f"{_TAG}merge"  # DVC's reader of YAML 1.2 refuses a second one
                cure = "; write one, with a list: <<: [*a, *b]" if merge else ""
                if key.value in seen:
                    self._note(key, f"the key {key.value!r} is given twice{cure}")
                seen.add(key.value)
        return node

    def construct_yaml_map(self, node: yaml.MappingNode) -> Any:
        made = Mapping()
        made.line, made.lines = node.start_mark.line + 1, {}
        yield made
        made.update(self.construct_mapping(node))  # which puts merged keys before its own
        made.lines.update((self.construct_object(key), key.start_mark.line + 1) for key, _ in node.value)

    def _note(self, node: yaml.Node, sentence: str) -> None:
        self.mistakes.append((node.start_mark.line + 1, sentence))


def _is_plain(kind: str, number: str) -> bool:
    """Whether a number is finite, and a whole one has no more digits than 64 bits."""
    if kind == "int":
        return len(number) <= _LONGEST_NUMBER
    return number[-3:].lower() not in ("inf", "nan") and math.isfinite(float(number))


_Strict.add_constructor(f"{_TAG}map", _Strict.construct_yaml_map)


def look(text: str, name: str) -> None:
    """Look at a file that another program wrote and will read, which may be larger than what people write.

    Whether it is YAML at all is left for that program to say.

    Raises:
        UserError: if its values, counted wherever an alias repeats them, are far too many or nested too deep.
    """
    sizes: dict[str, tuple[int, int]] = {}
    open_ones: list[list[Any]] = [[None, 0, 0]]  # anchor, values and height, from the outside in
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionStartEvent):
                open_ones.append([event.anchor, 0, 0])
                nodes, height = 0, 0
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, nodes, height = open_ones.pop()
                sizes[anchor] = nodes, height = nodes + 1, height + 1
            elif isinstance(event, yaml.AliasEvent):
                nodes, height = sizes.get(event.anchor, (1, MOST_DEPTH))
            else:
                nodes, height = int(isinstance(event, yaml.ScalarEvent)), 1
            outer = open_ones[-1]
            outer[1:] = outer[1] + nodes, max(outer[2], height)
            if outer[1] > _MOST_LOOKED_AT or len(open_ones) + height > MOST_DEPTH:
                place = f"{name}, line {event.start_mark.line + 1}"
                raise UserError(f"{place}: with its aliases it has far too many values; restore it from git")
    except yaml.YAMLError:
        return


def load(text: str, name: str) -> Any:
    """The content of a YAML text, in which every mapping is a `Mapping`.

    Args:
        text: of the file.
        name: of the file, for the message.

    Raises:
        UserError: if it is not YAML, gives a key twice, has a word that YAML 1.1 and 1.2 read differently or
            a number that is not finite, each with its line; or if it is far too large.
    """
    if len(text) > MOST_LETTERS:
        raise UserError(f"{name} has {len(text):,} letters, and {MOST_LETTERS:,} are taken; shorten it")
    try:
        loader = _Strict(text)
        node = loader.get_single_node()
        if loader.mistakes:
            raise Mistakes(f"{name}, line {line}: {said}" for line, said in sorted(loader.mistakes))
        return loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        said = ": ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{where}: not valid YAML ({' '.join(said.split())})") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise UserError(f"{name} is not valid YAML ({' '.join(str(error).split())})") from None
