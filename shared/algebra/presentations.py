"""Groups by generators and relators: words, presentations, and coset enumeration.

A word is a tuple of non-zero integers: ``i`` stands for generator number ``i`` counted from one, ``-i`` for
its inverse, and the empty word for the identity. `shared.algebra.groups.from_presentation` builds the group.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

Word = tuple[int, ...]


@dataclass(frozen=True)
class Presentation:
    """Generators and relators of a group, ``<a, b | a^4, b^2, (a b)^2>``.

    Attributes:
        generators: names of the generators.
        relators: words that equal the identity.

    Raises:
        ValueError: if a relator uses a generator that is not there.
    """

    generators: tuple[str, ...]
    relators: tuple[Word, ...]

    def __post_init__(self) -> None:
        bad = [i for word in self.relators for i in word if not 1 <= abs(i) <= len(self.generators)]
        if bad:
            raise ValueError(
                f"a relator uses generator number {bad[0]}, but there are {len(self.generators)}; "
                "use 1, 2, ... for the generators and -1, -2, ... for their inverses."
            )

    @classmethod
    def parse(cls, text: str) -> Presentation:
        """Read ``<r, m | r^4, m^2, (r m)^2>``; relations ``u = v`` are understood, too.

        Raises:
            ValueError: if the text is no presentation.
        """
        match = re.fullmatch(r"\s*<([^|<>]*)\|([^|<>]*)>\s*", text)
        if not match:
            raise ValueError(f"{text!r} is no presentation; write it as '<a, b | a^2, b^3, (a b)^2>'.")
        names, relations = (tuple(filter(None, map(str.strip, part.split(",")))) for part in match.groups())
        relators = []
        for relation in relations:
            left, *right = (parse_word(side, names) for side in relation.split("="))
            relators += [left + invert(side) for side in right] if right else [left]
        return cls(names, tuple(relators))

    def spell(self, word: Word) -> str:
        """Write a word with the generators' names and powers, such as ``r^2 m^-1``."""
        runs = [(i, len(list(same))) for i, same in itertools.groupby(word)]
        powers = [(self.generators[abs(i) - 1], n if i > 0 else -n) for i, n in runs]
        return " ".join(name if n == 1 else f"{name}^{n}" for name, n in powers) or "e"

    def __str__(self) -> str:
        return f"<{', '.join(self.generators)} | {', '.join(map(self.spell, self.relators))}>"


def invert(word: Word) -> Word:
    """Invert a word: reverse it and invert each letter."""
    return tuple(-i for i in reversed(word))


def parse_word(text: str, generators: Sequence[str]) -> Word:
    """Read a word such as ``(r m)^2 r^-1``; ``e`` and ``1`` are the empty word.

    Raises:
        ValueError: if a name is not among ``generators``, or a parenthesis or power is misplaced.
    """
    stack: list[list[Word]] = [[]]
    for token in re.findall(r"\^\s*-?\d+|[()]|[^\s()^]+|\^", text):
        if token == "(":
            stack.append([])
        elif token == ")" and len(stack) > 1:
            inner = stack.pop()
            stack[-1].append(tuple(itertools.chain(*inner)))
        elif token[0] == "^" and len(token) > 1 and stack[-1]:
            exponent, base = int(token[1:]), stack[-1].pop()
            stack[-1].append((base if exponent >= 0 else invert(base)) * abs(exponent))
        elif token in generators:
            stack[-1].append((list(generators).index(token) + 1,))
        elif token in ("e", "1"):
            stack[-1].append(())
        else:
            raise ValueError(
                f"cannot read {token!r} in the word {text!r}; generators: {', '.join(generators)}."
            )
    if len(stack) > 1:
        raise ValueError(f"a parenthesis is not closed in the word {text!r}.")
    return tuple(itertools.chain(*stack[0]))


def enumerate_cosets(
    presentation: Presentation, subgroup: Sequence[Word] = (), limit: int = 10_000
) -> list[list[int]]:
    """Enumerate the cosets of a subgroup by the Todd-Coxeter procedure, relator by relator (HLT).

    Args:
        presentation: the group.
        subgroup: words that generate the subgroup; none for the trivial one, whose cosets are the elements.
        limit: largest number of cosets to define on the way.

    Returns:
        ``table[coset][i]`` is the coset times generator ``i`` (counted from zero); coset 0 is the subgroup.

    Raises:
        ValueError: if the limit is reached: the index is infinite, or larger than the limit allows.
    """
    cosets = _Cosets(len(presentation.generators), limit)
    for word in subgroup:
        cosets.trace(0, cosets.columns(word))
    relators = [cosets.columns(word) for word in presentation.relators]
    coset = 0
    while coset < len(cosets.table):
        for relator in relators:
            if cosets.parent[coset] == coset:
                cosets.trace(coset, relator)
        for column in range(cosets.width):
            if cosets.parent[coset] == coset and cosets.table[coset][column] < 0:
                cosets.define(coset, column)
        coset += 1
    live = [c for c in range(len(cosets.table)) if cosets.parent[c] == c]
    number = {c: i for i, c in enumerate(live)}
    return [[number[c] for c in cosets.table[coset][::2]] for coset in live]


class _Cosets:
    """Partial coset table: columns ``2 i`` and ``2 i + 1`` belong to generator ``i`` and its inverse."""

    def __init__(self, generators: int, limit: int) -> None:
        self.width = 2 * generators
        self.limit = limit
        self.table = [[-1] * self.width]
        self.parent = [0]  # union-find: a coset found equal to another points to it

    @staticmethod
    def columns(word: Word) -> list[int]:
        return [2 * (abs(i) - 1) + (i < 0) for i in word]

    def find(self, coset: int) -> int:
        while self.parent[coset] != coset:
            self.parent[coset] = coset = self.parent[self.parent[coset]]
        return coset

    def link(self, coset: int, column: int, target: int) -> None:
        self.table[coset][column] = target
        self.table[target][column ^ 1] = coset

    def define(self, coset: int, column: int) -> None:
        if len(self.table) >= self.limit:
            raise ValueError(
                f"more than {self.limit} cosets were needed; the group may be infinite, or raise the limit."
            )
        self.table.append([-1] * self.width)
        self.parent.append(len(self.parent))
        self.link(coset, column, len(self.table) - 1)

    def trace(self, coset: int, word: list[int]) -> None:
        """Follow a word that must lead back to its start, from both ends, defining cosets as needed."""
        front = back = coset
        i, j = 0, len(word) - 1
        while True:
            while i <= j and self.table[front][word[i]] >= 0:
                front, i = self.table[front][word[i]], i + 1
            while j >= i and self.table[back][word[j] ^ 1] >= 0:
                back, j = self.table[back][word[j] ^ 1], j - 1
            if i > j:
                self.identify(front, back)
                return
            if i == j:
                self.link(front, word[i], back)
                return
            self.define(front, word[i])

    def identify(self, first: int, second: int) -> None:
        """Merge two cosets found equal, and all that follows from it."""
        dead: list[int] = []
        self._merge(first, second, dead)
        for gone in dead:  # grows while it is read
            for column, target in enumerate(self.table[gone]):
                if target < 0:
                    continue
                self.table[gone][column] = -1
                if self.table[target][column ^ 1] == gone:
                    self.table[target][column ^ 1] = -1
                a, b = self.find(gone), self.find(target)
                if self.table[a][column] >= 0:
                    self._merge(b, self.table[a][column], dead)
                elif self.table[b][column ^ 1] >= 0:
                    self._merge(a, self.table[b][column ^ 1], dead)
                else:
                    self.link(a, column, b)

    def _merge(self, first: int, second: int, dead: list[int]) -> None:
        low, high = sorted((self.find(first), self.find(second)))
        if low != high:
            self.parent[high] = low
            dead.append(high)
