"""Samples that represent a data set, and the estimated size of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.planning import sample
from orchestrator.planning.sample import KNOWN_ROWS, SAMPLE, Size, absent, draw, first, rows
from tests.orchestrator.small_data import CRYSTALS, featurised
from tests.orchestrator.small_grids import embedded
from trainables.crystals.crystal import Entry
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import TASKS
from trainables.crystals.sources import open_source
from trainables.models.backbones import BACKBONES
from trainables.representations.graph import Graphs
from trainables.representations.quotient_graph import QuotientGraph
from trainables.representations.shards import ShardError

KINDS = ["cgcnn", "megnet"]


class Counted(IonicSource):
    """Some embedded crystals, counting how many were requested."""

    def __init__(self, crystals: int, known: bool = True) -> None:
        super().__init__()
        self.crystals, self.known, self.read = crystals, known, 0

    def count(self) -> int | None:  # type: ignore[override]
        return self.crystals if self.known else None

    def entries(self) -> Iterator[Entry]:
        for entry in embedded(self.crystals):
            self.read += 1
            yield entry


def test_a_small_source_is_read_whole() -> None:
    samples = draw(Counted(50), KINDS, 1000)
    for backbone in ("cgcnn", "megnet"):
        data = featurised(backbone, 50)
        assert samples[backbone].size == Size(50, rows(data.graphs) / 50)
        np.testing.assert_array_equal(samples[backbone].dataset.target, data.target)
    assert (samples["cgcnn"].read, samples["cgcnn"].bad) == (50, 0)
    assert samples["cgcnn"].seconds > 0


def test_a_large_source_is_looked_at_here_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SAMPLE", 20)
    source = Counted(210)
    drawn = draw(source, ["cgcnn"], 1000)["cgcnn"]
    assert list(drawn.dataset.ids) == [entry.id for entry in embedded(210)[:200:10]]
    assert drawn.size.crystals == 210
    whole = rows(featurised("cgcnn", 210).graphs) / 210
    assert drawn.size.rows == pytest.approx(whole, rel=0.5)


def test_the_end_of_a_huge_source_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SAMPLE", 10)
    monkeypatch.setattr(sample, "SCANNED", 40)
    source = Counted(300)
    drawn = draw(source, ["cgcnn"], 1000)["cgcnn"]
    assert source.read <= 40 and drawn.size.crystals == 300


def test_a_source_that_cannot_be_counted_is_read_from_its_start() -> None:
    source = Counted(CRYSTALS, known=False)
    drawn = draw(source, ["cgcnn"], 1000)["cgcnn"]
    assert source.read == drawn.size.crystals == SAMPLE


def test_bad_crystals_make_the_whole_smaller() -> None:
    class HalfBad(Counted):
        def entries(self) -> Iterator[Entry]:
            for entry in super().entries():
                bad = Entry(entry.row, entry.id, "bad", "why", entry.target, entry.origin)
                yield bad if entry.row % 2 else entry

    drawn = draw(HalfBad(40), ["cgcnn"], 1000)["cgcnn"]
    assert (drawn.size.crystals, len(drawn.dataset), drawn.bad, drawn.read) == (20, 20, 20, 40)
    assert drawn.size.rows == pytest.approx(rows(drawn.dataset.graphs) / 20)


@pytest.mark.parametrize("crystals", [0, 1, 17, CRYSTALS, CRYSTALS + 5])
def test_the_first_crystals_are_a_data_set_of_their_own(crystals: int) -> None:
    whole = featurised("megnet")
    few = first(whole, crystals)
    kept = min(crystals, CRYSTALS)
    assert len(few) == len(few.graphs) == few.total == kept
    assert len(few.graphs.z) == few.graphs.node_ptr[-1]
    assert len(few.graphs.dst) == few.graphs.edge_ptr[-1]
    np.testing.assert_array_equal(few.graphs.distance, whole.graphs.distance[: len(few.graphs.dst)])
    np.testing.assert_array_equal(few.ids, whole.ids[:kept])


def test_of_what_is_not_here_something_is_assumed_and_its_source_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = absent(TASKS["perovskites"], "megnet", {})
    assert known == Size(18_928, KNOWN_ROWS["perovskites"]["all-r4"], "perovskites")
    assert absent(TASKS["mp_gap"], "cgcnn", {}).as_in == "phonons"
    kind = QuotientGraph(name="all-r5", version=1, cutoff=5.0, max_neighbours=None)
    other = replace(BACKBONES["megnet"], name="other", representation=kind)
    monkeypatch.setitem(BACKBONES, "other", other)
    assert absent(TASKS["mp_gap"], "other", {}).rows == max(KNOWN_ROWS["phonons"].values())
    here = draw(Counted(50), ["cgcnn"], 1000)["cgcnn"]
    assert absent(TASKS["mp_gap"], "cgcnn", {("phonons", "cgcnn"): here}).rows == here.size.rows


@pytest.mark.parametrize(
    ("task", "file", "within"),
    [
        ("phonons", "matbench_phonons.json.gz", 0.01),
        ("perovskites", "castelli_perovskites.csv.gz", 0.05),
    ],
)
def test_what_is_known_was_counted(
    shared_data: Path, task: str, file: str, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared_data / file).is_file():
        pytest.skip(f"no {file}")
    monkeypatch.setattr(sample, "SAMPLE", 1265 if task == "phonons" else 100)
    target = "heat_ref" if task == "perovskites" else None
    for backbone, one in draw(open_source(shared_data / file, target), KINDS, 1000).items():
        kind = BACKBONES[backbone].representation.name
        assert one.size.rows == pytest.approx(KNOWN_ROWS[task][kind], rel=within)


def test_shards_without_a_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="missing"):
        sample.featurised(tmp_path, Graphs)
