"""`--dry-run`: prints cells, what is done and an estimate; downloads, trains and writes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator import featurize as job
from orchestrator.featurize import ShardWriter
from orchestrator.flags import parse
from orchestrator.grid import cells
from orchestrator.ledger import Records
from tests.orchestrator.small_grids import Said, digests, grid, rows, write_matbench
from trainables.crystals import shards
from trainables.crystals.featurise import featurise
from trainables.crystals.graph import GRAPH_KINDS
from trainables.crystals.sources import Source, open_source

DURATION = r"(<1 s|\d+ s|\d+ min \d\d s|\d+ h \d\d min)"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is empty, and whoever reaches for the network is told."""
    monkeypatch.setenv("ELEMGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", _refuse)


def _refuse(*args: object, **more: object) -> None:
    raise AssertionError("a dry run downloads")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_matbench(tmp_path / "tiny.json.gz", rows(36))


def dry(data: Path, run: Path, *flags: str) -> Said:
    return grid("--tasks", str(data), "--run", str(run), "--dry-run", *flags)


SMALL = ("--dims", "4", "8", "--mixing", "H", "0", "L", "--folds", "0", "1", "--epochs", "20")


def featurised(source: Source, folder: Path) -> None:
    """What the job would leave of a source, made without Ray."""
    kinds = list(GRAPH_KINDS.values())
    entries = list(source.entries())
    result = featurise(entries, kinds, 1000)
    for kind in kinds:
        writer = ShardWriter(folder / kind.name)
        ids, places = [entry.id for entry in entries], [entry.row for entry in entries]
        writer.add(shards.to_table(ids, places, result.target, result.graphs[kind.name]))
        made_from = job._made_from(source, 1000)
        writer.close({"made_from": made_from, "total": len(entries), "bad": 0})


def test_every_array_has_a_line_and_the_whole_an_estimate(data: Path, tmp_path: Path) -> None:
    said = dry(data, tmp_path / "run", *SMALL)
    assert said.code == 0 and said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "24 models in 8 arrays; 0 are recorded"
    arrays = lines[1:9]
    wanted = {f"tiny/fold{f}/{b}/d{d}" for f in "01" for b in ("cgcnn", "megnet") for d in "48"}
    assert {line.split()[0] for line in arrays} == wanted
    for line in arrays:
        assert re.search(rf"  H 0 L +0/3 done  {DURATION}$", line), line
    assert re.fullmatch(
        rf"about {DURATION} of training on this machine's \d+ workers, if every model goes to its"
        r" last epoch \(measured on a sample, on CPUs\)",
        lines[9],
    )
    assert len(lines) == 10


def test_nothing_is_written(data: Path, tmp_path: Path) -> None:
    before = digests(tmp_path)
    assert dry(data, tmp_path / "run", *SMALL).code == 0
    assert digests(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_what_is_recorded_is_counted_and_not_estimated(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ("--dims", "4", "--mixing", "H", "L", "--folds", "0", "--epochs", "5")
    source = open_source(data)
    featurised(source, run / "shards" / "tiny")
    config = parse(["--tasks", str(data), *flags]).config
    keys = {}
    for cell in cells(config):
        folder = run / "shards" / "tiny" / GRAPH_KINDS[cell.backbone].name
        fingerprint = json.loads((folder / shards.MANIFEST).read_text())["fingerprint"]
        keys[cell.backbone, cell.mixing] = cell.key(fingerprint)
    records = Records(run / "records")
    for backbone, mixing in (("cgcnn", "H"), ("cgcnn", "L"), ("megnet", "H")):
        records.write({"key": keys[backbone, mixing], "status": "done"}, {})
    before = digests(run)
    said = dry(data, run, *flags)
    assert "4 models in 2 arrays; 3 are recorded" in said.out
    (cgcnn,) = (line for line in said.out.splitlines() if "/cgcnn/" in line)
    (megnet,) = (line for line in said.out.splitlines() if "/megnet/" in line)
    assert cgcnn.endswith("2/2 done")
    assert re.search(rf"1/2 done  {DURATION}$", megnet)
    assert digests(run) == before

    records.write({"key": keys["megnet", "L"], "status": "failed", "error": "why"}, {})
    assert dry(data, run, *flags).out.splitlines()[-1] == "nothing is left to train"

    # other crystals in the file: what was recorded is not of them
    write_matbench(data, rows(36, start=5))
    assert "4 models in 2 arrays; 0 are recorded" in dry(data, run, *flags).out


def test_data_that_are_not_here_are_named_and_left_where_they_are(tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = grid("--preset", "paper", "--run", str(run), "--dry-run")
    assert said.code == 0 and said.err == ""
    assert "2240 models in 320 arrays; 0 are recorded" in said.out
    assert "no estimate for 320 arrays whose data is not here" in said.out
    assert "phonons: 1265 crystals, to be downloaded" in said.out
    assert "mp_e_form: 132752 crystals, to be downloaded" in said.out
    assert not list(tmp_path.iterdir())


def test_what_is_here_is_estimated_beside_what_is_not(data: Path, tmp_path: Path) -> None:
    said = grid(
        *("--tasks", str(data), "phonons", "--dims", "4", "--folds", "0", "--epochs", "5"),
        *("--run", str(tmp_path / "run"), "--dry-run"),
    )
    assert re.search(rf"about {DURATION} of training", said.out)
    assert "no estimate for 2 arrays" in said.out


def test_the_estimate_is_of_the_whole_data_and_all_epochs(data: Path, tmp_path: Path) -> None:
    flags = ("--backbones", "cgcnn", "--dims", "4", "--folds", "0", "--epochs")
    short, long = (dry(data, tmp_path / "run", *flags, epochs).out for epochs in ("2", "9999999"))
    assert re.search(r"done  (<1|\d) s$", short, re.MULTILINE)
    assert re.search(r"done  \d+ h \d\d min$", long, re.MULTILINE)


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "cut.json.gz", rows(36))
    path.write_bytes(path.read_bytes()[:-500])
    said = dry(path, tmp_path / "run")
    assert said.code == 2 and str(path) in said.error


def test_a_handful_of_crystals_gets_no_estimate(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "few.json.gz", rows(6))
    said = dry(path, tmp_path / "run", "--folds", "0", "--dims", "4")
    assert said.code == 0
    assert "about" not in said.out
