"""Shape of a cloud of element vectors, many models at a time (thesis 3.2.3, eq. 3.4 and 3.5).

The elements are nodes of a complete graph with weights a_ij = exp(−‖v_i − v_j‖²). Its spectrum
measures how tightly they are connected; singular values and variances, how many dimensions are
used.

Shape letters: M models, n elements, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def angles(h_nd: np.ndarray, l_nd: np.ndarray) -> np.ndarray:
    """θ_i = arccos(h_i·l_i / ‖h_i‖‖l_i‖) in degrees [n] (eq. 4.2); NaN for a zero vector."""
    h, l = (np.asarray(x, dtype=np.float64) for x in (h_nd, l_nd))  # noqa: E741
    lengths = np.linalg.norm(h, axis=1) * np.linalg.norm(l, axis=1)
    products = np.einsum("nd,nd->n", h, l)
    cosines = np.divide(products, lengths, out=np.full_like(lengths, np.nan), where=lengths > 0)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


LEAST_MODELS = 3
STRATEGIES = {"H": "handcrafted", "L": "learned"}
MIXED = "mixed"


def strategy_of(mixing: str) -> str:
    """Whether a mixing is handcrafted, learned or mixed."""
    return STRATEGIES.get(mixing, MIXED)


def correlate(models: pd.DataFrame, indicators: Sequence[str]) -> pd.DataFrame:
    """Pearson's and Spearman's correlation of each indicator with the error, averaged over tasks.

    Eqs 2.3 and 2.4 of the thesis.

    Args:
        models: one row per model: task, backbone, mixing, error, and the indicators.

    Returns:
        backbone, strategy, indicator, pearson, spearman, tasks and models (counted). A task where
        an indicator or the error is constant, or with fewer than three models, has no correlation
        and is left out.
    """
    rows = []
    grouped = models.assign(strategy=models["mixing"].map(strategy_of))
    for (backbone, strategy), part in grouped.groupby(["backbone", "strategy"], sort=True):
        for indicator in indicators:
            found = [
                _pair(one[indicator], one["error"]) for _, one in part.groupby("task", sort=True)
            ]
            known = [pair for pair in found if pair is not None]
            if not known:
                continue
            count = len(known)
            rows.append(
                {
                    "backbone": backbone,
                    "strategy": strategy,
                    "indicator": indicator,
                    "pearson": sum(pair[0] for pair in known) / count,
                    "spearman": sum(pair[1] for pair in known) / count,
                    "tasks": count,
                    "models": sum(pair[2] for pair in known),
                }
            )
    columns = ["backbone", "strategy", "indicator", "pearson", "spearman", "tasks", "models"]
    return pd.DataFrame(rows, columns=columns)


def _pair(indicator: pd.Series, error: pd.Series) -> tuple[float, float, int] | None:
    usable = indicator.notna() & error.notna()
    x, y = indicator[usable].astype(float), error[usable].astype(float)
    if len(x) < LEAST_MODELS or _constant(x) or _constant(y):
        return None
    return float(x.corr(y)), float(x.corr(y, method="spearman")), len(x)


def _constant(values: pd.Series) -> bool:
    return bool(values.max() - values.min() <= 1e-12 * max(1.0, abs(values.max())))


# In the order of the columns of `shape`.
INDICATORS = ("spectral_radius", "spectral_gap", "fiedler", "effective_rank", "entropy")


def shape(vectors_mnd: np.ndarray) -> np.ndarray:
    """`INDICATORS` of M models [M, 5], each with at least two elements.

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
    """The entropy of each row's shares in its sum; 0 if the sum is 0."""
    total = parts_md.sum(axis=1, keepdims=True)
    share = np.divide(parts_md, total, out=np.zeros_like(parts_md), where=total > 0)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    return -(share * logarithm).sum(axis=1)
