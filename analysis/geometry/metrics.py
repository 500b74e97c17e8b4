"""Shape of a cloud of element vectors, many models at a time (thesis 3.2.3, eq. 3.4 and 3.5).

The elements are nodes of a full graph, a_ij = exp(−‖v_i − v_j‖²) between two of them. Its spectrum
says how tightly they hang together; singular values and variances say how many dimensions are used.

Shape letters: M models, n elements, d dimensions.
"""

from __future__ import annotations

import numpy as np

# In the order of the columns of `shape`.
INDICATORS = ("spectral_radius", "spectral_gap", "fiedler", "effective_rank", "entropy")


def shape(vectors_mnd: np.ndarray) -> np.ndarray:
    """`INDICATORS` of M models [M, 5]; two elements at least.

    Spectral radius λ₁ and gap λ₁ − λ₂ of the adjacency matrix, Fiedler value (second smallest
    eigenvalue of the Laplacian), effective rank exp(−Σ p ln p) of the singular values' shares
    (Roy & Vetterli 2007), and the entropy (nats) of the dimensions' shares in the variance.
    """
    vectors = np.asarray(vectors_mnd, dtype=np.float64)
    adjacency = _adjacency(vectors)
    spectrum = np.linalg.eigvalsh(adjacency)
    degrees = adjacency.sum(axis=2)
    laplacian = np.eye(vectors.shape[1]) * degrees[:, :, None] - adjacency
    singular = np.linalg.svd(vectors, compute_uv=False)
    columns = (
        spectrum[:, -1],
        spectrum[:, -1] - spectrum[:, -2],
        np.linalg.eigvalsh(laplacian)[:, 1],
        np.exp(_entropy(singular)),
        _entropy(vectors.var(axis=1)),
    )
    return np.stack(columns, axis=1)


def _adjacency(vectors_mnd: np.ndarray) -> np.ndarray:
    """exp(−‖v_i − v_j‖²) [M, n, n], zero on the diagonal."""
    squares = np.einsum("mnd,mnd->mn", vectors_mnd, vectors_mnd)
    products = vectors_mnd @ vectors_mnd.transpose(0, 2, 1)
    apart = squares[:, :, None] + squares[:, None, :] - 2 * products
    found = np.exp(-np.maximum(apart, 0.0))
    diagonal = np.arange(vectors_mnd.shape[1])
    found[:, diagonal, diagonal] = 0.0
    return found


def _entropy(parts_md: np.ndarray) -> np.ndarray:
    """Of each row's shares in its sum; 0 where there is nothing to share."""
    total = parts_md.sum(axis=1, keepdims=True)
    share = np.divide(parts_md, total, out=np.zeros_like(parts_md), where=total > 0)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    return -(share * logarithm).sum(axis=1)
