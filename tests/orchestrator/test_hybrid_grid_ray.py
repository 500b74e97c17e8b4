"""The main job from crystals to report, on a tiny set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from orchestrator.grid.columns import with_axes
from orchestrator.hybrid_grid.sections import SECTIONS
from orchestrator.runs.ledger import EMBEDDINGS, PREDICTIONS
from orchestrator.runs.records import SCHEMA
from tests.compositions_for_tests import write_table
from tests.orchestrator.small_grids import (
    CRYSTALS,
    FinishedGrid,
    digests,
    grid,
    key_of,
    rows,
    write_matbench,
)
from trainables.crystals.registry import official_folds
from trainables.training.checkpoint import load_model
from trainables.training.specification import ModelSpec

pytestmark = pytest.mark.usefixtures("ray_cluster")
TABLES = [
    f"Mat2Vec-{name}-{dim}{end}" for name in "SHL" for dim in (32, 64) for end in ("", "-plain")
]


# --------------------------------------------------------------------------------- the whole job


def test_it_ends_well_and_says_where(finished: FinishedGrid) -> None:
    said = finished.said
    assert said.code == 0
    assert "tiny: 36 crystals" in said.out
    assert "12 models, 0 recorded before" in said.out
    assert f"{finished.run}/report.html" in said.out
    assert "12 models done" in said.out
    lines = said.err.splitlines()
    assert lines, "no progress was shown"
    for line in lines:  # nothing else: no warning, no traceback, no noise of Ray's
        assert re.match(
            r"\d+/12 models done, (\d+ in training in [12] workers?, )?0 failed \| ", line
        ), line
    assert lines[-1].startswith("12/12 models done, 0 failed")
    assert "best val MAE: tiny" in lines[-1]


def test_every_file_is_there_and_no_other(finished: FinishedGrid) -> None:
    keys = finished.ledger["key"]
    expected = {
        *("manifest.json", "ledger.parquet", "embeddings.parquet", "predictions.parquet"),
        *("distances.parquet", "report.html", ".lock", "records/.lock"),
        "SHA256SUMS",
        "shards/tiny/quarantine.csv",
        *(f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "meta.json")),
        *(f"records/{key}.{kind}" for key in keys for kind in ("json", "safetensors")),
    }
    found = {name for name in digests(finished.run) if not re.match("shards/tiny/.*/", name)}
    assert found == expected
    assert {path.name for path in (finished.run / "shards" / "tiny").iterdir()} == {
        "nn12-r8", "all-r4", "quarantine.csv",
    }  # fmt: skip


def test_a_grid_of_handcrafted_tables(tmp_path: Path) -> None:
    """The record of each model has all that it is built from, when the table is gone."""
    data = write_matbench(tmp_path / "tiny.json.gz", rows(CRYSTALS))
    table = write_table(tmp_path / "mine.csv")
    run = tmp_path / "run"
    flags = [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "--mixing", "H", "0"),
        *("--folds", "0", "--epochs", "2", "--backbones", "cgcnn"),
        *("--handcrafted", "cgcnn92", "elements", str(table)),
    ]
    said = grid(*flags)
    assert said.code == 0, said.err
    assert "5 columns standardised over 118 elements" in said.out
    again = grid(*flags)
    assert "6 models, 6 recorded before" in again.out
    write_table(table, seed=1)
    assert "handcrafted" in grid(*flags).error
    table.unlink()
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert [name.partition("@")[0] for name in ledger["handcrafted"][::2]] == [
        "cgcnn92", "elements", "mine"
    ]  # fmt: skip
    widths = []
    for key in ledger["key"][::2]:
        model, row = load_model(run / "records" / f"{key}.safetensors")
        assert row["key"] == key
        widths.append(model.get_submodule("embedding").get_buffer("descriptor").shape[1])
    assert widths == [92, 109, 5]
    assert "handcrafted mine@" in (run / "report.html").read_text()


def test_the_ledger_has_one_good_row_a_model(finished: FinishedGrid) -> None:
    table = pq.read_table(finished.run / "ledger.parquet")
    assert table.schema.equals(with_axes(SCHEMA.empty_table()).schema)
    ledger = table.to_pandas()
    cells = set(zip(ledger["backbone"], ledger["dim"], ledger["mixing"], strict=True))
    assert cells == {(b, d, m) for b in ("cgcnn", "megnet") for d in (4, 8) for m in "H0L"}
    assert len(ledger) == 12 == ledger["key"].nunique()
    assert set(ledger["status"]) == {"done"} and set(ledger["error"]) == {""}
    assert set(ledger["task"]) == {"tiny"} and set(ledger["target"]) == {"energy"}
    assert np.isfinite(ledger[["train_mae", "val_mae", "test_mae", "dummy_mae"]]).all(axis=None)
    assert set(ledger["n_train"] + ledger["n_val"] + ledger["n_test"]) == {CRYSTALS}
    assert set(ledger["epochs"]) == {3} and ledger["best_epoch"].between(0, 2).all()
    assert (ledger["seconds"] > 0).all()
    assert set(ledger["array"]) == {f"tiny/fold0/{b}/d{d}" for b, d, _ in cells}
    assert {json.loads(text)["torch"] for text in ledger["versions"]}
    assert (ledger["threads"] == 1).all() and ledger["kernels"].nunique() == 1
    assert "computed alike" not in finished.said.err
    for row in ledger.itertuples():
        spec = ModelSpec.read(row.spec)
        assert spec.key == row.key and spec.recipe.epochs == 3
        assert (spec.backbone, spec.dim, spec.mixing) == (row.backbone, row.dim, row.mixing)


def test_the_predictions_are_those_of_the_metrics(finished: FinishedGrid) -> None:
    assert pq.read_schema(finished.run / "predictions.parquet").equals(PREDICTIONS)
    predictions = pd.read_parquet(finished.run / "predictions.parquet")
    truth = {str(index): target for index, (_, target) in enumerate(rows(CRYSTALS))}
    assert predictions["target"].tolist() == [truth[name] for name in predictions["id"]]
    _, official = official_folds(CRYSTALS)[0]
    for row in finished.ledger.itertuples():
        own = predictions[predictions["key"] == row.key]
        error = (own["prediction"] - own["target"]).abs()
        by_part = {part: own["part"] == part for part in ("validation", "test")}
        assert error[by_part["validation"]].mean() == pytest.approx(row.val_mae, rel=1e-5)
        assert error[by_part["test"]].mean() == pytest.approx(row.test_mae, rel=1e-12)
        assert sorted(map(int, own.loc[by_part["test"], "id"])) == sorted(official)
        known = [truth[name] for name in truth if name not in set(own["id"])]
        assert len(known) == row.n_train
        dummy = (own.loc[by_part["test"], "target"] - np.mean(known)).abs().mean()
        assert dummy == pytest.approx(row.dummy_mae, rel=1e-12)


def test_the_embeddings_are_those_of_the_training_part(finished: FinishedGrid) -> None:
    assert pq.read_schema(finished.run / "embeddings.parquet").equals(EMBEDDINGS)
    embeddings = pd.read_parquet(finished.run / "embeddings.parquet")
    predicted = pd.read_parquet(finished.run / "predictions.parquet")
    for row in finished.ledger.itertuples():
        own = embeddings[embeddings["key"] == row.key].set_index("channel")
        wanted = {"mixed"} | {"H": {"h"}, "L": {"l"}, "0": {"h", "l"}}[row.mixing]
        assert {name for name in own.index if "layer" not in name} == wanted
        assert any("layer" in name for name in own.index)
        assert own.loc["mixed", "dim"] == row.dim
        held = {int(name) for name in predicted.loc[predicted["key"] == row.key, "id"]}
        trained = [s for i, (s, _) in enumerate(rows(CRYSTALS)) if i not in held]
        symbols = [{site["species"][0]["element"] for site in s["sites"]} for s in trained]
        for vectors in own.itertuples():
            assert len(vectors.numbers) == len(vectors.counts) == len(set().union(*symbols))
            assert len(vectors.values) == len(vectors.numbers) * vectors.dim
            assert sum(vectors.counts) == sum(map(len, symbols))


def test_a_record_is_a_checkpoint_with_its_row(finished: FinishedGrid) -> None:
    key = key_of(finished.run, "megnet", 8, "0")
    path = finished.run / "records" / f"{key}.safetensors"
    with safe_open(path, "np") as file:
        row = json.loads(file.metadata()["row"])
        names = set(file.keys())
    record = json.loads((finished.run / "records" / f"{key}.json").read_text())
    assert {name: record[name] for name in row} == row
    assert {"curve/val_mae", "curve/train_loss", "predictions/test/value"} <= names
    assert load_model(path) is not None


def test_the_distances_are_of_all_pairs_seen_together(finished: FinishedGrid) -> None:
    distances = pd.read_parquet(finished.run / "distances.parquet")
    assert distances.columns.tolist() == ["table", "a", "b", "distance", "spread", "models"]
    assert (distances["a"] < distances["b"]).all()
    assert distances[["distance", "spread"]].ge(0).all(axis=None)
    models = distances.groupby("table")["models"].max().to_dict()
    assert models == {"S": 4, "H": 4, "L": 4}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_loads_where_it_is_to_be_used(finished: FinishedGrid, name: str) -> None:
    from elementembeddings.core import Embedding

    path = finished.run / "tables" / f"{name}.csv"
    embedding = Embedding.from_csv(str(path), name)
    assert embedding.dim == int(name.split("-")[2])
    assert len(embedding.element_list) == 118
    assert embedding.element_list[:3] == ["H", "He", "Li"] and embedding.element_list[-1] == "Og"
    lines = path.read_text().splitlines()
    assert len(lines) == 119 and lines[0].startswith("element,0,1,")
    facts = json.loads(path.with_suffix("").with_suffix(".meta.json").read_text())
    embeddings = pd.read_parquet(finished.run / "embeddings.parquet")
    seen = set().union(*map(set, embeddings["numbers"]))
    flagged = [row["seen"] for row in facts["elements"].values()]
    assert [z in seen for z in range(1, 119)] == flagged
    assert facts["models"] == 4 and facts["selected_on"] == "val_error"
    assert facts["selection_leaks_test_data"] is False
    assert facts["table"] == name and facts["standardised"] == (not name.endswith("plain"))


def test_the_report_is_whole_and_needs_no_network(finished: FinishedGrid) -> None:
    text = (finished.run / "report.html").read_text()
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    conditional = {
        *("Further axes", "Number of training crystals", "Elements held out", "Tensors"),
    }
    absent = conditional | {SECTIONS[-1][0]}  # only the usual axes vary, and nothing has failed
    for title, _ in SECTIONS:
        shown = re.search(rf'<h2 id="s\d+">{title}</h2>', body) is not None
        assert shown == (title not in absent), title
    outside = re.findall(r"""(?:src|href|action)\s*=\s*["']?(?:[a-z]+:)?//[^"'\s>]+""", body)
    outside += re.findall(r"""@import|url\(\s*["']?(?:[a-z]+:)?//""", body)
    assert not outside
    assert not re.findall(r"<(?:link|iframe|img|object|embed)\b", body)
    assert text.count("Plotly.newPlot(") >= 7
    assert "12 models done of 12, recipe tuned; begun 20" in body


def test_the_manifest_says_what_was_done(finished: FinishedGrid) -> None:
    manifest = json.loads((finished.run / "manifest.json").read_text())
    assert manifest["config"]["tasks"] == [str(finished.data)]
    assert manifest["config"]["dims"] == [4, 8] and manifest["models"] == 12
    facts = manifest["datasets"]["tiny"]
    assert (facts["crystals"], facts["quarantined"], facts["target"]) == (36, 0, "energy")
    assert manifest["hardware"]["cpus"] == 2
    assert {"python", "torch", "ray"} <= manifest["versions"].keys()
    assert [kind["name"] for kind in manifest["representations"]] == ["nn12-r8", "all-r4"]
    assert manifest["created"].endswith("+00:00")


# ------------------------------------------------------------------------------- what goes wrong


def test_a_set_of_one_element_has_models_and_no_tables(tmp_path: Path) -> None:
    """There is no distance between one element and itself."""
    carbon = {"species": [{"element": "C", "occu": 1}], "label": "C"}
    data = [
        (
            {
                "lattice": {"matrix": np.diag([a, a, a + 0.1 * i]).tolist()},
                "sites": [{**carbon, "abc": [0, 0, 0]}],
            },
            a + 0.3 * i,
        )
        for i, a in enumerate(np.linspace(1.5, 4.5, 20))
    ]
    path = write_matbench(tmp_path / "carbon.json.gz", data)
    said = grid(
        *("--tasks", str(path), "--run", str(tmp_path / "run"), "--dims", "4", "--mixing", "H"),
        *("--folds", "0", "--epochs", "2", "--backbones", "megnet"),
    )
    assert said.code == 0
    assert "Mat2Vec-S-32: left out" in said.err.replace(".csv", "")
    assert "Traceback" not in said.err
    assert (tmp_path / "run" / "report.html").exists()
    assert not list((tmp_path / "run").glob("tables/*.csv"))
