"""A tensor a crystal: permittivity, stiffness, piezoelectric stress.

Legend: K models, B crystals, C components (`trainables/tensors/irreps.py`), I of them isotropic.

Values are components in an orthonormal basis, the isotropic ones first, in the orientation of the
crystal as it is given. So a norm of components is the Frobenius norm of the tensor, and no loss,
error or score depends on how a crystal is turned. A network that knows no directions has the I
isotropic components as outputs, the others being 0: its scalar stands on the diagonal.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.targets import read_tensor
from trainables.targets.base import Scaler, Target, mean_of
from trainables.tensors import voigt
from trainables.tensors.irreps import DIELECTRIC, ELASTIC, PIEZO, Form
from trainables.tensors.scalars import moduli, refractive_index, stable

if TYPE_CHECKING:
    from torch import Tensor

FROBENIUS = "frobenius"  # the metric: the mean norm of the difference, in the target's unit
MOST_ASYMMETRIC = 0.01  # share of a tensor's norm; what programs print is symmetric to 0.5 %
MOST_NESTED = 4  # indices of a tensor
LEAST_PERMITTIVITY = 0.99  # static and optical ones are 1 at least; programs print two decimals
NEAR = 0.25  # of the norm of the true tensor, within which a prediction is called near


class TensorKind(ABC):
    """A `Kind`: what tensors of all forms have in common.

    The mean is that of the isotropic part alone, and one scale serves all components, so that a
    standardised tensor turns as the tensor does.
    """

    metric = FROBENIUS
    per_site = False
    form: ClassVar[Form]
    shapes: ClassVar[dict[tuple[int, ...], str]]  # of a cell, in words
    entries: ClassVar[
        dict[str, tuple[int, int]]
    ]  # of the written matrix that determine it, by name
    principal_name: ClassVar[str] = "eigenvalue"

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    def cartesian(self, entries: np.ndarray) -> np.ndarray:
        """[3, …] the tensor that the entries of a cell [entries] state."""

    @abstractmethod
    def written(self, components: np.ndarray) -> np.ndarray:
        """[B, …] components [B, C] as users read them: a matrix, of Voigt's where there is one."""

    @abstractmethod
    def principal(self, tensors: np.ndarray) -> np.ndarray:
        """[B, n] principal values of tensors [B, 3, …], ascending."""

    @abstractmethod
    def scalars(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
        """[B] derived numbers of Cartesian tensors [B, 3, …], by name."""

    @classmethod
    def sizes(cls) -> dict[int, str]:
        """By the number of entries of a flat list, how they are laid out."""
        return {math.prod(shape): how for shape, how in cls.shapes.items()}

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[C]; see `Kind`."""
        tensor = self.cartesian(self._entries(cell))
        found = self.form.components(tensor)
        lost = float(np.linalg.norm(self.form.cartesian(found) - tensor))
        if lost > MOST_ASYMMETRIC * float(np.linalg.norm(tensor)):
            share = 100 * lost / float(np.linalg.norm(tensor))
            raise BadCrystal(
                f"{self.form.name} tensor is not symmetric in its indices: {share:.0f} % of its"
                " norm; check the order of its entries"
            )
        return found

    def _entries(self, cell: str) -> np.ndarray:
        """[entries] of a cell, which is a flat list or nested as one of `shapes`."""
        entries, shape = read_tensor(cell)
        if shape is None or len(shape) > 1:
            if shape not in self.shapes:
                known = " or ".join(self.shapes.values())
                raise BadCrystal(
                    f"{self.form.name} tensor has another shape: it {_as_nested(shape)}; it needs"
                    f" {known}, or a flat list"
                )
        elif len(entries) not in self.sizes():
            known = " or ".join(f"{size} ({how})" for size, how in self.sizes().items())
            raise BadCrystal(
                f"{self.form.name} tensor has another shape: it has {len(entries)} entries; it"
                f" needs {known}"
            )
        numbers = np.array(entries)
        if not np.isfinite(numbers).all():
            place = int(np.flatnonzero(~np.isfinite(numbers))[0]) + 1
            raise BadCrystal(
                f"{self.form.name} tensor is incomplete: entry {place} is missing or not finite"
            )
        return numbers

    def scaler(self, known: np.ndarray) -> Scaler:
        """The mean isotropic tensor, and the mean distance to it."""
        mean_c = self.trivial(known)
        scale = float(np.linalg.norm(known - mean_c, axis=1).mean())
        if scale <= 1e-12 * float(np.abs(known).max()):
            scale = 1.0
        return Scaler(mean=mean_c, scale=scale, unit=scale)

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """The mean isotropic tensor: what is left if crystals are turned at random."""
        mean_c = known.mean(axis=0)
        mean_c[self.form.isotropic :] = 0
        return np.asarray(mean_c)

    def loss(
        self, predicted: Tensor, true: Tensor, form: str, weight: Tensor | None = None
    ) -> Tensor:
        """[K] mean norm of the difference, or mean square of it, as the recipe's form is."""
        import torch

        difference = self._whole(predicted) - true
        if form == "l1":
            each = torch.linalg.vector_norm(difference, dim=-1)
        else:
            each = difference.square().sum(dim=-1)
        return mean_of(each, weight)

    def _whole(self, outputs: Tensor) -> Tensor:
        """[K, B, C] from outputs [K, B, C], or [K, B, I] of a network without directions."""
        import torch

        return torch.nn.functional.pad(outputs, (0, self.form.width - outputs.shape[-1]))

    def errors(self, predicted: Tensor, true: Tensor, scaler: Scaler) -> Tensor:
        """See `Kind`."""
        return self.loss(predicted, true, "l1") * scaler.unit

    def value(self, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
        """[B, C] from outputs [B, C], or [B, I]."""
        missing = self.form.width - outputs.shape[-1]
        return scaler.restore(np.pad(outputs, ((0, 0), (0, missing))))

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """Mean and median norm of the difference, the share of near ones, MAEs of scalars."""
        gap_b = np.linalg.norm(predicted - true, axis=1)
        near_b = gap_b <= NEAR * np.linalg.norm(true, axis=1)
        said, known = (self.scalars(self.form.cartesian(one)) for one in (predicted, true))
        return {
            self.metric: float(gap_b.mean()),
            "median_frobenius": float(np.median(gap_b)),
            "within_25": float(near_b.mean()),
            **{f"mae {name}": float(np.abs(said[name] - known[name]).mean()) for name in known},
        }


def _as_nested(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "has rows that differ in length, or numbers beside rows"
    if len(shape) > MOST_NESTED:
        return f"is nested {len(shape)} deep"
    return f"is {' × '.join(map(str, shape))}"


class Dielectric(TensorKind):
    """Permittivity, relative to the vacuum's; at optical frequencies it has a refractive index."""

    form = DIELECTRIC
    shapes: ClassVar[dict[tuple[int, ...], str]] = {
        (3, 3): "3 × 3",
        (6,): f"Voigt's {voigt.order_in_words()}",
    }
    entries: ClassVar[dict[str, tuple[int, int]]] = {
        "xyz"[i] + "xyz"[j]: (i, j) for i, j in voigt.PAIRS
    }

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[C]; see `Kind`. No eigenvalue is below the vacuum's."""
        found = super().parse(cell, crystal)
        least = float(self.principal(self.form.cartesian(found[None]))[0, 0])
        if least < LEAST_PERMITTIVITY:
            raise BadCrystal(
                f"dielectric tensor is below the vacuum's: its lowest eigenvalue is {least:.3g},"
                " and crystals have 1 at least; give it relative to the vacuum, and no"
                " susceptibility"
            )
        return found

    def cartesian(self, entries: np.ndarray) -> np.ndarray:
        """See `TensorKind`."""
        return voigt.symmetric(entries) if len(entries) == 6 else entries.reshape(self.form.shape)

    def written(self, components: np.ndarray) -> np.ndarray:
        """[B, 3, 3]."""
        return self.form.cartesian(components)

    def principal(self, tensors: np.ndarray) -> np.ndarray:
        """[B, 3] permittivities along the principal axes."""
        return np.asarray(np.linalg.eigvalsh(tensors))

    def scalars(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
        """Trace and refractive index."""
        return {
            "trace": np.trace(tensors, axis1=-2, axis2=-1),
            "refractive index": refractive_index(tensors),
        }


class Elastic(TensorKind):
    """Stiffness, in Voigt's notation or with four indices."""

    form = ELASTIC
    shapes: ClassVar[dict[tuple[int, ...], str]] = {
        (6, 6): "6 × 6 of Voigt",
        (3, 3, 3, 3): "3 × 3 × 3 × 3",
    }
    entries: ClassVar[dict[str, tuple[int, int]]] = {
        f"c{i + 1}{j + 1}": (i, j) for i in range(6) for j in range(i, 6)
    }

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[C]; see `Kind`. A stiffness has to be positive definite too."""
        found = super().parse(cell, crystal)
        tensor = self.form.cartesian(found)
        if not stable(tensor):
            least = float(np.linalg.eigvalsh(voigt.mandel(tensor))[0])
            raise BadCrystal(
                f"elastic tensor is not positive definite: its lowest eigenvalue is {least:.3g}, so"
                " the crystal would give way; leave it out or compute it again"
            )
        return found

    def cartesian(self, entries: np.ndarray) -> np.ndarray:
        """See `TensorKind`."""
        if len(entries) == 36:
            return voigt.stiffness(entries.reshape(6, 6))
        return entries.reshape(self.form.shape)

    def written(self, components: np.ndarray) -> np.ndarray:
        """[B, 6, 6] of Voigt."""
        return voigt.stiffness_matrix(self.form.cartesian(components))

    def principal(self, tensors: np.ndarray) -> np.ndarray:
        """[B, 6] eigenvalues in Mandel's notation (Kelvin moduli)."""
        return np.asarray(np.linalg.eigvalsh(voigt.mandel(tensors)))

    def scalars(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
        """Trace C_iijj, bulk and shear modulus of a polycrystal."""
        bulk, shear = moduli(tensors)
        trace = np.einsum("...iijj->...", tensors)
        return {"trace": trace, "bulk modulus": bulk, "shear modulus": shear}

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """Beside the others `unstable`, the number of predictions that are not positive definite.

        They are scored as they are, with Voigt's bounds for moduli.
        """
        unstable = int((~stable(self.form.cartesian(predicted))).sum())
        return {**super().metrics(predicted, true, scaler), "unstable": float(unstable)}


class Piezo(TensorKind):
    """Piezoelectric stress tensor e, in Voigt's notation or with three indices, the field first."""

    form = PIEZO
    shapes: ClassVar[dict[tuple[int, ...], str]] = {
        (3, 6): "3 × 6 of Voigt",
        (3, 3, 3): "3 × 3 × 3",
    }
    entries: ClassVar[dict[str, tuple[int, int]]] = {
        f"e{i + 1}{j + 1}": (i, j) for i in range(3) for j in range(6)
    }
    principal_name: ClassVar[str] = "singular value"

    def cartesian(self, entries: np.ndarray) -> np.ndarray:
        """See `TensorKind`."""
        if len(entries) == 18:
            return voigt.piezo(entries.reshape(3, 6))
        return entries.reshape(self.form.shape)

    def written(self, components: np.ndarray) -> np.ndarray:
        """[B, 3, 6] of Voigt."""
        return voigt.piezo_matrix(self.form.cartesian(components))

    def principal(self, tensors: np.ndarray) -> np.ndarray:
        """[B, 3] singular values, from strains in Mandel's notation to the field."""
        matrices = voigt.piezo_matrix(tensors) * voigt.MANDEL
        return np.linalg.svd(matrices, compute_uv=False)[:, ::-1]

    def scalars(self, tensors: np.ndarray) -> dict[str, np.ndarray]:
        """The norm, as there is no trace."""
        flat = tensors.reshape(len(tensors), math.prod(self.form.shape))
        return {"norm": np.linalg.norm(flat, axis=1)}
