"""The file of an element table: 118 rows, read back exactly, and readable by other packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.element_table import read_csv, to_csv
from analysis.elements import SYMBOLS


def make_table(dim: int = 5) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(118, dim))


def write_table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_table_reads_back_exactly(tmp_path: Path) -> None:
    table = make_table()
    text = to_csv(table)
    lines = text.splitlines()
    assert lines[0] == "element,0,1,2,3,4"
    assert len(lines) == 119
    assert (lines[1].split(",")[0], lines[118].split(",")[0]) == ("H", "Og")
    symbols, found = read_csv(write_table(tmp_path, text))
    assert symbols == list(SYMBOLS[1:])
    np.testing.assert_array_equal(found, table)


def test_element_embeddings_reads_the_same_vectors(tmp_path: Path) -> None:
    from elementembeddings.core import Embedding

    table = make_table(32)
    path = write_table(tmp_path, to_csv(table))
    embedding = Embedding.from_csv(str(path), "Mat2Vec-S-32")
    assert embedding.dim == 32
    assert list(embedding.embeddings) == list(SYMBOLS[1:])
    found = np.array([embedding.embeddings[symbol] for symbol in SYMBOLS[1:]])
    np.testing.assert_allclose(found, table, rtol=1e-14)


def test_the_published_mat2vec_table_is_accepted() -> None:
    import elementembeddings

    folder = Path(elementembeddings.__file__).parent / "data" / "element_representations"
    symbols, vectors = read_csv(folder / "mat2vec.csv")
    assert len(symbols) == 118
    assert vectors.shape == (118, 200)


def test_unfit_table_is_not_written() -> None:
    with pytest.raises(ValueError, match="118 rows"):
        to_csv(np.ones((117, 4)))
    table = make_table()
    table[25, 2] = np.nan
    with pytest.raises(ValueError, match="row of Fe"):
        to_csv(table)


def damage(kind: str) -> str:
    lines = to_csv(make_table()).splitlines()
    match kind:
        case "missing row":
            del lines[26]
        case "swapped rows":
            lines[1], lines[2] = lines[2], lines[1]
        case "short table":
            lines = lines[:100]
        case "long table":
            lines.append(lines[-1])
        case "empty cell":
            lines[8] = "O,1,2,,4,5"
        case "nan":
            lines[8] = "O,1,2,nan,4,5"
        case "short row":
            lines[8] = "O,1,2"
        case "blank line":
            lines[8] = ""
        case "huge cell":
            lines[8] = f"O,1,2,{'3' * 70_000_000},4,5"
        case "header":
            lines[0] = "symbol,0,1,2,3,4"
        case "nothing":
            lines = []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing row", ["line 27", "expected element Fe", "'Co'", "118 rows"]),
        ("swapped rows", ["line 2", "expected element H", "'He'"]),
        ("short table", ["ends before Fm", "118 rows"]),
        ("long table", ["line 120", "after Og"]),
        ("empty cell", ["line 9", "(O), cell 4", "'' is not a finite number"]),
        ("nan", ["line 9", "(O), cell 4", "'nan' is not a finite number"]),
        ("short row", ["line 9", "(O)", "3 cells, header has 6"]),
        ("blank line", ["line 9", "expected element O", "an empty line"]),
        ("huge cell", ["not CSV"]),
        ("header", ["line 1", "found 'symbol,0,1,2'", "element,0,1"]),
        ("nothing", ["line 1", "an empty file", "header"]),
    ],
)
def test_damaged_table_is_refused_in_one_line(tmp_path: Path, kind: str, words: list[str]) -> None:
    path = write_table(tmp_path, damage(kind))
    with pytest.raises(ValueError) as error:
        read_csv(path)
    message = str(error.value)
    assert "\n" not in message
    for word in ["table.csv", *words]:
        assert word in message


def test_unreadable_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.csv: cannot read"):
        read_csv(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_csv(tmp_path / "binary.csv")
