"""Densities of states: curves on energies of any spacing, broadened onto one grid.

Legend: P points of a curve, S curves of a crystal, L points of the grid.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import erf

from trainables.crystals.crystal import BadCrystal

# Standard deviations at which a Gaussian is 0 in double precision.
REACH = 9.0


@dataclass(frozen=True, kw_only=True)
class Window:
    """The energies on which densities are learned, in the unit of the file.

    Attributes:
        low, high: of the first and of the last point.
        points: L, evenly spaced.
        sigma: of the Gaussian with which a curve is broadened.
        fermi: whether energies are relative to a Fermi level, which then lies within each curve.
    """

    low: float = -10.0
    high: float = 10.0
    points: int = 400
    sigma: float = 0.1
    fermi: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError if no curve could be put onto the grid."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"the range {self.low:g} to {self.high:g} is empty")
        if self.points < 2:
            raise ValueError(f"{self.points} points: a grid has two at least")
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma {self.sigma:g}: a width is a finite number above 0")

    @cached_property
    def energies(self) -> np.ndarray:
        """[L]."""
        return np.linspace(self.low, self.high, self.points)

    @property
    def step(self) -> float:
        """Between two points."""
        return (self.high - self.low) / (self.points - 1)

    def broadened(self, curve: Curve) -> np.ndarray:
        """[S, L] the curves broadened; NaN at energies that a curve does not reach.

        A curve is taken as linear between its points, and its convolution with the Gaussian is
        exact, so that spacings neither have to be equal nor smaller than the width.
        """
        start, end = curve.energies[[0, -1]]
        reached = (self.energies >= start) & (self.energies <= end)
        near = REACH * self.sigma
        first = max(0, int(np.searchsorted(curve.energies, self.low - near)) - 1)
        last = int(np.searchsorted(curve.energies, self.high + near)) + 1
        energies = curve.energies[first:last]
        found = curve.densities[:, first:last] @ hats(self.energies, energies, self.sigma).T
        return np.where(reached, np.maximum(found, 0.0), np.nan)


def hats(at: np.ndarray, energies: np.ndarray, sigma: float) -> np.ndarray:
    """[L, P] integrals of the hat functions of linear interpolation, times a Gaussian at `at`.

    The hat of a point is a second divided difference; so is its convolution, of the second
    antiderivative of the Gaussian.

    Args:
        at: [L].
        energies: [P], ascending; two at least.
    """
    apart = at[:, None] - energies
    z = apart / (sigma * math.sqrt(2))
    twice = 0.5 * apart * erf(z) + sigma / math.sqrt(2 * math.pi) * np.exp(-z * z)
    slopes = np.diff(twice, axis=1) / np.diff(energies)
    ends = 0.5 * erf(z[:, [0, -1]])  # slopes of `twice` beyond the first and the last point
    return np.diff(slopes, axis=1, prepend=-ends[:, :1], append=-ends[:, 1:])


@dataclass(frozen=True)
class Curve:
    """Densities of states of one crystal as its file has them.

    Attributes:
        energies: [P] float64.
        densities: [S, P] float64, one curve a site; or one of the whole crystal.
        per_site: whether they belong to sites.
    """

    energies: np.ndarray
    densities: np.ndarray
    per_site: bool

    @property
    def text(self) -> str:
        """The curve as a cell of a source, which `read` reads."""
        rows = np.vstack([self.energies, self.densities])
        sites = len(self.densities) if self.per_site else 0
        return f"{sites} {base64.b64encode(rows.astype('<f8').tobytes()).decode()}"

    @classmethod
    def read(cls, text: str) -> Curve:
        """The inverse of `text`."""
        sites, _, content = text.partition(" ")
        values = np.frombuffer(base64.b64decode(content), "<f8")
        rows = values.reshape(1 + max(1, int(sites)), -1)
        return cls(rows[0], rows[1:], per_site=int(sites) > 0)

    @classmethod
    def of(cls, energies: np.ndarray, densities: np.ndarray, *, per_site: bool) -> Curve:
        """The curve of two cells of a file.

        Args:
            densities: [S · P], the curves of all sites one after the other.

        Raises:
            BadCrystal: they are no curve; the reason in one line.
        """
        points = len(energies)
        if points < 2:
            raise BadCrystal(f"too few energies: {points}, a curve has two at least")
        sites, rest = divmod(len(densities), points)
        if rest or not sites or (sites > 1 and not per_site):
            raise BadCrystal(
                f"energies and densities differ in length: {points} and {len(densities)}"
            )
        curve = cls(energies, densities.reshape(sites, points), per_site)
        curve._check()
        return curve

    def _check(self) -> None:
        if not np.isfinite(self.energies).all():
            place = int((~np.isfinite(self.energies)).argmax())
            raise BadCrystal(f"energies are not finite: point {place + 1}")
        falling = np.diff(self.energies) <= 0
        if falling.any():
            raise BadCrystal(f"energies are not ascending: after point {int(falling.argmax()) + 1}")
        for what, bad in (
            ("not finite", ~np.isfinite(self.densities)),
            ("negative", self.densities < 0),
        ):
            if bad.any():
                site, point = np.unravel_index(int(bad.argmax()), bad.shape)
                where = f"site {site + 1}, " if self.per_site else ""
                energy = self.energies[point]
                raise BadCrystal(f"density is {what}: {where}point {point + 1} ({energy:.4g})")

    def demand(self, window: Window, atoms: int) -> None:
        """Raises BadCrystal if the curves are not those of a crystal, or miss the window."""
        if self.per_site and len(self.densities) != atoms:
            raise BadCrystal(
                f"sites and densities differ in number: {atoms} sites, {len(self.densities)} curves"
            )
        start, end = self.energies[[0, -1]]
        if window.fermi and not start <= 0 <= end:
            raise BadCrystal(
                f"Fermi level outside: energies go from {start:.4g} to {end:.4g}, and 0 is the"
                " Fermi level"
            )
        if end < window.low + window.step or start > window.high - window.step:
            raise BadCrystal(f"energies outside the range: from {start:.4g} to {end:.4g}")


@dataclass(frozen=True)
class Scaled:
    """Densities of one crystal on the grid.

    Attributes:
        sites: [atoms, L] of each atom, such that the mean over atoms has the maximum 1; NaN at
            energies that the curve does not reach. Of a curve without sites all atoms have the
            same.
        peak: what the maximum of the whole crystal was, in the unit of the file.
    """

    sites: np.ndarray
    peak: float


def scaled(curve: Curve, window: Window, atoms: int) -> Scaled:
    """Broadens the curves of a crystal and scales their sum to the maximum 1.

    Raises:
        BadCrystal: they are not of this crystal, or 0 everywhere in the window.
    """
    curve.demand(window, atoms)
    found = window.broadened(curve)
    peak = float(np.nanmax(found.sum(axis=0)))
    if not peak > 0:
        raise BadCrystal(
            f"no density of states between {window.low:g} and {window.high:g}: it is 0 everywhere"
        )
    own = found * atoms if curve.per_site else np.repeat(found, atoms, axis=0)
    return Scaled(own / peak, peak)
