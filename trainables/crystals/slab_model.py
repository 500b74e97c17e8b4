"""The electrostatics of a generated slab: a model of ions, electrons and a Fermi level; no DFT.

Atoms exchange electrons until their electronegativities are equal. With one hardness η for all and
the response ε of the other electrons, the charges of N atoms are

    q_i = (χ̄ - χ_i) / (η ε),    χ̄ = Σ χ_i / N,

neutral whatever the cell (R. T. Sanderson, Science 114, 670 (1951),
doi:10.1126/science.114.2973.670). χ_i is the level of the element in a solid in eV, by the line
through the work functions of metals, 2.27 χ(Pauling) + 0.34 (W. Gordy and W. J. O. Thomas, J. Chem.
Phys. 24, 439 (1956), doi:10.1063/1.1742493). In the ionic potential U, averaged over planes, an
electron of an atom has the energy U(z_i) - χ_i - η ε q_i: the Fermi level, the same for all once
they are equal, is

    E_F = Σ (U(z_i) - χ_i) / N.

So the work function is that of the composition plus what the stacking of the planes adds.

Each atom has besides a positive core and as many valence electrons, wider, around it. This pair is
neutral and without a dipole: it makes the wells of the potential and moves no level.

A polar stack would have a drop that grows with its thickness (C. Noguera, J. Phys.: Condens. Matter
12, R367 (2000), doi:10.1088/0953-8984/12/31/201). Once it exceeds the gap, electrons flow from one
face to the other until the drop is the gap (X. Gu et al. (2009), arXiv:0911.4145); the gap is taken
as the difference between the largest and the smallest χ of the slab in eV.

Legend: N atoms, P points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from trainables.crystals.checks import covalent_sums
from trainables.crystals.poisson import Charges, Waves, solve
from trainables.crystals.potentials import Potential
from trainables.elements import properties

SLOPE, OFFSET = 2.27, 0.34  # eV: Gordy and Thomas
# eV/e: I - A, 5 to 12 of the free atoms, less what an ion gains from its neighbours, which are of
# the other sign. NaCl gets charges of 0.7 e before they are screened.
HARDNESS = 3.5
SCREENING = 3.0  # the electronic permittivity of oxides and halides is 2 to 6
ION = 0.5  # width of an ion's charge over the covalent radius
ELECTRONS = 0.6  # that of its valence electrons; mean inner potentials are then 5 to 15 eV
CORE = 0.3  # Å, that of the core
SPACING = 0.1  # Å between points at most
SAME_PLANE = 0.05  # Å between atoms of one plane


@dataclass(frozen=True, kw_only=True)
class Slab:
    """What the model knows of a slab: its atoms along the normal.

    Attributes:
        numbers: [N] atomic numbers.
        z: [N] Å along the normal.
        area: Å² of the cell across it.
        height: Å of the cell along it.
    """

    numbers: np.ndarray
    z: np.ndarray
    area: float
    height: float

    @cached_property
    def electronegativity(self) -> np.ndarray:
        """[N] eV."""
        return np.asarray(SLOPE * _elements()[0][self.numbers] + OFFSET)

    @property
    def gap(self) -> float:
        """eV, the drop that a polar stack keeps."""
        return float(np.ptp(self.electronegativity))

    @property
    def cut(self) -> float:
        """Å, the middle of the vacuum."""
        ascending = np.sort(self.z % self.height)
        gaps = np.diff(ascending, append=ascending[0] + self.height)
        widest = int(gaps.argmax())
        return float(ascending[widest] + gaps[widest] / 2)


def known_elements() -> frozenset[int]:
    """Atomic numbers of the elements that have an electronegativity and valence electrons."""
    chi, valence = _elements()
    return frozenset(np.flatnonzero(np.isfinite(chi) & (valence > 0)).tolist())


def ionic_charges(slab: Slab) -> Charges:
    """The screened charges of the ions, with those that flow between the faces of a polar stack."""
    chi = slab.electronegativity
    charges = Charges(
        charge=(chi.mean() - chi) / (HARDNESS * SCREENING),
        z=slab.z,
        width=ION * _radii(slab.numbers),
        area=slab.area,
        height=slab.height,
        cut=slab.cut,
    )
    excess = charges.drop - math.copysign(min(abs(charges.drop), slab.gap), charges.drop)
    return _compensated(charges, excess) if excess else charges


def _compensated(charges: Charges, excess: float) -> Charges:
    """With charges on the outer planes that take away a part of the drop in eV."""
    height = charges.above_cut
    top, bottom = height > height.max() - SAME_PLANE, height < height.min() + SAME_PLANE
    faces = top / top.sum() - bottom / bottom.sum()
    unit = replace(charges, charge=faces).drop
    return replace(charges, charge=charges.charge - faces * excess / unit)


def electron_clouds(slab: Slab) -> Charges:
    """The cores and the valence electrons of neutral atoms."""
    count = _elements()[1][slab.numbers]
    wide = np.maximum(ELECTRONS * _radii(slab.numbers), 1.2 * CORE)
    return Charges(
        charge=np.concatenate([count, -count]),
        z=np.tile(slab.z, 2),
        width=np.concatenate([np.full(len(count), CORE), wide]),
        area=slab.area,
        height=slab.height,
        cut=slab.cut,
    )


def fermi_level(slab: Slab, ions: Waves) -> float:
    """eV; see the top of this file."""
    return float((ions.corrected(slab.z) - slab.electronegativity).mean())


def potential_of(slab: Slab, points: int | None = None) -> Potential:
    """The planar-averaged potential of a slab, dipole-corrected, with its Fermi level.

    Args:
        points: P; None for at least one every `SPACING`.

    Raises:
        BadCrystal: the model puts the Fermi level where no slab has it.
    """
    points = points or 2 * math.ceil(slab.height / SPACING / 2)
    ions = solve(ionic_charges(slab), points)
    z = slab.height / points * np.arange(points)
    clouds = solve(electron_clouds(slab), points)
    wells = clouds.periodic(z) - clouds.periodic(np.array([slab.cut]))  # 0 in the vacuum
    return Potential.of(
        ions.corrected(z) + wells, height=slab.height, fermi=fermi_level(slab, ions)
    )


def _radii(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(np.diag(covalent_sums())[numbers] / 2)


@cache
def _elements() -> tuple[np.ndarray, np.ndarray]:
    """[119] electronegativities on Pauling's scale, and numbers of valence electrons.

    Those are the s and p electrons beyond the noble gas core, and the d electrons of an open shell.
    """
    table = np.vstack([np.full(len(properties.COLUMNS), np.nan), properties.read()])
    column = {name: table[:, place] for place, name in enumerate(properties.COLUMNS)}
    open_shell = np.where(column["d_electrons"] < 10, column["d_electrons"], 0.0)
    valence = column["s_electrons"] + column["p_electrons"] + open_shell
    return column["electronegativity"], np.nan_to_num(valence)
