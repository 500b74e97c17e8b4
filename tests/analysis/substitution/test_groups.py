"""Clusters cut by sign and radius."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.elements import NUMBERS, SYMBOLS
from analysis.substitution.groups import Ion, divide, fit, ions


def groups_of(symbols: str, labels: list[int] | None = None) -> dict[str, str]:
    numbers = np.array([NUMBERS[symbol] for symbol in symbols.split()])
    members = divide(numbers, np.array(labels or [0] * len(numbers)), ions())
    return {SYMBOLS[member.number]: member.group for member in members}


def test_ions_of_all_elements() -> None:
    known = ions()
    assert set(known) == set(range(1, 119))
    assert known[NUMBERS["O"]] == Ion(1.26, "-") and known[NUMBERS["Na"]] == Ion(1.16, "+")
    assert known[NUMBERS["S"]].sign == "-"  # both signs occur, sulphides most
    assert known[NUMBERS["P"]].sign == "+"
    assert known[NUMBERS["Ar"]].radius is None


def test_cations_and_anions_are_apart() -> None:
    found = groups_of("Na Cl")
    assert found == {"Na": "1a", "Cl": "1b"}


def test_a_jump_of_thirty_per_cent_begins_a_group() -> None:
    # 0.59, 0.86, 1.14, 1.32, 1.49 Å: Be|Mg|Ca Sr Ba
    assert groups_of("Be Mg Ca Sr Ba") == {
        "Be": "1a",
        "Mg": "1b",
        "Ca": "1c",
        "Sr": "1c",
        "Ba": "1c",
    }
    exact = {3: Ion(1.0, "+"), 4: Ion(1.3, "+"), 5: Ion(1.68, "+")}
    members = divide(np.array([3, 4, 5]), np.zeros(3, dtype=int), exact)
    assert [member.group for member in members] == ["1a", "1b", "1b"]


def test_elements_without_a_radius_stand_alone() -> None:
    found = groups_of("He Ar Na")
    assert sorted(found.values()) == ["1a", "1b", "1c"] and found["Na"] == "1a"


def test_clusters_count_by_their_first_element() -> None:
    assert groups_of("Cl Li Na F", [4, 7, 7, 4]) == {"Li": "1a", "F": "2a", "Na": "1a", "Cl": "2b"}


def test_many_groups_have_names() -> None:
    alone = {z: Ion(None, "+") for z in range(1, 31)}
    members = divide(np.arange(1, 31), np.zeros(30, dtype=int), alone)
    assert [member.group for member in members][25:28] == ["1z", "1aa", "1ab"]


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ("Fe", "Co", "free"),
        ("Ca", "Sr", "limited"),
        ("Ca", "Ba", "hardly"),
        ("Na", "Cl", "other sign"),
        ("Na", "Ar", "unknown"),
    ],
)
def test_goldschmidts_words(one: str, other: str, word: str) -> None:
    known = ions()
    assert fit(known[NUMBERS[one]], known[NUMBERS[other]]) == word
    assert fit(known[NUMBERS[other]], known[NUMBERS[one]]) == word
