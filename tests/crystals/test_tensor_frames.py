"""Tensors against the symmetry of their crystals: frames and orders of Voigt's are found out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.crystals.symmetric_crystals import GROUPS, of_group
from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.representations.symmetrise import symmetrise
from trainables.representations.tensor_frames import laid_over, placed, point_group, to_given
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind
from trainables.tensors import voigt
from trainables.tensors.irreps import FORMS
from trainables.testing.crystals import crystal as crystal_of
from trainables.testing.crystals import named_crystals


def kind(name: Any, frame: str = "") -> TensorKind:
    """A kind of tensor whose target's name ends with a frame."""
    found = kind_of(
        Target(name=f"x@{name}{frame}", unit=None, kind=name, shape=(FORMS[name].width,))
    )
    assert isinstance(found, TensorKind)
    return found


def orthogonal(seed: int, *, proper: bool = True) -> np.ndarray:
    """[3, 3] a random rotation, or reflection."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return np.asarray(turn * np.linalg.det(turn) * (1 if proper else -1))


def turned(crystal: Crystal, seed: int) -> Crystal:
    """The crystal in another orientation."""
    return Crystal(crystal.numbers, crystal.frac, crystal.lattice @ orthogonal(seed).T)


def allowed(name: str, crystal: Crystal, seed: int = 0) -> np.ndarray:
    """[C] a random tensor that obeys a crystal's symmetry."""
    form = FORMS[name]
    drawn = np.random.default_rng(seed).normal(size=form.width)
    return np.asarray(form.invariant(point_group(symmetrise(crystal))) @ drawn)


@pytest.mark.parametrize("number", GROUPS[::3])
@pytest.mark.parametrize("name", FORMS)
def test_a_tensor_of_its_own_crystal_is_taken_as_it_is(name: str, number: int) -> None:
    crystal = turned(of_group(number), number)
    tensor = allowed(name, crystal)
    assert np.array_equal(placed(kind(name), tensor, crystal), tensor)


@pytest.mark.parametrize("number", [8, 36, 122, 152, 186, 216])
@pytest.mark.parametrize("frame", ["standard", "conventional", "primitive"])
def test_a_tensor_in_another_frame_is_brought_back(number: int, frame: str) -> None:
    """It is the same as before, or differs by a symmetry of the crystal: none, as it obeys it."""
    crystal = turned(of_group(number), number)
    tensor, own = allowed("piezo", crystal), kind("piezo", f"@{frame}")
    turn = to_given(crystal, symmetrise(crystal), frame)
    assert turn is not None
    there = own.form.turned(tensor[None], turn.T[None])[0]
    assert np.abs(placed(own, there, crystal) - tensor).max() < 1e-9


@pytest.mark.parametrize("frame", ["standard", "conventional"])
def test_the_frames_that_would_fit_are_named(frame: str) -> None:
    crystal = turned(of_group(36 if frame == "standard" else 122), 5)
    symmetric = symmetrise(crystal)
    turn = to_given(crystal, symmetric, frame)
    assert turn is not None
    there = FORMS["piezo"].turned(allowed("piezo", crystal)[None], turn.T[None])[0]
    with pytest.raises(BadCrystal, match="forbids") as caught:
        placed(kind("piezo"), there, crystal)
    named = re.findall("fits .*?: name the target with @piezo@([a-z]+)", str(caught.value))
    assert frame in named
    assert len(named) == 1 or str(caught.value).endswith("the symmetry does not tell which it is")
    for one in named:
        assert np.linalg.norm(placed(kind("piezo", f"@{one}"), there, crystal)) > 0


@pytest.mark.parametrize("order", voigt.OTHER_ORDERS)
@pytest.mark.parametrize("name", ["dielectric", "elastic"])
def test_all_orders_of_voigt_that_fit_are_named(name: str, order: tuple[int, ...]) -> None:
    """In a monoclinic crystal the place of xz decides; yz and xy are alike."""
    crystal = of_group(14)
    form, tensor = FORMS[name], allowed(name, crystal)
    at = [0, 1, 2, *(3 + place for place in order)]
    if name == "elastic":
        matrix = voigt.stiffness_matrix(form.cartesian(tensor))
        written = form.components(voigt.stiffness(matrix[np.ix_(at, at)]))
    else:
        vector = voigt.symmetric_vector(form.cartesian(tensor))
        written = form.components(voigt.symmetric(vector[at]))
    if order == (2, 1, 0):
        assert np.array_equal(placed(kind(name), written, crystal), written)
        return
    with pytest.raises(BadCrystal) as bad:
        placed(kind(name), written, crystal)
    named = str(bad.value).partition("it fits Voigt's order ")[2].partition(":")[0].split(" or ")
    xz = order.index(1)
    alike = [one for one in voigt.OTHER_ORDERS if one.index(1) == xz]
    assert named == [voigt.order_in_words(one) for one in alike] and order in alike
    assert str(bad.value).endswith(
        ": write it as xx yy zz yz xz xy; the symmetry does not tell which it is"
    )


def test_what_fits_nowhere_is_said() -> None:
    crystal = named_crystals()["NaCl"]
    drawn = FORMS["piezo"].components(voigt.piezo(np.arange(18.0).reshape(3, 6)))
    with pytest.raises(BadCrystal) as caught:
        placed(kind("piezo"), drawn, crystal)
    assert str(caught.value) == (
        "piezo tensor breaks the symmetry: the crystal's point group forbids 100 % of it in the"
        " structure's own axes; no known frame fits: check the tensor and its axes"
    )


@pytest.mark.parametrize("number", [1, 5, 19, 43, 92, 146, 152, 198])
def test_a_mirror_image_is_laid_over_by_a_reflection(number: int) -> None:
    crystal = of_group(number)
    mirror = orthogonal(3, proper=False)
    image = Crystal(crystal.numbers, crystal.frac, crystal.lattice @ mirror.T)
    turn = laid_over(crystal, image)[0].turn
    group = point_group(symmetrise(crystal))
    apart = np.abs(np.swapaxes(group, 1, 2) @ (mirror.T @ turn) - np.eye(3)).max(axis=(1, 2))
    assert apart.min() < 1e-3  # the reflection, but for a symmetry of the crystal


def test_a_zero_tensor_obeys_any_symmetry() -> None:
    zero = np.zeros(FORMS["piezo"].width)
    assert not placed(kind("piezo"), zero, named_crystals()["NaCl"]).any()


def perovskite(up: float) -> Crystal:
    """A tetragonal BaTiO3 with titanium that many Å above the middle."""
    cell = np.diag([4.0, 4.0, 4.04])
    frac = [(0, 0, 0), (0.5, 0.5, 0.5 + up / 4.04), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return crystal_of([56, 22, 8, 8, 8], frac, cell)


@pytest.mark.parametrize("up", [0.012, 0.015, 0.02, -0.015, -0.02])
@pytest.mark.parametrize("frame", ["conventional", "primitive"])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_atom_hardly_off_the_centre_keeps_the_sign(up: float, frame: str, seed: int) -> None:
    """pymatgen's cell of it is the given one; upside down it fits to 0.04 Å at best."""
    upright = perovskite(up)
    given = turned(upright, seed)
    tensor = allowed("piezo", upright)
    own = kind("piezo", f"@{frame}")
    there = own.form.turned(tensor[None], orthogonal(seed)[None])[0]
    found = placed(own, tensor, given)
    assert np.abs(found - there).max() < 1e-6 * np.abs(there).max()


def test_two_turns_that_fit_alike_cost_the_row() -> None:
    """Atoms are off the fourfold axis by less than spglib's tolerance, which sees one mirror."""
    exact = perovskite(0.012)
    off = np.random.default_rng(0).normal(size=(5, 3))
    off *= 0.006 / np.linalg.norm(off, axis=1, keepdims=True)
    given = Crystal(exact.numbers, exact.frac + off @ np.linalg.inv(exact.lattice), exact.lattice)
    tensor = allowed("piezo", given)
    assert np.array_equal(placed(kind("piezo"), tensor, given), tensor)
    with pytest.raises(BadCrystal) as caught:
        placed(kind("piezo", "@conventional"), tensor, given)
    assert str(caught.value) == (
        "piezo tensor has an ambiguous frame: two turns of pymatgen's conventional standard cell"
        " fit to 0.008 and 0.013 Å, and give tensors that differ by 118 % of the norm; give the"
        " tensor in the structure's own axes"
    )


@pytest.mark.parametrize("number", [99, 115, 122, 186, 216])
@pytest.mark.parametrize("frame", ["standard", "conventional"])
def test_a_frame_depends_on_how_the_cell_is_listed(number: int, frame: str) -> None:
    """As docs/tensors.md warns: with a and b exchanged, the same tensor has the other sign."""
    one, order = of_group(number), [1, 0, 2]
    other = Crystal(one.numbers, one.frac[:, order], one.lattice[order])
    tensor, own = allowed("piezo", one), kind("piezo", f"@{frame}")
    found = placed(own, tensor, one)
    assert np.abs(placed(own, tensor, other) + found).max() < 1e-6 * np.abs(found).max()
