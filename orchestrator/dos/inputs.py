"""Reads the crystals with their densities, and makes what the networks see of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from orchestrator.data.entries import read_tables
from orchestrator.dos.flags import DosOptions
from orchestrator.interface.errors import UsageError
from trainables.crystals.densities import Window
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.curves import CurveSource
from trainables.crystals.sources.curves import open_curves as open_file
from trainables.representations.densities import Densities, fold_of, join
from trainables.representations.density_table import featurise_densities
from trainables.training.density_spec import NETWORKS

# What the names of columns have in common.
OF_PHONONS = ("freq", "phonon", "phdos", "thz")
OF_ELECTRONS = ("energy_ev", "energies_ev", "electron", "edos", "efermi")


@dataclass(frozen=True)
class Input:
    """What a job works on.

    Attributes:
        source: the file.
        densities: of the good crystals.
        bad: rows of quarantine.csv.
    """

    source: CurveSource
    densities: Densities
    bad: list[dict[str, object]]


def open_curves(options: DosOptions) -> CurveSource:
    """The file; raises UsageError if it is not one of crystals with curves of what is asked for."""
    try:
        source = open_file(options.data, options.energies, options.densities)
    except SourceError as error:
        raise UsageError(str(error)) from None
    for column in source.curve_columns:
        if not options.phonons and _has(column, OF_PHONONS):
            raise UsageError(
                f"{options.data}: column {column!r} is one of phonons; give --phonons, or rename it"
            )
        if options.phonons and _has(column, OF_ELECTRONS):
            raise UsageError(
                f"{options.data}: column {column!r} is one of electrons; leave --phonons out, or"
                " rename it"
            )
    return source


def _has(column: str, words: tuple[str, ...]) -> bool:
    return any(word in column.lower() for word in words)


def read_densities(options: DosOptions, source: CurveSource) -> Input:
    """Reads, checks and featurises all crystals; many of them in several processes.

    Raises:
        UsageError: too many are bad, they do not fit into memory, or a fold has too few.
    """
    low, high = options.range
    window = Window(
        low=low, high=high, points=options.points, sigma=options.sigma, fermi=not options.phonons
    )
    kind = NETWORKS[options.recipe].representation
    work = partial(featurise_densities, kind=kind, window=window, max_atoms=options.max_atoms)
    contents, quarantine = read_tables(
        source,
        work,
        options.max_bad,
        largest=options.max_atoms * options.points * 8,
        workers=options.workers,
    )
    densities = join(contents, kind, window, per_site=source.per_site, total=quarantine.seen)
    _demand_folds(options, densities)
    return Input(source, densities, quarantine.rows())


def _demand_folds(options: DosOptions, densities: Densities) -> None:
    folds = fold_of(densities.data.ids)
    for fold in options.folds:
        tested = int((folds == fold).sum())
        learned = len(folds) - tested
        if not tested or learned < 2 * options.members:
            raise UsageError(
                f"{options.data}: fold {fold} has {tested} crystals to test and {learned} to learn"
                f" from; {options.members} members need {2 * options.members}, and a test one; give"
                " more crystals"
            )
