"""Do the handcrafted and the learned vector of an element point the same way? (thesis 4.2.2)

Shape letters: n elements, d dimensions.
"""

from __future__ import annotations

import numpy as np


def angles(h_nd: np.ndarray, l_nd: np.ndarray) -> np.ndarray:
    """θ_i = arccos(h_i·l_i / ‖h_i‖‖l_i‖) in degrees [n] (eq. 4.2); NaN for a zero vector."""
    h, l = (np.asarray(x, dtype=np.float64) for x in (h_nd, l_nd))  # noqa: E741
    lengths = np.linalg.norm(h, axis=1) * np.linalg.norm(l, axis=1)
    products = np.einsum("nd,nd->n", h, l)
    cosines = np.divide(products, lengths, out=np.full_like(lengths, np.nan), where=lengths > 0)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
