"""The main job from crystals to report, on a tiny set, and what happens when it is run again."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from orchestrator import hybrid_grid
from orchestrator.ledger import EMBEDDINGS, PREDICTIONS, SCHEMA, Records
from orchestrator.report import SECTIONS
from tests.orchestrator.small_grids import Said, digests, grid, rows, times, write_matbench
from trainables.crystals.registry import official_folds
from trainables.training.checkpoint import load_model

pytestmark = pytest.mark.usefixtures("ray_cluster")
CRYSTALS = 36
TABLES = [f"Mat2Vec-{name}-{dim}" for name in "SHL" for dim in (32, 64)]


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that has ended well; tests that change it work on a copy."""

    data: Path
    run: Path
    said: Said

    def flags(self, run: Path | None = None, **changes: str) -> list[str]:
        given = {"dims": "4 8", "mixing": "H 0 L", "folds": "0", "epochs": "3"} | changes
        flags = ["--tasks", str(self.data), "--run", str(run or self.run)]
        for name, values in given.items():
            flags += [f"--{name}", *values.split()]
        return flags

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.run, to)
        return to

    @property
    def ledger(self) -> pd.DataFrame:
        return pd.read_parquet(self.run / "ledger.parquet")


@pytest.fixture(scope="module")
def finished(ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("grid")
    data = write_matbench(folder / "tiny.json.gz", rows(CRYSTALS))
    job = Finished(data, folder / "run", Said(-1, "", ""))
    return dataclasses.replace(job, said=grid(*job.flags()))


def key_of(run: Path, backbone: str, dim: int, mixing: str) -> str:
    ledger = pd.read_parquet(run / "ledger.parquet")
    same = (ledger["backbone"] == backbone) & (ledger["dim"] == dim)
    (key,) = ledger.loc[same & (ledger["mixing"] == mixing), "key"]
    return str(key)


# --------------------------------------------------------------------------------- the whole job


def test_it_ends_well_and_says_where(finished: Finished) -> None:
    said = finished.said
    assert said.code == 0
    assert "tiny: 36 crystals" in said.out
    assert "12 models in the grid, 0 recorded before" in said.out
    assert f"{finished.run}/report.html" in said.out
    assert "12 models done" in said.out
    lines = said.err.splitlines()
    assert lines, "no progress was shown"
    for line in lines:  # nothing else: no warning, no traceback, no noise of Ray's
        assert re.match(r"\d+/12 models done, \d+ running, 0 failed \| ", line), line
    assert lines[-1].startswith("12/12 models done, 0 running")
    assert "best val MAE: tiny" in lines[-1]


def test_every_file_is_there_and_no_other(finished: Finished) -> None:
    keys = finished.ledger["key"]
    expected = {
        *("manifest.json", "ledger.parquet", "embeddings.parquet", "predictions.parquet"),
        *("distances.parquet", "report.html", ".lock", "records/.lock"),
        "shards/tiny/quarantine.csv",
        *(f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "meta.json")),
        *(f"records/{key}.{kind}" for key in keys for kind in ("json", "safetensors")),
    }
    found = {name for name in digests(finished.run) if not re.match("shards/tiny/.*/", name)}
    assert found == expected
    assert {path.name for path in (finished.run / "shards" / "tiny").iterdir()} == {
        "nn12-r8", "all-r4", "quarantine.csv",
    }  # fmt: skip


def test_the_ledger_has_one_good_row_a_model(finished: Finished) -> None:
    table = pq.read_table(finished.run / "ledger.parquet")
    assert table.schema.equals(SCHEMA)
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


def test_the_predictions_are_those_of_the_metrics(finished: Finished) -> None:
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


def test_the_embeddings_are_those_of_the_training_part(finished: Finished) -> None:
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


def test_a_record_is_a_checkpoint_with_its_row(finished: Finished) -> None:
    key = key_of(finished.run, "megnet", 8, "0")
    path = finished.run / "records" / f"{key}.safetensors"
    with safe_open(path, "np") as file:
        row = json.loads(file.metadata()["row"])
        names = set(file.keys())
    record = json.loads((finished.run / "records" / f"{key}.json").read_text())
    assert {name: record[name] for name in row} == row
    assert {"curve/val_mae", "curve/train_loss", "predictions/test/value"} <= names
    assert load_model(path) is not None


def test_the_distances_are_of_all_pairs_seen_together(finished: Finished) -> None:
    distances = pd.read_parquet(finished.run / "distances.parquet")
    assert distances.columns.tolist() == ["table", "a", "b", "distance", "spread", "models"]
    assert (distances["a"] < distances["b"]).all()
    assert distances[["distance", "spread"]].ge(0).all(axis=None)
    models = distances.groupby("table")["models"].max().to_dict()
    assert models == {"S": 4, "H": 4, "L": 4}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_loads_where_it_is_to_be_used(finished: Finished, name: str) -> None:
    from elementembeddings.core import Embedding

    path = finished.run / "tables" / f"{name}.csv"
    embedding = Embedding.from_csv(str(path), name)
    assert embedding.dim == int(name.rsplit("-", 1)[1])
    assert len(embedding.element_list) == 118
    assert embedding.element_list[:3] == ["H", "He", "Li"] and embedding.element_list[-1] == "Og"
    lines = path.read_text().splitlines()
    assert len(lines) == 119 and lines[0].startswith("element,0,1,")
    facts = json.loads(path.with_suffix("").with_suffix(".meta.json").read_text())
    embeddings = pd.read_parquet(finished.run / "embeddings.parquet")
    seen = set().union(*map(set, embeddings["numbers"]))
    flagged = [row["seen"] for row in facts["elements"].values()]
    assert [z in seen for z in range(1, 119)] == flagged
    assert facts["models"] == 4 and facts["selected_on"] == "val_mae"
    assert facts["selection_leaks_test_data"] is False


def test_the_report_is_whole_and_needs_no_network(finished: Finished) -> None:
    text = (finished.run / "report.html").read_text()
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    for title, _ in SECTIONS[:-1]:
        assert re.search(rf'<h2 id="s\d+">{title}</h2>', body), title
    assert f">{SECTIONS[-1][0]}</h2>" not in body, "nothing has failed"
    outside = re.findall(r"""(?:src|href|action)\s*=\s*["']?(?:[a-z]+:)?//[^"'\s>]+""", body)
    outside += re.findall(r"""@import|url\(\s*["']?(?:[a-z]+:)?//""", body)
    assert not outside
    assert not re.findall(r"<(?:link|iframe|img|object|embed)\b", body)
    assert text.count("Plotly.newPlot(") >= 7
    assert "12 models done of 12, recipe tuned; begun 20" in body


def test_the_manifest_says_what_was_done(finished: Finished) -> None:
    manifest = json.loads((finished.run / "manifest.json").read_text())
    assert manifest["config"]["tasks"] == [str(finished.data)]
    assert manifest["config"]["dims"] == [4, 8] and manifest["models"] == 12
    facts = manifest["datasets"]["tiny"]
    assert (facts["crystals"], facts["quarantined"], facts["target"]) == (36, 0, "energy")
    assert manifest["hardware"]["cpus"] == 2
    assert {"python", "torch", "ray"} <= manifest["versions"].keys()
    assert manifest["created"].endswith("+00:00")


# ------------------------------------------------------------------------------- the second time


def test_the_same_command_trains_nothing_and_changes_nothing(finished: Finished) -> None:
    before = times(finished.run / "records") | times(finished.run / "shards")
    contents = digests(finished.run)
    said = grid(*finished.flags())
    assert said.code == 0
    assert "12 models in the grid, 12 recorded before" in said.out
    assert said.err == ""
    assert times(finished.run / "records") | times(finished.run / "shards") == before
    changed = {name for name, digest in digests(finished.run).items() if digest != contents[name]}
    assert changed <= {"report.html"}, "plotly draws new names for its figures, no more"


def test_one_lost_record_and_one_lost_array_are_trained_again(
    finished: Finished, tmp_path: Path
) -> None:
    """A whole array comes back bit for bit; a member that is trained alone, to rounding."""
    run = finished.copy(tmp_path / "run")
    records, first = Records(run / "records"), Records(finished.run / "records")
    alone = key_of(run, "cgcnn", 4, "H")
    together = [key_of(run, "megnet", 8, mixing) for mixing in "H0L"]
    for key in (alone, *together):
        records.forget(key)
    kept = times(run / "records")
    said = grid(*finished.flags(run))
    assert said.code == 0 and "8 recorded before" in said.out
    now = times(run / "records")
    assert {name: now[name] for name in kept if name != ".lock"} == {
        name: kept[name] for name in kept if name != ".lock"
    }
    new = {name.partition(".")[0] for name in now.keys() - kept.keys()}
    assert new == {alone, *together}
    metrics = ("train_mae", "val_mae", "test_mae", "dummy_mae", "best_epoch", "epochs")
    for key in together:
        assert [records.read(key)[m] for m in metrics] == [first.read(key)[m] for m in metrics]
        arrays, arrays_before = records.arrays(key), first.arrays(key)
        assert arrays.keys() == arrays_before.keys()
        assert all(arrays[name].tobytes() == arrays_before[name].tobytes() for name in arrays)
    for name in metrics:
        assert records.read(alone)[name] == pytest.approx(first.read(alone)[name], rel=1e-6)


# ------------------------------------------------------------------------------ a grid that changes


def test_another_grid_is_refused_and_the_difference_named(
    finished: Finished, tmp_path: Path
) -> None:
    before = times(finished.run)
    said = grid(*finished.flags(mixing="H L", epochs="4"))
    assert said.code == 2
    assert f"--run {finished.run} holds another grid" in said.error
    assert "mixing was ['H', '0', 'L'], is ['H', 'L']" in said.error
    assert "epochs was 3, is 4" in said.error and "--extend" in said.error
    assert "dims" not in said.error
    assert times(finished.run) | {".lock": 0} == before | {".lock": 0}


def test_changed_data_are_refused_before_anything_is_written(
    finished: Finished, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    changed = dataclasses.replace(finished, data=tmp_path / "tiny.json.gz")
    write_matbench(changed.data, rows(CRYSTALS))
    assert grid(*changed.flags(run), "--extend").code == 0  # the same bytes under another path
    before = times(run)
    write_matbench(changed.data, rows(CRYSTALS, start=1))
    said = grid(*changed.flags(run))
    assert said.code == 2 and f"--run {run} holds another grid (data tiny was " in said.error
    assert "--extend" in said.error and ";" not in said.error.partition("(")[2].partition(")")[0]
    assert times(run) | {".lock": 0} == before | {".lock": 0}
    said = grid(*changed.flags(run), "--extend")
    assert said.code == 0 and "12 models in the grid, 0 recorded before" in said.out


@pytest.mark.parametrize("name", ["TRAINING_VERSION", "FEATURISER_VERSION"])
def test_changed_code_is_refused(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    was = getattr(hybrid_grid, name)
    monkeypatch.setattr(hybrid_grid, name, 99)
    said = grid(*finished.flags())
    assert said.code == 2 and f"({name.lower()} was {was}, is 99)" in said.error


def test_the_folder_of_another_job_is_refused(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"job": "transfer", "config": {}}')
    for more in ([], ["--extend"]):
        said = grid(*finished.flags(tmp_path), *more)
        assert said.code == 2 and f"--run {tmp_path}: holds a run of transfer" in said.error


def test_extending_trains_only_what_is_new(finished: Finished, tmp_path: Path) -> None:
    run = finished.copy(tmp_path / "run")
    kept = digests(run / "records")
    said = grid(*finished.flags(run, mixing="H 0 2 L", dims="8"), "--extend")
    assert said.code == 0
    assert "8 models in the grid, 6 recorded before" in said.out
    now = digests(run / "records")
    assert {name: now[name] for name in kept} == kept
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert len(ledger) == 8 and set(ledger["mixing"]) == {"H", "0", "2", "L"}
    new = {name.partition(".")[0] for name in now.keys() - kept.keys()}
    assert new == set(ledger.loc[ledger["mixing"] == "2", "key"])
    # from now on the run directory is the new grid's
    assert grid(*finished.flags(run)).code == 2
    manifest = json.loads((run / "manifest.json").read_text())
    first = json.loads((finished.run / "manifest.json").read_text())
    assert manifest["created"] == first["created"]


def test_choosing_on_the_test_part_is_labelled_as_what_it_is(
    finished: Finished, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    assert "select-on" not in grid(*finished.flags(run), "--select-on", "test").out
    said = grid(*finished.flags(run), "--select-on", "test", "--extend")
    assert said.code == 0 and "12 recorded before" in said.out
    facts = json.loads((run / "tables" / "Mat2Vec-S-32.meta.json").read_text())
    assert facts["selected_on"] == "test_mae" and facts["selection_leaks_test_data"] is True
    pure = json.loads((run / "tables" / "Mat2Vec-H-32.meta.json").read_text())
    assert pure["selection_leaks_test_data"] is False
    assert "chose the best mixings on the <b>test</b> MAE" in (run / "report.html").read_text()
    assert "chose the best mixings" not in (finished.run / "report.html").read_text()


def test_the_same_data_under_another_name_are_the_same_models(
    finished: Finished, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    renamed = dataclasses.replace(finished, data=tmp_path / "renamed.json.gz")
    shutil.copy(finished.data, renamed.data)
    said = grid(*renamed.flags(run), "--extend")
    assert said.code == 0 and "12 recorded before" in said.out
    assert set(pd.read_parquet(run / "ledger.parquet")["task"]) == {"renamed"}


# ------------------------------------------------------------------------------- what goes wrong


def test_damaged_records_are_set_aside_and_trained_again(
    finished: Finished, tmp_path: Path
) -> None:
    """A flipped bit of the arrays, which shows when they are collected; then one of the row."""
    run = finished.copy(tmp_path / "run")
    key = key_of(run, "cgcnn", 8, "L")
    before = pd.read_parquet(run / "predictions.parquet")
    for name in (f"{key}.safetensors", f"{key}.json"):
        path = run / "records" / name
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 4
        path.write_bytes(whole)
        said = grid(*finished.flags(run))
        assert said.code == 0
        first = said.err.splitlines()[0]
        assert first.startswith(f"{path}: damaged; it is set aside")
        assert "12 models in the grid, 11 recorded before" in said.out
        assert path.with_name(f"{name}.damaged").read_bytes() == whole
        after = pd.read_parquet(run / "predictions.parquet")
        assert after["key"].equals(before["key"]) and after["id"].equals(before["id"])
        # alone and not in its array: to rounding
        np.testing.assert_allclose(after["prediction"], before["prediction"], rtol=1e-4)


def test_a_second_driver_is_kept_out(finished: Finished) -> None:
    hold = (
        "import sys, pathlib\n"
        "from orchestrator.run_directory import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(finished.run)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        said = grid(*finished.flags())
        assert said.code == 2 and said.out == ""
        assert f"--run {finished.run}: pid {first.pid} on " in said.error
        assert "is working in it" in said.error
        first.communicate("")
    assert grid(*finished.flags()).code == 0


def test_models_that_fail_are_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    """CGCNN wider than any memory, and one target so large that its square is infinite."""
    data = rows(30)
    good = write_matbench(tmp_path / "good.json.gz", data)
    huge = write_matbench(
        tmp_path / "huge.json.gz", [(s, 1e300 if i < 20 else t) for i, (s, t) in enumerate(data)]
    )
    run = tmp_path / "run"
    flags = [
        *("--tasks", str(good), str(huge), "--dims", "4", "--mixing", "H", "L", "--folds", "0"),
        *("--epochs", "2", "--conv-width", "10000000000000", "--run", str(run)),
    ]
    said = grid(*flags)
    assert said.code == 1
    ledger = pd.read_parquet(run / "ledger.parquet").set_index(["task", "backbone", "mixing"])
    assert len(ledger) == 8
    assert set(ledger.loc[("good", "megnet"), "status"]) == {"done"}
    assert set(ledger.loc[("huge", "megnet"), "status"]) == {"diverged"}
    failed = ledger[ledger["status"] == "failed"]
    assert set(failed.index.get_level_values("backbone")) == {"cgcnn"} and len(failed) == 4
    assert failed["error"].str.contains("Traceback").all()
    assert failed["error"].str.contains("memory").all()
    assert failed["val_mae"].isna().all()

    lines = said.err.splitlines()
    assert lines[-1].startswith("6 of 8 models are not done; --retry-failed")
    for task, backbone, status, words in (
        ("good", "cgcnn", "failed", "memory"),
        ("huge", "cgcnn", "failed", "memory"),
        ("huge", "megnet", "diverged", "NaN"),
    ):
        array = f"{task}/fold0/{backbone}/d4"
        for mixing in "HL":  # at once
            (line,) = [line for line in lines if line.startswith(f"{array} {mixing}: {status}: ")]
            assert words in line
        (line,) = [line for line in lines if line.startswith(f"  {status}: {array} H L: ")]
        assert words in line  # and at the end
    assert "Traceback" not in said.err
    report = (run / "report.html").read_text()
    assert "6 models are not done" in report and ">Not done</h2>" in report
    assert "huge/fold0/megnet/d4" in report
    assert json.loads((run / "tables" / "Mat2Vec-S-32.meta.json").read_text())["models"] == 1

    before = times(run / "records")
    again = grid(*flags)
    assert again.code == 1 and "8 recorded before" in again.out
    assert times(run / "records") == before, "a failed model is not tried again unasked"
    retried = grid(*flags, "--retry-failed")
    assert retried.code == 1 and "4 recorded before" in retried.out
    now = times(run / "records")
    changed = {name.partition(".")[0] for name in now if now[name] != before.get(name)} - {""}
    assert changed == set(failed["key"])


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
