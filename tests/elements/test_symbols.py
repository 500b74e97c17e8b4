"""The elements are numbered alike wherever a package lists them: by Z, and 0 is none."""

from __future__ import annotations

import pytest

from analysis import elements
from trainables.crystals import symbols
from trainables.elements import descriptor


def test_all_lists_of_symbols_agree() -> None:
    assert symbols.SYMBOLS == elements.SYMBOLS == tuple(descriptor.symbols())
    assert symbols.MAX_Z == elements.MAX_Z == descriptor.MAX_Z == 118
    assert [symbols.SYMBOLS[z] for z in (0, 1, 26, 118)] == ["", "H", "Fe", "Og"]


def test_numbers_are_the_places_of_the_symbols() -> None:
    for numbers in (symbols.NUMBERS, elements.NUMBERS):
        assert all(numbers[name] == z for z, name in enumerate(symbols.SYMBOLS) if z)
        assert "" not in numbers
    # isotopes of hydrogen may stand in a crystal's file, and nowhere else
    assert symbols.NUMBERS.keys() - elements.NUMBERS.keys() == {"D", "T"}


@pytest.mark.parametrize(("z", "name"), [(1, "H"), (118, "Og"), (0, "Z=0"), (119, "Z=119")])
def test_a_number_is_shown_as_its_symbol(z: int, name: str) -> None:
    assert symbols.symbol(z) == name
