"""The significance of comparisons, and its wording."""

from __future__ import annotations

import html
import itertools
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from analysis.power import detectable
from orchestrator.interface.format import significant
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.records import Records
from orchestrator.transfer.files import FACTS, write_scores
from orchestrator.transfer.published import THESIS, thesis_name
from orchestrator.transfer.results import (
    by_fold,
    compare,
    differences,
    in_words,
    score_all,
    score_together,
)
from tests.compositions_for_tests import made_up_compositions


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
    rows = compare(scores, {"made-up": made_up_compositions()}, names, "base", 0.25, 0.05)
    found = {row["table"]: row for row in rows}
    assert found["base"]["score"] == pytest.approx(12) and "verdict" not in found["base"]
    assert [found[name]["verdict"] for name in names[1:]] == ["better", "underpowered", "worse"]
    assert found["better"]["difference"] == pytest.approx(-1.98)
    assert in_words(found["base"], "base") == ""
    assert "better than base is established" in in_words(found["better"], "base")
    assert "underpowered (p = " in in_words(found["same"], "base")
    assert "MAE 1.98 lower (16.5%)" in in_words(found["better"], "base")


def test_more_area_is_better_and_one_fold_is_nothing() -> None:
    data = {"made-up": made_up_compositions(classes=True)}
    scores = scored(base=[0.8, 0.81, 0.82], good=[0.9, 0.911, 0.921]).assign(metric="roc_auc")
    row = compare(scores, data, ["base", "good"], "base", 0.25, 0.05)[1]
    assert row["verdict"] == "better" and "area under the ROC curve" in in_words(row, "base")
    alone = compare(scores[scores["fold"] == 0], data, ["base", "good"], "base", 0.25, 0.05)[1]
    assert not alone["established"] and alone["low"] is None
    assert "establishes nothing" in in_words(alone, "base")
    two = compare(scores[scores["fold"] < 2], data, ["base", "good"], "base", 0.25, 0.05)[1]
    assert two["verdict"] == "underpowered", "two folds agree by chance"


def test_no_difference_is_shown_where_one_that_matters_would_have_been() -> None:
    """The same scatter, with margins above and below what it lets detect."""
    scores = scored(base=[10.0, 11, 12, 13, 14], near=[10.1, 10.9, 12.1, 13, 13.9])
    data, names = {"made-up": made_up_compositions()}, ["base", "near"]
    row = compare(scores, data, names, "base", 0.25, 0.05)[1]
    smallest = detectable(float(np.std([0.1, -0.1, 0.1, 0, -0.1], ddof=1)), 5, 0.25)
    assert row["detectable"] == pytest.approx(smallest)
    assert row["detectable_share"] == pytest.approx(smallest / 12)
    assert row["verdict"] == "no difference shown"
    assert f"of which {significant(smallest)} (2.1% of the error of base)" in in_words(row, "base")
    under = compare(scores, data, names, "base", 0.25, 0.02)[1]
    assert under["verdict"] == "underpowered" and not under["established"]
    assert f"4 times in 5 is {significant(smallest)} (2.1%" in in_words(under, "base")


def test_of_several_tables_each_needs_more() -> None:
    scores = scored(base=[10.0, 11, 12], one=[8.0, 9.1, 9.9], two=[9.0, 11, 12.5])
    data = {"made-up": made_up_compositions()}
    one, both = (
        compare(scores, data, names, "base", 0.25, 0.05)[1]["detectable"]
        for names in (["base", "one"], ["base", "one", "two"])
    )
    assert both / one == pytest.approx(detectable(1.0, 3, 0.25, 2) / detectable(1.0, 3, 0.25))


def test_a_share_of_an_area_is_of_what_it_lacks() -> None:
    data = {"made-up": made_up_compositions(classes=True)}
    scores = scored(base=[0.8, 0.81, 0.82], good=[0.8, 0.83, 0.81]).assign(metric="roc_auc")
    row = compare(scores, data, ["base", "good"], "base", 0.25, 0.05)[1]
    assert row["detectable_share"] == pytest.approx(row["detectable"] / 0.19)


def test_seeds_are_paired_as_folds_are() -> None:
    """A table that lost a seed, here the one of lower errors, is compared on those it has."""
    scores = scored(base=[10.0, 11, 12, 13, 14], same=[10.0, 11, 12, 13, 14])
    lost = (scores["table"] == "same") & (scores["seed"] == 0) & (scores["fold"] < 3)
    row = compare(
        scores[~lost], {"made-up": made_up_compositions()}, ["base", "same"], "base", 0.25, 0.05
    )[1]
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0) and row["p"] == 1
    apart = differences(scores[~lost], "made-up", "mae", "base")
    assert apart["same"].tolist() == [0] * 5
    assert row["score"] > 12, "its own mean is over the seeds that it has"


def test_relative_is_to_the_reference_on_common_folds() -> None:
    scores = scored(base=[10.0, 10, 10, 1000, 1000], half=[5.0, 5, 5, 5, 5])
    kept = scores[(scores["table"] == "base") | (scores["fold"] < 3)]
    row = compare(kept, {"made-up": made_up_compositions()}, ["base", "half"], "base", 0.25, 0.05)[
        1
    ]
    assert row["pairs"] == 3 and row["relative"] == pytest.approx(-0.5)


def test_nothing_in_common_is_said_in_a_line() -> None:
    data = {"made-up": made_up_compositions()}
    scores = scored(base=[10.0, 11, 12], other=[10.0, 11, 12], third=[9.0, 10.2, 11.1])
    apart = scores[(scores["table"] != "other") | (scores["fold"] == 2)]
    apart = apart[(apart["table"] != "base") | (apart["fold"] < 2)]
    base, other, third = compare(apart, data, ["base", "other", "third"], "base", 0.25, 0.05)
    assert "verdict" not in base and other["pairs"] == 0 and third["pairs"] == 2
    assert in_words(other, "base") == (
        "made-up: other 12 (mae) is compared with nothing, since base has no model that is done in"
        " any of its folds and seeds"
    )
    # another seed of the same fold is no pair either
    seeds = scores[(scores["table"] == "base") == (scores["seed"] == 0)]
    rows = compare(seeds, data, ["base", "other"], "base", 0.25, 0.05)
    assert [row.get("pairs") for row in rows] == [None, 0]
    gone = scores[scores["table"] != "base"]
    other, third = compare(gone, data, ["base", "other", "third"], "base", 0.25, 0.05)
    assert (other["verdict"], third["pairs"], other["score"]) == ("no reference", 0, 11)
    assert in_words(other, "base").endswith("since base has no model that is done")


def test_words_say_which_figure_is_corrected() -> None:
    data = {"made-up": made_up_compositions()}
    scores = scored(base=[10.0, 11, 12], one=[8.0, 9.1, 9.9], two=[9.0, 11, 12.5])
    three = compare(scores, data, ["base", "one", "two"], "base", 0.25, 0.05)[1]
    assert "of this difference alone" in in_words(three, "base")
    assert ", Holm's for 2 tables)" in in_words(three, "base")
    single = compare(scores, data, ["base", "one"], "base", 0.25, 0.05)[1]
    assert "Holm" not in in_words(single, "base") and "alone" not in in_words(single, "base")
    two = compare(scores[scores["fold"] < 2], data, ["base", "one"], "base", 0.25, 0.05)[1]
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
        "compared": compare(scores, data, names, "base", 0.25, 0.05), "seconds": 1.0,
    }  # fmt: skip
    write_scores(tmp_path, scores)
    sums.write_json(tmp_path, FACTS, facts)
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
        "compared": compare(scores, data, ["mat2vec", "mine"], "mat2vec", 0.25, 0.05),
        "seconds": 1.0,
    }  # fmt: skip
    write_scores(tmp_path, scores)
    sums.write_json(tmp_path, FACTS, facts)
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
        self.kept = kept

    def arrays(self, key: str, parts: object = None) -> dict[str, np.ndarray]:
        return self.kept[key]


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
    assert thesis_name("steels", "mat2vec") == "Mat2Vec"
    assert thesis_name("expt_gap", "phonons-Mat2Vec-H-64") == "Mat2Vec-H-64"
    assert thesis_name("steels", "one-hot") is None and thesis_name("salts", "mat2vec") is None
    for other in ("my-own-not-mat2vec", "notmat2vec", "myMat2Vec-H-64", "mat2vec-h-641"):
        assert thesis_name("steels", other) is None, other
