"""The whole job on Ray, on a small grid: measured, agreed on, cut into groups, written."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

from analysis.consensus.agreement import Reference, agree
from analysis.elements import NUMBERS
from orchestrator import cli
from orchestrator.jobs import JOBS
from orchestrator.nodes.on_ray import OnRay
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.finished_run import OF_LEDGER
from orchestrator.runs.ledger import LEDGER, digest_of
from tests.orchestrator.small_grids import digests, grid, rows, write_matbench

pytestmark = pytest.mark.usefixtures("ray_cluster")
QUICK = ("--draws", "6", "--permutations", "49", "--seeds", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    """A grid of 24 models on two data sets."""
    folder = tmp_path_factory.mktemp("groups")
    one = write_matbench(folder / "one.json.gz", rows(90))
    other = write_matbench(folder / "other.json.gz", rows(80, 100))
    flags = ["--tasks", str(one), str(other), "--run", str(folder / "run"), "--dims", "4"]
    flags += ["--mixing", "H", "0", "L", "--folds", "0", "1", "--epochs", "2"]
    assert grid(*flags).code == 0
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def unscreened(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with its groups, to be read; screening takes the longest and is left out."""
    folder = tmp_path_factory.mktemp("unscreened") / "run"
    run = Path(shutil.copytree(finished, folder))
    grouped(run, "--skip-screening")
    return run


@pytest.fixture
def with_groups(unscreened: Path, tmp_path: Path) -> Path:
    """A copy of that which a test may spoil."""
    return Path(shutil.copytree(unscreened, tmp_path / "with_groups"))


@pytest.fixture
def without_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is computed in this process, whose libraries are imported: it comes to the same."""
    monkeypatch.setattr(OnRay, "mapper", lambda place: map)


def grouped(run: Path, *flags: str) -> None:
    assert JOBS["element_groups"].main([str(run), *QUICK, *flags]) == 0


def refused(run: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    capsys.readouterr()
    assert JOBS["element_groups"].main([str(run), *QUICK, *flags]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


def change(run: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], name: str) -> None:
    """Rewrites one of the run's tables, in the row groups of the old one, as its job would."""
    path = run / name
    schema, groups = pq.read_schema(path), pq.ParquetFile(path).num_row_groups
    frame = spoil(pd.read_parquet(path))
    with pq.ParquetWriter(path, schema) as file:
        for part in np.array_split(np.arange(len(frame)), groups):
            file.write_table(pa.Table.from_pandas(frame.iloc[part], schema, preserve_index=False))
    sums.note(run, {name: sums.of_file(path)})
    if name == "ledger.parquet":
        for derived in OF_LEDGER:
            table = pq.read_table(run / derived)
            sums.write_parquet(run, derived, table, {LEDGER: digest_of(frame)})


def test_the_job_from_models_to_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grouped(run)
    said = capsys.readouterr().out
    assert "24 models done" in said and "composition alone gives R²" in said
    facts = json.loads((run / "consensus.json").read_text())
    assert facts["proven"] and facts["gap"] == 0 and facts["score"] == facts["upper_bound"]
    # partitions that agree equally well with the models are equal but for a few elements
    assert facts["seed_agreement"] > 0.95
    assert facts["seed_scores"] == pytest.approx([facts["score"]] * 2)

    groups = pd.read_csv(run / "groups.csv", keep_default_na=False)
    assert {"symbol", "cluster", "subgroup"} <= set(groups.columns)
    assert len(groups) == facts["elements"] and groups["cluster"].nunique() == facts["clusters"]
    assert groups["symbol"].is_unique
    clusters_of_group = groups.groupby("subgroup")["cluster"].nunique()
    assert (clusters_of_group == 1).all()

    # the score is that of the clusterings that lie beside it
    clusterings = pd.read_parquet(run / "clusterings.parquet")
    ledger = pd.read_parquet(run / "ledger.parquet")
    counts = ledger["task"].isin(facts["tasks"]) & ledger["mixing"].isin(["H", "L"])
    keys = sorted(ledger.loc[counts, "key"])
    assert facts["mixings"] == ["H", "L"] and facts["votes"] == facts["models"] == len(keys)
    assert facts["resampled"] == "folds"
    by_key = clusterings.set_index("key")
    agreement = agree(
        [
            Reference(by_key.loc[key, "numbers"].astype(int), by_key.loc[key, "labels"].astype(int))
            for key in keys
        ]
    )
    place = dict(zip(groups["symbol"].map(NUMBERS), groups["cluster"], strict=True))
    labels = np.array([place[z] for z in agreement.numbers])
    assert agreement.score(labels) == pytest.approx(facts["score"], abs=1e-12)

    geometry = pd.read_parquet(run / "geometry.parquet")
    assert set(geometry["key"]) == set(ledger["key"])
    assert {"mixed", "layer1", "layer2", "layer3"} <= set(geometry["channel"])
    mixed = geometry[geometry["channel"] == "mixed"].merge(ledger[["key", "mixing"]], on="key")
    assert mixed.loc[mixed["mixing"] == "0", "angle_mean"].between(0, 180).all()
    assert mixed.loc[mixed["mixing"] != "0", "angle_mean"].isna().all()

    partners = pd.read_parquet(run / "partners.parquet")
    assert (partners["together"] <= partners["models"]).all()
    relations = pd.read_csv(run / "relations.csv")
    assert {
        "replaceability", "Mat2Vec", "SkipAtom", "Magpie", "descriptor", "untrained, handcrafted"
    } <= set([*relations["one"], *relations["other"]])  # fmt: skip
    page = (run / "report.html").read_text()
    for title, _ in element_groups_sections():
        assert title in page


def test_vectors_that_an_actor_cannot_read_are_one_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "embeddings.parquet"
    content = path.read_bytes()
    footer = 8 + int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:4] + b"\xff" * (len(content) - 4 - footer) + content[-footer:])
    line = refused(run, capsys, "--skip-screening")
    assert line.startswith(f"error: {path}: damaged (") and "run hybrid_grid again" in line


def element_groups_sections() -> list[tuple[str, object]]:
    from orchestrator.element_groups.sections import GROUP_SECTIONS

    return list(GROUP_SECTIONS)


@pytest.mark.usefixtures("without_actors")
def test_the_same_command_gives_the_same_bytes(with_groups: Path) -> None:
    run = with_groups
    first = digests(run)
    grouped(run, "--skip-screening")
    assert digests(run) == first
    (run / "report.html").unlink()
    assert "What the models agree on" in write_report(run).read_text()


@pytest.mark.usefixtures("without_actors")
def test_the_published_search_is_no_better(with_groups: Path) -> None:
    run = with_groups
    best = json.loads((run / "consensus.json").read_text())
    grouped(run, "--skip-screening", "--paper", "--population", "30", "--generations", "5")
    other = json.loads((run / "consensus.json").read_text())
    assert other["search"] == "published"
    assert max(other["seed_scores"]) <= best["score"] + 1e-12
    assert other["score"] == best["score"]  # the proof finds what the search has missed


@pytest.mark.usefixtures("without_actors")
def test_a_part_of_the_models(run: Path) -> None:
    grouped(run, "--skip-screening", "--tasks", "one", "--mixings", "H", "L")
    facts = json.loads((run / "consensus.json").read_text())
    assert facts["models"] == 8 and facts["tasks"] == ["one"] and facts["mixings"] == ["H", "L"]


@pytest.mark.usefixtures("without_actors")
def test_twins_have_one_vote(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The vectors of each model of mixing 0 become those of H, but for rounding."""
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    cell = ["task", "fold", "backbone", "dim"]
    of_h = ledger[ledger["mixing"] == "H"].reset_index().set_index(cell)["key"]

    def copy(frame: pd.DataFrame) -> pd.DataFrame:
        mixed = frame[frame["channel"] == "mixed"].set_index("key")["values"]
        for place, row in frame[frame["channel"] == "mixed"].iterrows():
            if ledger.loc[row["key"], "mixing"] == "0":
                twin = of_h[tuple(ledger.loc[row["key"], cell])]
                frame.at[place, "values"] = mixed[twin] * np.float32(1 + 1e-6)
        return frame

    change(run, copy, "embeddings.parquet")
    grouped(run, "--skip-screening", "--mixings", "all")
    assert "16 votes of 24 models" in capsys.readouterr().out
    facts = json.loads((run / "consensus.json").read_text())
    assert (facts["votes"], facts["models"], facts["mixings"]) == (16, 24, ["H", "0", "L"])
    assert "there\nare 16 votes" in (run / "report.html").read_text()


def test_partners_of_an_element(
    finished: Path, unscreened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["substitutes", "Na", "--run", str(finished)]) == 2
    assert "run element_groups" in capsys.readouterr().err
    run = unscreened
    assert cli.main(["substitutes", "Na", "--run", str(run), "--top", "5"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("Na: group ") and "radius 1.16 Å" in lines[0]
    assert lines[1].split() == [
        "element", "group", "agreement", "models", "radius", "difference", "fit"
    ]  # fmt: skip
    assert 3 <= len(lines) <= 7
    assert cli.main(["substitutes", "na", "--run", str(run)]) == 2
    assert "did you mean Na?" in capsys.readouterr().err
    assert cli.main(["substitutes", "Og", "--run", str(run)]) == 2
    assert "in none of the models" in capsys.readouterr().err


def test_formulas_of_ones_own_are_screened(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    table = [["formula", "hardness"]]
    table += [[f"Na{a}Cl{b}O", str(a / (a + b))] for a in range(1, 7) for b in range(1, 7)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(table)
    grouped(run, "--compositions", f"salts={path}:hardness")
    screened = pd.read_csv(run / "screening.csv").set_index("task")
    assert screened.loc["salts", "crystals"] == 36 and screened.loc["salts", "enters"]
    assert "salts: composition alone gives" in capsys.readouterr().out

    for spec, reason in (
        (f"{path}:softness", "no column 'softness'"),
        (str(tmp_path / "absent.csv"), "no such file"),
    ):
        assert reason in refused(run, capsys, "--compositions", spec)
    for row in range(5, 10):
        table[row][0] = "Xq2"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(table)
    line = refused(run, capsys, "--compositions", str(path))
    assert "mine.csv: 5 of 36 rows are bad: row 5: " in line


@pytest.mark.usefixtures("without_actors")
def test_vectors_that_are_not_finite_are_named(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil_one(frame: pd.DataFrame) -> pd.DataFrame:
        place = frame.index[frame["channel"] == "mixed"][0]
        values = frame.at[place, "values"].copy()
        values[0] = np.nan
        frame.at[place, "values"] = values
        return frame

    change(run, spoil_one, "embeddings.parquet")
    grouped(run, "--skip-screening", "--mixings", "all")
    assert "is not finite" in capsys.readouterr().err
    facts = json.loads((run / "consensus.json").read_text())
    assert facts["models"] == 23 and len(facts["left_out"]) == 1

    def spoil_all(frame: pd.DataFrame) -> pd.DataFrame:
        frame["values"] = [np.full_like(values, np.nan) for values in frame["values"]]
        return frame

    change(run, spoil_all, "embeddings.parquet")
    assert "has vectors to cluster" in refused(run, capsys, "--skip-screening")


@pytest.mark.usefixtures("without_actors")
def test_one_model(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, lambda frame: frame.iloc[:1], "ledger.parquet")
    grouped(run, "--skip-screening")
    assert "one model only" in capsys.readouterr().out
    facts = json.loads((run / "consensus.json").read_text())
    assert facts["models"] == 1 and facts["score"] == 1.0
    clusterings = pd.read_parquet(run / "clusterings.parquet")
    groups = pd.read_csv(run / "groups.csv", keep_default_na=False)
    place = dict(zip(groups["symbol"].map(NUMBERS), groups["cluster"], strict=True))
    labels = [place[z] for z in clusterings["numbers"][0]]
    assert adjusted_rand_score(labels, clusterings["labels"][0]) == 1.0
    assert "need three models" in (run / "report.html").read_text()


@pytest.mark.usefixtures("without_actors")
def test_models_without_common_elements(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = pd.read_parquet(run / "ledger.parquet")["key"].tolist()[:2]
    change(run, lambda frame: frame[frame["key"].isin(keys)], "ledger.parquet")

    def part(frame: pd.DataFrame) -> pd.DataFrame:
        for place, row in frame.iterrows():
            numbers = np.arange(1, 8) + (40 if row["key"] == keys[0] else 0)
            width = row["dim"]
            frame.at[place, "numbers"] = numbers.astype(np.uint8)
            frame.at[place, "counts"] = np.ones(7, dtype=np.int64)
            frame.at[place, "values"] = row["values"][: 7 * width]
        return frame

    change(run, part, "embeddings.parquet")
    assert "nothing to agree on" in refused(run, capsys, "--skip-screening", "--mixings", "all")


def test_what_is_no_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder; check the path" in refused(tmp_path / "nowhere", capsys)
    assert "--tasks phonons" in refused(run, capsys, "--tasks", "phonons")
    assert "--mixings 7" in refused(run, capsys, "--mixings", "7")
    assert "--seeds: 0 is wrong" in refused(run, capsys, "--seeds", "0")
    shutil.rmtree(run / "shards")
    assert "--skip-screening" in refused(run, capsys)
    change(run, lambda frame: frame.assign(status="failed"), "ledger.parquet")
    assert "no model is done" in refused(run, capsys)
    assert not (run / "consensus.json").exists()
