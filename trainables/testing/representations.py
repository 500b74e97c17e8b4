"""The contract of a representation, built in or of another package.

Legend: B crystals, N nodes.
"""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from trainables.representations import schema
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns, Scope
from trainables.representations.graph import CrystalGraph
from trainables.testing.backbones import CRYSTALS
from trainables.testing.samples import built

ROWS = list(range(len(CRYSTALS)))
SHUFFLED = np.random.default_rng(0).permutation(len(CRYSTALS))


class RepresentationContract:
    """What every representation has to fulfil; a subclass names its own.

    Attributes:
        representation: with its settings.
    """

    representation: ClassVar[CrystalGraph]

    @pytest.fixture(scope="class")
    @classmethod
    def columns(cls) -> Columns:
        """Crystals of all symmetries."""
        return built(CRYSTALS, cls.representation)

    def test_its_settings_stand_in_a_manifest(self) -> None:
        """As JSON, from which they are compared with what is asked for."""
        settings = dataclasses.asdict(self.representation)
        assert json.loads(json.dumps(settings)) == settings
        assert settings["name"] and settings["version"] >= 1

    def test_columns_are_as_declared(self, columns: Columns) -> None:
        """Type, shape, as many rows as their scope has, and indices that exist."""
        assert type(columns) is self.representation.columns
        assert len(columns) == len(CRYSTALS)
        rows = {scope: int(columns.ptr(scope)[-1]) for scope in columns.scopes()}
        rows[Scope.CRYSTAL] = len(CRYSTALS)
        for one in columns.declared():
            values = getattr(columns, one.name)
            assert values.dtype == np.dtype(one.dtype), one.name
            assert values.shape == (rows[one.scope], *one.shape), one.name
            if one.refers is not None:
                sizes = np.diff(columns.ptr(one.refers))
                owners = np.repeat(ROWS, np.diff(columns.ptr(one.scope)))
                assert ((values >= 0) & (values < sizes[owners])).all(), one.name

    def test_every_atom_is_in_a_node(self, columns: Columns) -> None:
        """Each once, where `keeps_atoms` says so, and in the order of the crystal."""
        for row, crystal in enumerate(CRYSTALS):
            nodes = slice(*columns.node_ptr[row : row + 2])
            z, multiplicity = columns.z[nodes], columns.multiplicity[nodes]
            if self.representation.keeps_atoms:
                assert np.array_equal(z, crystal.numbers) and (multiplicity == 1).all()
            counted = np.repeat(z.astype(int), multiplicity)
            ratio = len(crystal.numbers) / len(counted)
            wanted = np.bincount(crystal.numbers, minlength=119)
            assert np.array_equal(np.bincount(counted, minlength=119) * ratio, wanted)

    def test_crystals_beside_it_do_not_matter(self, columns: Columns) -> None:
        """Each crystal alone has the same bits."""
        for row, crystal in enumerate(CRYSTALS):
            _demand_equal(built([crystal], self.representation), columns.take(np.array([row])))

    def test_crystals_are_taken_and_joined(self, columns: Columns) -> None:
        """In any order."""
        parts = [columns.take(np.array([row])) for row in SHUFFLED]
        _demand_equal(type(columns).join(parts), columns.take(SHUFFLED))

    def test_a_shard_gives_it_back(self, columns: Columns) -> None:
        """To the bit."""
        stored = pq.read_table(io.BytesIO(schema.encode(self._table(columns))))
        _demand_equal(schema.graphs_of(stored, type(columns)), columns)

    def test_the_fingerprint_knows_no_cuts(self, columns: Columns) -> None:
        """It is that of the rows, however they are divided."""
        table = self._table(columns)
        whole = _fingerprint(columns, [table])
        assert whole == _fingerprint(columns, [table.slice(0, 5), table.slice(5)])
        assert whole != _fingerprint(columns, [table.slice(1)])

    def test_batches_are_those_of_the_crystals_in_them(self, columns: Columns) -> None:
        """Index arithmetic on the device gives what loading those crystals alone gives."""
        target = np.linspace(-1, 1, len(columns))
        data = DeviceColumns.load(columns, target)
        for part in np.array_split(SHUFFLED, 3):
            taken = data.take(torch.from_numpy(part))
            alone = DeviceColumns.load(columns.take(part), target[part])
            _demand_same_batch(taken, alone.take(torch.arange(len(part))))

    def _table(self, columns: Columns) -> pa.Table:
        names = [f"crystal {row}" for row in ROWS]
        return schema.to_table(names, ROWS, np.linspace(-1, 1, len(columns)), columns)


def _demand_equal(one: Columns, other: Columns) -> None:
    for field in dataclasses.fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        assert ours.tobytes() == theirs.tobytes(), field.name


def _demand_same_batch(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        same = torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
        assert same, field.name


def _fingerprint(columns: Columns, tables: list[pa.Table]) -> str:
    found = schema.Fingerprint(type(columns))
    for table in tables:
        found.update(schema.row_digests(table))
    return found.hexdigest()
