"""A number an atom, of which some may be missing.

Legend: K models, S sites of B crystals.
"""

from __future__ import annotations

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.targets.base import Scaler
from trainables.targets.vector import Masked, numbers_of, scales


class Site(Masked):
    """A `Kind`: one number an atom of the cell, in the order of the structure's sites.

    Outputs are [K, S] and targets [S]; the error is the MAE over the sites, in the target's unit.
    """

    per_site = True

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[atoms]; see `Kind`."""
        return numbers_of(cell, len(crystal.numbers), "the structure's atoms")

    def scaler(self, known: np.ndarray) -> Scaler:
        """See `Kind`."""
        mean = float(self.trivial(known))
        scale = float(scales(known - mean, abs(mean), axis=None))
        return Scaler(mean=mean, scale=scale, unit=scale)

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """The mean over all sites."""
        return np.array(np.nanmean(known))
