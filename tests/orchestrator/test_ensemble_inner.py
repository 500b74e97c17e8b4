"""The job `ensemble` on models that each held back another part of a fold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.ensemble.combining import combine, combine_inner
from orchestrator.ensemble.files import FACTS, PREDICTIONS, FinishedEnsemble
from orchestrator.ensemble.predictions import columns_of, read_fold
from orchestrator.ensemble.published import compare, read_published
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from tests.orchestrator.finished_runs import make_run, replace_parquet
from trainables.representations.dataset import split_dataset
from trainables.targets.base import Target
from trainables.testing.samples import made_up_dataset

INNER = 3
INNER_GRID = {"inner_folds": INNER, "dims": (4,), "mixing": ("H", "L"), "backbones": ("cgcnn",)}
CLASSES = Target(name="metal", unit=None, kind="binary")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("inner") / "run", seed=(0, 1), **INNER_GRID)


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def of_fold(run: Path, fold: int) -> pd.DataFrame:
    ledger = pd.read_parquet(run / "ledger.parquet")
    return ledger[ledger["fold"] == fold]


def test_the_grid_report_says_what_inner_folds_are(made: Path, tmp_path: Path) -> None:
    usual = make_run(tmp_path / "usual", **{**INNER_GRID, "inner_folds": None})
    inner, whole = (" ".join(write_report(one).read_text().split()) for one in (made, usual))
    for words in (
        "There are 3 models of each configuration and fold, each of which holds back another part;",
        "(data set, fold, backbone, dimension, seed, inner fold) the mixings compete",
        "between models of the same fold, seed, inner fold, dimension and setting,",
        "in the first fold and inner fold, with every mixing and the first seed",
    ):
        assert words in inner and words not in whole, words
    for page in (inner, whole):
        assert "(mean ± deviation over models)" in page and ">± over models</th>" in page
    assert "dimension, seed) the mixings compete" in whole and "first fold, with every" in whole


def test_a_column_is_a_configuration_and_a_seed(run: Path) -> None:
    models = of_fold(run, 1).set_index("key")
    columns = columns_of(models.reset_index())
    assert len(columns) == 4 and columns == sorted(columns, key=min)
    for column in columns:
        own = models.loc[list(column)]
        assert own["inner_fold"].tolist() == [0, 1, 2]
        assert len(own[["mixing", "seed"]].drop_duplicates()) == 1


def test_each_training_crystal_is_predicted_by_the_model_that_held_it_back(run: Path) -> None:
    """Seeds divide the fold in their own ways, and all stand in one ensemble nevertheless."""
    columns = columns_of(of_fold(run, 1))
    found = read_fold(run / "predictions.parquet", columns)
    assert found.columns == columns and not found.left_out and found.models == 12
    frame = pd.read_parquet(run / "predictions.parquet")
    official = split_dataset(made_up_dataset("cgcnn", 30), 1, 0)
    assert found.validation.shape == (4, len(official.learned))
    assert found.each.shape == (INNER, 4, len(official.test))
    for place, column in enumerate(columns):
        own = frame[frame["key"].isin(column)]
        held = own[own["part"] == "validation"].set_index("id")["prediction"]
        assert sorted(held) == sorted(found.validation[place])
        for number, key in enumerate(column):
            tested = own[(own["part"] == "test") & (own["key"] == key)]
            assert tested["id"].tolist() == found.ids.tolist()
            assert tested["prediction"].tolist() == found.each[number, place].tolist()
    np.testing.assert_allclose(found.test, found.each.mean(axis=0))
    target = frame.drop_duplicates("id").set_index("id")["target"]
    error = np.abs(found.validation - found.validation_target).mean(axis=1)
    joined = frame[frame["part"] == "validation"].join(target.rename("true"), on="id")
    for place, column in enumerate(columns):
        own = joined[joined["key"].isin(column)]
        assert error[place] == pytest.approx((own["prediction"] - own["true"]).abs().mean())


def test_a_column_with_a_failed_model_is_left_out(run: Path) -> None:
    models = of_fold(run, 0)
    columns = columns_of(models[models["key"] != columns_of(models)[2][1]])
    found = read_fold(run / "predictions.parquet", columns)
    assert found.columns == [column for column in columns if len(column) == INNER]
    assert len(found.left_out) == INNER - 1


def test_the_ensemble_is_the_mean_of_all_its_models(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 0
    said = capsys.readouterr().out
    facts = FinishedEnsemble(run).facts["folds"]
    frame = pd.read_parquet(run / "predictions.parquet")
    predicted = pd.read_parquet(run / PREDICTIONS)
    for fact in facts:
        assert (fact["models"], fact["inner_folds"], fact["validated"]) == (12, INNER, 24)
        weights = pd.Series(fact["weights"])
        assert weights.sum() == pytest.approx(1) and len(weights) == fact["members"]
        tested = frame[(frame["part"] == "test") & frame["key"].isin(weights.index)]
        weighed = tested["prediction"] * tested["key"].map(weights)
        mean = weighed.groupby(tested["id"]).sum()
        own = predicted[predicted["fold"] == fact["fold"]].set_index("id")["prediction"]
        pd.testing.assert_series_equal(mean, own, check_names=False, check_like=True)
    width = predicted["ci_upper"] - predicted["ci_lower"]
    assert f"{width.mean():.4g} eV wide on average (median {width.median():.4g})" in said
    assert f"as the mean of its {INNER} inner folds" in said
    means = [fact["width"]["0.95"] * (predicted["fold"] == fact["fold"]).sum() for fact in facts]
    assert sum(means) / len(predicted) == pytest.approx(width.mean())
    report = (run / "report.html").read_text()
    assert "median width" in report and f"one of {INNER} models" in report


def test_the_test_part_decides_nothing(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    frame = pd.read_parquet(other / "predictions.parquet")
    frame.loc[frame["part"] == "test", ["target", "prediction"]] *= -7
    replace_parquet(other, "predictions.parquet", frame)
    for folder in (run, other):
        assert JOBS["ensemble"].main([str(folder)]) == 0
    one, two = (FinishedEnsemble(folder).facts["folds"] for folder in (run, other))
    for decided in ("weights", "way", "scale", "floor", "validation_error"):
        assert [fold[decided] for fold in one] == [fold[decided] for fold in two]


def test_classes_are_averaged(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", target=CLASSES, **INNER_GRID)
    assert JOBS["ensemble"].main([str(run)]) == 0
    predicted = pd.read_parquet(run / PREDICTIONS)
    assert predicted["prediction"].between(0, 1).all() and len(predicted) == 12


def test_the_deviation_is_that_within_an_inner_fold() -> None:
    drawn = np.random.default_rng(3)
    each, weights = drawn.normal(size=(4, 3, 5)), np.array([0.5, 0.2, 0.3])
    mean, deviation = combine_inner(weights, each)
    np.testing.assert_allclose(mean, combine(weights, each.mean(axis=0))[0])
    alone = [combine(weights, one)[1] for one in each]
    np.testing.assert_allclose(deviation, np.sqrt((np.array(alone) ** 2).mean(axis=0)))
    for one, other in zip(combine_inner(weights, each[:1]), combine(weights, each[0]), strict=True):
        assert np.array_equal(one, other)


# ------------------------------------------------------------------------------ published entries


def facts(errors: list[float]) -> list[dict[str, object]]:
    return [
        {"fold": fold, "metric": "mae", "way": "mean", "test_error": {"mean": error, "best": 9.0}}
        for fold, error in enumerate(errors)
    ]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_differences_are_paired_by_official_fold() -> None:
    found = compare({"net": [3.0, 4.0, 5.0, 6.0, 7.0]}, facts([2.0, 3.5, 4.0, 5.5, 6.0]))
    assert [row["way"] for row in found] == ["ensemble", "mean", "best"]
    first = found[0]
    assert first["differences"] == [-1.0, -0.5, -1.0, -0.5, -1.0]
    assert (first["score"], first["published"], first["difference"]) == pytest.approx(
        (4.2, 5, -0.8)
    )
    # s² = 0.075, (1/5 + 1/4) s² = 0.03375, t of 4 degrees of freedom at 97.5 % is 2.776
    assert first["high"] - first["difference"] == pytest.approx(2.7764451 * 0.03375**0.5)
    (few, *_) = compare({"net": [3.0, 4.0, 5.0, 6.0, 7.0]}, facts([2.0]))
    assert few["difference"] == -1.0 and few["low"] is few["p"] is None


def test_classes_are_compared_by_the_score_of_the_leaderboard() -> None:
    own = [{"fold": 2, "metric": "1-roc_auc", "scores": {"rocauc_labels": 0.9}}]
    (row,) = compare({"net": [0, 0, 0.8, 0, 0]}, own)
    assert row["difference"] == pytest.approx(0.1)


def test_a_data_set_of_other_crystals_is_not_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "board.json", {"scores": {"matbench_salts": {"net": [1, 2, 3, 4, 5]}}})
    assert JOBS["ensemble"].main([str(run), "--published", str(path)]) == 0
    said = capsys.readouterr()
    assert "salts: not compared with board.json (not its crystals and official folds)" in said.err
    assert json.loads((run / FACTS).read_text())["published"] == []
    assert "published entries" not in (run / "report.html").read_text()


def test_what_is_compared_stands_in_the_report(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SimpleNamespace(best=None, published={})
    monkeypatch.setattr(FinishedRun, "matbench_task", lambda *_: known)
    path = write(tmp_path / "board.json", {"scores": {"salts": {"net": [100, 101, 3, 4, 5]}}})
    assert JOBS["ensemble"].main([str(run), "--published", str(path)]) == 0
    assert "from net's 100.5" in capsys.readouterr().out
    text = (run / "report.html").read_text()
    assert "Ensemble: published entries" in text and ">100.5</td>" in text


@pytest.mark.parametrize(
    "content",
    [[], {}, {"scores": 3}, {"scores": {"a": {"net": [1, 2]}}}, {"scores": {"a": {"net": "1234x"}}},
     {"scores": {"a": {"net": [1, 2, 3, 4, None]}}}],
)  # fmt: skip
def test_a_file_of_another_form_is_refused_in_a_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(UsageError, match=r"^--published .*: not of the form"):
        read_published(write(tmp_path / "board.json", content))
    with pytest.raises(UsageError, match=r"^--published .*: cannot be read \(No such file"):
        read_published(tmp_path / "absent.json")
