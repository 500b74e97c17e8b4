"""This machine as a place for work: its CPUs and memory, and what its processes make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.data import entries
from orchestrator.data.featurise import Featurised, featurise_source
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import hardware
from orchestrator.nodes.hardware import cpus_here, memory_here
from orchestrator.nodes.this_machine import ThisMachine
from orchestrator.nodes.worker import Worker
from tests.orchestrator.small_grids import rows, write_matbench
from trainables.crystals.sources import open_source
from trainables.models.backbones import BACKBONES, representations

GIB = 2**30


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu.max": "350000 100000"}, 3),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_cpus_are_those_that_the_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    assert cpus_here(written(tmp_path, files)) == cpus


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_what_the_container_has(tmp_path: Path, file: str) -> None:
    whole = memory_here(tmp_path)
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_here(written(tmp_path, {file: "max"})) == whole
    assert memory_here(written(tmp_path, {file: str(GIB // 4)})) == GIB // 4
    assert memory_here(written(tmp_path, {file: str(2**63 - 4096)})) == whole


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five CPUs, two GPUs and 40 GiB."""
    monkeypatch.setattr(hardware, "cpus_here", lambda: 5)
    monkeypatch.setattr(hardware, "gpus_here", lambda: 2)
    monkeypatch.setattr(hardware, "memory_here", lambda: 40.0 * GIB)


def test_as_many_workers_as_fit(large: None) -> None:
    place = ThisMachine()
    assert [place.slots(cpus, 0) for cpus in (1, 2, 0.5, 6)] == [5, 2, 10, 0]
    assert [place.slots(0.1, gpus) for gpus in (1, 0.5, 0.4, 0.1, 2, 3)] == [2, 4, 4, 20, 1, 0]
    assert place.memory_per_worker(1, 0) == pytest.approx(0.7 * 40 * GIB / 5 / 2)


def test_a_worker_that_does_not_fit_is_one_line(large: None, tmp_path: Path) -> None:
    fits = ThisMachine().ready(Worker(cpus=2, gpus=0), None, tmp_path)
    assert fits == "this machine: 2 workers at a time"
    with pytest.raises(UsageError) as caught:
        ThisMachine().ready(Worker(cpus=8, gpus=0), None, tmp_path)
    assert str(caught.value) == (
        "this machine has 5 CPUs and 0 GPUs for a worker that is to have 8 and 0; lower"
        " --cpus-per-worker or --gpus-per-worker"
    )


def featurised(data: Path, folder: Path) -> Featurised:
    kinds = representations(BACKBONES)
    return featurise_source(open_source(data), kinds, folder, max_bad=0.5, max_atoms=1000)


def test_shards_are_the_same_from_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks that processes work on, and in one that this process works on."""
    monkeypatch.setattr(entries, "here", ThisMachine)
    data = write_matbench(tmp_path / "some.json.gz", [*rows(20), ({}, 1.0), *rows(20, start=20)])
    here = featurised(data, tmp_path / "here" / "some")
    monkeypatch.setattr(entries, "FEW", 0)
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", 8)
    there = featurised(data, tmp_path / "there" / "some")
    assert here.fingerprints == there.fingerprints and len(here.fingerprints) > 2
    assert (here.crystals, here.bad) == (there.crystals, there.bad) == (40, 1)
    quarantined = [tmp_path / name / "some" / "quarantine.csv" for name in ("here", "there")]
    assert quarantined[0].read_bytes() == quarantined[1].read_bytes()
