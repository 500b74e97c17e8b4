"""Shortest paths between all pairs."""

from __future__ import annotations

import numpy as np


def find_shortest_paths(edges_nn: np.ndarray) -> np.ndarray:
    """Lengths [n, n] of the shortest paths (Floyd 1962, 10.1145/367766.368168).

    Unlike scipy's, it distinguishes an edge of length zero from a missing one.

    Args:
        edges_nn: lengths; inf marks a pair without an edge, and in the result one without a path.
    """
    paths = edges_nn.copy()
    for k in range(len(paths)):
        np.minimum(paths, paths[:, k, None] + paths[None, k, :], out=paths)
    return paths
