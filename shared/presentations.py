"""Groups by generators and relators: words, presentations, and coset enumeration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

Word = tuple[int, ...]


@dataclass(frozen=True)
class Presentation:
    """Generators and relators of a group, ``<a, b | a^4, b^2, (a b)^2>``.

    Attributes:
        generators: names of the generators.
        relators: words that equal the identity. A word is a tuple of non-zero integers: ``i`` stands for
            generator number ``i`` counted from one, ``-i`` for its inverse.
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

    def spell(self, word: Word) -> str:
        """Write a word with the generators' names and powers, such as ``r^2 m^-1``."""
        runs = [(i, len(list(same))) for i, same in itertools.groupby(word)]
        powers = [(self.generators[abs(i) - 1], n if i > 0 else -n) for i, n in runs]
        return " ".join(name if n == 1 else f"{name}^{n}" for name, n in powers) or "e"

    def __str__(self) -> str:
        return f"<{', '.join(self.generators)} | {', '.join(map(self.spell, self.relators))}>"
