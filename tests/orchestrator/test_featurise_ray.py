"""Featurising in Ray's tasks: what is kept, what set aside, and what a failure leaves (nothing)."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import os
import secrets
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from benchmarks.featurise_job import Repeated, cost
from orchestrator.data import entries
from orchestrator.data.featurise import QUARANTINE, Featurised, featurise_source, featurised_before
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import tasks
from orchestrator.runs.durable import name_draft
from orchestrator.runs.run_directory import locked, write_manifest
from tests.crystals.cifs_for_tests import EATING
from tests.orchestrator.small_grids import (
    FinishedGrid,
    Row,
    digests,
    grid,
    matbench_text,
    rows,
    small_flags,
    times,
    write_matbench,
)
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.sources import Source, open_source
from trainables.crystals.sources.cells import NUMBERS
from trainables.crystals.symbols import symbol
from trainables.models.backbones import BACKBONES, representations
from trainables.representations import shards
from trainables.representations.graph import CrystalGraph, Graphs
from trainables.testing.crystals import triclinic

ROOT = Path(__file__).resolve().parents[2]
NOISE = 20 * 2**20  # bytes by which a process may grow for no reason
KINDS = representations(BACKBONES)
pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Ray's tasks, however few they are."""
    monkeypatch.setattr(entries, "FEW", 0)


def made(source: Source, folder: Path, *, max_bad: float = 0.01, **more: Any) -> Featurised:
    return featurise_source(source, KINDS, folder, max_bad=max_bad, max_atoms=1000, **more)


def refusal(source: Source, folder: Path, **more: Any) -> str:
    """Why featurising fails, in one line; nothing may be left of it."""
    with pytest.raises(UsageError) as caught:
        made(source, folder, **more)
    assert not folder.parent.exists() or not any(folder.parent.iterdir())
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def changed(structure: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**deepcopy(structure), **changes}


def bad_rows(good: dict[str, Any]) -> list[tuple[str, Any, Any, str]]:
    """(id, structure, target, words of the reason), one of each kind."""
    matrix = good["lattice"]["matrix"]
    site = good["sites"][0]
    flat = {"matrix": [matrix[0], matrix[0], matrix[2]]}
    foreign = {"@module": "os", "@class": "system"}
    near = [place + 0.001 for place in site["abc"]]
    return [
        ("nan", changed(good, sites=[{**site, "abc": [float("nan"), 0, 0]}]), 1.0, "not finite"),
        ("infinite", changed(good, sites=[{**site, "abc": [1e999, 0, 0]}]), 1.0, "not finite"),
        ("flat", changed(good, lattice=flat), 1.0, "zero volume"),
        ("close", changed(good, sites=[site, {**site, "abc": near}]), 1.0, "too close"),
        ("unknown", changed(good, sites=[_of(site, "Xx")]), 1.0, "unknown element"),
        ("nothing", changed(good, sites=[]), 1.0, "no atoms"),
        ("partial", changed(good, sites=[_of(site, "Na", 0.5)]), 1.0, "partial occupancy"),
        ("null", None, 1.0, "no structure"),
        ("foreign", changed(good, properties=foreign), 1.0, "refused"),
        ("untold", good, None, "missing target"),
        ("words", good, "much", "not a number"),
        ("endless", good, float("inf"), "not finite"),
    ]


def _of(site: dict[str, Any], element: str, share: float = 1) -> dict[str, Any]:
    return {**site, "species": [{"element": element, "occu": share}]}


# ------------------------------------------------------------------------------------ what is kept


def test_bad_rows_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    good = rows(30)
    bad = bad_rows(good[0][0])
    data: list[Row] = [*good[:10], *((structure, target) for _, structure, target, _ in bad)]
    data += [good[0], *good[10:]]
    ids = [f"g{i}" for i in range(10)] + [name for name, *_ in bad]
    ids += ["g3", *(f"g{i}" for i in range(10, 30))]
    path = write_matbench(tmp_path / "some.json.gz", data, ids)
    told: list[int] = []
    found = made(open_source(path), tmp_path / "out" / "some", max_bad=0.5, on_rows=told.append)

    with (tmp_path / "out" / "some" / QUARANTINE).open() as file:
        listed = list(csv.DictReader(file))
    assert [row["id"] for row in listed] == [*(name for name, *_ in bad), "g3"]
    for row, (_, _, _, words), number in zip(listed, bad, range(11, 99), strict=False):
        assert row["file"] == "some.json.gz"
        assert row["row"] == str(number), "rows count from 1, as they stand in the file"
        assert words in row["reason"]
    assert "duplicate id" in listed[-1]["reason"] and listed[-1]["row"] == "23"

    assert (found.crystals, found.total, found.bad) == (30, 43, 13)
    assert told[-1] == 43
    for kind in KINDS:
        dataset = shards.load(found.folders[kind.name], kind.columns)
        assert dataset.ids.tolist() == [f"g{i}" for i in range(30)]
        # The place in the file decides the official fold, so it is kept whatever is set aside.
        assert dataset.rows.tolist() == [*range(10), *range(23, 43)]
        assert dataset.total == 43
        np.testing.assert_array_equal(dataset.target, [target for _, target in good])


def test_one_bad_in_a_hundred_is_put_up_with_and_not_two(tmp_path: Path) -> None:
    data = rows(100)
    data[7] = (data[7][0], None)
    path = write_matbench(tmp_path / "one.json.gz", data)
    assert made(open_source(path), tmp_path / "out" / "one").bad == 1
    data[8] = (None, 1.0)
    path = write_matbench(tmp_path / "two.json.gz", data)
    text = refusal(open_source(path), tmp_path / "elsewhere" / "two")
    assert "2 of 100 crystals are bad (2 %), the limit is 1 %" in text
    assert "1 × missing target" in text and "two.json.gz row 8" in text
    assert "--max-bad" in text


def test_blocks_and_shards_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the rows are cut on their way, they are the same crystals in the same order."""
    path = write_matbench(tmp_path / "cut.json.gz", rows(40))
    found = {}
    for name, block in (("whole", 256), ("small", 7), ("tiny", 3)):
        monkeypatch.setattr(entries, "ROWS_PER_BLOCK", block)
        done: list[int] = []
        found[name] = made(open_source(path), tmp_path / name / "cut", on_rows=done.append)
        # each block is a task of its own, or there is nothing to share between cores
        assert done == [*range(block, 40, block), 40]
    assert len({str(data.fingerprints) for data in found.values()}) == 1
    files = {
        name: sorted(file.name for file in data.folders["all-r4"].glob("*.parquet"))
        for name, data in found.items()
    }
    assert [len(files[name]) for name in ("whole", "small", "tiny")] == [1, 6, 14]
    whole = shards.load(found["whole"].folders["all-r4"], Graphs)
    for name in ("small", "tiny"):
        other = shards.load(found[name].folders["all-r4"], Graphs)
        assert other.ids.tolist() == whole.ids.tolist()
        assert other.rows.tolist() == list(range(40))
        np.testing.assert_array_equal(other.graphs.distance, whole.graphs.distance)
        np.testing.assert_array_equal(other.graphs.edge_ptr, whole.graphs.edge_ptr)


def test_a_few_crystals_are_featurised_where_the_driver_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a few, and to the same files as in Ray's tasks."""
    source = open_source(write_matbench(tmp_path / "few.json.gz", rows(40)))

    def where(block: list[Entry]) -> tuple[list[str], dict[str, bytes]]:
        return [""] * len(block), {"process": str(os.getpid()).encode()}

    found = {}
    for few, here in ((1 << 20, True), (100, False)):
        monkeypatch.setattr(entries, "FEW", few)
        (block,) = entries.EntryBlocks(source, where, None)
        assert (block.made["process"] == str(os.getpid()).encode()) is here
        folder = made(source, tmp_path / str(few) / "cut").folders["all-r4"]
        found[here] = digests(folder)
    assert found[True] == found[False]


def test_done_once_is_done_until_the_input_changes(tmp_path: Path) -> None:
    data = rows(20)
    path = write_matbench(tmp_path / "some.json.gz", data)
    run = tmp_path / "run"
    write_manifest(run, {})
    folder = run / "shards" / "some"
    first = made(open_source(path), folder)
    before = times(folder)
    assert made(open_source(path), folder) == first
    assert times(folder) == before

    left = name_draft(folder)  # by a driver that was killed in the middle
    left.mkdir()
    with locked(run):  # as the next driver does
        assert not left.exists()
    write_matbench(path, [*data[:19], (data[19][0], 0.125)])
    second = made(open_source(path), folder)
    assert second.fingerprints != first.fingerprints
    assert shards.load(second.folders["all-r4"], Graphs).target[19] == 0.125
    assert [place.name for place in folder.parent.iterdir()] == ["some"]

    # a damaged manifest is no reason to stop: the shards can be made again
    (folder / "all-r4" / shards.MANIFEST).write_text("{")
    assert made(open_source(path), folder) == second


def test_shards_of_other_settings_are_made_again_though_the_name_is_the_same(
    tmp_path: Path,
) -> None:
    source = open_source(write_matbench(tmp_path / "some.json.gz", rows(20)))
    kind = BACKBONES["cgcnn"].representation
    folder = tmp_path / "out"

    def printed(kind: CrystalGraph) -> str:
        found = featurise_source(source, [kind], folder, max_bad=0.01, max_atoms=1000)
        manifest = json.loads((folder / kind.name / shards.MANIFEST).read_text())
        assert manifest["representation"] == dataclasses.asdict(kind)
        return found.fingerprints[kind.name]

    first, before = printed(kind), times(folder)
    assert printed(kind) == first and times(folder) == before
    nearer = dataclasses.replace(kind, cutoff=3.0)
    assert featurised_before(source, [nearer], folder, max_atoms=1000) is None
    assert printed(nearer) != first
    fewer = dataclasses.replace(kind, max_neighbours=4)
    assert printed(fewer) not in (first, printed(nearer))
    assert printed(kind) == first
    before = times(folder)
    assert printed(dataclasses.replace(kind, version=kind.version + 1)) == first
    assert times(folder) != before, "another version may make other graphs"


def test_shards_may_be_read_by_all_who_may_read_the_run(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "some.json.gz", rows(10))
    folder = tmp_path / "out" / "some"
    made(open_source(path), folder)
    assert folder.stat().st_mode & 0o777 == 0o755


# ------------------------------------------------------------------------------ what is left if not


def test_a_file_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows are read and featurised before the break is met."""
    text = matbench_text(rows(60))
    at = text.index('"data": [') + len('"data": [')
    padded = text[:at] + " " * (1 << 20) + text[at:] + " " * (3 << 20)
    path = tmp_path / "cut.json.gz"
    whole = gzip.compress(padded.encode(), mtime=0)
    path.write_bytes(whole[:-1000])
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", 8)
    source = open_source(path)
    seen: list[int] = []
    text = refusal(source, tmp_path / "out" / "cut", on_rows=seen.append)
    assert text.startswith(f"{path}: ") and "cut short" in text and "fetch it again" in text
    assert max(seen) >= 8, "the file broke before the first block: the test has lost its point"


class Quarrelsome:
    """A source of our own, to see what the job makes of it."""

    name, target_name, unit = "own", "energy", None
    cells = NUMBERS

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def digest(self) -> str:
        return "0" * 64

    def count(self) -> int | None:
        return None

    def entries(self) -> Any:
        return iter(self._entries)


class Counted(Quarrelsome):
    """A source that knows its length, and counts what is read of it."""

    read = 0

    def count(self) -> int | None:
        return len(self._entries)

    def entries(self) -> Any:
        self.read = 0
        for entry in self._entries:
            self.read += 1
            yield entry


def test_reading_is_a_few_blocks_ahead_and_stops_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that read on would hold the whole source in the object store."""
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", 1)
    few = int(tasks.UNDER_WAY * ray.cluster_resources()["CPU"])
    good = Counted(without_symmetry(5 * few, atoms=2))
    ahead: list[int] = []
    made(good, tmp_path / "good" / "own", on_rows=lambda rows: ahead.append(good.read - rows))
    assert max(ahead) == few - 1 and good.read == 5 * few
    bad = Counted(
        [Entry(i, f"x{i}", "bad", "no structure: torn out", "", f"own:{i + 1}") for i in range(100)]
    )
    assert "2 of 100 crystals are bad" in refusal(bad, tmp_path / "bad" / "own")
    assert bad.read == few + 1


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    text = refusal(Quarrelsome([]), tmp_path / "out" / "own")
    assert text == "own: no crystals: the source holds not a single row"


def test_a_source_of_unknown_length_is_judged_at_its_end(tmp_path: Path) -> None:
    entries = [
        Entry(i, f"x{i}", "bad", "no structure: torn out", "", f"own:{i + 1}") for i in range(3)
    ]
    text = refusal(Quarrelsome(entries), tmp_path / "out" / "own")
    assert "3 of 3 crystals are bad (1e+02 %)" in text or "3 of 3 crystals are bad (100 %)" in text
    assert BadCrystal.__name__ not in text


# ------------------------------------------------------------------------------ hostile structures


def marked(name: str) -> list[int]:
    """The processes in whose environment a variable stands."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{name}=".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.faults
def test_what_eats_memory_is_quarantined_and_leaves_no_process(tmp_path: Path) -> None:
    """Read by children of Ray's workers, which are gone with the job."""
    path = tmp_path / "some.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "cif", "energy"])
        for number, (structure, target) in enumerate(rows(20)):
            text = str(CifWriter(Structure.from_dict(structure)))
            writer.writerow([f"g{number}", text, target])
        writer.writerow(["huge", EATING, 1])
    mark = f"ELEMGRID_TEST_{secrets.token_hex(8)}"
    flags = [*small_flags(path, tmp_path / "run"), "--max-bad", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *flags],
        env={**os.environ, mark: "1"}, cwd=ROOT, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "4 models done" in done.stdout
    with (tmp_path / "run" / "shards" / "some" / QUARANTINE).open() as file:
        (listed,) = csv.DictReader(file)
    assert (listed["id"], listed["row"]) == ("huge", "21")
    assert listed["reason"] == "takes more than 2 GiB to read"
    until = time.monotonic() + 30
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.5)
    assert not marked(mark)


# -------------------------------------------------------------------------------------- its size


def without_symmetry(count: int, atoms: int) -> list[Entry]:
    """Crystals whose graphs are as large as they can be."""
    found = []
    for row in range(count):
        made = triclinic(atoms, seed=row, edge=8.0, elements=(1, 8))  # which may be as near
        sites = [
            {"species": [{"element": symbol(int(z)), "occu": 1}], "abc": place.tolist()}
            for z, place in zip(made.numbers, made.frac, strict=True)
        ]
        text = json.dumps({"lattice": {"matrix": made.lattice.tolist()}, "sites": sites})
        found.append(Entry(row, f"t{row}", "json", text, str(row), f"own:{row + 1}"))
    return found


@pytest.mark.faults
def test_memory_does_not_grow_with_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight times the crystals, in blocks of which the small set fills several too."""
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", 256)
    source = Quarrelsome(without_symmetry(16, atoms=20))
    first, small, large = (
        cost(Repeated(source, times), tmp_path / "out" / str(times)) for times in (32, 64, 512)
    )
    assert first.crystals < small.crystals < large.crystals > 7000
    files = (tmp_path / "out" / "512").rglob("*.parquet")
    made = sum(pq.read_table(file).nbytes for file in files)
    assert made > 2 * NOISE, "what might be kept is too little to be seen"
    assert large.watch.peak - small.watch.peak < NOISE
    assert large.watch.worker_peak - small.watch.worker_peak < NOISE


# ------------------------------------------------------------------------------------- in the job


def test_too_many_bad_ones_stop_the_job_with_one_line_and_no_folder(tmp_path: Path) -> None:
    data = rows(20)
    path = write_matbench(tmp_path / "bad.json.gz", [*data, *[(None, 1.0)] * 4])
    said = grid(*small_flags(path, tmp_path / "run"))
    assert said.code == 2
    assert "bad: 4 of 24 crystals are bad" in said.error
    assert sorted(place.name for place in tmp_path.iterdir()) == ["bad.json.gz"]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_damaged_shards_are_named_and_made_again(finished: FinishedGrid, tmp_path: Path) -> None:
    run = finished.copy(tmp_path / "run")
    kind = BACKBONES["megnet"].representation.name
    (shard,) = (run / "shards" / "tiny" / kind).glob("*.parquet")
    whole, before = digests(run / "shards"), times(run / "records")
    content = shard.read_bytes()
    damages = (("damaged (SHA-256 differs)", content[:-9]), ("missing", None))
    for words, left in (("damaged (SHA-256 differs)", flipped(content)), *damages):
        shard.unlink()
        if left is not None:
            shard.write_bytes(left)
        said = grid(*finished.flags(run))
        assert said.code == 0
        assert said.err.splitlines()[0] == f"{shard}: {words}; tiny is featurised again"
        assert "12 models, 12 recorded before" in said.out
        assert digests(run / "shards") == whole, "made again, they are other shards"
        assert times(run / "records") == before, "a model was trained again"


def test_shards_that_cannot_be_made_again_are_left(tmp_path: Path) -> None:
    """The crystals have gone bad in the eyes of a stricter --max-bad: nothing is half-written."""
    path = write_matbench(tmp_path / "some.json.gz", [*rows(20), (None, 1.0)])
    folder = tmp_path / "run" / "shards" / "some"
    found = made(open_source(path), folder, max_bad=0.5)
    (shard,) = found.folders["all-r4"].glob("*.parquet")
    shard.write_bytes(flipped(shard.read_bytes()))
    before = digests(folder)
    with pytest.raises(UsageError, match="1 of 21 crystals are bad"):
        made(open_source(path), folder, max_bad=0.0)
    assert digests(folder) == before
    assert [place.name for place in folder.parent.iterdir()] == ["some"]
