"""Data sets that the benchmarks featurise themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.inputs import featurised
from tests.orchestrator.small_grids import embedded
from trainables.crystals.parsing import parse_target


def test_entries_become_a_data_set_of_their_own() -> None:
    entries = embedded(12)
    found = featurised(entries, "megnet")
    assert len(found) == len(found.graphs) == found.total == 12
    assert found.ids.tolist() == [entry.id for entry in entries]
    np.testing.assert_array_equal(found.target, [parse_target(entry) for entry in entries])


def test_a_bad_entry_ends_in_one_line() -> None:
    good, other = embedded(2)
    bad = dataclasses.replace(other, id="odd", text="no crystal")
    with pytest.raises(SystemExit, match=r"^odd: "):
        featurised([good, bad], "cgcnn")
