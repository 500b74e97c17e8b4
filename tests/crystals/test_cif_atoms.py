"""Atoms of a CIF: what is one, which element it is, and whether all of the formula are there."""

import pytest

from tests.crystals.cifs_for_tests import atoms_of, cif, refused
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.cif_syntax import blocks
from trainables.crystals.reading.formula import formula_of
from trainables.crystals.reading.labels import element

FORMULA = "_chemical_formula_sum"
LABELS = "label fract_x fract_y fract_z"
OCCUPIED = "label type_symbol fract_x fract_y fract_z occupancy"


def formula(text: str, units: str = "?") -> str:
    return f"{FORMULA} '{text}'\n_cell_formula_units_Z {units}"


def numbers(text: str) -> list[int]:
    return sorted(read_cif(text).numbers.tolist())


@pytest.mark.parametrize(
    ("label", "symbol"),
    [
        ("Fe1", "Fe"), ("O2A", "O"), ("Na1+", "Na"), ("O1_2", "O"), ("Fe", "Fe"), ("Fe3+", "Fe"),
        ("O1'", "O"), ("C12*", "C"), ("SiA", "Si"), ("Na(1)", "Na"), ("Mg_M1", "Mg"), ("o1", "O"),
        ("7Li1", "Li"), ("MG1", "Mg"), ("AL2", "Al"), ("Cl-1", "Cl"), ("Ho1", "Ho"), ("V1", "V"),
        ("H12A", "H"), ("U1", "U"), ("C4H", "C"), ("NaM1", "Na"), ("CaM2", "Ca"), ("O1A", "O"),
        ("AG1", "Ag"), ("ZN2", "Zn"), ("Re1", "Re"), ("Ac1", "Ac"),
    ],
)  # fmt: skip
def test_labels_that_name_an_element(label: str, symbol: str) -> None:
    assert element(None, label, None) == symbol


@pytest.mark.parametrize(
    "label",
    ["T1", "W1", "HO1", "CD1", "CA1", "D1", "Ow1", "Wat", "OH1", "Va1", "Vac", "NO3", "NH4", "FE1",
     "Du1", "M1", "X", "Q3", "A1", "Wat1", "OW", "Fea", "1", "", "RE1", "AC1",
     "AM1", "Nh1", "Cn1", "Og1", "Mt1", "Ts1", "Rf2", "CN1", "NH1",
     "O-H", "O(H)", "O4H", "OH2", "N(H4)", "MgO",
     "NaCl", "FeO1", "O1_H", "(Fe,Mg)1", "Fe,Mg", "Oxy1"],
)  # fmt: skip
def test_labels_that_could_be_something_else(label: str) -> None:
    with pytest.raises(BadCrystal, match=r"ambiguous|unknown element|missing atoms|partial occ"):
        element(None, label, None)


@pytest.mark.parametrize(
    ("label", "text", "symbol"),
    [
        ("W1", "W O3", "W"), ("CD1", "Cd S", "Cd"), ("CD1", "C6 H6", "C"), ("Ca1", "C6 H6", "C"),
        ("HO1", "Ho2 O3", "Ho"), ("HO1", "H2 O", "H"), ("OH1", "H2 Mg O2", "O"),
        ("D1", "D2 O", "D"),
        ("D1", "H2 O", "D"), ("Ow", "H2 O", "O"), ("FE1", "Fe2 O3", "Fe"), ("T1", "T2 O", "T"),
        ("FE1", "FE2 O3", "Fe"), ("NA1", "NaCl", "Na"), ("CA1", "CA O", "Ca"),
    ],
)  # fmt: skip
def test_the_formula_decides_what_a_label_leaves_open(label: str, text: str, symbol: str) -> None:
    (block,) = blocks(f"data_x\n{FORMULA} '{text}'\n")
    assert element(None, label, formula_of(block)) == symbol


@pytest.mark.parametrize(
    ("kind", "symbol"),
    [
        ("Fe", "Fe"), ("Fe3+", "Fe"), ("Fe+3", "Fe"), ("O2-", "O"), ("O-2", "O"), ("Na+", "Na"),
        ("7Li", "Li"), ("11B", "B"), ("2H", "H"), ("D", "D"), ("FE", "Fe"),
        ("si", "Si"),
        ("Fe0+", "Fe"), ("Fe2.5+", "Fe"), ("Cu1", "Cu"), ("O--", "O"), ("Fe++", "Fe"),
        ("Na*", "Na"), ("Cval", "C"), ("Siva", "Si"), ("O2-*", "O"), ("Lr", "Lr"),
    ],
)  # fmt: skip
def test_type_symbols(kind: str, symbol: str) -> None:
    assert element(kind, "X1", None) == symbol


def test_the_type_t_is_tritium_if_the_formula_has_hydrogen() -> None:
    """Zeolites have T for silicon or aluminium."""
    with pytest.raises(BadCrystal, match="'T' could be tritium or a tetrahedral site"):
        element("T", "T1", None)
    for text in ("H2 O", "T2 O", "D2 O"):
        (block,) = blocks(f"data_x\n{FORMULA} '{text}'\n")
        assert element("T", "T1", formula_of(block)) == "T"
    atoms = "O1 O 0 0 0\nT1 T .5 .5 .5"
    refused(cif(atoms, formula("Si O2 H")), "not those of the formula")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("NH4", "missing atoms"), ("Va", "unknown element"), ("Vc", "unknown element"),
        ("OH", "missing atoms"), ("Wat", "missing atoms"), ("H2O", "missing atoms"),
        ("X", "unknown element"), ("M", "unknown element"), ("CH3", "missing atoms"),
        ("CO", "missing atoms"), ("NO3", "missing atoms"), ("SO4", "missing atoms"),
        ("Nh", "unknown element"), ("Og", "unknown element"), ("Mt", "unknown element"),
        ("Cn4+", "unknown element"), ("Og1", "unknown element"), ("Cvalx", "unknown element"),
        ("Du", "unknown element"), ("0.8Nb + 0.2Zr", "partial occupancy"), ("Fe,Mg", "partial"),
        ("FeO", "missing atoms"), ("Cx", "unknown element"), ("1", "unknown element"),
    ],
)  # fmt: skip
def test_type_symbols_that_are_none(kind: str, words: str) -> None:
    with pytest.raises(BadCrystal, match=words):
        element(kind, "Fe1", None)


def test_a_label_that_is_another_element_than_its_type_is_refused() -> None:
    swapped = "Na1 Cl 0 0 0\nCl1 Na .5 .5 .5"
    for items in ("", formula("Na Cl")):
        refused(cif(swapped, items), "ambiguous atom: its label 'Na1' is Na, its type Cl")
    # the formula tells that the labels are those of another crystal
    assert numbers(cif("La1 Y 0 0 0\nCl1 F .5 .5 .5", formula("Y F"))) == [9, 39]
    for label, kind in (("Cd1", "C"), ("Ho1", "H"), ("Ow1", "O"), ("Ca", "C"), ("M1", "Fe"),
                        ("A1", "Sr"), ("Na1", "Na"), ("Nh1", "N"), ("Cat1", "Zn")):  # fmt: skip
        assert element(kind, label, None) == kind


def test_superheavy_elements_are_what_the_formula_names() -> None:
    (block,) = blocks(f"data_x\n{FORMULA} 'Og2 Nh'\n")
    assert element("Og", "X1", formula_of(block)) == "Og"
    assert element(None, "Nh1", formula_of(block)) == "Nh"


def test_an_unknown_type_symbol_leaves_it_to_the_label() -> None:
    assert numbers(cif("Fe1 . 0 0 0\nO1 ? .5 .5 .5")) == [8, 26]
    refused(cif("W1 . 0 0 0\nO1 ? .5 .5 .5"), "ambiguous label: 'W1' could be W or something")


@pytest.mark.parametrize(
    ("atoms", "items", "words"),
    [
        ("O1 O 0 0 0\nMg1 Mg .5 .5 .5", formula("H2 Mg O"), "missing atoms.*Mg1 O1.*'H2 Mg O'"),
        ("O1 O 0 0 0\nMg1 Mg .5 .5 .5", formula("Mg2 O"), "not those.*Mg1 O1.*'Mg2 O'"),
        ("O1 O 0 0 0\nMg1 Mg .5 .5 .5", formula("Mg O", "4"), "'Mg O', Z = 4"),
        ("O1 O 0 0 0\nMg1 Mg .5 .5 .5", formula("Mg O", "2"), "'Mg O', Z = 2"),
        ("O1 O 0 0 0\nMg1 Mg .5 .5 .5", formula("Ca O", "1"), "not those of the formula"),
        ("O1 O 0 0 0\nTi1 Ti .5 .5 .5", formula("Ti0.95 O"), "not those of the formula") ,
        ("O1 O 0 0 0", "_chemical_formula_moiety 'H2 O'", "missing atoms"),
        ("Si1 Si 0 0 0\nT1 T .5 .5 .5", formula("Si O"), "ambiguous type: 'T' could be"),
    ],
)  # fmt: skip
def test_atoms_that_contradict_the_formula(atoms: str, items: str, words: str) -> None:
    refused(cif(atoms, items), words)


@pytest.mark.parametrize(
    "items",
    [
        formula("Mg O"), formula("Mg O", "1"), formula("MgO", "1"), formula("O Mg", "1"),
        formula("Mg1 O1", "1"), formula("Mg2 O2"), formula("Mg1.0 O1.00(1)", "1"),
        formula("?", "4"),
        formula("Mg O", "'?'"), formula("'?'", "4"), formula("(Mg O)2"), formula("Mg1-x O"),
        formula("Mg O n"), "_chemical_formula_structural MgO", "_chemical_formula_iupac 'Mg O'",
        formula("- Mg O -"), formula("Mg2+ O2-", "1"), "_chemical_formula_sum 'none'",
        "_chemical_formula_sum MG O", formula("Mg O1.01", "1"),
        "_chemical_formula_sum\n;\nMg O\n;", "_chemical_formula_sum Mg O", formula("Mg O", "x"),
        "_chemical_formula_moiety 'Mg 2+, O 2-'", "_chemical_formula_moiety 'Mg O'",
    ],
)  # fmt: skip
def test_formulas_that_agree_or_say_nothing(items: str) -> None:
    assert numbers(cif("O1 O 0 0 0\nMg1 Mg .5 .5 .5", items)) == [8, 12]


def test_a_formula_of_the_whole_cell_beside_z_is_as_pymatgen_writes_it() -> None:
    atoms = "O1 O 0 0 0\nO2 O .5 0 0\nMg1 Mg .5 .5 .5\nMg2 Mg 0 .5 .5"
    assert numbers(cif(atoms, formula("Mg2 O2", "2"))) == [8, 8, 12, 12]
    refused(cif(atoms, formula("Mg2 O2", "3")), "not those of the formula")


def test_deuterium_is_hydrogen_in_atoms_and_formula() -> None:
    atoms = "O1 O 0 0 0\nD1 D .2 0 0\nH2 H 0 .2 0"
    for text in ("H2 O", "D2 O", "D H O"):
        assert numbers(cif(atoms, formula(text, "1"))) == [1, 1, 8]


@pytest.mark.parametrize("place", [". . .", "? ? ?", "0.5 . 0.5", "0.5 0.5 ?"])
def test_unknown_coordinates_are_not_zero(place: str) -> None:
    refused(cif(f"O1 O 0 0 0\nH1 H {place}"), "coordinates missing: those of H1 are unknown")


WATER = (
    *("Mg O, H2 O", "Mg O . 2H2 O", "Mg O * H2 O", "Mg O (H2 O)2", "Mg O 2(H2 O)", "MgO·2H2O"),
    *("MgO.2H2O", "MgO H4 x", "H2 Mg O?", "Mg O x(H2 O)", "Mg O, n(H2 O)"),
)


@pytest.mark.parametrize("text", WATER)
@pytest.mark.parametrize("tag", ["sum", "moiety", "structural", "iupac"])
def test_water_in_any_formula_is_missing_from_a_list_without_hydrogen(tag: str, text: str) -> None:
    items = f"_chemical_formula_{tag} '{text}'"
    refused(cif("O1 O 0 0 0\nMg1 Mg .5 .5 .5", items), "missing atoms: the formula has hydrogen")


def test_moieties_are_added_up() -> None:
    atoms = "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5"
    for text in ("Na +, Cl -", "Na 1+, Cl 1-", "2(Na +), 2(Cl -)", "0.5(Na Cl), 0.5(Na Cl)"):
        assert numbers(cif(atoms, f"_chemical_formula_moiety '{text}'")) == [11, 17]
    refused(cif(atoms, "_chemical_formula_moiety 'Na +, Cl -, 2(H2 O)'"), "missing atoms")
    refused(cif(atoms, "_chemical_formula_moiety '2(Na +), Cl -'"), "not those of the formula")


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Ca S O4 . 2H2 O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("CaSO4.2H2O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("C12 H20 Cu N4 2+, 2(Cl O4 -), H2 O",
         {"C": 12, "H": 22, "Cu": 1, "N": 4, "Cl": 2, "O": 9}),
        ("0.5(C H4 O), C6 H6", {"C": 6.5, "H": 8, "O": 0.5}),
        ("K3 [Fe (C N)6]", {"K": 3, "Fe": 1, "C": 6, "N": 6}),
        ("(Mg1.2 Fe.8) Si2 O6", {"Mg": 1.2, "Fe": 0.8, "Si": 2, "O": 6}),
    ],
)  # fmt: skip
def test_formulas_with_groups_and_parts(text: str, amounts: dict[str, float]) -> None:
    (block,) = blocks(f"data_x\n{FORMULA} '{text}'\n")
    read = formula_of(block)
    assert read is not None and amounts in read.readings


@pytest.mark.parametrize("text", ["Fe 2 O 3", "Na Cl 2 H2 O", "C6 H6 2", "Mg O (", "Mg1-x O", "O)"])
def test_formulas_that_are_not_understood_have_no_amounts(text: str) -> None:
    (block,) = blocks(f"data_x\n{FORMULA} '{text}'\n")
    read = formula_of(block)
    assert read is not None and not read.readings


def test_a_formula_that_is_not_understood_is_none_for_dummies_and_attached_hydrogens() -> None:
    columns = "label type_symbol fract_x fract_y fract_z calc_flag attached_hydrogens"
    atoms = "O1 O 0 0 0 . {}\nMg1 Mg .5 .5 .5 . 0\nMg2 Mg .5 .5 .2 {} 0"
    items = formula("Mg1-x O")
    assert numbers(cif(atoms.format(0, "."), items, columns=columns)) == [8, 12, 12]
    refused(cif(atoms.format(0, "dum"), items, columns=columns), "dummy atom")
    refused(cif(atoms.format(1, "."), items, columns=columns), "O1 has hydrogens attached")


def test_disorder_groups_that_exclude_each_other_are_refused() -> None:
    columns = "label type_symbol fract_x fract_y fract_z occupancy disorder_assembly disorder_group"
    atoms = "Na1 Na 0 0 0 1 . .\nO1 O .3 0 0 {} A {}\nO2 O .6 .2 0 {} A {}"
    for occupancy in (".", "1", "?"):
        for one, two in (("1", "2"), ("a", "b"), ("-1", "-1"), ("'1'", "'2'")):
            text = cif(atoms.format(occupancy, one, occupancy, two), columns=columns)
            refused(text, "partial occupancy: disorder groups")
    for one, two in ((".", "."), ("1", "1"), ("0", "0"), ("1", "?")):
        assert numbers(cif(atoms.format(1, one, 1, two), columns=columns)) == [8, 8, 11]
    assert numbers(cif(atoms.format(1, 1, 0, 2), columns=columns)) == [8, 11]


def test_a_volume_that_is_not_the_cells_is_refused() -> None:
    for stated in ("74.088", "74.1(3)", "74", "75", "?", "."):
        assert numbers(cif("O1 O 0 0 0", f"_cell_volume {stated}")) == [8]
    for stated in ("740.88", "7.4", "76", "18.5(9)"):
        refused(cif("O1 O 0 0 0", f"_cell_volume {stated}"), "cell contradicts its volume")


def test_fractions_are_coordinates() -> None:
    assert atoms_of(read_cif(cif("O1 O 1/2 -1/4 2/3"))) == [(8, (0.5, 0.75, 0.6667))]


@pytest.mark.parametrize(
    "place", ["x 0 0", "1/0 0 0", "1/x 0 0", "0,5 0 0", "−0.25 0 0", "0..5 0 0"]
)
def test_coordinates_that_are_no_numbers(place: str) -> None:
    refused(cif(f"O1 O {place}"), "is no coordinate")


def test_numbers_as_files_write_them() -> None:
    text = cif("O1 O 0.25(3) -.25D+00 2.5E-1(12)", cell=("4.2(1)", "0.42D+01", 4.2, 90, 90, 90))  # type: ignore[arg-type]
    assert atoms_of(read_cif(text)) == [(8, (0.25, 0.75, 0.25))]


@pytest.mark.parametrize(
    "text", ["1", "1.", "1.0", "0.9999", "1.0001", "1.00(1)", ".", "?", "0.1D+01"]
)
def test_sites_that_are_full(text: str) -> None:
    assert numbers(cif(f"O1 O 0 0 0 {text}\nMg1 Mg .5 .5 .5 1", columns=OCCUPIED)) == [8, 12]


@pytest.mark.parametrize("text", ["0.5", "0.99", "1.01", "2", "-1", "x", "0.5(1)", "1e-9"])
def test_sites_that_are_not(text: str) -> None:
    refused(cif(f"O1 O 0 0 0 {text}", columns=OCCUPIED), "partial occupancy.*O1")


def test_a_site_that_is_empty_is_not_there() -> None:
    assert numbers(cif("O1 O 0 0 0 0.0\nMg1 Mg .5 .5 .5 1", columns=OCCUPIED)) == [12]
    refused(cif("O1 O 0 0 0 0", columns=OCCUPIED), "no atoms")


def test_dummy_atoms_are_none() -> None:
    columns = "label type_symbol fract_x fract_y fract_z calc_flag"
    atoms = "O1 O 0 0 0 d\nMg1 Mg .5 .5 .5 .\n{} dum"
    for extra in ("X1 X .2 .2 .2", "Cg1 Du ? ? ?"):
        assert numbers(cif(atoms.format(extra), columns=columns)) == [8, 12]
    hydrogen = cif(atoms.format("H1 H .2 .2 .2"), columns=columns)
    refused(hydrogen, "dummy atom: 'H1' is no atom by its flag and one by its name")
    stated = cif(atoms.format("H1 H .2 .2 .2"), formula("Mg O"), columns=columns)
    assert numbers(stated) == [8, 12]
    refused(stated.replace("'Mg O'", "'H Mg O'"), "missing atoms")


def test_attached_hydrogens_are_missing_unless_the_formula_finds_them_listed() -> None:
    columns = "label type_symbol fract_x fract_y fract_z attached_hydrogens"
    bare = "O1 O 0 0 0 2\nMg1 Mg .5 .5 .5 0"
    refused(cif(bare, columns=columns), "missing atoms: O1 has hydrogens attached")
    refused(cif(bare, formula("Mg O"), columns=columns), "missing atoms: O1")
    refused(cif(bare, formula("H2 Mg O"), columns=columns), "missing atoms: the formula")
    listed = f"{bare}\nH1 H .2 0 0 0\nH2 H 0 .2 0 ."
    assert numbers(cif(listed, formula("H2 Mg O"), columns=columns)) == [1, 1, 8, 12]
    assert numbers(cif(bare.replace(" 2\n", " 0\n"), columns=columns)) == [8, 12]


def test_two_atoms_in_one_place_are_refused() -> None:
    refused(cif("O1 O 0 0 0\nMg1 Mg 0.99999 0 0"), "atoms too close.*Mg and O")
    refused(
        cif("O1 O .1 0 0\nO2 O -.1 0 0\nMg1 Mg .3 .3 .3", operations=("x,y,z", "-x,-y,-z")),
        "too close.*O and O",
    )
