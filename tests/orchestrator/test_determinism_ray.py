"""The same bits whatever the workers, their order, their actors, the shards and the file system.

One small grid is run in all these ways at once, and every number that it leaves is compared with
the first's; with --all-faults it is run in each way alone too.
What resuming leaves is in tests/training/test_snapshot.py, streaming in test_streaming_ray.py.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from safetensors.numpy import load_file

from analysis import cosine
from orchestrator.data import entries
from orchestrator.grid.arrays import GridArray
from orchestrator.grid.distances import sum_distances
from orchestrator.hybrid_grid.tables import write_distances, write_tables
from orchestrator.jobs import JOBS
from orchestrator.nodes.actors import actor_map
from orchestrator.transfer.files import FACTS, LEDGER, SCORES
from tests.compositions_for_tests import write_formulas, write_table
from tests.orchestrator.small_grids import Said, digests, embedded, grid
from trainables.models.backbones import representations
from trainables.representations import shards

pytestmark = pytest.mark.usefixtures("ray_cluster")
CRYSTALS = 42
COLLECTED = ("embeddings.parquet", "predictions.parquet", "distances.parquet")
Bits = dict[str, bytes]


def write_folder(path: Path, order: list[int]) -> Path:
    """A folder of structure files, which are made in the given order."""
    path.mkdir(parents=True)
    for place in order:
        (path / f"crystal{place}.json").write_text(embedded(CRYSTALS)[place].text)
    lines = [f"crystal{place},{entry.target}" for place, entry in enumerate(embedded(CRYSTALS))]
    (path / "id_prop.csv").write_text("\n".join(lines))
    return path


def run_grid(data: Path, run: Path, *more: str, folds: str = "0 1", **changes: str) -> Said:
    """Four arrays of two models, or what is left of them; two epochs each."""
    given = {"dims": "4", "mixing": "H L", "epochs": "2", "folds": folds} | changes
    flags = ["--tasks", str(data), "--run", str(run)]
    for name, values in given.items():
        flags += [f"--{name}", *values.split()]
    said = grid(*flags, *more)
    assert said.code == 0, said.err
    return said


def numbers_of(table: Path) -> bytes:
    """A ledger's columns but the seconds, which are a clock's and not the job's."""
    stream = pa.BufferOutputStream()
    columns = pq.read_table(table).drop(["seconds"])
    with pa.ipc.new_stream(stream, columns.schema) as writer:
        writer.write_table(columns.combine_chunks())
    return stream.getvalue().to_pybytes()


def arrays_of(run: Path) -> Bits:
    """Weights, vectors, predictions and learning curves of every model."""
    return {
        f"{path.stem}/{name}": array.tobytes()
        for path in sorted((run / "records").glob("*.safetensors"))
        for name, array in load_file(path).items()
    }


def bits(run: Path) -> Bits:
    """All files of a grid but the report, which has the duration."""
    files = [*(run / name for name in COLLECTED), *sorted((run / "tables").iterdir())]
    assert len(files) == len(COLLECTED) + 24
    found = {str(file.relative_to(run)): file.read_bytes() for file in files}
    return found | {"ledger": numbers_of(run / "ledger.parquet")} | arrays_of(run)


def assert_same(one: Bits, other: Bits) -> None:
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name] != other[name]]


def order_of(run: Path) -> list[str]:
    """The arrays as they were recorded, one after the other."""
    files = sorted((run / "records").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    return list(dict.fromkeys(ledger.loc[[file.stem for file in files], "array"]))


@ray.remote(num_cpus=1)
class Neighbour:
    """Somebody else's work, for which a CPU is kept."""

    def ready(self) -> bool:
        return True


@contextmanager
def one_worker() -> Iterator[None]:
    """Takes one of the two CPUs."""
    neighbour = Neighbour.remote()
    ray.get(neighbour.ready.remote())
    try:
        assert ray.cluster_resources()["CPU"] == 2
        yield
    finally:
        ray.kill(neighbour)


def shuffle_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains the arrays in any order but that of their sizes."""
    draw = random.Random(1)
    monkeypatch.setattr(GridArray, "cost", lambda array, dataset: draw.random())


def assert_shuffled(run: Path) -> None:
    order = order_of(run)
    assert len(order) == 4 and order != sorted(order)
    assert [name.split("/")[2] for name in order] != ["megnet", "megnet", "cgcnn", "cgcnn"]


def cut_in_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads blocks of a seventh of the data set, each of which becomes a shard."""
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", CRYSTALS // 7)


def assert_shards(run: Path, number: int) -> None:
    for kind in representations(("cgcnn", "megnet")):
        assert len(shards.listing(run / "shards" / "tiny" / kind.name, kind.columns)) == number


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "tiny", list(range(CRYSTALS)))


@pytest.fixture(scope="module")
def in_another_order(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, which another file system lists otherwise."""
    order = random.Random(2).sample(range(CRYSTALS), CRYSTALS)
    return write_folder(tmp_path_factory.mktemp("other") / "tiny", order)


@pytest.fixture(scope="module")
def first(data: Path, ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the others are to equal: two workers, four arrays, so actors are used again."""
    run = tmp_path_factory.mktemp("first") / "run"
    run_grid(data, run)
    return run


# ----------------------------------------------------------------------------------- the main job


def test_one_worker_shuffled_trials_and_seven_shards(
    in_another_order: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffle_trials(monkeypatch)
    cut_in_seven(monkeypatch)
    with one_worker():
        run_grid(in_another_order, tmp_path / "run")
    assert_shuffled(tmp_path / "run")
    assert_shards(first, 1)
    assert_shards(tmp_path / "run", 7)
    assert_same(bits(tmp_path / "run"), bits(first))


@pytest.mark.faults
def test_the_same_seed_twice_and_not_another(data: Path, first: Path, tmp_path: Path) -> None:
    run_grid(data, tmp_path / "run")
    assert_same(bits(tmp_path / "run"), bits(first))
    run_grid(data, tmp_path / "other", "--seed", "1", folds="0", backbones="cgcnn")
    ledgers = [pd.read_parquet(run / "ledger.parquet") for run in (first, tmp_path / "other")]
    assert not set(ledgers[0]["test_mae"]) & set(ledgers[1]["test_mae"])


@pytest.mark.faults
def test_one_worker_and_a_shuffled_order_of_trials(
    data: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffle_trials(monkeypatch)
    with one_worker():
        run_grid(data, tmp_path / "run")
    assert_shuffled(tmp_path / "run")
    assert_same(bits(tmp_path / "run"), bits(first))


@pytest.mark.faults
def test_a_fresh_actor_for_each_array(data: Path, first: Path, tmp_path: Path) -> None:
    """The grid grows by no more arrays than there are workers, so none is used again."""
    run = tmp_path / "run"
    for folds in ("0", "0 1"):
        models = 4 * len(folds.split())
        said = run_grid(data, run, "--extend", folds=folds)
        assert f"{models} models, {models - 4} recorded before" in said.out
    assert_same(bits(run), bits(first))


@pytest.mark.faults
def test_seven_shards_of_files_made_in_another_order(
    in_another_order: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_in_seven(monkeypatch)
    run_grid(in_another_order, tmp_path / "run")
    assert_shards(tmp_path / "run", 7)
    assert_same(bits(tmp_path / "run"), bits(first))


@pytest.mark.faults
def test_aggregation_on_any_number_of_actors(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From models to tables; one chunk per model, so that there is work for each actor."""
    monkeypatch.setattr(cosine, "chunks", partial(cosine.chunks, size=1))
    ledger = pd.read_parquet(first / "ledger.parquet")
    found = []
    for actors in (1, 2, 3):
        run = tmp_path / str(actors)
        run.mkdir()
        shutil.copy(first / "embeddings.parquet", run)
        sums, keys = sum_distances(run / "embeddings.parquet", ledger, "val_mae", actor_map(actors))
        write_distances(run, sums, {})
        assert len(write_tables(run, sums, keys, ledger, "val_mae", {})) == 12
        found.append(digests(run))
    assert found[0] == found[1] == found[2]


# ------------------------------------------------------------------------------ tables in CrabNet


@pytest.mark.faults
def test_transfer_twice_and_on_one_worker(tmp_path: Path) -> None:
    formulas = write_formulas(tmp_path / "formulas.csv")
    tables = [str(write_table(tmp_path / f"{name}.csv", n)) for name, n in (("one", 3), ("two", 6))]
    found = {}
    for name in ("first", "one worker"):
        run = tmp_path / name
        flags = [
            *("--tasks", f"salts={formulas}", "--tables", *tables, "--no-controls"),
            *("--folds", "0", "1", "--seeds", "0", "--epochs", "2", "--run", str(run)),
        ]
        if name == "one worker":
            with one_worker():
                assert JOBS["transfer"].main(flags) == 0
        else:
            assert JOBS["transfer"].main(flags) == 0
        found[name] = (
            {"ledger": numbers_of(run / LEDGER), "scores": (run / SCORES).read_bytes()}
            | {"facts": re.sub(rb'"seconds": [^,\n]*', b"", (run / FACTS).read_bytes())}
            | arrays_of(run)
        )
    assert len(found["first"]) > 3 + 4
    assert_same(found["one worker"], found["first"])
