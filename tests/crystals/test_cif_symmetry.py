"""A named space group is expanded in the setting that name and cell decide, or it is refused."""

import itertools

import numpy as np
import pytest
import spglib
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from tests.crystals.cifs_for_tests import atoms_of, cif, operations_of, refused
from trainables.crystals.reading import space_groups
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.operations import parse_operations
from trainables.testing.crystals import named_crystals

SALT = "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5"
EDGE = (5.64, 5.64, 5.64, 90, 90, 90)
MONOCLINIC = (6, 7, 8, 90, 100, 90)
HEXAGONAL = (4.546, 4.546, 11.86, 90, 90, 120)
RHOMBOHEDRAL = (4.746, 4.746, 4.746, 57.2, 57.2, 57.2)
SYMBOL = "_symmetry_space_group_name_H-M"


def count(text: str) -> int:
    return len(read_cif(text).numbers)


@pytest.mark.parametrize(
    "items",
    [
        f"{SYMBOL} 'F m -3 m'",
        f"{SYMBOL} 'F m 3 m'",
        f"{SYMBOL} Fm-3m",
        f'{SYMBOL} "F_m_-3_m"',
        f"{SYMBOL} 'f M -3 M'",
        f"{SYMBOL} F m -3 m",
        f"{SYMBOL} 'F 4/m -3 2/m'",
        f"{SYMBOL} 'F m -3 m (225)'",
        f"{SYMBOL} 'Fm-3m (No. 225)'",
        f"{SYMBOL} 'F m -3 m :1'",
        f"{SYMBOL} 'F m −3 m'",
        f"{SYMBOL} 'F m 3bar m'",
        f"{SYMBOL} 'F m \\=3 m'",
        f"{SYMBOL} 'F m $\\bar{{3}}$ m'",
        f"{SYMBOL} 225",
        f"{SYMBOL} '?'\n_symmetry_Int_Tables_number 225",
        f"{SYMBOL} 'not given'\n_space_group_name_Hall '-F 4 2 3'",
        f"{SYMBOL} ?\n_symmetry_Int_Tables_number 225",
        f"{SYMBOL} .\n_space_group_IT_number 225",
        "_space_group_name_H-M_alt 'F m -3 m'",
        "_space_group.name_H-M_alt 'F m -3 m'",
        "_symmetry_space_group_name_Hall '-F 4 2 3'",
        "_space_group_name_Hall '-f  4_2 3'",
        "_SYMMETRY_INT_TABLES_NUMBER 225",
        f"loop_\n_symmetry_equiv_pos_as_xyz\n?\n{SYMBOL} 'F m -3 m'",
        f"loop_\n_symmetry_equiv_pos_as_xyz\n{SYMBOL} 'F m -3 m'",
        f"loop_\n_space_group_symop_id\n_space_group_symop_operation_xyz\n1 .\n{SYMBOL} 'F m -3 m'",
    ],
)
def test_a_group_that_is_named_without_operations_is_expanded(items: str) -> None:
    crystal = read_cif(cif(SALT, items, cell=EDGE))
    assert crystal.numbers.tolist() == [11] * 4 + [17] * 4
    assert atoms_of(crystal) == atoms_of(named_crystals()["NaCl"])


@pytest.mark.parametrize(
    ("symbol", "cell", "atoms"),
    [
        ("P 21/c", MONOCLINIC, 4),
        ("P 2(1)/c", MONOCLINIC, 4),
        ("P 1 21/c 1", MONOCLINIC, 4),
        ("P2_1/n", MONOCLINIC, 4),
        ("C 2/c", MONOCLINIC, 8),
        ("I 2/a", MONOCLINIC, 8),
        ("B 2/b", (6, 7, 8, 90, 90, 100), 8),
        ("P -1", (6, 7, 8, 80, 85, 100), 2),
        ("P n m a", (6, 7, 8, 90, 90, 90), 8),
        ("P b n m", (6, 7, 8, 90, 90, 90), 8),
        ("C m c a", (6, 7, 8, 90, 90, 90), 16),
        ("C m c e", (6, 7, 8, 90, 90, 90), 16),
        ("R -3 m H", HEXAGONAL, 36),
        ("R -3 m :H", HEXAGONAL, 36),
        ("R -3 m", HEXAGONAL, 36),
        ("R -3 m", RHOMBOHEDRAL, 12),
        ("H 3", HEXAGONAL, 9),
        ("H-3", HEXAGONAL, 18),
        ("H 3 2", HEXAGONAL, 18),
        ("R -3 m :R", RHOMBOHEDRAL, 12),
        ("P 63/m m c", HEXAGONAL, 24),
        ("I 41/a m d S", (5, 5, 9, 90, 90, 90), 32),
        ("P 1", (6, 7, 8, 80, 85, 100), 1),
    ],
)
def test_symbols_and_cells(symbol: str, cell: tuple[float, ...], atoms: int) -> None:
    assert count(cif("Na1 Na .11 .29 .34", f"{SYMBOL} '{symbol}'", cell=cell)) == atoms


@pytest.mark.parametrize(
    ("items", "cell", "words"),
    [
        (f"{SYMBOL} 'R -3 m :H'", RHOMBOHEDRAL, "does not fit the cell"),
        (f"{SYMBOL} 'R -3 m R'", HEXAGONAL, "does not fit the cell"),
        (f"{SYMBOL} 'F m -3 m'", HEXAGONAL, "does not fit the cell"),
        (f"{SYMBOL} 'P 1 21/c 1'", (6, 7, 8, 90, 90, 100), "does not fit the cell"),
        (f"{SYMBOL} 'P x y z'", EDGE, "'P x y z' is not known"),
        (f"{SYMBOL} 'F 4/m m m'\n_symmetry_Int_Tables_number 139", EDGE, "is not known"),
        ("_space_group_IT_number 231", EDGE, "'231' is not known"),
        (f"{SYMBOL} 'F m -3 m'\n_symmetry_Int_Tables_number 227", EDGE, "contradict"),
        ("_space_group_name_Hall '-F 4 2 3'\n_space_group_IT_number 14", EDGE, "contradict"),
        (f"{SYMBOL} 'P 1'\n_space_group_IT_number 225", EDGE, "contradict"),
        (f"{SYMBOL} 'F d -3 m'", EDGE, "origin or axes are left open; write :1 or :2"),
        ("_space_group_IT_number 227", EDGE, "origin or axes are left open"),
    ],
)
def test_a_group_that_cannot_be_expanded(items: str, cell: tuple[float, ...], words: str) -> None:
    refused(cif("Na1 Na .11 .23 .34", items, cell=cell), f"space group cannot be.*{words}")


@pytest.mark.parametrize(
    ("place", "origin"), [("0 0 0", 1), (".125 .125 .125", 2)]
)  # fmt: skip
def test_formula_and_z_decide_the_origin(place: str, origin: int) -> None:
    def silicon(*items: str) -> str:
        return cif(f"Si1 Si {place}", "\n".join(items), cell=(5.43, 5.43, 5.43, 90, 90, 90))

    known = read_cif(silicon(f"{SYMBOL} 'F d -3 m :{origin}'"))
    decided = read_cif(
        silicon(f"{SYMBOL} 'F d -3 m'", "_chemical_formula_sum Si", "_cell_formula_units_Z 8")
    )
    assert atoms_of(decided) == atoms_of(known) and len(known.numbers) == 8
    refused(silicon(f"{SYMBOL} 'F d -3 m'", "_chemical_formula_sum Si"), "origin or axes")


def test_a_formula_that_may_be_of_the_unit_or_of_the_cell_decides_no_origin() -> None:
    atoms = "Y1 Y 0 .5 0\nGa1 Ga .183 .317 .35\nGa2 Ga 0 0 .16"
    items = f"{SYMBOL} 'P 4/n b m'\n_cell_formula_units_Z 2\n_chemical_formula_sum"
    cell = (5.98, 5.98, 7.62, 90, 90, 90)
    refused(cif(atoms, f"{items} 'Y2 Ga12'", cell=cell), "origin or axes are left open")
    assert count(cif(atoms, f"{items} 'Y Ga6'", cell=cell)) == 14


def test_no_group_and_no_operations_is_the_list_itself() -> None:
    assert count(cif(SALT, cell=EDGE)) == 2
    assert count(cif(SALT, f"{SYMBOL} ?", cell=EDGE)) == 2


FULL = "\n".join(
    f"{symbol}{at} {symbol} {x} {y} {z}"
    for symbol, shift in (("Na", 0), ("Cl", 0.5))
    for at, (x, y, z) in enumerate(
        ((a + shift) % 1, b, c) for a, b, c in itertools.product((0, 0.5), repeat=3)
        if (a + b + c) in (0, 1)
    )
)  # fmt: skip


@pytest.mark.parametrize("operations", [None, ("x, y, z",)])
def test_a_list_that_is_complete_already_is_not_expanded(operations: tuple[str] | None) -> None:
    text = cif(FULL, f"{SYMBOL} 'F m -3 m'", cell=EDGE, operations=operations)
    assert atoms_of(read_cif(text)) == atoms_of(named_crystals()["NaCl"])
    half = EDGE[0] / 2**0.5
    primitive = (half, half, half, 60, 60, 60)
    assert count(cif(SALT, f"{SYMBOL} Fm-3m", cell=primitive, operations=operations)) == 2


def test_only_the_identity_beside_a_name_is_decided_by_the_formula_or_refused() -> None:
    def salt(*items: str) -> str:
        named = "\n".join([f"{SYMBOL} 'F m -3 m'", *items])
        return cif(SALT, named, cell=EDGE, operations=("x,y,z",))

    refused(salt(), "lists 1 operations where it has 192")
    refused(salt("_chemical_formula_sum 'Na Cl'"), "lists 1 operations where it has 192")
    assert count(salt("_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 4")) == 8
    assert count(salt("_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 1")) == 2
    # as pymatgen writes it: the formula of the cell beside the number of units in it
    assert count(salt("_chemical_formula_sum 'Na4 Cl4'", "_cell_formula_units_Z 4")) == 8
    refused(salt("_chemical_formula_sum 'Na2 Cl2'", "_cell_formula_units_Z 3"), "lists 1 oper")


def test_a_list_without_its_centring_is_decided_alike() -> None:
    primitive = ("x,y,z", "-x,y,-z+1/2", "-x,-y,-z", "x,-y,z+1/2")
    text = cif("Na1 Na .1 .2 .3", f"{SYMBOL} 'C 2/c'", cell=MONOCLINIC, operations=primitive)
    refused(text, "lists 4 operations where it has 8")
    formula = "_chemical_formula_sum Na\n_cell_formula_units_Z"
    assert count(text.replace("loop_", f"{formula} 8\nloop_", 1)) == 8
    assert count(text.replace("loop_", f"{formula} 4\nloop_", 1)) == 4


def test_listed_operations_stand_whatever_their_setting_is_called() -> None:
    body_centred = ("x,y,z", "1/2+X, 1/2+Y, 1/2+Z")
    for name in ("'A made up name'", "?", "'none'", "'I 1'\n_symmetry_Int_Tables_number 1"):
        text = cif("Fe1 Fe 0 0 0", f"{SYMBOL} {name}", operations=body_centred)
        assert count(text) == 2
    refused(cif("Fe1 Fe 0 0 0", operations=("y,x,z,t",)), "is no symmetry operation")
    refused(cif("Fe1 Fe 0 0 0", operations=("x,y,z", "-y,x-y,z")), "symmetry contradicts the cell")


def test_a_setting_without_a_name_may_have_any_number_of_operations() -> None:
    # as VESTA writes a body-centred cell without symmetry
    text = cif("Fe1 Fe 0 .1 .2", f"{SYMBOL} 'I 1'\n_space_group_IT_number 1", operations=("x,y,z",))
    assert count(text.replace("'x,y,z'", "'x,y,z'\n'x+1/2,y+1/2,z+1/2'")) == 2
    refused(text.replace("number 1", "number 2").replace("I 1", "I -1"), "is not known")


def test_a_list_that_holds_the_images_too_is_taken_as_it_is() -> None:
    pairs = "O1 O .1 .2 .3\nO2 O .9 .8 .7\nMg1 Mg 0 0 0"
    text = cif(pairs, f"{SYMBOL} 'P -1'", operations=("x,y,z", "-x,-y,-z"))
    assert sorted(read_cif(text).numbers.tolist()) == [8, 8, 12]
    refused(text.replace("Mg1 Mg 0 0 0", "Mg1 Mg .2 .2 .2"), "too close.*O and O")


def test_multiplicities_without_a_symmetry_are_refused() -> None:
    columns = "label symmetry_multiplicity fract_x fract_y fract_z"
    refused(cif("Na1 4 0 0 0\nCl1 4 .5 .5 .5", columns=columns), "symmetry missing")
    assert count(cif("Na1 1 0 0 0\nCl1 1 .5 .5 .5", columns=columns)) == 2
    assert count(cif("Na1 ? 0 0 0\nCl1 . .5 .5 .5", columns=columns)) == 2


@pytest.mark.parametrize(
    "items", ["_symmetry_space_group_name_H-M 'P 1'", "_space_group_IT_number 1", ""]
)
@pytest.mark.parametrize("operations", [("x, y, z",), None])
@pytest.mark.parametrize("tag", ["symmetry_multiplicity", "site_symmetry_multiplicity"])
def test_multiplicities_contradict_the_trivial_group(
    items: str, operations: tuple[str, ...] | None, tag: str
) -> None:
    columns = f"label {tag} fract_x fract_y fract_z"
    atoms = "Na1 4 0 0 0\nCl1 4 .5 .5 .5"
    words = "symmetry contradicts the atoms" if items or operations else "symmetry missing"
    refused(cif(atoms, items, columns=columns, operations=operations), words)
    sound = atoms.replace(" 4 ", " 1 ")
    assert count(cif(sound, items, columns=columns, operations=operations)) == 2


RHOMBOHEDRAL_GROUPS = {146: 3, 148: 6, 155: 6, 160: 6, 161: 6, 166: 12, 167: 12}


def setting(name: str) -> int:
    """The Hall number that a name with its suffix means."""
    (found,) = space_groups.settings_of_name(name)
    return found


@pytest.mark.parametrize("number", RHOMBOHEDRAL_GROUPS)
def test_a_rhombohedral_list_without_its_centring_is_decided_or_refused(number: int) -> None:
    (hall,) = (
        s for s in space_groups.settings_of_number(number) if space_groups.choice_of(s) == "H"
    )
    name = spglib.get_spacegroup_type(hall).international_short.replace("_", "")
    inner = operations_of(hall, centring=False)
    order = RHOMBOHEDRAL_GROUPS[number]
    assert len(inner) == order
    text = cif(
        "Na1 Na .11 .29 .07",
        f"{SYMBOL} '{name}'\n_chemical_formula_sum Na",
        cell=HEXAGONAL,
        operations=inner,
    )
    refused(text, f"lists {order} operations where it has {3 * order}")
    assert (
        count(text.replace("_sum Na", f"_sum Na\n_cell_formula_units_Z {3 * order}")) == 3 * order
    )


CORUNDUM = "Al1 Al 12 c 0 0 .35216\nO1 O 18 e .30624 0 .25"


@pytest.mark.parametrize("tag", ["symmetry_multiplicity", "Wyckoff_symbol"])
def test_multiplicities_decide_what_the_operations_leave_open(tag: str) -> None:
    other = "Wyckoff_letter" if tag == "symmetry_multiplicity" else "x"
    columns = f"label type_symbol {tag} {other} fract_x fract_y fract_z"
    atoms = CORUNDUM if other != "x" else CORUNDUM.replace("12 c", "12c ?").replace("18 e", "18e ?")
    text = cif(
        atoms,
        f"{SYMBOL} 'R -3 c'\n_chemical_formula_sum 'Al2 O3'",
        cell=(4.76, 4.76, 12.99, 90, 90, 120),
        columns=columns,
        operations=operations_of(setting("R -3 c :H"), centring=False),
    )
    assert count(text) == 30
    assert count(text.replace("R -3 c", "R -3 c :H")) == 30


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("P 21 21 21", "P 1 21/c 1"),
        ("P 21 21 21", "P m m 2"),
        ("P 21 21 21", "P 21 21 2"),
        ("F d -3 m", "F m -3 m"),
        ("F d -3 m :2", "F d -3 m :1"),
        ("P n n n :1", "P n n n :2"),
        ("I a -3 d", "F m -3 c"),
    ],
)
def test_operations_of_another_group_than_the_named_one_are_refused(name: str, listed: str) -> None:
    cell = (5.1, 6.2, 7.3, 90, 90, 90) if name[0] == "P" else EDGE
    operations = operations_of(setting(listed))
    for extra in ("", "\n_chemical_formula_sum Na"):
        text = cif(
            "Na1 Na .1 .2 .33", f"{SYMBOL} '{name}'{extra}", cell=cell, operations=operations
        )
        refused(text, "cannot be expanded")


def test_a_hall_symbol_or_a_number_contradicts_a_list_too() -> None:
    listed = operations_of(setting("F d -3 m :1"))
    for items, reason in (
        ("_space_group_name_Hall '-F 4vw 2vw 3'", "others"),
        ("_space_group_IT_number 225", "others"),
        (f"{SYMBOL} 'X x x x'\n_space_group_IT_number 225", "is not known"),
    ):
        refused(cif("Na1 Na .1 .2 .33", items, cell=EDGE, operations=listed), reason)
    right = "_space_group_name_Hall 'F 4d 2 3 -1d'\n_space_group_IT_number 227"
    assert count(cif("Si1 Si 0 0 0", right, cell=EDGE, operations=listed)) == 8


@pytest.mark.parametrize(
    "operations",
    [
        ("x,y,z", "-y,x,z+1/4"),
        ("x,y,z", "y,z,x"),
        ("-x,-y,-z",),
        ("x,y,z", "1/2-x,-y,1/2+z", "-x,1/2+y,1/2-z", "1/2+x,1/2-y,z"),
        ("x,y,z", "x+1/2,y,z+1/3"),
        ("-x,-y,-z", "-x,y,-z"),
    ],
)
def test_operations_that_are_no_group_are_refused(operations: tuple[str, ...]) -> None:
    for items in ("", f"{SYMBOL} 'P 21 21 21'"):
        refused(cif("Na1 Na .1 .2 .3", items, operations=operations), "are no group")


def test_coarse_translations_are_those_that_they_round() -> None:
    listed = operations_of(setting("R -3 c :H"))
    for places in (3, 2):
        coarse = tuple(
            text.replace("+1/3", f"+{1 / 3:.{places}f}").replace("+2/3", f"+{2 / 3:.{places}f}")
            for text in listed
        )
        text = cif("Na1 Na .11 .29 .07", f"{SYMBOL} 'R -3 c'", cell=HEXAGONAL, operations=coarse)
        assert count(text) == 36


@pytest.mark.parametrize(
    ("name", "number", "parent", "shift"),
    [
        ("C -1", 2, "P -1", "1/2+x,1/2+y,z"),
        ("I -1", 2, "P -1", "1/2+x,1/2+y,1/2+z"),
        ("F -1", 2, "P -1", "1/2+x,1/2+y,z;1/2+x,y,1/2+z;x,1/2+y,1/2+z"),
        ("C 4/m m m", 123, "P 4/m m m", "1/2+x,1/2+y,z"),
        ("F 4/m m m", 139, "I 4/m m m", None),
    ],
)
def test_a_list_decides_where_the_cell_has_no_known_symbol(
    name: str, number: int, parent: str, shift: str | None
) -> None:
    inner = operations_of(setting(parent))
    items = f"{SYMBOL} '{name}'\n_symmetry_Int_Tables_number {number}"
    if shift is None:  # the tetragonal face-centred cell, turned by 45°
        return refused(cif("Na1 Na .1 .2 .3", items, cell=EDGE, operations=inner), "is not known")
    centres = parse_operations(["x,y,z", *shift.split(";")]).translations
    listed = tuple(
        ",".join(f"{part}+{by:g}" for part, by in zip(text.split(","), centre, strict=True))
        for text in inner
        for centre in centres
    )
    cell = (7, 7, 8, 90, 90, 90)
    assert count(cif("Na1 Na .11 .23 .37", items, cell=cell, operations=listed)) == len(listed)
    refused(cif("Na1 Na .11 .23 .37", items, cell=cell, operations=inner), "is not known")
    refused(cif("Na1 Na .11 .23 .37", items, cell=cell), "is not known")


def test_all_settings_are_read_with_their_operations() -> None:
    for hall in space_groups.SETTINGS:
        operations = space_groups.operations_of(hall)
        assert operations.is_group()
        cell = np.diag([5.0, 6.0, 7.0]) @ np.array([[1, 0.1, 0.2], [0, 1, 0.15], [0, 0, 1]])
        assert space_groups.number_of_operations(operations, cell) == space_groups.number_of(hall)


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_rounded_special_positions_are_one_atom(digits: int) -> None:
    places = [(1 / 3, 2 / 3, 0.25), (0, 0, 0.5)]
    atoms = "\n".join(
        f"{name}1 {name} " + " ".join(f"{x:.{digits}f}" for x in place)
        for name, place in zip(("Zn", "O"), places, strict=True)
    )
    text = cif(atoms, f"{SYMBOL} 'P 63/m m c'", cell=(3.25, 3.25, 5.2, 90, 90, 120))
    assert count(text) == 4


def test_a_general_position_too_near_to_its_image_is_not_halved() -> None:
    text = cif("Na1 Na .02 .2 .3", f"{SYMBOL} 'P m m m'", cell=(5, 6, 7, 90, 90, 90))
    assert count(text) == 8  # 0.2 Å apart, which the checks refuse


def test_all_settings_are_found_by_their_names_and_no_other() -> None:
    for setting in space_groups.SETTINGS:
        kind = spglib.get_spacegroup_type(setting)
        assert setting in space_groups.settings_of_hall(kind.hall_symbol)
        for name in (kind.international_full, kind.international_short):
            found = space_groups.settings_of_name(name)
            assert {space_groups.number_of(s) for s in found} <= {kind.number}
        full = space_groups.settings_of_name(kind.international_full)
        assert setting in full
        if kind.choice:
            chosen = space_groups.settings_of_name(f"{kind.international_full} :{kind.choice}")
            assert setting in chosen and chosen <= full
    for number, old in space_groups._BEFORE_E.items():
        for name in old.split():
            (one,) = {space_groups.number_of(s) for s in space_groups.settings_of_name(name)}
            assert one == number


@pytest.mark.parametrize(
    ("text", "row", "shift"),
    [
        ("x,y,z", [1, 0, 0], 0),
        ("x-y+1/3, x, z", [1, -1, 0], 1 / 3),
        ("1/2-X,y,z", [-1, 0, 0], 0.5),
        ("+.5+x,y,z", [1, 0, 0], 0.5),
        ("0.333+x,y,z", [1, 0, 0], 1 / 3),
        ("y, x, z", [0, 1, 0], 0),
    ],
)
def test_operations_as_they_are_written(text: str, row: list[float], shift: float) -> None:
    found = parse_operations([text])
    assert found.rotations[0, 0].tolist() == row
    assert found.translations[0, 0] == pytest.approx(shift, abs=1e-12)


@pytest.mark.parametrize("text", ["x,y", "x,y,w", "x,,z", "x,x,z", "x y z", "x,y,z/0", "1/0+x,y,z"])
def test_operations_that_are_none(text: str) -> None:
    refused(cif("Fe1 Fe 0 0 0", operations=(text,)), "no symmetry operation")


@pytest.mark.parametrize("name", [n for n in named_crystals() if n not in ("triclinic",)])
def test_with_and_without_its_operations_a_crystal_is_the_same(name: str) -> None:
    made = named_crystals()[name]
    structure = Structure(made.lattice, made.numbers.tolist(), made.frac)
    refined = SpacegroupAnalyzer(structure, symprec=0.01).get_refined_structure()
    text = str(CifWriter(refined, symprec=0.01))
    wanted = read_cif(text)
    assert sorted(wanted.numbers.tolist()) == sorted(refined.atomic_numbers)
    start = text.index("loop_\n _symmetry_equiv")
    bare = text[:start] + text[text.index("loop_\n _atom_site") :]
    assert atoms_of(read_cif(bare)) == atoms_of(wanted)
    unnamed = text.replace("_symmetry_space_group_name_H-M", "_x").replace("_Int_Tables", "_x")
    assert atoms_of(read_cif(unnamed)) == atoms_of(wanted)
    np.testing.assert_allclose(wanted.lattice, refined.lattice.matrix, atol=1e-4)
