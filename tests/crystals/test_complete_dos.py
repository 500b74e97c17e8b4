"""JSON lists of pymatgen's densities of states give what pymatgen's own objects say."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monty.json import MontyEncoder
from pymatgen.core import Lattice, Structure
from pymatgen.electronic_structure.core import Orbital, Spin
from pymatgen.electronic_structure.dos import CompleteDos, Dos
from pymatgen.phonon.dos import CompletePhononDos, PhononDos

from trainables.crystals.crystal import Entry
from trainables.crystals.densities import Curve
from trainables.crystals.parsing import parse
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.curves import open_curves

SALT = Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
ENERGIES = np.linspace(-8, 12, 30)
EFERMI = 1.75
Change = Callable[[dict[str, Any]], object]


def electrons(*spins: Spin, seed: int = 0) -> CompleteDos:
    """Made densities of two orbitals a site, and a total that is not their sum."""
    draw = np.random.default_rng(seed)

    def curves() -> dict[Spin, np.ndarray]:
        return {spin: draw.uniform(0, 1, 30) for spin in spins}

    of_sites = {site: {one: curves() for one in (Orbital.s, Orbital.dx2_y2)} for site in SALT}
    return CompleteDos(SALT, Dos(EFERMI, ENERGIES, curves()), of_sites)


def phonons() -> CompletePhononDos:
    draw = np.random.default_rng(0)
    total = PhononDos(np.linspace(0, 9, 30), draw.uniform(0, 1, 30))
    return CompletePhononDos(SALT, total, {site: draw.uniform(0, 1, 30) for site in SALT})


def write(path: Path, objects: list[Any], **how: Any) -> Path:
    path.write_text(json.dumps(objects, **how))
    return path


def spins(one: dict[str, Any]) -> dict[str, Any]:
    """The spins of an orbital of the first site."""
    return one["pdos"][0]["s"]["densities"]


def curves_in(entries: Iterator[Entry]) -> list[Curve]:
    return [Curve.read(entry.target or "") for entry in entries]


@pytest.mark.parametrize("spins", [(Spin.up,), (Spin.up, Spin.down)])
def test_electrons(tmp_path: Path, spins: tuple[Spin, ...]) -> None:
    both = [electrons(*spins, seed=seed) for seed in range(2)]
    named = [one.as_dict() | {"material_id": f"mp-{n}"} for n, one in enumerate(both)]
    path = write(tmp_path / "dos.json", named)
    source = open_curves(path, None, None)
    assert source.per_site and source.curve_columns == ("energies - efermi", "pdos")
    entries = list(source.entries())
    assert [entry.id for entry in entries] == ["mp-0", "mp-1"]
    assert parse(entries[0]).numbers.tolist() == [11, 17]
    for curve, true in zip(curves_in(iter(entries)), both, strict=True):
        np.testing.assert_allclose(curve.energies, true.energies - true.efermi)
        sites = [true.get_site_dos(site).get_densities() for site in SALT]
        np.testing.assert_allclose(curve.densities, sites)
    whole = open_curves(path, "energies", "densities")
    assert not whole.per_site and whole.digest() != source.digest()
    for curve, true in zip(curves_in(whole.entries()), both, strict=True):
        np.testing.assert_allclose(curve.densities, [true.get_densities()])


def test_phonons(tmp_path: Path) -> None:
    true = phonons()
    path = tmp_path / "phonons.json.gz"
    # arrays as monty writes them, in the answer of a service
    content = true.as_dict() | {"frequencies": true.frequencies, "densities": true.densities}
    path.write_bytes(gzip.compress(json.dumps({"data": [content]}, cls=MontyEncoder).encode()))
    source = open_curves(path, None, None)
    assert source.per_site and source.curve_columns == ("frequencies", "pdos")
    (curve,) = curves_in(source.entries())
    np.testing.assert_allclose(curve.energies, true.frequencies)
    np.testing.assert_allclose(curve.densities, [true.get_site_dos(s).densities for s in SALT])
    (curve,) = curves_in(open_curves(path, None, "densities").entries())
    np.testing.assert_allclose(curve.densities, [true.densities])


def test_without_sites_the_crystal_is_read(tmp_path: Path) -> None:
    bare = CompleteDos(SALT, electrons(Spin.up), {})
    source = open_curves(write(tmp_path / "x.json", [bare.as_dict()]), None, None)
    assert not source.per_site
    (curve,) = curves_in(source.entries())
    np.testing.assert_allclose(curve.densities, [bare.get_densities()])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one.pop("efermi"), "no efermi in the object"),
        (lambda one: one.pop("structure"), "no structure: the object has"),
        (lambda one: one.update(efermi=None), "broken densities: efermi is no number: null"),
        (lambda one: one.update(efermi="1.7"), 'broken densities: efermi holds "1.7"'),
        (lambda one: one["energies"].__setitem__(3, True), "broken densities: energies holds true"),
        (lambda one: one["energies"].__setitem__(3, "1"), 'broken densities: energies holds "1"'),
        (lambda one: one["energies"].__setitem__(3, 10**400), "broken densities: a number of ener"),
        (lambda one: spins(one).update({"0": spins(one)["1"]}), "unknown spin: '0'; pymatgen"),
        (
            lambda one: spins(one).update(up=spins(one)["1"]),
            "broken densities: spins 1, up are one",
        ),
        (lambda one: spins(one).update({"-1": [1]}), "spins differ in length: 1 and 30 densities"),
        (lambda one: one["pdos"][0].update(total=one["pdos"][0]["s"]), "unknown orbital: 'total'"),
        (lambda one: one["pdos"][0].update(d=one["pdos"][0]["s"]), "densities counted twice: d "),
        (lambda one: one["pdos"].__setitem__(0, {}), "broken densities: a site has no orbitals"),
        (lambda one: one.update(pdos={"a": one["pdos"][0]}), "broken densities: pdos is no list"),
        (lambda one: one.update(frequencies=one.pop("energies")), "no energies: the object has fr"),
        (lambda one: one["energies"].pop(), "energies and densities differ in length: 29 and 30"),
        (lambda one: one.update(pdos=[]), "no densities of sites: pdos is empty"),
        (lambda one: one["pdos"].pop(), ""),  # told from the structure, where both are read
        (lambda one: one["pdos"][1].update(s=[1]), "broken densities: [1] is no object"),
        (lambda one: one.update(energies=[[1.0], [2.0]]), "broken densities: energies holds [1.0]"),
        (lambda one: one["energies"].reverse(), "energies are not ascending"),
        (
            lambda one: one["pdos"][0]["s"]["densities"]["1"].__setitem__(3, -9),
            "density is neg",
        ),
    ],
)
def test_a_bad_object_affects_only_itself(tmp_path: Path, change: Change, reason: str) -> None:
    objects = [electrons(Spin.up).as_dict() for _ in range(2)]
    change(objects[1])
    objects.insert(0, objects[0])
    for placed in (objects, objects[::-1]):  # the kind of file is not that of the first object
        entries = list(open_curves(write(tmp_path / "x.json", placed), None, None).entries())
        good, _, bad = entries if placed is objects else entries[::-1]
        assert good.format == "json" and good.target
        assert (bad.format == "bad") == bool(reason) and bad.text.startswith(reason)


def test_other_files_are_named(tmp_path: Path) -> None:
    def refused(path: Path, *asked: str | None) -> str:
        with pytest.raises(SourceError) as caught:
            open_curves(path, *(asked or (None, None)))
        (line,) = str(caught.value).splitlines()
        return line

    other = write(tmp_path / "other.json", [{"structure": SALT.as_dict(), "gap": 1}])
    assert "no object is a CompleteDos or CompletePhononDos" in refused(other)
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps(electrons(Spin.up).as_dict()))
    assert refused(alone).endswith("it is one crystal; put it in a list: [{…}]")
    assert "is a CompleteDos" in refused(write(tmp_path / "empty.json", []))
    assert "'[' expected at the start" in refused(write(tmp_path / "text.json", "x"))  # type: ignore[arg-type]
    table = tmp_path / "dos.csv"
    table.write_text("id,dos\n")
    assert "curves are read from a .parquet" in refused(table)
    assert "no such file" in refused(tmp_path / "no.csv")
    good = write(tmp_path / "good.json", [electrons(Spin.up).as_dict()])
    assert "no column 'energy_ev'" in refused(good, "energy_ev", None)
    assert "no column 'dos' (did you mean 'pdos'?)" in refused(good, None, "dos")
