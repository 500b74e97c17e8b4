"""Whether a tensor obeys its own crystal's symmetry, and in which frame of axes it would.

Legend: C components of a tensor, N atoms, V vectors of a lattice, R rotations of a point group.

The tensors of a file may refer to other axes than its structures do. Frames that are tried: that of
the structure as it is `given`; spglib's `standard` orientation; pymatgen's `conventional` and
`primitive` standard cells (Setyawan & Curtarolo 2010, doi:10.1016/j.commatsci.2010.05.010), to
which the Materials Project refers (de Jong et al. 2015, doi:10.1038/sdata.2015.53).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import spglib

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.targets import FRAMES, GIVEN, frame_of
from trainables.representations.space_group import turns
from trainables.representations.symmetrise import Symmetrised, symmetrise
from trainables.targets.tensor import TensorKind
from trainables.tensors import voigt
from trainables.tensors.irreps import Form

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_VIOLATED = 0.05  # share of the norm that the crystal's symmetry forbids
ZERO = 1e-12  # a norm of nothing but rounding, of which no share means anything
ALIKE = 0.02  # Å between atoms, and share between lengths, of one crystal in two descriptions
# A fit is about as good as the best one that is worse by at most this many Å, or this factor: what
# the tolerances of the standard cells may bring.
AS_GOOD, AS_GOOD_TIMES = 0.01, 2.0
MOST_AMBIGUOUS = 0.05  # share of the norm by which tensors may differ under fits that are as good
ROUNDING = 1e-6  # Å below which fits do not differ
CONVENTIONAL, PRIMITIVE, STANDARD = "conventional", "primitive", "standard"
MEANING = {
    GIVEN: "the structure's own axes",
    STANDARD: "spglib's standard orientation",
    CONVENTIONAL: "pymatgen's conventional standard cell",
    PRIMITIVE: "pymatgen's primitive standard cell",
}


@dataclass(frozen=True)
class Fit:
    """A way to lay one description of a crystal over another.

    Attributes:
        turn: [3, 3] rotation or reflection of a vector of the first.
        gap: Å by which the atom, or the vector of the primitive cell, that fits worst is off.
    """

    turn: np.ndarray
    gap: float


EXACT = Fit(np.eye(3), 0.0)


def placed(kind: TensorKind, components: np.ndarray, crystal: Crystal) -> np.ndarray:
    """[C] a tensor in the orientation of its crystal, checked against the crystal's symmetry.

    Args:
        components: [C] in the frame that the target's name ends with.

    Raises:
        BadCrystal: more than `MOST_VIOLATED` of it is forbidden there; the line names each frame
            and each order of Voigt's in which it is not. Or the frame fits the structure in two
            ways, about equally well, in which the tensor is not the same.
    """
    symmetric = symmetrise(crystal)
    allowed = kind.form.invariant(point_group(symmetric))
    frame = frame_of(kind.target.name)
    ways = ways_to_given(crystal, symmetric, frame)
    if not ways:
        raise BadCrystal(
            f"{kind.form.name} tensor has no frame: {MEANING[frame]} cannot be laid over the"
            " structure; give the tensor in the structure's own axes"
        )
    turn = ways[0].turn
    found = _turned(kind.form, components, turn)
    share = _forbidden(found, allowed)
    if share > MOST_VIOLATED:
        fits = _what_fits(kind.form, components, crystal, symmetric, frame, turn, allowed)
        raise BadCrystal(
            f"{kind.form.name} tensor breaks the symmetry: the crystal's point group forbids"
            f" {100 * share:.0f} % of it in {MEANING[frame]}; {fits}"
        )
    _demand_one_meaning(kind.form, components, ways, allowed, frame)
    return found


def _demand_one_meaning(
    form: Form, components: np.ndarray, ways: Sequence[Fit], allowed: np.ndarray, frame: str
) -> None:
    """Refuses a tensor that another fit, about as good as the best, would make another one.

    What the symmetry allows is compared, so that fits which differ by a symmetry of the crystal
    are alike. A fit whose tensor the symmetry forbids is none.

    Raises:
        BadCrystal: there is such a fit.
    """
    best, *others = ways
    true = allowed @ _turned(form, components, best.turn)
    size = float(np.linalg.norm(true))
    if size < ZERO:
        return
    as_good = max(best.gap + AS_GOOD, best.gap * AS_GOOD_TIMES)
    for other in others:
        said = _turned(form, components, other.turn)
        if other.gap > as_good or _forbidden(said, allowed) > MOST_VIOLATED:
            continue
        apart = float(np.linalg.norm(allowed @ said - true)) / size
        if apart > MOST_AMBIGUOUS:
            raise BadCrystal(
                f"{form.name} tensor has an ambiguous frame: two turns of {MEANING[frame]} fit to"
                f" {best.gap:.3f} and {other.gap:.3f} Å, and give tensors that differ by"
                f" {100 * apart:.0f} % of the norm; give the tensor in the structure's own axes"
            )


def point_group(symmetric: Symmetrised) -> np.ndarray:
    """[R, 3, 3] the rotations of a crystal, in its given orientation."""
    own = turns()[np.unique(symmetric.group.turn)]
    return np.asarray(symmetric.frame @ own @ symmetric.frame.T)


def _turned(form: Form, components: np.ndarray, turn: np.ndarray) -> np.ndarray:
    if np.array_equal(turn, np.eye(3)):
        return components  # to the bit
    return form.turned(components[None], turn[None])[0]


def _forbidden(components: np.ndarray, allowed: np.ndarray) -> float:
    """Share of the norm that a projection takes away."""
    size = float(np.linalg.norm(components))
    if size < ZERO:
        return 0.0
    return float(np.linalg.norm(components - allowed @ components)) / size


def _what_fits(
    form: Form,
    components: np.ndarray,
    crystal: Crystal,
    symmetric: Symmetrised,
    frame: str,
    turn: np.ndarray,
    allowed: np.ndarray,
) -> str:
    """The remedy: all frames, and orders of Voigt's, in which the symmetry is obeyed."""

    def fits(read: np.ndarray, its: np.ndarray | None) -> bool:
        return its is not None and _forbidden(_turned(form, read, its), allowed) <= MOST_VIOLATED

    others = [one for one in FRAMES if one != frame]
    frames = [one for one in others if fits(components, to_given(crystal, symmetric, one))]
    orders = [one for one in voigt.OTHER_ORDERS if fits(_reordered(form, components, one), turn)]
    found = [f"it fits {MEANING[one]}: name the target with @{form.name}@{one}" for one in frames]
    if orders:
        named = " or ".join(map(voigt.order_in_words, orders))
        found.append(f"it fits Voigt's order {named}: write it as {voigt.order_in_words()}")
    if not found:
        return "no known frame fits: check the tensor and its axes"
    doubt = "; the symmetry does not tell which it is" if len(frames) + len(orders) > 1 else ""
    return "; or ".join(found) + doubt


def _reordered(form: Form, components: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    tensor = form.cartesian(components)
    if form.rank == 2:
        read = voigt.symmetric(voigt.reordered(voigt.symmetric_vector(tensor), order))
    elif form.rank == 4:
        read = voigt.stiffness(voigt.reordered(voigt.stiffness_matrix(tensor), order))
    else:
        read = voigt.piezo(voigt.reordered(voigt.piezo_matrix(tensor), order))
    return form.components(read)


def to_given(crystal: Crystal, symmetric: Symmetrised, frame: str) -> np.ndarray | None:
    """[3, 3] what turns a tensor of a frame to the crystal's orientation; None if nothing does.

    It is that of the best fit, and improper where the frame's cell is the mirror image of the
    crystal.
    """
    return next((fit.turn for fit in ways_to_given(crystal, symmetric, frame)), None)


def ways_to_given(crystal: Crystal, symmetric: Symmetrised, frame: str) -> list[Fit]:
    """The ways to turn a tensor of a frame to the crystal's orientation, the best first."""
    if frame == GIVEN:
        return [EXACT]
    if frame == STANDARD:
        return [Fit(symmetric.frame, 0.0)]  # spglib says which atom is which
    made = _standard_cell(crystal, symmetric, frame)
    return [] if made is None else laid_over(made, crystal)


def _standard_cell(crystal: Crystal, symmetric: Symmetrised, frame: str) -> Crystal | None:
    """pymatgen's standard cell; None where it finds no symmetry."""
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    given: Structure = Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac)
    try:
        found = SpacegroupAnalyzer(given, symprec=symmetric.symprec or ALIKE / 2)
        if frame == CONVENTIONAL:
            made = found.get_conventional_standard_structure()
        else:
            made = found.get_primitive_standard_structure()
    except (ValueError, TypeError, AttributeError, ArithmeticError, IndexError):
        return None  # it has no error of its own
    numbers = np.array(made.atomic_numbers, np.uint8)
    return Crystal(numbers, np.array(made.frac_coords), np.array(made.lattice.matrix))


def laid_over(one: Crystal, other: Crystal) -> list[Fit]:
    """The rotations and reflections that lay a crystal over another, the best fit first.

    Several fit equally where the crystal is symmetric; they change no tensor that obeys the
    symmetry. Of a crystal that nearly has more symmetry, as a polar one whose atoms are hardly off
    the centre, others nearly fit and change its tensor, to its negative for instance.
    """
    small, large = _primitive(one), _primitive(other)
    if small is None or large is None or len(small.numbers) != len(large.numbers):
        return []
    found = []
    for on_lattice in _on_lattice(small.lattice, large.lattice):
        turned = Crystal(small.numbers, small.frac, small.lattice @ on_lattice.turn.T)
        gap = _gap(turned, large)
        if gap <= 5 * ALIKE:
            found.append(Fit(on_lattice.turn, max(gap, on_lattice.gap)))
    return sorted(found, key=lambda fit: round(fit.gap / ROUNDING))


def _primitive(crystal: Crystal) -> Crystal | None:
    """A primitive cell with reduced vectors, in the same orientation."""
    cell = (crystal.lattice.tolist(), crystal.frac.tolist(), crystal.numbers.tolist())
    found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=ALIKE / 2)
    if found is None:
        return None
    lattice, frac, numbers = map(np.array, found)
    reduced = spglib.niggli_reduce(lattice)
    if reduced is None:
        return None
    return Crystal(numbers.astype(np.uint8), frac @ lattice @ np.linalg.inv(reduced), reduced)


def _on_lattice(one: np.ndarray, other: np.ndarray) -> Iterator[Fit]:
    """What carries the reduced lattice `one` (rows) onto `other`."""
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    vectors = steps @ other  # reduced vectors are sums of such few
    wanted = one @ one.T
    lengths = np.linalg.norm(vectors, axis=1)
    near = [
        np.flatnonzero(np.abs(lengths - size) <= ALIKE * size)
        for size in np.sqrt(wanted.diagonal())
    ]
    for a, b, c in product(*near):
        images = vectors[[a, b, c]]
        if np.abs(images @ images.T - wanted).max() <= ALIKE * wanted.max():
            left, _, right = np.linalg.svd(np.linalg.inv(one) @ images)
            turn = (left @ right).T
            yield Fit(turn, float(np.linalg.norm(one @ turn.T - images, axis=1).max()))


def _gap(one: Crystal, other: Crystal) -> float:
    """Å between the atoms that are farthest apart when one cell is laid over another, shifted."""
    numbers, counts = np.unique(one.numbers, return_counts=True)
    rarest = numbers[counts.argmin()]
    frac = one.frac @ one.lattice @ np.linalg.inv(other.lattice)
    start = frac[np.flatnonzero(one.numbers == rarest)[0]]
    different = one.numbers[:, None] != other.numbers
    least = np.inf
    for target in other.frac[other.numbers == rarest]:
        apart = (frac - start + target)[:, None] - other.frac
        lengths = np.linalg.norm((apart - np.rint(apart)) @ other.lattice, axis=2)
        lengths[different] = np.inf
        least = min(least, float(lengths.min(axis=1).max()))
    return least
