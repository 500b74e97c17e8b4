"""Reads slabs with their potentials, and makes what the networks see of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

from orchestrator.contrast.flags import MATERIALS, ContrastJobOptions
from orchestrator.data.entries import read_tables
from orchestrator.interface.errors import UsageError
from trainables.crystals.potential_checks import UNIT
from trainables.crystals.potentials import Grid
from trainables.crystals.slabs import GeneratedSlabs
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.base import EntrySource
from trainables.crystals.sources.potential_cells import Names
from trainables.crystals.sources.potentials import open_potentials
from trainables.representations.pair_table import featurise_pairs
from trainables.representations.pairs import Pairs, join, pair_split
from trainables.training.contrast_spec import NETWORKS

FEWEST = 2  # materials that test or validate, and that each worker learns from


@dataclass(frozen=True)
class Input:
    """What a job works on.

    Attributes:
        source: the file, or what was generated.
        pairs: of the good materials.
        bad: rows of quarantine.csv.
    """

    source: EntrySource
    pairs: Pairs
    bad: list[dict[str, object]]


def open_source_of(options: ContrastJobOptions) -> EntrySource:
    """The materials; raises UsageError if the file is not one of slabs with potentials."""
    try:
        if options.data is None:
            materials = options.materials or MATERIALS
            print(f"making {materials} slabs", file=sys.stderr)
            made = GeneratedSlabs(materials, options.perovskites)
            made.count()  # makes them, and reads the perovskites
            return made
        names = Names(
            potential=options.potential, fermi=options.fermi, vacuum=options.vacuum, z=options.z
        )
        return open_potentials(options.data, options.profiles, names)
    except SourceError as error:
        raise UsageError(str(error)) from None


def read_pairs(options: ContrastJobOptions, source: EntrySource) -> Input:
    """Reads, checks and featurises all materials; many of them in several processes.

    Raises:
        UsageError: too many are bad, most by their unit, or a part has too few.
    """
    grid = Grid(points=options.points, span=options.span)
    kind = NETWORKS[options.recipe].representation
    work = partial(featurise_pairs, kind=kind, grid=grid, max_atoms=options.max_atoms)
    contents, quarantine = read_tables(
        source, work, options.max_bad, largest=options.points * 8, workers=options.workers
    )
    rows = quarantine.rows()
    _demand_unit(source, rows, quarantine.seen - len(rows))
    pairs = join(contents, kind, grid, quarantine.seen)
    demand_parts(options, pairs)
    return Input(source, pairs, rows)


def _demand_unit(source: EntrySource, bad: list[dict[str, object]], kept: int) -> None:
    """Refuses a file of another unit, whatever --max-bad: what it keeps would be wrong as well."""
    other = [one for one in bad if str(one["reason"]).endswith(UNIT)]
    if len(other) > kept:
        raise UsageError(
            f"{source.name}: {len(other)} rows are refused for their unit and {kept} are kept: is"
            f" the unit eV? first row {other[0]['row']} ({other[0]['id']}): {other[0]['reason']}"
        )


def demand_parts(options: ContrastJobOptions, pairs: Pairs) -> None:
    """Raises UsageError if too few materials are to learn from, validate or test."""
    split = pair_split(pairs, options.split, options.split_seed)
    needed = FEWEST * options.workers
    parts = (len(split.train), len(split.validation), len(split.test))
    if parts[0] < needed or min(parts[1:]) < FEWEST:
        by_formula = options.split == "formula"
        rule = "formulas" if by_formula else "materials"
        remedy = ", or --split random, which divides materials" if by_formula else ""
        raise UsageError(
            f"{options.source}: of {len(pairs)} materials {parts[0]} are to learn from, {parts[1]}"
            f" validate and {parts[2]} are tested, as --split {options.split} divides the {rule};"
            f" {needed}, {FEWEST} and {FEWEST} are needed: give more materials{remedy}"
        )
