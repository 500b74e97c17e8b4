"""Columns of tensors in the files of data sets: flat or nested lists, by a target's ending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.orchestrator.small_grids import embedded
from trainables.crystals.parsing import parse
from trainables.crystals.sources import SourceError, open_source
from trainables.crystals.sources.base import columns_of
from trainables.representations.featurise import featurise
from trainables.representations.orbit_graph import OrbitGraph
from trainables.targets.base import Target

ROWS = 6
MATRIX = [[3.0, 0, 0], [0, 3, 0], [0, 0, 3]]


def write(path: Path, **columns: Any) -> Path:
    structures = [entry.text for entry in embedded(ROWS)]
    pq.write_table(pa.table({"structure": structures, **columns}), path)
    return path


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([np.ravel(MATRIX).tolist()] * ROWS),
        pa.array([MATRIX] * ROWS),
        pa.array([json.dumps(MATRIX)] * ROWS),
    ],
    ids=["flat", "nested", "text"],
)
def test_a_tensor_may_be_stored_in_three_ways(tmp_path: Path, cells: pa.Array) -> None:
    source = open_source(write(tmp_path / "a.parquet", eps=cells), "eps@dielectric")
    assert (source.cells.kind, source.cells.shape) == ("dielectric", (6,))
    assert source.target_name == "eps@dielectric"
    target = Target(name=source.target_name, unit=None, kind="dielectric", shape=(6,))
    kind = OrbitGraph(name="sites", version=1, cutoff=0.1, max_neighbours=None)
    made = featurise(list(source.entries()), [kind], 100, target)
    assert made.reasons == [""] * ROWS
    np.testing.assert_allclose(made.target, np.eye(6)[:1].repeat(ROWS, 0) * 3 * 3**0.5, atol=1e-14)


def test_a_csv_and_a_frame_are_named_alike(tmp_path: Path) -> None:
    table = tmp_path / "id_prop.csv"
    table.write_text("id,e\n" + "".join(f'a{row},"{MATRIX}"\n' for row in range(2)))
    for row, entry in enumerate(embedded(2)):
        crystal = parse(entry)
        lines = ["x", "1", *(" ".join(map(str, one)) for one in crystal.lattice)]
        lines += ["Na", str(len(crystal.numbers)), "direct"]
        lines += [" ".join(map(str, one)) for one in crystal.frac]
        (tmp_path / f"a{row}.vasp").write_text("\n".join(lines) + "\n")
    source = open_source(tmp_path, "e@piezo@standard")
    assert (source.cells.kind, source.cells.shape) == ("piezo", (18,))
    assert source.target_name == "e@piezo@standard"


def test_names_and_endings() -> None:
    columns = ["e", "e@elastic", "gap"]
    assert columns_of("e@dielectric", columns) == (["e"], "@dielectric")
    assert columns_of("e@piezo@conventional", columns) == (["e"], "@piezo@conventional")
    assert columns_of("e@elastic", columns) == (["e@elastic"], "")
    assert columns_of("gap,e", columns) == (["gap", "e"], "")
    assert columns_of("gap@site", columns) == (["gap"], "@site")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (
            "eps@dielectic",
            "no column 'eps@dielectic', and '@dielectic' (did you mean @dielectric?) is none of"
            " @site @dielectric @elastic @piezo, a tensor's with @given @standard @conventional"
            " @primitive behind it or nothing",
        ),
        ("eps", "column 'eps' holds list<element: list<element: double>>"),
        ("eps,n@dielectric", "@dielectric is for one column; leave the others out"),
        ("n@dielectric", "column 'n' holds double, no numbers; name another, or a tensor's kind"),
    ],
)
def test_a_wrong_ending_is_explained(tmp_path: Path, wanted: str, reason: str) -> None:
    data = write(tmp_path / "a.parquet", eps=pa.array([MATRIX] * ROWS), n=np.ones(ROWS))
    with pytest.raises(SourceError) as caught:
        open_source(data, wanted)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("file", "target", "bad"),
    [
        ("dielectric_tensors.parquet", "e_electronic@dielectric", 0),
        ("elastic_tensors.parquet", "c_voigt_gpa@elastic", 2),
        ("piezo_tensors.parquet", "piezo_voigt@piezo@conventional", 1),
    ],
)
def test_real_tensors_obey_their_crystals(
    shared_data: Path, file: str, target: str, bad: int
) -> None:
    """Of the first 60; the counts are what they are, so that a change in the checks is seen."""
    if not (shared_data / file).is_file():
        pytest.skip(f"{shared_data} has no {file}")
    source = open_source(shared_data / file, target)
    own = Target(name=target, unit=None, kind=source.cells.kind, shape=source.cells.shape)
    kind = OrbitGraph(name="sites", version=1, cutoff=0.1, max_neighbours=None)
    entries = [entry for entry, _ in zip(source.entries(), range(60), strict=False)]
    made = featurise(entries, [kind], 1000, own)
    refused = [reason for reason in made.reasons if reason]
    assert all("point group forbids" in reason for reason in refused)
    assert len(refused) == bad
