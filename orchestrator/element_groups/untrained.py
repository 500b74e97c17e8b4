"""Element vectors of untrained models: what a trained one is compared with.

Legend: K models, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from analysis.geometry import INDICATORS, MIXED, angles, shape
from orchestrator.element_groups.models import beside_classes
from trainables.elements import descriptor
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import Mixing

MODELS = 50
CLUSTERED = 10  # of them, as each takes three clusterings


def channels(dim: int, models: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """h and l [K, 119, D] of untrained models, by atomic number."""
    generators = [torch.Generator().manual_seed(seed + model) for model in range(models)]
    table = torch.from_numpy(descriptor.load())
    embedding = HybridEmbedding(generators, [Mixing("0")] * models, table, dim)
    with torch.no_grad():
        h, l = (channel.double().numpy() for channel in embedding.channels())  # noqa: E741
    return h, l


def measured(dims: Sequence[int], numbers: np.ndarray, seed: int) -> pd.DataFrame:
    """Means over untrained models.

    Returns:
        dim, strategy ("handcrafted", "learned", "mixed": γ = 0), the `INDICATORS`, ari, silhouette,
        and of mixed vectors angle_mean (degrees) and angle_variance (deg²), of h and l over the
        elements.
    """
    rows = []
    for dim in dims:
        h, l = (channel[:, numbers] for channel in channels(dim, MODELS, seed))  # noqa: E741
        turned = np.stack([angles(*pair) for pair in zip(h, l, strict=True)])
        angle = {"angle_mean": turned.mean(), "angle_variance": turned.var(axis=1).mean()}
        for strategy, vectors in (("handcrafted", h), ("learned", l), (MIXED, (h + l) / 2)):
            found = _shape(vectors[:CLUSTERED], numbers, seed)
            rows.append({"dim": dim, "strategy": strategy} | found)
        rows[-1] |= angle
    return pd.DataFrame(rows)


def _shape(vectors_knd: np.ndarray, numbers: np.ndarray, seed: int) -> dict[str, float]:
    beside = [beside_classes(numbers, vectors_nd, seed) for vectors_nd in vectors_knd]
    means = np.concatenate([shape(vectors_knd), np.array(beside)], axis=1).mean(axis=0)
    return dict(zip((*INDICATORS, "ari", "silhouette"), means.tolist(), strict=True))
