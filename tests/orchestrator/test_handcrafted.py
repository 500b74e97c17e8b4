"""The axis of handcrafted tables: flags, keys, what is said, and what records have to hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.elements import NUMBERS
from analysis.shipped import element_table
from orchestrator.grid.arrays import arrays
from orchestrator.grid.handcrafted import describe_foreign, say_foreign
from orchestrator.grid.request import Options, build_config
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from orchestrator.runs.record_contents import wrong_in_arrays
from tests.compositions_for_tests import made_up_table, write_table
from tests.orchestrator import small_records
from tests.orchestrator.small_data import cells_of, model_spec, with_rows
from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES

SMALL = "--preset demo --folds 0 --dims 8 --backbones cgcnn --mixing H L --handcrafted"


def parsed(*tables: object) -> Options:
    return parse([*SMALL.split(), *map(str, tables)])


def test_tables_are_named_by_their_numbers(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    options = parsed("elements", mine, f"other={mine}", "cgcnn92")
    names = options.config.handcrafted
    assert names is not None
    digest = names[1].removeprefix("mine@")
    assert names == ("elements", f"mine@{digest}", f"other@{digest}", "cgcnn92")
    assert list(options.tables) == list(names[1:3])
    write_table(mine, seed=1)
    assert parsed(mine).config.handcrafted != (names[1],)


def test_a_shipped_table_is_named_with_its_digest() -> None:
    options = parsed("Mat2Vec-H-32", "Element-Scale")
    assert options.config.handcrafted is not None
    own, scale = options.config.handcrafted
    shipped = element_table("Mat2Vec-H-32")
    table = handcrafted.standardised(shipped.vectors, shipped.seen)
    assert own == handcrafted.named("Mat2Vec-H-32", table) and own.startswith("Mat2Vec-H-32@")
    assert np.array_equal(options.tables[own].table, table)
    assert options.tables[own].filled[:2] == ["Ar", "Pm"]
    assert scale.startswith("Element-Scale@") and options.tables[scale].table.shape == (119, 1)


def test_several_tables_are_several_configurations_of_models_that_use_them(tmp_path: Path) -> None:
    config = parsed("cgcnn92", "elements", write_table(tmp_path / "mine.csv")).config
    found = cells_of(config)
    assert config.handcrafted is not None
    used = [(cell.spec.mixing, cell.spec.recipe.handcrafted) for cell in found]
    own, mine = config.handcrafted[1:]
    assert used == [("H", "cgcnn92"), ("L", "cgcnn92"), ("H", own), ("H", mine)]
    assert len({cell.key for cell in found}) == len(arrays(found)) + 1 == 4
    ledger = with_rows(found)
    shown = [table if mixing == "H" else None for mixing, table in used]  # L has no table
    assert ledger["handcrafted"].fillna("").tolist() == [one or "" for one in shown]
    assert ledger["setting"].tolist() == [f"handcrafted {one}" if one else "" for one in shown]


def test_the_default_changes_no_key() -> None:
    usual = cells_of(build_config("demo", {}))
    same = cells_of(build_config("demo", {"handcrafted": ("cgcnn92",)}))
    assert [cell.key for cell in same] == [cell.key for cell in usual]
    before = usual[0].spec.text.replace('"handcrafted":"cgcnn92",', "")
    assert before != usual[0].spec.text
    assert type(usual[0].spec).read(before).key == usual[0].key


def test_a_recipe_may_have_another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = BACKBONES["cgcnn"]
    own = replace(entry.recipes["tuned"], handcrafted="elements")
    monkeypatch.setitem(BACKBONES, "cgcnn", replace(entry, recipes={"tuned": own}))
    config = build_config("demo", {"backbones": ("cgcnn",), "dims": (8,), "folds": (0,)})
    assert {cell.spec.recipe.handcrafted for cell in cells_of(config)} == {"elements"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("elemnts", "--handcrafted elemnts: neither a file, nor shipped, nor a table of Element"
         "Embeddings; did you mean elements?"),
        ("Mat2Vec-H", "--handcrafted Mat2Vec-H: neither a file, nor shipped, nor a table of"
         " ElementEmbeddings; did you mean Mat2Vec-"),
        ("no.csv", "--handcrafted no.csv: no such file; check the path"),
        ("{short}", "short.csv: ends before Li; a table has 118 rows H…Og"),
        ("{flat}", "flat.csv: all elements have the same vector"),
        ("elements elements", "--handcrafted: given twice: elements"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, given: str, words: str) -> None:
    short, flat = tmp_path / "short.csv", tmp_path / "flat.csv"
    short.write_text("element,0\nH,1\nHe,2\n")
    flat.write_text("\n".join(["element,0", *(f"{symbol},1" for symbol in NUMBERS)]))
    with pytest.raises(UsageError) as caught:
        parsed(*given.format(short=short, flat=flat).split())
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_configuration_names_a_table_with_its_digest() -> None:
    with pytest.raises(UsageError, match="--handcrafted: 'magpie' is no handcrafted table; there"):
        build_config("demo", {"handcrafted": ("magpie",)})


def test_filled_elements_and_those_alike_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    options = parsed("megnet16")
    (name,) = options.tables
    table = options.tables[name].table
    same = replace(options.tables[name], table=table.copy(), columns=17)
    same.table[NUMBERS["Ho"]] = same.table[NUMBERS["Er"]]
    present = [NUMBERS[symbol] for symbol in ("H", "Ho", "Er", "Cm")]
    say_foreign({name: same}, present)
    assert capsys.readouterr().out == (
        f"{name}: 16 columns standardised over 94 elements, 1 constant left out; without Cm,"
        " which get a mean of similar elements; cannot tell Ho = Er apart\n"
    )
    say_foreign(options.tables, [1, 8])
    assert capsys.readouterr().out == f"{name}: 16 columns standardised over 94 elements\n"
    assert describe_foreign(options.tables)[name]["filled"][:2] == ["Am", "Cm"]


def test_a_record_has_to_hold_its_own_table() -> None:
    table = handcrafted.standardised(made_up_table(3), np.ones(118, dtype=bool))
    recipe = BACKBONES["cgcnn"].recipes["tuned"]
    spec = model_spec(dim=2, recipe=replace(recipe, handcrafted=handcrafted.named("mine", table)))
    own, usual = (small_records.row("a", spec=one.text) for one in (spec, model_spec(dim=2)))
    held = small_records.arrays()
    assert not wrong_in_arrays(held | {"handcrafted": table}, own)
    assert "without the handcrafted table mine@" in wrong_in_arrays(held, own)
    other = wrong_in_arrays(held | {"handcrafted": table + 1}, own)
    assert other == f"the handcrafted table is not {spec.recipe.handcrafted}"
    assert not wrong_in_arrays(held, usual)
    assert "no built-in table" in wrong_in_arrays(held | {"handcrafted": table}, usual)
