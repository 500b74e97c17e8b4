"""A featurised data set as training sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.graph import Graphs


@dataclass(frozen=True)
class Dataset:
    """B crystals in the order of their source.

    Attributes:
        graphs: their (quotient) graphs.
        target: [B] float64.
        ids: [B] str.
        rows: [B] int64 positions in the source, ascending; gaps where crystals were quarantined.
        total: crystals in the source; it decides the official folds together with `rows`.
    """

    graphs: Graphs
    target: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    total: int

    def __len__(self) -> int:
        return len(self.target)
