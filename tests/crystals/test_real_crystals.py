"""Real data sets through the whole input: source, parser, checks, target."""

from pathlib import Path

import pytest

from trainables.crystals.checks import check, check_closest
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.quarantine import Quarantine
from trainables.crystals.sources import ANY_COLUMN, SourceError, open_source


def test_all_of_phonons(shared_data: Path) -> None:
    source = open_source(shared_data / "matbench_phonons.json.gz")
    quarantine = Quarantine(expected=source.count())
    atoms, targets = 0, []
    for entry in source.entries():
        assert quarantine.admit(entry)
        crystal = parse(entry)
        check(crystal)
        check_closest(crystal)
        atoms += len(crystal.numbers)
        targets.append(parse_target(entry))
    quarantine.raise_if_over_limit(final=True)
    assert quarantine.bad == 0
    assert len(targets) == source.count() == 1265
    assert atoms == 9521
    assert 0 < min(targets) < max(targets) < 4000


def test_castelli(shared_data: Path) -> None:
    path = shared_data / "castelli_perovskites.csv.gz"
    with pytest.raises(SourceError, match="heat_all, heat_ref, dir_gap, ind_gap"):
        open_source(path)
    source = open_source(path, "heat_ref")
    quarantine = Quarantine(expected=source.count())
    entries = [entry for entry in source.entries() if quarantine.admit(entry)]
    # Every row of the file, counted also by the csv module alone.
    assert len(entries) == source.count() == 3787
    for entry in entries:
        parse_target(entry)
    for entry in entries[::38]:
        crystal = parse(entry)
        check(crystal)
        check_closest(crystal)
        assert len(crystal.numbers) == 5


def test_of_a_table_of_curves_one_has_to_be_named(shared_data: Path) -> None:
    with pytest.raises(
        SourceError, match=r"which column is the target.*one of energy_ev, site_dos"
    ):
        open_source(shared_data / "edos_151.parquet")
    source = open_source(shared_data / "edos_151.parquet", ANY_COLUMN)
    check_closest(parse(next(source.entries())))
