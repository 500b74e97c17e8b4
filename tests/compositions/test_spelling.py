"""Formulas that are none, or perhaps another: each is refused with what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.compositions.formulas import parse_formula
from trainables.compositions.reading import read_compositions


def why(formula: str) -> str:
    with pytest.raises(ValueError) as caught:
        parse_formula(formula)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    "text",
    ["NaN", "nan", "NA", "na", "N/A", "#N/A", "n/a", "null", "NULL", "None", "NONE", "inf", "INF",
     "-inf", "No", "Unknown", "?", "-", "—", "...", "", "  "],
)  # fmt: skip
def test_what_stands_for_a_missing_value_is_no_formula(text: str) -> None:
    assert "missing value" in why(text) or "it is empty" in why(text)


@pytest.mark.parametrize("formula", ["Na", "In", "NO", "Os", "Ho", "N", "NaN1", "Na1N1", "I1N1F1"])
def test_elements_and_compounds_that_look_alike_are_read(formula: str) -> None:
    assert parse_formula(formula)


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        ("CuSO4·5H2O", "CuSO4(H2O)5"),
        ("CuSO4*5H2O", "CuSO4(H2O)5"),
        ("CuSO4 • 5 H2O", "CuSO4(H2O)5"),
        ("KAl(SO4)2·12H2O", "KAl(SO4)2(H2O)12"),
        ("Fe2O3.0.5H2O", "Fe2O3(H2O)0.5"),
        ("3CaO·Al2O3", "(CaO)3(Al2O3)"),
        ("CaO.SiO2", "CaO(SiO2)"),
        ("Fe₂O₃", "Fe2O3"),
        ("Fe$_2$O$_{3}$", "Fe2O3"),
        ("Fe_2O_3", "Fe2O3"),
        ("H~2~O", "H2O"),
        ("Fe<sub>2</sub>O<sub>3</sub>", "Fe2O3"),
        ("TiO2 (anatase)", "TiO2"),
        ("TiO2(rutile)", "TiO2"),
        ("alpha-Fe2O3", "Fe2O3"),
        ("α-Al2O3", "Al2O3"),
        ("3C-SiC", "SiC"),
        ("Fe2O3(s)", "Fe2O3"),
        ("SiO2 glass", "SiO2"),
        ("SO4 2-", "SO4"),
        ("SO4^2-", "SO4"),
        ("Na+", "Na"),
        ("[Fe(CN)6]4-", "[Fe(CN)6]"),
        ("2H2O", "H2O"),
        ("NaN", "Na1N1"),
        ("Na\u200bCl", "NaCl"),
        ("Fe203", "Fe2O3"),
        ("Al203", "Al2O3"),
        ("BaFe12019", "BaFe12O19"),
        ("MgAl204", "MgAl2O4"),
        ("Ti02", "TiO2"),
        ("CaC03", "CaCO3"),
        ("Na0H", "NaOH"),
        ("Ca0", "CaO"),
        ("Fe(II)O", "FeO"),
        ("Fe (III)2O3", "Fe2O3"),
        ("Cu(I)Cl", "CuCl for a state, CuICl for atoms"),
        ("Sn[IV]O2", "SnO2"),
        ("V(V)2O5", "V2O5 for a state, VV2O5 for atoms"),
        ("Fe(II,III)3O4", "Fe3O4"),
        ("FeIII2O3", "Fe2O3"),
        ("SIO2", "S1I for the one, Si for the other"),
        ("SNO2", "S1N for the one, Sn for the other"),
        ("64Fe36Ni", "Fe64Ni36"),
        ("0.5Fe0.5Ni", "Fe0.5Ni0.5"),
        ("Fe½Ni½", "Fe0.5Ni0.5"),
        ("Ti0.5Al0,5", "Ti0.5Al0.5"),
        ("YBa2Cu3O6,9", "YBa2Cu3O6.9"),
        ("CaSO4 2H2O", "CaSO4(H2O)2"),
        ("YBa2Cu3O6.9(1)", "YBa2Cu3O6.9"),
        ("Fe(64)Ni(36)", "Fe64Ni36"),
        ("Mn3O4_spinel", "Mn3O4"),
        ('"Mg2SiO4"', "Mg2SiO4"),
        ("\u201cMg2SiO4\u201d", "Mg2SiO4"),
    ],
)
def test_what_was_meant_is_told(formula: str, written: str) -> None:
    assert f"write {written}" in why(formula)
    assert parse_formula(written.partition(" ")[0])


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Fe0.9-1.0O", "a range of amounts"),
        ("Fe1–2O3", "a range of amounts"),
        ("0.9PbTiO3-0.1BiFeO3", "a mixture"),
        ("Li1-xCoO2", "a variable"),
        ("LaxSr1-xMnO3", "a variable"),
        ("YBa2Cu3O7-δ", "a variable"),
        ("(CH2)n", "a variable"),
        ("FeOx", "a variable"),
        ("SO42-", "a charge; leave it out"),
        ("Fe3+", "a charge; leave it out"),
        ("nacl", "symbols are a capital"),
        ("NACL", "symbols are a capital"),
        ("Nacl", "symbols are a capital"),
        ("TIO2", "T is tritium; write H for it, or Ti"),
        ("1-Jan", "a date, as a spreadsheet makes it"),
        ("Mar-01", "a date"),
        ("2021-05-06", "a date"),
        ("1.0E5", "a number"),
        ("42", "a number"),
        ("NaCl/KCl", "more than one substance"),
        ("ZnS:Mn", "more than one substance"),
        ("Ln2O3", "stands for some element"),
        ("Na2O.2SiO2", "write 0.2 for the one"),
        ("GaAs 0.5", "a number stands apart"),
        ("Fe(II)2", "an oxidation state"),
        ("Va", "a vacancy"),
        ("Ph3P", "a group of atoms by its abbreviation"),
        ("Fe)2", "write symbols, each with its amount"),
    ],
)
def test_what_is_wrong_is_told(formula: str, words: str) -> None:
    assert words in why(formula)


@pytest.mark.parametrize(
    "formula",
    ["2Fe3O", "Fe⅓Ni⅔", "Fe1½O", "Fe²O3", "\u0421O2", "Fe2O3,2SiO2", "Fe0O1", "Ca0Ti02", "Fe00O"],
)  # fmt: skip
def test_what_may_mean_something_else_is_not_rewritten(formula: str) -> None:
    assert re.search(r"write [A-Z(]", why(formula)) is None


@pytest.mark.parametrize(
    "formula",
    ["Pb(I)2", "Ca(IO3)2", "K(I3)", "BiOI", "VI2", "NI3", "BI3", "KCN", "KSCN", "NO", "HF", "UO2",
     "CO2", "COS", "BPN", "C60", "Si20", "B105", "C102H204", "Fe70Cr10Ni20", "Pd40Ni40P20",
     "Zr0.5 Ti0.5", "Y3N@C80", "Cu1.0Zn0.0", "La0.7Sr0.3MnO3", "Fe203C", "Fe200Si201",
     "Al(Ni10B7)2", "D2O"],
)  # fmt: skip
def test_formulas_that_are_meant_as_they_stand_are_read(formula: str) -> None:
    assert parse_formula(formula)


@pytest.mark.parametrize("name", ["expt_gap", "expt_is_metal", "steels_yield"])
def test_no_formula_of_the_real_data_is_doubted(shared_data: Path, name: str) -> None:
    data = read_compositions(shared_data / "matbench_composition" / f"{name}.csv", name="all")
    assert not data.quarantine and len(data) in (4604, 4921, 312)


@given(st.text(st.sampled_from("AaCcNnOxHh0123.-+ ()[]·*_₂δ²⁻$~^{}/:eE"), max_size=25))
@example("-")
@example("(·)")
def test_any_text_is_a_formula_or_refused_in_one_line(text: str) -> None:
    try:
        assert sum(parse_formula(text).values()) > 0
    except ValueError as error:
        assert str(error).isprintable()
