"""Shortest paths between all pairs."""

from __future__ import annotations

import numpy as np


def find_shortest_paths(edges_nn: np.ndarray) -> np.ndarray:
    """Lengths of the shortest paths (Floyd-Warshall); inf marks a pair without an edge or path.

    Unlike scipy's, it does not take an edge of length zero for none.
    """
    paths = edges_nn.copy()
    for k in range(len(paths)):
        np.minimum(paths, paths[:, k, None] + paths[None, k, :], out=paths)
    return paths
