"""Pairs of slabs and profiles: made from rows, joined, divided into parts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.models.slabs_for_tests import SLABS
from tests.training.small_pairs import small_pairs
from trainables.crystals.crystal import Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slabs import GeneratedSlabs
from trainables.representations.pair_table import featurise_pairs
from trainables.representations.pairs import Pairs, join, pair_split
from trainables.representations.planar_atoms import planar_atoms

GRID = Grid(points=64)


@cache
def entries() -> list[Entry]:
    return list(GeneratedSlabs(16).entries())


@cache
def made() -> Pairs:
    content = featurise_pairs(entries(), SLABS, GRID, 200).content
    return join([content], SLABS, GRID, len(entries()))


def test_pairs_are_what_the_rows_say() -> None:
    pairs = made()
    assert pairs.data.ids.tolist() == [entry.id for entry in entries()]
    for row, entry in enumerate(entries()):
        potential = Potential.read(entry.target or "")
        np.testing.assert_array_equal(pairs.data.target[row], GRID.profile(potential))
        np.testing.assert_array_equal(pairs.atoms[row], planar_atoms(parse(entry), GRID))
        assert pairs.work_function[row] == pytest.approx(potential.work_function)
        # its ends are the vacuum levels above the Fermi level
        ends = pairs.data.target[row, [0, -1]]
        assert ends == pytest.approx(pairs.vacuum[row], abs=0.06)
    assert pairs.composition.sum(axis=1) == pytest.approx(1)


def test_bad_rows_give_reasons_and_the_others_are_kept() -> None:
    rows = list(entries()[:4])
    potential = Potential.read(rows[1].target or "")
    rows[1] = replace(rows[1], target=replace(potential, height=potential.height * 2).text)
    rows[2] = replace(rows[2], text="no structure", format="poscar")
    table = featurise_pairs(rows, SLABS, GRID, 200)
    assert [bool(reason) for reason in table.reasons] == [False, True, True, False]
    assert "heights differ" in table.reasons[1]
    found = join([table.content], SLABS, GRID, 4)
    assert found.data.rows.tolist() == [rows[0].row, rows[3].row]
    none = featurise_pairs(rows[1:3], SLABS, GRID, 200)
    assert len(join([none.content], SLABS, GRID, 4)) == 0


def test_tables_are_joined_in_order() -> None:
    parts = [featurise_pairs(part, SLABS, GRID, 200).content
             for part in (entries()[:5], entries()[5:])]  # fmt: skip
    assert join(parts, SLABS, GRID, len(entries())).fingerprint == made().fingerprint


def test_what_is_taken_is_a_data_set_of_its_own() -> None:
    rows = np.array([3, 1, 8])
    taken = made().take(rows)
    assert taken.formulas == [made().formulas[row] for row in rows]
    np.testing.assert_array_equal(taken.vacuum, made().vacuum[rows])
    np.testing.assert_array_equal(taken.atoms, made().atoms[rows])
    np.testing.assert_array_equal(taken.data.target, made().data.target[rows])


def test_a_fingerprint_knows_all_that_is_seen() -> None:
    pairs = made()
    vacuum = pairs.vacuum.copy()
    vacuum[0, 1] += 1e-9
    others = [
        replace(pairs, vacuum=vacuum),
        replace(pairs, grid=Grid(points=64, span=31.0)),
        replace(pairs, data=replace(pairs.data, target=pairs.data.target + 1e-9)),
    ]
    assert len({pairs.fingerprint, *(one.fingerprint for one in others)}) == 4


def test_formulas_are_reduced() -> None:
    """As the ids of the generator begin, but for the order of elements."""
    for formula, name in zip(made().formulas, made().data.ids, strict=True):
        assert sorted(formula) == sorted(name.partition("-")[0])


@pytest.mark.parametrize("rule", ["formula", "random"])
def test_parts_are_all_and_do_not_overlap(rule: str) -> None:
    pairs = small_pairs()
    split = pair_split(pairs, rule, 0)  # type: ignore[arg-type]
    joined = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(joined), np.arange(len(pairs)))
    sizes = (len(split.train), len(split.validation), len(split.test))
    assert rule == "formula" or sizes == (48, 6, 6)


def test_no_formula_is_in_two_parts() -> None:
    pairs = small_pairs()
    split = pair_split(pairs, "formula", 0)
    parts = [
        {pairs.formulas[row] for row in rows}
        for rows in (split.train, split.validation, split.test)
    ]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert len({*pairs.formulas}) < len(pairs)


def test_the_random_rule_is_that_of_torch() -> None:
    pairs = small_pairs()
    generator = torch.Generator().manual_seed(42)
    wanted = torch.utils.data.random_split(range(60), [48, 6, 6], generator)  # type: ignore[arg-type]
    split = pair_split(pairs, "random", 42)
    for found, part in zip((split.train, split.validation, split.test), wanted, strict=True):
        assert found.tolist() == sorted(part.indices)


def test_smaller_parts_lie_in_larger_ones() -> None:
    pairs = small_pairs()
    whole = pair_split(pairs, "formula", 3)
    parts = [{*pair_split(pairs, "formula", 3, size).train} for size in (5, 20, 1000)]
    assert [len(part) for part in parts] == [5, 20, len(whole.train)]
    assert parts[0] < parts[1] < parts[2] == {*whole.train}
    assert {*pair_split(pairs, "formula", 4, 5).train} != parts[0]
