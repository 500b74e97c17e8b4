"""Tables, controls, verdicts and flags of a comparison, without Ray."""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import tempfile
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import tables as element_tables
from analysis.elements import NUMBERS, SYMBOLS
from orchestrator import transfer
from orchestrator.comparison.entries import arrays_of, fingerprint
from orchestrator.comparison.files import write_facts, write_scores
from orchestrator.comparison.flags import parse
from orchestrator.comparison.inputs import open_data
from orchestrator.comparison.published import THESIS, thesis_score
from orchestrator.comparison.results import (
    by_fold,
    compare,
    differences,
    in_words,
    score_all,
    score_together,
)
from orchestrator.comparison.tables import Table, load_tables
from orchestrator.data.withheld import digest_of, read_formulas, withheld_by
from orchestrator.interface.errors import UsageError
from orchestrator.interface.wording import significant
from orchestrator.report import write_report
from orchestrator.runs.records import Records
from tests.compositions_for_tests import made_up_compositions, made_up_table, write_table
from trainables.compositions.reading import read_compositions
from trainables.training.transfer import Entrant, recipe_for


def test_a_file_a_published_table_and_controls(tmp_path: Path) -> None:
    mine = write_table(tmp_path / "mine.csv")
    found = load_tables([str(mine), f"other={mine}", "megnet16"], 0, controls=True)
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
    (alone,) = (one for one in load_tables([str(mine)], 0, controls=True) if one.name == "random-5")
    assert alone.digest == drawn.digest, "whatever other tables there are"
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


def test_the_published_recipe_takes_tables_as_they_are(tmp_path: Path) -> None:
    values = made_up_table(4) * 7 + 2
    path = tmp_path / "mine.csv"
    path.write_text(element_tables.to_csv(values))
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


def test_seeds_are_paired_as_folds_are() -> None:
    """A table that lost a seed, here the one of lower errors, is compared on those it has."""
    scores = scored(base=[10.0, 11, 12, 13, 14], same=[10.0, 11, 12, 13, 14])
    lost = (scores["table"] == "same") & (scores["seed"] == 0) & (scores["fold"] < 3)
    row = compare(
        scores[~lost], {"made-up": made_up_compositions()}, ["base", "same"], "base", 0.25
    )[1]
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0) and row["p"] == 1
    apart = differences(scores[~lost], "made-up", "mae", "base")
    assert apart["same"].tolist() == [0] * 5
    assert row["score"] > 12, "its own mean is over the seeds that it has"


def test_relative_is_to_the_reference_on_common_folds() -> None:
    scores = scored(base=[10.0, 10, 10, 1000, 1000], half=[5.0, 5, 5, 5, 5])
    kept = scores[(scores["table"] == "base") | (scores["fold"] < 3)]
    row = compare(kept, {"made-up": made_up_compositions()}, ["base", "half"], "base", 0.25)[1]
    assert row["pairs"] == 3 and row["relative"] == pytest.approx(-0.5)


def test_nothing_in_common_is_said_in_a_line() -> None:
    data = {"made-up": made_up_compositions()}
    scores = scored(base=[10.0, 11, 12], other=[10.0, 11, 12], third=[9.0, 10.2, 11.1])
    apart = scores[(scores["table"] != "other") | (scores["fold"] == 2)]
    apart = apart[(apart["table"] != "base") | (apart["fold"] < 2)]
    base, other, third = compare(apart, data, ["base", "other", "third"], "base", 0.25)
    assert "verdict" not in base and other["pairs"] == 0 and third["pairs"] == 2
    assert in_words(other, "base") == (
        "made-up: other 12 (mae) is compared with nothing, since base has no model that is done in"
        " any of its folds and seeds"
    )
    # another seed of the same fold is no pair either
    seeds = scores[(scores["table"] == "base") == (scores["seed"] == 0)]
    assert [row.get("pairs") for row in compare(seeds, data, ["base", "other"], "base", 0.25)] == [
        None, 0,
    ]  # fmt: skip
    gone = scores[scores["table"] != "base"]
    other, third = compare(gone, data, ["base", "other", "third"], "base", 0.25)
    assert (other["verdict"], third["pairs"], other["score"]) == ("no reference", 0, 11)
    assert in_words(other, "base").endswith("since base has no model that is done")


def test_words_say_which_figure_is_corrected() -> None:
    data = {"made-up": made_up_compositions()}
    scores = scored(base=[10.0, 11, 12], one=[8.0, 9.1, 9.9], two=[9.0, 11, 12.5])
    three = compare(scores, data, ["base", "one", "two"], "base", 0.25)[1]
    assert "of this difference alone" in in_words(three, "base")
    assert ", Holm's for 2 tables)" in in_words(three, "base")
    single = compare(scores, data, ["base", "one"], "base", 0.25)[1]
    assert "Holm" not in in_words(single, "base") and "alone" not in in_words(single, "base")
    two = compare(scores[scores["fold"] < 2], data, ["base", "one"], "base", 0.25)[1]
    assert in_words(two, "base").endswith(": on two folds, too few to tell")


def test_a_report_of_what_cannot_be_compared(tmp_path: Path) -> None:
    """Two data sets: the reference has no model in one, and one table a fold of its own."""
    data = {"made-up": made_up_compositions(), "other": made_up_compositions(name="other")}
    whole = scored(base=[10.0, 11, 12], one=[8.0, 9.1, 9.9], two=[9.0, 11, 12.5])
    first = whole[(whole["table"] != "two") | (whole["fold"] == 2)]
    first = first[(first["table"] != "base") | (first["fold"] < 2)]
    second = whole[whole["table"] != "base"].assign(task="other")
    scores = pd.concat([first, second], ignore_index=True)
    names = ["base", "one", "two"]
    facts = {
        "tables": [{"name": name, "columns": 3, "control": False} for name in names],
        "tasks": {name: {"formulas": 40, "classes": False, "unit": None} for name in data},
        "recipe": "tuned", "epochs": dict.fromkeys(data, 2), "seeds": [0, 1], "folds": [0, 1, 2],
        "trainable": False, "strict": False, "reference": "base", "overlap": [],
        "compared": compare(scores, data, names, "base", 0.25), "seconds": 1.0,
    }  # fmt: skip
    write_scores(tmp_path, scores)
    write_facts(tmp_path, facts)
    text = write_report(tmp_path).read_text()
    for words in ("no common fold", "no reference", "two 12.5 (mae) is compared with nothing"):
        assert words in text


def test_what_the_thesis_has_and_we_have_not_stands_in_the_report(tmp_path: Path) -> None:
    data = {"steels": made_up_compositions(name="steels")}
    scores = scored(mat2vec=[10.0, 11, 12], mine=[8.0, 9.1, 9.9]).assign(task="steels")
    facts = {
        "tables": [{"name": name, "columns": 3, "control": False} for name in ("mat2vec", "mine")],
        "tasks": {"steels": {"formulas": 40, "classes": False, "unit": "MPa"}},
        "recipe": "tuned", "epochs": {"steels": 2}, "seeds": [0, 1], "folds": [0, 1, 2],
        "trainable": False, "strict": False, "reference": "mat2vec",
        "overlap": [
            {"table": "mine", "task": "steels", "fold": fold, "formulas": 20, "seen": fold}
            for fold in (0, 1, 2)
        ],
        "compared": compare(scores, data, ["mat2vec", "mine"], "mat2vec", 0.25), "seconds": 1.0,
    }  # fmt: skip
    write_scores(tmp_path, scores)
    write_facts(tmp_path, facts)
    text = write_report(tmp_path).read_text()
    for name, score in THESIS["steels"].items():
        assert (f"{name} (the thesis')" in html.unescape(text)) == (name != "Mat2Vec")
        assert significant(score) in text
    for seen in ("3 (5.0%)", "0 of 20", "1 of 20", "2 of 20", "fold 2"):
        assert seen in text
    assert "not the properties tested" not in text


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
    other = ledger.assign(table="b")
    other.loc[3, "status"] = "diverged"  # of one table a seed is lost: fewer seeds are no rival
    both = pd.concat([ledger, other], ignore_index=True)
    assert list(score_together(records, both, {"made-up": data})) == [("made-up", "a")]


def test_the_thesis_beside_ours() -> None:
    assert thesis_score("steels", "mat2vec") == 106.6691
    assert thesis_score("expt_gap", "phonons-Mat2Vec-H-64") == 0.3274
    assert thesis_score("steels", "one-hot") is None and thesis_score("salts", "mat2vec") is None
    for other in ("my-own-not-mat2vec", "notmat2vec", "myMat2Vec-H-64", "mat2vec-h-641"):
        assert thesis_score("steels", other) is None, other


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
    assert "no such file or folder" in refusal(capsys, "--tasks", "nowhere.csv")
    assert "did you mean steels?" in refusal(capsys, "--tasks", "matbench_stels")
    assert "did you mean skipatom?" in refusal(capsys, *good, "--tables", "skipatm")
    for flag in ("--tables", "--folds", "--seeds"):
        assert f"{flag}: expected at least one argument" in refusal(capsys, *good, flag)
    assert "a task of crystals" in refusal(capsys, "--tasks", "phonons")
    assert "--data-dir is not a folder" in refusal(
        capsys, "--tasks", "steels", "--data-dir", str(tmp_path / "none")
    )
    assert "--folds: 5 is wrong, it must be from 0 to 4" in refusal(capsys, *good, "--folds", "5")
    assert "given twice: 1" in refusal(capsys, *good, "--seeds", "1", "1")
    assert "--epochs: 0 is wrong" in refusal(capsys, *good, "--epochs", "0")
    early = refusal(capsys, *good, "--recipe", "paper", "--patience", "19")
    assert "--patience 19: recipe paper validates after epoch 20 for the first time" in early
    for fits in (["--patience", "20"], ["--patience", "5", "--epochs", "5"]):
        asked = parse([*good, "--recipe", "paper", *fits])
        assert list(open_data(asked)) == ["mine"]
    capsys.readouterr()
    assert "--cpus-per-worker: 0 is wrong" in refusal(capsys, *good, "--cpus-per-worker", "0")
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
    assert options.seeds == (0,) and options.tasks == ("steels",)
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


def written(tmp_path: Path, data: str) -> list[frozenset[str]]:
    """The formulas of each test fold, as a grid reads them from `transfer`'s files."""
    folder = tmp_path / "formulas"
    assert transfer.main(["--tasks", f"mine={data}", "--write-formulas", str(folder)]) == 0
    return [read_formulas(folder / f"mine-fold{fold}.txt") for fold in range(5)]


AMOUNTS = st.dictionaries(st.sampled_from(SYMBOLS[1:]), st.integers(1, 30), min_size=1, max_size=6)


@given(st.lists(AMOUNTS, min_size=10, max_size=20))
@settings(max_examples=15)
def test_formulas_survive_their_file(listed: list[dict[str, int]]) -> None:
    """As a set, whatever they are: else a grid learns from what it was to be without."""
    names = ["".join(f"{z}{n}" for z, n in one.items()) for one in listed]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{formula},{row}" for row, formula in enumerate(names)]
        (folder / "data.csv").write_text("\n".join(["formula,target", *lines]))
        data = read_compositions(folder / "data.csv")
        for fold, found in enumerate(written(folder, str(folder / "data.csv"))):
            assert found == frozenset(data.formulas[data.test_rows(fold)])


@pytest.mark.parametrize("name", ["expt_gap", "steels_yield"])
def test_real_formulas_survive_their_file(tmp_path: Path, shared_data: Path, name: str) -> None:
    path = shared_data / "matbench_composition" / f"{name}.csv"
    data = read_compositions(path)
    for fold, found in enumerate(written(tmp_path, str(path))):
        assert found == frozenset(data.formulas[data.test_rows(fold)])


def test_where_formulas_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    for folder in (path, path / "below"):
        told = refusal(capsys, "--tasks", str(path), "--write-formulas", str(folder))
        assert f"--write-formulas {folder}: " in told and "name a folder" in told


def test_what_a_run_withheld_is_what_its_manifest_says(tmp_path: Path) -> None:
    formulas = frozenset(["Na0.5000 Cl0.5000", "Mg0.5000 O0.5000"])

    def manifest(without: str | None) -> None:
        config = {} if without is None else {"without": without}
        (tmp_path / "manifest.json").write_text(json.dumps({"config": config}))

    (tmp_path / "without.txt").write_text("\n".join(sorted(formulas)) + "\n")
    manifest(digest_of(formulas))
    assert withheld_by(tmp_path) == formulas
    manifest(None)  # as after --extend without the flag: its models learn from all
    assert withheld_by(tmp_path) == frozenset()
    plain = hashlib.sha256("\n".join(sorted(formulas)).encode()).hexdigest()[:16]
    for other in (digest_of(["Na0.5000 Cl0.5000"]), plain):  # plain: before formulas were their own
        manifest(other)
        with pytest.raises(UsageError, match=r"without\.txt: not the formulas") as caught:
            withheld_by(tmp_path)
        assert "\n" not in str(caught.value)


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
    before = table.digests
    (tmp_path / "without2.csv").write_text(element_tables.to_csv(made_up_table(4, seed=9)))
    (changed,) = load_tables(
        [f"own={tmp_path}/without{{fold}}.csv"], 0, controls=False, folds=(0, 2)
    )
    assert changed.digest == table.digest and changed.digests != before, "of the second fold"
    assert {table.of(fold).name for fold in (0, 2)} == {"own"}
    with pytest.raises(UsageError, match="no such file"):
        load_tables([f"{tmp_path}/without{{fold}}.csv"], 0, controls=False, folds=(0, 1))
