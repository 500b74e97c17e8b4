"""What CIF allows is read: any case, quotes, text fields, several blocks, version 2, line ends."""

import time

import pytest

from tests.crystals.cifs_for_tests import atoms_of, cif, refused
from trainables.crystals.crystal import Entry
from trainables.crystals.parsing import parse
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.cif_syntax import blocks

SALT = cif("Na1 Na 0 0 0\nCl1 Cl .5 .5 .5")
ATOMS = atoms_of(read_cif(SALT))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + SALT,
        SALT.replace("\n", "\r\n"),
        SALT.replace("loop_", "LOOP_").replace("data_", "DATA_"),
        SALT.replace("_atom_site_fract_x", "_atom_site_Fract_X"),
        SALT.replace("_cell_length_a", "_CELL_LENGTH_A"),
        SALT.replace("_atom_site_", "_atom_site.").replace("_cell_", "_cell."),
        "# a comment 'with a quote\n" + SALT,
        SALT.replace("\nloop_", "\n_publ_author 'O'Brien, J.'\n_x \"5' 3\"\nloop_"),
        SALT.replace("\nloop_", "\n_x\n;\nloop_\n_atom_site_label\n;\nloop_"),
        SALT.replace("\nloop_", "\n_x 'not closed\nloop_"),
        SALT.replace("\nloop_", "\n_x\nloop_"),
        SALT.replace("Na1 Na 0 0 0\n", "'Na1' \"Na\"\n0\n0 0 # the cation\n"),
        "data_global\n_journal_year 1999\n" + SALT,
        SALT + "data_powder\nloop_\n_pd_meas_counts_total\n1 2 3\n",
        SALT + "data_empty\nloop_\n_atom_site_label\n_atom_site_fract_x\n? ?\n",
        "data_test\n" + SALT,
        "#\\#CIF_2.0\n" + SALT,
        "#\\#CIF_2.0\n" + SALT.replace("\nloop_", "\n_x [1 [2 'a]b'] {'k':1 'l':\"m n\"}]\nloop_"),
        "#\\#CIF_2.0\n" + SALT.replace("\nloop_", "\n_x '''loop_\n_y'''\n_z \"\"\"é\"\"\"\nloop_"),
        SALT.replace("_atom_site_label", "_x_label"),
        SALT + SALT.split("\n", 1)[1].split("loop_")[0],
        "stray words\n" + SALT,
    ],
)
def test_all_of_these_are_one_structure(text: str) -> None:
    assert atoms_of(parse(Entry(0, "x", "cif", text, "1", "f"))) == ATOMS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SALT + SALT.replace("data_test", "data_other"), "2 structures"),
        (SALT + SALT, "2 structures"),
        (SALT + "_cell_length_a 5\n", "_cell_length_a stands twice"),
        (SALT.replace("Na1 Na 0 0 0", "Na1 Na 0 0"), "5 columns and 9 values"),
        (SALT.replace("_cell_length_a 4.2", "_cell_length_a ?"), "lacks _cell_length_a"),
        (SALT.replace("_cell_length_a 4.2", "_cell_length_a 4.2 4.3"), "'4.2 4.3', not a number"),
        (SALT.replace("_cell_length_a 4.2", "_cell_length_a -4.2"), "cell too thin"),
        (SALT.replace("gamma 90", "gamma 190"), "cell too thin"),
        (SALT.replace("alpha 90", "alpha 10").replace("beta 90", "beta 10"), "cell too thin"),
        (SALT.replace("_fract_z", "_z"), "lacks _atom_site_fract_z"),
        (SALT.replace("_fract_", "_Cartn_"), "mmCIF or other CIF with Cartesian coordinates"),
        (SALT.replace("_atom_site_fract_", "_atom_site.Cartn_"), "mmCIF"),
        (SALT.split("loop_")[0], "lacks _atom_site_fract_x"),
        ("data_x\n_a 1\n", "no atom list"),
        ("{}", "not a CIF"),
        (
            SALT.replace("_cell_length_a", "_cell_modulation_dimension 1\n_cell_length_a"),
            "modulated",
        ),
    ],
)
def test_what_is_missing_or_contradictory_is_named(text: str, words: str) -> None:
    refused(text, words)


def test_a_cubic_cell_may_leave_out_what_its_system_fixes() -> None:
    lines = [line for line in SALT.split("\n") if "_b " not in line and "_c " not in line]
    bare = "\n".join(line for line in lines if "angle" not in line)
    refused(bare, "lacks _cell_length_b")
    known = bare.replace("loop_", "_symmetry_cell_setting cubic\nloop_")
    assert atoms_of(read_cif(known)) == ATOMS


def test_magnetic_cifs_are_read_by_their_own_operations() -> None:
    magnetic = (
        "_space_group_name_H-M_alt 'P n m a'\nloop_\n_space_group_symop_magn_operation.xyz\n"
        "x,y,z,+1\n-x,-y,-z,-1\nloop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\n"
        "x+1/2,y+1/2,z,-1\n"
    )
    assert len(read_cif(cif("Fe1 Fe .1 .2 .3", magnetic)).numbers) == 4


@pytest.mark.parametrize(
    "items",
    [
        "_space_group_ssg_name 'Fm-3m(00g)'",
        "loop_\n_space_group_symop_ssg_operation_algebraic\nx1,x2,x3,x4",
        "loop_\n_space_group_symop_magn_ssg_operation.algebraic\nx1,x2,x3,x4,+1",
        "loop_\n_cell_wave_vector_seq_id\n_cell_wave_vector_x\n1 0.31",
        "loop_\n_atom_site_displace_Fourier_axis\n_atom_site_displace_Fourier_param_cos\nx .03",
        "loop_\n_atom_site_Fourier_wave_vector_x\n0.31",
        "loop_\n_atom_site_occ_special_func_atom_site_label\nNa1",
    ],
)
def test_modulated_structures_are_refused_by_whatever_tells_it(items: str) -> None:
    refused(SALT.replace("loop_", f"{items}\nloop_", 1), "modulated structure")


@pytest.mark.parametrize(
    "items",
    [
        "_space_group_magn.name_BNS \"P4'/mmm'\"",
        "_space_group_magn.number_BNS 123.342\n_space_group_name_H-M_alt 'P 4/m m m'",
        "_parent_space_group.name_H-M_alt 'F m -3 m'",
    ],
)
def test_a_magnetic_group_without_operations_is_refused(items: str) -> None:
    refused(SALT.replace("loop_", f"{items}\nloop_", 1), "magnetic structure")
    listed = f"{items}\nloop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\nloop_"
    assert atoms_of(read_cif(SALT.replace("loop_", listed, 1))) == ATOMS


def test_symmetry_and_formula_may_stand_in_a_block_of_common_data() -> None:
    common = "data_global\n_symmetry_space_group_name_H-M 'F m -3 m'\n"
    for text in (common + SALT, SALT + common):
        assert len(read_cif(text).numbers) == 8
    listed = "data_c\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n1/2+x,1/2+y,z\n"
    assert len(read_cif(listed + SALT).numbers) == 4
    refused("data_c\n_chemical_formula_sum 'Na Cl, H2 O'\n" + SALT, "missing atoms")
    other = "data_other\n_symmetry_space_group_name_H-M 'P m -3 m'\n"
    refused(common + other + SALT, "differs between two of its data blocks")
    own = SALT.replace("loop_", "_symmetry_space_group_name_H-M 'P 1'\nloop_", 1)
    assert atoms_of(read_cif(common + own)) == ATOMS
    # another crystal's block
    assert atoms_of(read_cif(common + "_cell_length_a 9\n" + SALT)) == ATOMS


def test_values_of_a_block() -> None:
    (block,) = blocks("data_a_b\n_A.b 'x'\n_c ?\nloop_ _d_ _e 1 . '.' \"?\"\n")
    assert block.name == "a_b"
    assert block.values == {"_a_b": ["x"], "_c": [None], "_d": ["1", "."], "_e": [None, "?"]}


@pytest.mark.parametrize("piece", ["'a ", '"a ', ";a\n", "loop_ ", "_a ", "[", "'''", "data_x\n"])
@pytest.mark.parametrize("version", ["", "#\\#CIF_2.0\n"])
def test_no_text_takes_long(piece: str, version: str) -> None:
    start = time.perf_counter()
    blocks(version + "data_x\n" + piece * 50_000)
    assert time.perf_counter() - start < 10
