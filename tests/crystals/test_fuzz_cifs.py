"""A CIF that is written otherwise or has lost a part is read as the same crystal, or refused."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from tests.crystals.cifs_for_tests import atoms_of
from tests.fuzzing import searching
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.cif import read_cif
from trainables.testing.crystals import crystal, named_crystals

Change = Callable[[str, random.Random], str]
BRUCITE = crystal(
    [12, 8, 8, 1, 1],
    [(0, 0, 0), (1 / 3, 2 / 3, 0.22), (2 / 3, 1 / 3, 0.78), (1 / 3, 2 / 3, 0.43),
     (2 / 3, 1 / 3, 0.57)],
    [[3.15, 0, 0], [-1.575, 2.72798, 0], [0, 0, 4.77]],
)  # fmt: skip
NAMES = ("NaCl", "Cu", "graphite", "SrTiO3", "ZnO", "MgAl2O4", "TiO2", "brucite")


@cache
def text_of(name: str) -> str:
    """A crystal as its asymmetric unit, with operations, names, formula and Z."""
    made = BRUCITE if name == "brucite" else named_crystals()[name]
    structure = Structure(made.lattice, made.numbers.tolist(), made.frac)
    refined = SpacegroupAnalyzer(structure, symprec=0.01).get_refined_structure()
    return str(CifWriter(refined, symprec=0.01))


def in_lines(pattern: str, to: Callable[[re.Match[str], random.Random], str]) -> Change:
    def change(text: str, rng: random.Random) -> str:
        return re.sub(pattern, lambda match: to(match, rng), text, flags=re.MULTILINE)

    return change


def any_case(match: re.Match[str], rng: random.Random) -> str:
    return "".join(rng.choice((c.lower(), c.upper())) for c in match[0])


def column(text: str, name: str, rng: random.Random, cell: Callable[[str], str]) -> str:
    """The atom list with another content of one column."""
    head, tags, rows = re.split(r"(loop_\n(?: _atom_site\w+\n)+)", text)
    names = re.findall(r"_atom_site\w+", tags)
    if name not in names:
        return text
    at = names.index(name)
    words = [line.split() for line in rows.split("\n") if line.strip()]
    for row in words:
        row[at] = cell(row[at])
    return head + tags + "\n".join("  ".join(row) for row in words) + "\n"


def shuffled(text: str, rng: random.Random) -> str:
    head, tags, rows = re.split(r"(loop_\n(?: _atom_site\w+\n)+)", text)
    names = re.findall(r"_atom_site\w+", tags)
    order = rng.sample(range(len(names)), len(names))
    lines = [line.split() for line in rows.split("\n") if line.strip()]
    rng.shuffle(lines)
    body = "\n".join(" ".join(line[at] for at in order) for line in lines)
    return head + "loop_\n" + "\n".join(f" {names[at]}" for at in order) + "\n" + body + "\n"


# What leaves the crystal as it is, and has to be read.
HARMLESS: dict[str, Change] = {
    "tags in any case": in_lines(r"^ *_\w+", any_case),
    "loops in any case": in_lines(r"^loop_", any_case),
    "dots": in_lines(r"_atom_site_(?=\w)", lambda match, rng: "_atom_site."),
    "line ends": in_lines(r"\n", lambda match, rng: "\r\n"),
    "blanks": in_lines(r"  +", lambda match, rng: rng.choice((" ", "\t", "\n  "))),
    "uncertainties": in_lines(r"(?<=\d\.\d{8})$", lambda match, rng: f"({rng.randint(0, 9)})"),
    "occupancies": lambda text, rng: column(
        text, "_atom_site_occupancy", rng, lambda _: rng.choice((".", "?", "1.0", "0.9999", "1(2)"))
    ),
    "labels": lambda text, rng: column(
        text, "_atom_site_label", rng, lambda old: old + rng.choice(("A", "_1", "'", "*"))
    ),
    "charges": lambda text, rng: column(
        text, "_atom_site_type_symbol", rng, lambda old: old + rng.choice(("", "2+", "+1", "-"))
    ),
    "no types": in_lines("_atom_site_type_symbol", lambda match, rng: "_atom_site_x"),
    "order": shuffled,
    "a block before": lambda text, rng: "data_global\n_journal_year 1999\n" + text,
    "no names": in_lines(r"^(_symmetry_space_group.*|_symmetry_Int.*)\n", lambda match, rng: ""),
    "no number": in_lines(r"^_symmetry_Int.*\n", lambda match, rng: ""),
    "no formula": in_lines(r"^_chemical_formula.*\n", lambda match, rng: ""),
}
# What takes something away that may be needed.
HARMFUL: dict[str, Change] = {
    "no operations": in_lines(r"^  \d+  '.*'\n", lambda match, rng: ""),
    "unknown operations": in_lines(r"^  \d+  '.*'\n", lambda match, rng: "  1  ?\n"),
    "the identity": in_lines(r"^  (?!1 )\d+  '.*'\n", lambda match, rng: ""),
    "some operations": in_lines(
        r"^  (?!1 )\d+  '.*'\n", lambda match, rng: rng.choice((match[0], ""))
    ),
    "no Z": in_lines(r"^_cell_formula_units_Z.*\n", lambda match, rng: ""),
    "another group": in_lines(
        r"(?<=name_H-M).*", lambda match, rng: rng.choice(("   'P 1'", "   'P -1'", "   Fm-3m"))
    ),
    "an atom less": in_lines(r"^  \w+  \w+  \d+  [^\n]*\n\Z", lambda match, rng: ""),
    "an atom more": lambda text, rng: text + "  H  H99  1  0.21  0.32  0.43  1\n",
    "dots for coordinates": lambda text, rng: column(
        text, "_atom_site_fract_x", rng, lambda old: rng.choice((".", "?", old))
    ),
}
# Where nothing but the formula tells that a part is lost.
ONLY_BY_FORMULA = {"some operations", "another group", "an atom less", "an atom more"}


@pytest.mark.parametrize("name", NAMES)
def test_the_texts_are_good(name: str) -> None:
    made = BRUCITE if name == "brucite" else named_crystals()[name]
    found = read_cif(text_of(name))
    assert len(found.numbers) % len(made.numbers) == 0 or name == "Cu"


@searching(60)
@given(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(sorted(HARMLESS)), max_size=5, unique=True),
    st.integers(0, 2**32),
)
def test_the_same_crystal_in_other_words(name: str, changes: list[str], seed: int) -> None:
    rng, text = random.Random(seed), text_of(name)
    for change in sorted(changes, key=list(HARMLESS).index, reverse=True):
        text = HARMLESS[change](text, rng)
    assert atoms_of(read_cif(text)) == atoms_of(read_cif(text_of(name)))


@searching(120)
@given(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(sorted(HARMLESS)), max_size=3, unique=True),
    st.sampled_from(sorted(HARMFUL)),
    st.integers(0, 2**32),
)
def test_what_has_lost_a_part_is_the_same_crystal_or_none(
    name: str, changes: list[str], harm: str, seed: int
) -> None:
    rng, text = random.Random(seed), HARMFUL[harm](text_of(name), random.Random(seed))
    if harm in ONLY_BY_FORMULA:
        changes = [change for change in changes if change != "no formula"]
    for change in sorted(changes, key=list(HARMLESS).index, reverse=True):
        text = HARMLESS[change](text, rng)
    try:
        found = read_cif(text)
    except BadCrystal as bad:
        assert len(str(bad).splitlines()) == 1
    else:
        assert atoms_of(found) == atoms_of(read_cif(text_of(name)))
