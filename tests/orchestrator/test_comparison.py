"""Tables, controls, verdicts and flags of a comparison, without Ray."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from analysis import tables as element_tables
from analysis.elements import NUMBERS
from orchestrator import transfer
from orchestrator.comparison.entries import arrays_of, fingerprint
from orchestrator.comparison.flags import parse
from orchestrator.comparison.published import thesis_score
from orchestrator.comparison.results import by_fold, compare, in_words, score_all, score_together
from orchestrator.comparison.tables import Table, load_tables
from orchestrator.data.withheld import digest_of, read_formulas
from orchestrator.interface.errors import UsageError
from orchestrator.runs.records import Records
from tests.compositions_for_tests import made_up_compositions, made_up_table, write_table
from trainables.training.transfer import Entrant, recipe_for


def test_a_file_a_published_table_and_controls(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    found = load_tables([str(mine), f"other={mine}", "megnet16"], 0, controls=True)
    names = [table.name for table in found]
    assert names == ["mine", "other", "megnet16", "one-hot", "random-5", "mine permuted"]
    assert [table.control for table in found] == [False] * 3 + [True] * 3
    assert np.array_equal(found[0].values, found[1].values)
    assert found[2].values.shape == (118, 16) and not found[2].seen[NUMBERS["Og"] - 1]
    one_hot, drawn, permuted = found[3:]
    assert len(np.unique(one_hot.values, axis=0)) == 118 and one_hot.values.shape == (118, 118)
    assert drawn.values.shape == (118, 5)
    same = np.sort(permuted.values, axis=0) == np.sort(found[0].values, axis=0)
    assert same.all() and not np.array_equal(permuted.values, found[0].values)


def test_the_same_seed_draws_the_same_controls(tmp_path: Path) -> None:
    mine = str(write_table(tmp_path / "mine.csv"))
    one, two, three = (load_tables([mine], seed, controls=True) for seed in (1, 1, 2))
    assert [table.digest for table in one] == [table.digest for table in two]
    assert one[2].digest != three[2].digest and one[1].digest == three[1].digest


def test_rows_are_looked_up_by_element_not_by_place() -> None:
    """SkipAtom lacks elements in the middle; what follows them must not slide up."""
    from elementembeddings.core import Embedding

    vectors = Embedding.load_data("skipatom").embeddings
    (table,) = load_tables(["skipatom"], 0, controls=False)
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
        path.write_text(element_tables.to_csv(values * scale))
        paths.append(str(path))
    one, large = load_tables(paths, 0, controls=False)
    assert one.values == pytest.approx(large.values)
    assert ((one.values - one.values.mean(axis=0)) ** 2).mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("nowhere.csv", "no such file"),
        ("x=nowhere", "no such file"),
        ("mat3vec", "neither a file nor a table of ElementEmbeddings"),
    ],
)
def test_what_is_no_table(spec: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        load_tables([spec], 0, controls=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ['{"elements": [1]}', '{"elements": {"H": 1}}', "[1]", "{"])
def test_a_damaged_sidecar_is_named(tmp_path: Path, content: str) -> None:
    path = write_table(tmp_path / "mine.csv", 4)
    (tmp_path / "mine.meta.json").write_text(content)
    with pytest.raises(UsageError, match=r"mine\.meta\.json: damaged; distil the table again"):
        load_tables([str(path)], 0, controls=False)


def test_a_table_twice_and_a_table_of_nothing(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    with pytest.raises(UsageError, match="two are called mine"):
        load_tables([str(mine), f"mine={mine}"], 0, controls=False)
    flat = tmp_path / "flat.csv"
    flat.write_text(element_tables.to_csv(np.ones((118, 3))))
    with pytest.raises(UsageError, match="all elements have the same vector"):
        load_tables([str(flat)], 0, controls=False)
    broken = tmp_path / "broken.csv"
    broken.write_text(mine.read_text().replace("Li,", "Be,"))
    with pytest.raises(UsageError, match="line 4: expected element Li, found 'Be'"):
        load_tables([str(broken)], 0, controls=False)


# ------------------------------------------------------------------------ models


def lineup(folds: tuple[int, ...] = (0, 1), names: str = "abc") -> dict[Entrant, Table]:
    seen = np.ones(118, bool)
    return {
        Entrant(table=name, fold=fold): Table(
            name=name, values=made_up_table(3, ord(name)), seen=seen
        )
        for fold in folds
        for name in names
    }


def test_a_core_takes_the_tables_of_a_fold_and_a_gpu_all() -> None:
    data, recipe = made_up_compositions(), recipe_for("tuned", 40)
    on = {
        device: arrays_of("t", data, lineup(), (0, 1), recipe, trainable=False, device=device)
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
    other_table = {entrant: lineup((0,), "b")[Entrant(table="b", fold=0)] for entrant in one}

    def key(**changes: object) -> str:
        given = {"data": data, "tables": one, "seeds": (0,), "recipe": recipe,
                 "trainable": False} | changes  # fmt: skip
        (array,) = arrays_of(
            "t", given["data"], given["tables"], given["seeds"], given["recipe"],  # type: ignore
            trainable=given["trainable"], device="cpu",  # type: ignore
        )  # fmt: skip
        return next(iter(array.keys.values()))

    assert key() == key()
    moved = made_up_compositions(seed=1)
    assert fingerprint(data) != fingerprint(moved)
    variants = [
        key(), key(data=moved), key(tables=other_table), key(seeds=(1,)), key(trainable=True),
        key(recipe=recipe_for("tuned", 40, epochs=3)), key(recipe=recipe_for("paper", 40)),
    ]  # fmt: skip
    assert len(set(variants)) == len(variants)


# ------------------------------------------------------------------------ verdicts


def scored(**by_table: list[float]) -> pd.DataFrame:
    rows = [
        {"table": table, "task": "made-up", "fold": fold, "seed": seed, "metric": "mae",
         "value": value + (0.5 if seed else -0.5)}
        for table, values in by_table.items()
        for fold, value in enumerate(values)
        for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_what_is_established_and_what_is_not() -> None:
    scores = scored(
        base=[10.0, 11, 12, 13, 14], better=[8.0, 9.1, 9.9, 11, 12.1], same=[9.0, 12, 11, 14, 14],
        worse=[15.0, 16.1, 16.9, 18, 19],
    )  # fmt: skip
    names = ["base", "better", "same", "worse"]
    rows = compare(scores, {"made-up": made_up_compositions()}, names, "base", 0.25)
    found = {row["table"]: row for row in rows}
    assert found["base"]["score"] == pytest.approx(12) and "verdict" not in found["base"]
    assert [found[name]["verdict"] for name in names[1:]] == ["better", "not established", "worse"]
    assert found["better"]["difference"] == pytest.approx(-1.98)
    assert in_words(found["base"], "base") == ""
    assert "better than base is established" in in_words(found["better"], "base")
    assert "a difference from base is not established" in in_words(found["same"], "base")
    assert "MAE 1.98 lower (16.5%)" in in_words(found["better"], "base")


def test_more_area_is_better_and_one_fold_is_nothing() -> None:
    data = {"made-up": made_up_compositions(classes=True)}
    scores = scored(base=[0.8, 0.81, 0.82], good=[0.9, 0.911, 0.921]).assign(metric="roc_auc")
    row = compare(scores, data, ["base", "good"], "base", 0.25)[1]
    assert row["verdict"] == "better" and "area under the ROC curve" in in_words(row, "base")
    alone = compare(scores[scores["fold"] == 0], data, ["base", "good"], "base", 0.25)[1]
    assert not alone["established"] and alone["low"] is None
    assert "establishes nothing" in in_words(alone, "base")
    two = compare(scores[scores["fold"] < 2], data, ["base", "good"], "base", 0.25)[1]
    assert two["verdict"] == "not established", "two folds agree by chance"


class KeptArrays:
    """The arrays of records, from memory."""

    def __init__(self, kept: dict[str, dict[str, np.ndarray]]) -> None:
        self.arrays = kept.__getitem__


def test_seeds_together_are_one_prediction() -> None:
    """Errors of +1 and -3 have a mean size of 2, their mean prediction one of 1."""
    data = made_up_compositions()
    kept, rows = {}, []
    for fold, seed in itertools.product((0, 1), (0, 1)):
        held = np.sort(data.test_rows(fold))
        value = data.target[held] + (1.0 if seed else -3.0)
        kept[f"{fold}{seed}"] = {"predictions/test/row": held, "predictions/test/value": value}
        rows.append({"key": f"{fold}{seed}", "task": "made-up", "table": "a", "fold": fold,
                     "seed": seed, "status": "done", "val_error": 0.0})  # fmt: skip
    ledger, records = pd.DataFrame(rows), cast(Records, KeptArrays(kept))
    alone = score_all(records, ledger, {"made-up": data})
    assert by_fold(alone, "made-up", "mae")["a"].tolist() == pytest.approx([2, 2])
    together = score_together(records, ledger, {"made-up": data})
    assert together == {("made-up", "a"): pytest.approx(1)}
    assert score_together(records, ledger.iloc[:3], {"made-up": data}) == {}, "a fold has one seed"


def test_the_thesis_beside_ours() -> None:
    assert thesis_score("steels", "mat2vec") == 106.6691
    assert thesis_score("expt_gap", "phonons-Mat2Vec-H-64") == 0.3274
    assert thesis_score("steels", "one-hot") is None and thesis_score("salts", "mat2vec") is None


# ------------------------------------------------------------------------ flags


def refusal(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert transfer.main(flags) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def test_wrong_usage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"Na{n}Cl,{n * n}" for n in range(1, 13)]
    path.write_text("\n".join(["formula,target", *rows]))
    good = ("--tasks", str(path), "--run", str(tmp_path / "run"))
    assert "--tasks" in refusal(capsys)
    assert "no such file, nor a task" in refusal(capsys, "--tasks", "nowhere.csv")
    assert "did you mean steels?" in refusal(capsys, "--tasks", "matbench_stels")
    assert "did you mean skipatom?" in refusal(capsys, *good, "--tables", "skipatm")
    for flag in ("--tables", "--folds", "--seeds"):
        assert f"{flag}: expected at least one argument" in refusal(capsys, *good, flag)
    assert "give --data-dir" in refusal(capsys, "--tasks", "steels")
    missing = refusal(capsys, "--tasks", "steels", "--data-dir", str(tmp_path))
    assert "has neither matbench_steels.json.gz nor steels.csv" in missing
    assert "the official folds are 0 to 4" in refusal(capsys, *good, "--folds", "5")
    assert "given twice: 1" in refusal(capsys, *good, "--seeds", "1", "1")
    assert "--epochs 0" in refusal(capsys, *good, "--epochs", "0")
    assert "--cpus-per-worker 0" in refusal(capsys, *good, "--cpus-per-worker", "0")
    assert "there are mat2vec" in refusal(capsys, *good, "--reference", "mine")
    assert "another data set is called mine" in refusal(
        capsys, "--tasks", str(path), f"mine={path}", "--run", str(tmp_path / "run")
    )
    assert "did you mean --tables" in refusal(capsys, *good, "--table", "x")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_would_be_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    flags = ("--tasks", f"{path}:gap", "--seeds", "0", "1", "--run", str(tmp_path / "run"))
    assert transfer.main([*flags, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "mine: 12 formulas of 2 elements, a number" in said
    assert "mine: 40 models, 40 epochs at most in batches of 16" in said
    assert not (tmp_path / "run").exists()


def test_defaults() -> None:
    options = parse(["--tasks", "steels"])
    assert options.tables == ("mat2vec",) and options.folds == (0, 1, 2, 3, 4)
    assert options.controls and not options.trainable and options.recipe == "tuned"


# ------------------------------------------------------------------------ without


def test_formulas_of_folds_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    folder = tmp_path / "formulas"
    assert transfer.main(["--tasks", str(path), "--write-formulas", str(folder)]) == 0
    found = [read_formulas(folder / f"mine-fold{fold}.txt") for fold in range(5)]
    assert sum(map(len, found)) == 12 and len(frozenset().union(*found)) == 12
    plain = tmp_path / "plain.txt"
    plain.write_text("NaCl\n\n  Na2Cl2 \nFe2O3\n")
    assert len(read_formulas(plain)) == 2
    assert digest_of(read_formulas(plain)) == digest_of(["O0.6000 Fe0.4000", "Na0.5000 Cl0.5000"])


@pytest.mark.parametrize(
    ("text", "why"), [("NaCl\nXx2\n", "line 2: 'Xx2' is no formula"), ("\n", "holds no formula")]
)
def test_what_is_no_list_of_formulas(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        read_formulas(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_formulas(tmp_path / "nowhere.txt")


def test_a_table_for_each_fold(tmp_path: Path) -> None:
    for fold in (0, 2):
        path = tmp_path / f"without{fold}.csv"
        path.write_text(element_tables.to_csv(made_up_table(4, seed=fold)))
    (table,) = load_tables([f"own={tmp_path}/without{{fold}}.csv"], 0, controls=False, folds=(0, 2))
    assert table.name == "own"
    assert table.of(0).digest == table.digest != table.of(2).digest
    assert {table.of(fold).name for fold in (0, 2)} == {"own"}
    with pytest.raises(UsageError, match="no such file"):
        load_tables([f"{tmp_path}/without{{fold}}.csv"], 0, controls=False, folds=(0, 1))
