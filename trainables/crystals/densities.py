"""Densities of states: curves on energies of any spacing, broadened onto one grid.

Legend: P points of a curve, S curves of a crystal, L points of the grid.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.targets import LARGEST

# Standard deviations at which a Gaussian is 0 in double precision.
REACH = 9.0
# Standard deviations from the end of a curve within which what lies beyond the end would matter:
# 0.13 % of a Gaussian lies farther to one side.
END = 3.0
BLOCK = 16  # energies of the grid that are computed at once: 13 MB for the longest curve
LONGEST = 100_000  # energies of a curve
# Spacing, in standard deviations, below which a divided difference has lost more digits than the
# derivative in the middle leaves out.
CLOSE = 1e-5


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
        places = range(0, self.points, BLOCK)
        blocks = [self._near(curve, self.energies[place : place + BLOCK]) for place in places]
        found = np.maximum(np.concatenate(blocks, axis=1), 0.0)
        return np.where(self.reached(curve), found, np.nan)

    def _near(self, curve: Curve, at: np.ndarray) -> np.ndarray:
        """[S, some of L] the curves broadened at some energies, from those of their points near."""
        near = REACH * self.sigma
        first = max(0, int(np.searchsorted(curve.energies, at[0] - near)) - 1)
        last = int(np.searchsorted(curve.energies, at[-1] + near)) + 1
        if last - first < 2:  # all of the curve lies below
            return np.zeros((len(curve.densities), len(at)))
        weights = hats(at, curve.energies[first:last], self.sigma)
        return np.asarray(curve.densities[:, first:last] @ weights.T)

    def reached(self, curve: Curve) -> np.ndarray:
        """[L] whether a curve says what the broadened density is: `END` widths within its ends.

        Nearer to an end what the file leaves out would count. A curve of phonons that begins at 0
        is whole there, as nothing lies below.
        """
        start, end = curve.energies[[0, -1]]
        margin = END * self.sigma
        whole = not self.fermi and start == 0
        low = start if whole else start + margin
        return np.asarray((self.energies >= low) & (self.energies <= end - margin))


def hats(at: np.ndarray, energies: np.ndarray, sigma: float) -> np.ndarray:
    """[L, P] integrals of the hat functions of linear interpolation, times a Gaussian at `at`.

    The hat of a point is a second divided difference; so is its convolution, of the second
    antiderivative of the Gaussian. Between points that nearly coincide the curve is a step, and
    the difference is the derivative in their middle.

    Args:
        at: [L].
        energies: [P], ascending; two at least.
    """
    from scipy.special import erf  # here: no worker needs scipy to begin

    apart = at[:, None] - energies
    z = apart / (sigma * math.sqrt(2))
    twice = 0.5 * apart * erf(z) + sigma / math.sqrt(2 * math.pi) * np.exp(-z * z)
    gaps = np.diff(energies)
    slopes = np.diff(twice, axis=1) / gaps
    close = np.flatnonzero(gaps < CLOSE * sigma)
    middle = 0.5 * (z[:, close] + z[:, close + 1])
    slopes[:, close] = -0.5 * erf(middle)
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
        if points > LONGEST:
            raise BadCrystal(
                f"too many energies: {points}, a curve has {LONGEST} at most; give every n-th"
            )
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
        if abs(self.energies).max() > LARGEST:
            place = int(abs(self.energies).argmax())
            raise BadCrystal(f"energy too large: point {place + 1} is beyond {LARGEST:g}")
        falling = np.diff(self.energies) <= 0
        if falling.any():
            raise BadCrystal(f"energies are not ascending: after point {int(falling.argmax()) + 1}")
        for what, bad in (
            ("not finite", ~np.isfinite(self.densities)),
            ("negative", self.densities < 0),
            (f"beyond {LARGEST:g}", self.densities > LARGEST),
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
        if window.fermi and start == 0:
            raise BadCrystal(
                "energies begin at 0: those of phonons do (give --phonons), those of electrons lie"
                " on both sides of the Fermi level"
            )
        if window.reached(self).sum() < 2:
            raise BadCrystal(
                f"energies outside the range: from {start:.4g} to {end:.4g}, where nothing counts"
                f" within {END:g} sigma of an end"
            )


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
