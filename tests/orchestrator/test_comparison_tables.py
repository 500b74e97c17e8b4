"""Tables, controls and keys of a comparison, without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.element_table import to_csv
from analysis.elements import NUMBERS, SYMBOLS
from analysis.shipped import element_table
from orchestrator.interface.errors import UsageError
from orchestrator.transfer import job as transfer
from orchestrator.transfer.entries import arrays_of, fingerprint
from orchestrator.transfer.flags import parse
from orchestrator.transfer.overlap import of_unknown_source
from orchestrator.transfer.tables import Table, load_tables, scaled
from tests.compositions_for_tests import made_up_compositions, made_up_table, write_table
from trainables.elements import descriptor
from trainables.targets.base import Target
from trainables.training.transfer import Entrant, recipe_for


def test_a_file_a_published_table_and_controls(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    found = load_tables([str(mine), f"other={mine}", "megnet16"], (0,), controls=True)
    names = [table.name for table in found]
    assert names == [
        "mine", "other", "megnet16", "one-hot", "random-5", "random-16", "mine permuted",
    ]  # fmt: skip
    assert [table.control for table in found] == [False] * 3 + [True] * 4
    assert np.array_equal(found[0].values, found[1].values)
    assert found[2].values.shape == (118, 16) and not found[2].seen[NUMBERS["Og"] - 1]
    one_hot, drawn, wide, permuted = found[3:]
    assert len(np.unique(one_hot.values, axis=0)) == 118 and one_hot.values.shape == (118, 118)
    assert drawn.values.shape == (118, 5) and wide.values.shape == (118, 16)
    (alone,) = (
        one for one in load_tables([str(mine)], (0,), controls=True) if one.name == "random-5"
    )
    assert alone.digest == drawn.digest, "whatever other tables there are"
    same = np.sort(permuted.values, axis=0) == np.sort(found[0].values, axis=0)
    assert same.all() and not np.array_equal(permuted.values, found[0].values)


def test_the_same_seed_draws_the_same_controls(tmp_path: Path) -> None:
    mine = str(write_table(tmp_path / "mine.csv"))
    one, two, three = (load_tables([mine], (seed,), controls=True) for seed in (1, 1, 2))
    assert [table.digest for table in one] == [table.digest for table in two]
    assert one[2].digest != three[2].digest and one[1].digest == three[1].digest


def test_each_seed_draws_its_own_controls(tmp_path: Path) -> None:
    """The same for all folds of a seed, and for whatever other seeds there are."""
    mine = str(write_table(tmp_path / "mine.csv"))
    table, one_hot, drawn, permuted = load_tables([mine], (2, 1), controls=True)
    alone = {seed: load_tables([mine], (seed,), controls=True) for seed in (1, 2)}
    for place, control in ((2, drawn), (3, permuted)):
        for seed in (1, 2):
            assert control.of(0, seed).digest == alone[seed][place].digest
            assert control.of(4, seed).digest == control.of(0, seed).digest
        assert control.of(0, 1).digest != control.of(0, 2).digest
        assert control.digests not in {control.of(0, seed).digest for seed in (1, 2)}
    assert alone[1][2].digests == alone[1][2].digest, "of one seed, its own"
    for fixed in (table, one_hot):
        assert fixed.of(0, 1).digest == fixed.of(0, 2).digest


def test_tables_of_a_grid_stand_beside_what_its_models_start_from(tmp_path: Path) -> None:
    write_table(tmp_path / "own.csv")
    mine = write_table(tmp_path / "mine.csv")
    (tmp_path / "own.meta.json").write_text(json.dumps({"strategy": "best"}))
    specs = [str(mine), str(tmp_path / "own.csv"), "megnet16"]
    found = {one.name: one for one in load_tables(specs, (0, 1), controls=True)}
    raw, untrained = found["descriptor"], found["untrained-5"]
    assert "untrained-16" not in found, "nothing of that width was distilled"
    assert raw.control and untrained.control and raw.values.shape == (118, 92)
    known = descriptor.load()[1:].any(axis=1)
    assert np.array_equal(raw.seen, known) and np.array_equal(untrained.seen, known)
    assert np.linalg.matrix_rank(np.hstack([raw.values, untrained.of(0, 1).values])) == (
        np.linalg.matrix_rank(raw.values)
    )
    assert untrained.of(0, 0).digest != untrained.of(0, 1).digest
    assert untrained.of(0, 0).digest == untrained.of(3, 0).digest


def test_a_shipped_table_stands_beside_what_its_models_start_from() -> None:
    found = {one.name: one for one in load_tables(["Mat2Vec-L-32"], (0,), controls=True)}
    table, shipped = found["Mat2Vec-L-32"], element_table("Mat2Vec-L-32")
    assert table.distilled and table.run is None
    assert np.array_equal(table.values, scaled("", shipped.vectors, shipped.seen))
    assert {"descriptor", "untrained-32", "random-32"} <= set(found)
    assert of_unknown_source([table], (0,)) == ["Mat2Vec-L-32"], "its formulas are not shipped"


def test_rows_are_looked_up_by_element_not_by_place() -> None:
    """SkipAtom lacks elements in the middle; what follows them must not slide up."""
    from elementembeddings.core import Embedding

    vectors = Embedding.load_data("skipatom").embeddings
    (table,) = load_tables(["skipatom"], (0,), controls=False)
    factor = table.values[NUMBERS["Fe"] - 1] / vectors["Fe"]
    assert np.ptp(factor) < 1e-9
    for symbol in ("H", "Li", "U"):
        row = table.values[NUMBERS[symbol] - 1]
        assert row == pytest.approx(factor[0] * np.asarray(vectors[symbol]))


def test_the_unit_of_a_table_does_not_count(tmp_path: Path) -> None:
    values = made_up_table(4)
    paths = []
    for name, scale in (("one", 1.0), ("large", 1e4)):
        path = tmp_path / f"{name}.csv"
        path.write_text(to_csv(values * scale))
        paths.append(str(path))
    one, large = load_tables(paths, (0,), controls=False)
    assert one.values == pytest.approx(large.values)
    assert ((one.values - one.values.mean(axis=0)) ** 2).mean() == pytest.approx(1)


def test_the_published_recipe_takes_tables_as_they_are(tmp_path: Path) -> None:
    values = made_up_table(4) * 7 + 2
    path = tmp_path / "mine.csv"
    path.write_text(to_csv(values))
    flags = ["--tasks", "steels", "--tables", str(path), "megnet16", "--recipe"]
    paper, tuned = (transfer.open_tables(parse([*flags, name])) for name in ("paper", "tuned"))
    assert np.array_equal(paper[0].values, values)
    size = np.sqrt(((values - values.mean(axis=0)) ** 2).mean())
    assert tuned[0].values == pytest.approx(values / size)
    assert sorted(map(tuple, paper[-1].values)) == sorted(map(tuple, values)), "permuted as it is"
    assert np.array_equal(paper[2].values, np.eye(118)) and tuned[2].values.max() > 1
    assert not np.array_equal(paper[1].values, tuned[1].values)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("nowhere.csv", "no such file"),
        ("x=nowhere", "no such file"),
        ("=nowhere", "no name before the ="),
        ("mat2vec=nowhere", "mat2vec is the name of another table"),
        ("x=/", "is a folder"),
        (
            "mat3vec",
            "neither a file, nor shipped, nor a table of ElementEmbeddings; did you mean mat2v",
        ),
        ("Mat2Vec-H-23", "did you mean Mat2Vec-H-32"),
    ],
)
def test_what_is_no_table(spec: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        load_tables([spec], (0,), controls=False)
    assert "\n" not in str(caught.value)


NONE_SEEN = json.dumps({"elements": {symbol: {"seen": False} for symbol in SYMBOLS[1:]}})


@pytest.mark.parametrize(
    "content",
    [
        '{"elements": [1]}', '{"elements": {"H": 1}}', "[1]", "{", NONE_SEEN,
        *(f'{{"elements": {{"H": {{"seen": {seen}}}}}}}' for seen in ('"no"', "[1, 2]", "1")),
    ],
)  # fmt: skip
def test_a_damaged_sidecar_is_named(tmp_path: Path, content: str) -> None:
    path = write_table(tmp_path / "mine.csv", 4)
    (tmp_path / "mine.meta.json").write_text(content)
    with pytest.raises(UsageError, match=r"mine\.meta\.json: damaged; distil the table again"):
        load_tables([str(path)], (0,), controls=False)


def test_a_table_twice_and_a_table_of_nothing(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    with pytest.raises(UsageError, match="two are called mine"):
        load_tables([str(mine), f"mine={mine}"], (0,), controls=False)
    flat = tmp_path / "flat.csv"
    flat.write_text(to_csv(np.ones((118, 3))))
    with pytest.raises(UsageError, match="all elements have the same vector"):
        load_tables([str(flat)], (0,), controls=False)
    broken = tmp_path / "broken.csv"
    broken.write_text(mine.read_text().replace("Li,", "Be,"))
    with pytest.raises(UsageError, match="line 4: expected element Li, found 'Be'"):
        load_tables([str(broken)], (0,), controls=False)


# ------------------------------------------------------------------------ models


SCORE = Target(name="score", unit=None)


def lineup(
    folds: tuple[int, ...] = (0, 1), names: str = "abc", seeds: tuple[int, ...] = (0,)
) -> dict[Entrant, Table]:
    seen = np.ones(118, bool)
    return {
        Entrant(table=name, fold=fold, seed=seed): Table(
            name=name, values=made_up_table(3, ord(name)), seen=seen
        )
        for seed in seeds
        for fold in folds
        for name in names
    }


def test_a_core_takes_the_tables_of_a_fold_and_a_gpu_all() -> None:
    data, recipe = made_up_compositions(), recipe_for("tuned", 40)
    on = {
        device: arrays_of(
            "t", data, lineup(seeds=(0, 1)), recipe, target=SCORE, trainable=False, device=device
        )
        for device in ("cpu", "cuda")
    }
    assert [len(array.keys) for array in on["cpu"]] == [3, 3, 3, 3]
    assert [len(array.keys) for array in on["cuda"]] == [6, 6]
    assert len({array.id for array in on["cpu"]}) == 4
    keys = {device: {key for a in found for key in a.keys.values()} for device, found in on.items()}
    assert keys["cpu"] == keys["cuda"] and len(keys["cpu"]) == 12
    part = on["cpu"][0].only(["fold0/b"])
    assert list(part.keys) == ["fold0/b"]
    row = part.row("fold0/b")
    assert (row["table"], row["fold"], row["key"]) == ("b", 0, part.keys["fold0/b"])


def test_a_key_is_of_all_that_decides_a_model() -> None:
    data, recipe = made_up_compositions(), recipe_for("tuned", 40)
    one = lineup((0,), "a")
    other_table = {
        entrant: lineup((0,), "b")[Entrant(table="b", fold=0, seed=0)] for entrant in one
    }

    def key(**changes: object) -> str:
        given = {"data": data, "tables": one, "recipe": recipe,
                 "target": SCORE, "trainable": False} | changes  # fmt: skip
        (array,) = arrays_of(
            "t", given["data"], given["tables"], given["recipe"],  # type: ignore
            target=given["target"], trainable=given["trainable"], device="cpu",  # type: ignore
        )  # fmt: skip
        return next(iter(array.keys.values()))

    assert key() == key()
    moved = made_up_compositions(seed=1)
    assert fingerprint(data) != fingerprint(moved)
    variants = [
        key(), key(data=moved), key(tables=other_table), key(tables=lineup((0,), "a", (1,))),
        key(trainable=True),
        key(recipe=recipe_for("tuned", 40, epochs=3)), key(recipe=recipe_for("paper", 40)),
        key(target=Target(name="score", unit="eV")),
    ]  # fmt: skip
    assert len(set(variants)) == len(variants)
