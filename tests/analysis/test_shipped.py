"""The shipped tables: their files, their cards, and the ways into other packages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import shipped, tables
from analysis.element_table import ElementTable, MatminerData, read
from analysis.elements import NUMBERS, SYMBOLS
from analysis.shipped import element_table, element_tables
from scripts.ship_tables import END, PAGE, START, card_page, measured, with_card
from trainables.elements import descriptor

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=element_tables())
def table(request: pytest.FixtureRequest) -> ElementTable:
    return element_table(request.param)


def release() -> dict[str, Any]:
    return dict(shipped._facts(shipped.RELEASE)["tables"])


def test_all_of_the_design_are_there() -> None:
    grid = {f"Mat2Vec-{s}-{dim}{end}" for s in "SHL" for dim in (32, 64) for end in ("", "-plain")}
    assert set(element_tables()) == grid | {"Element-Scale"}
    facts = {shipped.NOTES, shipped.RELEASE}
    files = {path.name.partition(".")[0] for path in shipped.DATA.iterdir()}
    assert files == set(element_tables()) | {name.partition(".")[0] for name in facts}


def test_a_table_has_a_vector_of_each_element(table: ElementTable) -> None:
    assert table.vectors.shape[0] == 118 and np.isfinite(table.vectors).all()
    assert table.symbols == SYMBOLS[1:] and table.path is not None
    assert table.vector("Fe") is not None and np.array_equal(table.vector("Fe"), table.vectors[25])
    with pytest.raises(ValueError, match=r"'Xx' is no element; write its symbol, as Fe"):
        table.vector("Xx")


def test_files_and_card_are_those_of_the_release(table: ElementTable) -> None:
    """Digests, and the figures of the card, counted again in the files."""
    card = release()[table.name]
    assert measured(table.name, card["kind"]) == card
    assert table.card["table"] == table.name
    assert table.card["columns"] == table.card["dim"] == table.vectors.shape[1]
    assert table.card["elements_seen"] == table.seen.sum() == 118 - table.card["rows_filled"]
    assert table.card.get("selection_leaks_test_data", False) is False


def test_a_file_that_was_touched_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shipped.DATA, tmp_path / "data")
    monkeypatch.setattr(shipped, "DATA", tmp_path / "data")
    path = tmp_path / "data" / "Element-Scale.csv"
    path.write_text(path.read_text().replace("\nH,4.1", "\nH,4.2"))
    assert measured("Element-Scale", "scale") != release()["Element-Scale"]
    assert measured("Mat2Vec-L-32", "grid") == release()["Mat2Vec-L-32"]


def test_filled_rows_follow_the_rule_and_the_sidecar(table: ElementTable) -> None:
    numbers = np.flatnonzero(table.seen) + 1
    again, seen = tables.complete(numbers, table.vectors[table.seen], descriptor.load())
    assert np.array_equal(seen, table.seen)
    np.testing.assert_allclose(again, table.vectors, rtol=1e-12)
    near = tables.nearest_seen(numbers, descriptor.load())
    for symbol, row in table.card["elements"].items():
        weights = near.get(NUMBERS[symbol])
        known = weights and {SYMBOLS[z]: round(share, 6) for z, share in weights.items()}
        assert row["filled_from"] == known


def test_the_page_has_the_cards() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_card(page, card_page(element_tables())) == page
    assert with_card(f"a\n{START}\nold\n{END}\nz\n", f"{START}\nnew\n{END}") == (
        f"a\n{START}\nnew\n{END}\nz\n"
    )


def test_a_card_says_what_is_behind_a_table(table: ElementTable) -> None:
    for topic in ("command", "what", "chosen_because", "leaks", "worth", "limits", "licence"):
        assert len(table.card[topic]) > 20
    listed = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    for one in table.card["data"]:
        assert re.fullmatch(r"[0-9a-f]{64}", one["sha256"]) and one["licence"]
        for source in re.findall(r"doi:(\S+?)[,;]?(?:\s|$)", one["source"]):
            assert f"[{source}]" in listed


def test_words_of_the_card_agree_with_its_figures() -> None:
    card = element_table("Mat2Vec-S-32").card
    behind = card["winners_of_s"]
    assert f"in {behind['0'] + behind['H']} of {sum(behind.values())} models" in card["start"]
    assert f"elements ({card['elements_seen']};" in card["chosen_because"]
    assert f"{sum(card['crystals'].values()):,}".replace(",", "\u202f") in card["limits"]
    assert f"instead of {card['validation_mae']['phonons']['0']} cm" in card["chosen_because"]
    scale = element_table("Element-Scale").card
    assert f"from 1 to {scale['elements_seen']}" in scale["what"]
    assert f"λ = {scale['lambda']:g}," in scale["what"]
    assert f"Spearman {scale['fidelity']['this scale']['spearman']:.2f}" in scale["chosen_because"]
    for symbol in (*scale["isolated"], *scale["estimated_occurrences"]):
        assert re.search(rf"\b{symbol}\b", scale["limits"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("Mat2Vec-H-23", "did you mean Mat2Vec-H-32?"), ("nothing", "there are Mat2Vec-S-32, ")],
)
def test_a_wrong_name_is_answered_with_the_close_ones(name: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        element_table(name)
    assert words in str(caught.value) and "Element-Scale" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_loads_without_pandas() -> None:
    code = (
        "import sys; from analysis.shipped import element_table; element_table('Mat2Vec-H-32');"
        "sys.exit(bool({'pandas', 'torch', 'ray', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ---------------------------------------------------------------------- other packages


def test_element_embeddings_takes_it(table: ElementTable) -> None:
    from elementembeddings.composition import composition_featuriser
    from elementembeddings.core import Embedding

    embedding = table.embedding()
    assert embedding.dim == table.vectors.shape[1] and embedding.embedding_name == table.name
    (found,) = composition_featuriser(["NaCl"], embedding=embedding, stats="mean")
    np.testing.assert_allclose(found, (table.vector("Na") + table.vector("Cl")) / 2, rtol=1e-12)
    from_file = Embedding.from_csv(str(table.path), table.name)
    assert from_file.feature_labels == embedding.feature_labels
    for symbol in ("H", "Fe", "Og"):
        np.testing.assert_allclose(
            from_file.embeddings[symbol], embedding.embeddings[symbol], rtol=1e-14
        )


def test_a_written_table_is_the_shipped_file(tmp_path: Path, table: ElementTable) -> None:
    """CrabNet's `mat2vec.csv`: `tests/models/test_crabnet.py` loads one with its code."""
    table.write(tmp_path / "mat2vec.csv")
    assert table.path is not None
    assert (tmp_path / "mat2vec.csv").read_bytes() == table.path.read_bytes()
    again = read(tmp_path / "mat2vec.csv")
    assert again.name == "mat2vec" and again.seen.all() and again.card == {}


def test_matminer_gets_numbers_of_elements(table: ElementTable) -> None:
    """Elements as pymatgen has them; `test_shipped_matminer.py` goes through matminer."""
    from pymatgen.core import Element

    data = MatminerData(table)
    assert len(set(data.prop_names)) == table.vectors.shape[1]
    found = [data.get_elemental_property(Element("Fe"), name) for name in data.prop_names]
    assert found == table.vector("Fe").tolist()
    hydrogens = [Element("H"), Element("D")]
    one, other = data.get_elemental_properties(hydrogens, data.prop_names[0])
    assert one == other == table.vectors[0, 0]


def test_without_matminer_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matminer", None)
    monkeypatch.delitem(sys.modules, "matminer.featurizers.composition", raising=False)
    with pytest.raises(ImportError, match=r"^Mat2Vec-L-32: pip install matminer first"):
        element_table("Mat2Vec-L-32").element_property()
