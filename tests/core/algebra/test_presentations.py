"""Words, presentations as text, and coset enumeration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.algebra.groups import cyclic, dihedral, from_presentation, octahedral
from shared.algebra.presentations import Presentation, enumerate_cosets, invert, parse_word

WORDS = st.lists(st.sampled_from([-2, -1, 1, 2]), max_size=12).map(tuple)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("r", (1,)),
        ("r^3 m", (1, 1, 1, 2)),
        ("r^-2", (-1, -1)),
        ("(r m)^2", (1, 2, 1, 2)),
        ("(r m)^-1 r", (-2, -1, 1)),
        ("((r m)^2 r)^2", (1, 2, 1, 2, 1, 1, 2, 1, 2, 1)),
        ("e", ()),
        ("m^0", ()),
        ("", ()),
    ],
)
def test_words_are_read(text: str, word: tuple[int, ...]) -> None:
    assert parse_word(text, ("r", "m")) == word


@pytest.mark.parametrize("text", ["r x", "(r m", "r m)", "^2", "r^", "r^m"])
def test_broken_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="word"):
        parse_word(text, ("r", "m"))


@given(WORDS)
def test_spelling_and_reading_are_inverse(word: tuple[int, ...]) -> None:
    presentation = Presentation(("r", "m"), (word,))
    assert parse_word(presentation.spell(word), ("r", "m")) == word
    assert Presentation.parse(str(presentation)).relators == (word,)


@given(WORDS, st.sampled_from([dihedral(3), dihedral(4), octahedral()]))
def test_inverse_word_evaluates_to_the_inverse_element(word: tuple[int, ...], group) -> None:
    assert group.evaluate(invert(word)) == group.inverse[group.evaluate(word)]


def test_relations_become_relators() -> None:
    presentation = Presentation.parse("<r, m | r^2 = m, m r = r m = e>")
    assert presentation.relators == ((1, 1, -2), (2, 1, -2, -1), (2, 1))


@pytest.mark.parametrize("text", ["a, b | a^2", "<a, b>", "<a | b>"])
def test_broken_presentations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"presentation|word"):
        Presentation.parse(text)


def test_a_relator_with_an_unknown_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="generator number 3"):
        Presentation(("a", "b"), ((1, 3),))


@pytest.mark.parametrize("group", [cyclic(6), dihedral(4), dihedral(5), octahedral()], ids=repr)
def test_index_of_every_cyclic_subgroup(group) -> None:
    presented = from_presentation("presented", group.presentation)
    for i, g in enumerate(group.generators):
        table = enumerate_cosets(group.presentation, subgroup=[(i + 1,)])
        assert len(table) == group.order // group.order_of(g)
    assert sorted(map(presented.order_of, range(group.order))) == sorted(
        map(group.order_of, range(group.order))
    )


def test_cosets_are_permuted_by_generators() -> None:
    presentation = Presentation.parse("<a, b | a^2, b^3, (a b)^5>")
    table = enumerate_cosets(presentation, subgroup=[(2,)])
    assert len(table) == 20
    for column in zip(*table):
        assert sorted(column) == list(range(20))


def test_elements_of_a_presented_group_are_named_by_shortest_words() -> None:
    group = from_presentation("presented", Presentation.parse("<r, m | r^4, m^2, (r m)^2>"))
    for g, name in enumerate(group.element_names):
        assert group.evaluate(parse_word(name, group.presentation.generators)) == g
    assert group.element_names[:3] == ("e", "r", "m")
