"""Element vectors of untrained models: what a trained one is compared with.

Legend: K models, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self, cast

import numpy as np
import pandas as pd
import torch

from analysis.geometry import INDICATORS, MIXED, angles, shape
from orchestrator.element_groups.models import beside_classes
from orchestrator.grid.handcrafted import usual_table
from orchestrator.runs.finished_run import FinishedRun
from trainables.models.embedding import HybridEmbedding
from trainables.models.mixing import Mixing
from trainables.models.recipe import ElementInit

MODELS = 50
CLUSTERED = 10  # of them, as each takes three clusterings


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where the models of a run start.

    Attributes:
        handcrafted, table: name and columns [119, C] of their handcrafted table.
        element_init: of the learned vectors.
    """

    handcrafted: str
    table: np.ndarray = field(repr=False)
    element_init: ElementInit

    @classmethod
    def of(cls, run: FinishedRun) -> Self:
        """What most models of a run that it matters for start from."""
        name, table = usual_table(run)
        mixings = [Mixing(label) for label in run.done["mixing"]]
        learned = run.done[[one.learned > 0 and one.has_start for one in mixings]]
        known = learned.get("element_init", pd.Series(dtype=str)).mode()
        residual = any(one.learned > 0 for one in mixings)
        init = str(known.iloc[0]) if len(known) else "zero" if residual else "normal"
        return cls(handcrafted=name, table=table, element_init=cast(ElementInit, init))


def channels(
    dim: int, models: int, seed: int, table: np.ndarray, start: ElementInit = "normal"
) -> tuple[np.ndarray, np.ndarray]:
    """h and l [K, 119, D] of untrained models, by atomic number.

    Args:
        table: [119, C], handcrafted.
        start: of the learned vectors.
    """
    generators = [torch.Generator().manual_seed(seed + model) for model in range(models)]
    columns, mixings = torch.from_numpy(table), [Mixing("0")] * models
    embedding = HybridEmbedding(generators, mixings, columns, dim, start=start)
    with torch.no_grad():
        h, l = (channel.double().numpy() for channel in embedding.channels())  # noqa: E741
    return h, l


def measured(dims: Sequence[int], numbers: np.ndarray, seed: int, start: Start) -> pd.DataFrame:
    """Means over untrained models.

    Learned vectors that start at zero have no shape and no angle yet.

    Returns:
        dim, strategy ("handcrafted", "learned", "mixed": γ = 0), the `INDICATORS`, ari, silhouette,
        and of mixed vectors angle_mean (degrees) and angle_variance (deg²), of h and l over the
        elements.
    """
    rows = []
    for dim in dims:
        both = channels(dim, MODELS, seed, start.table, start.element_init)
        h, l = (channel[:, numbers] for channel in both)  # noqa: E741
        angle = {"angle_mean": np.nan, "angle_variance": np.nan}
        learned = [("learned", l)] if l.any() else []
        if learned:
            turned = np.stack([angles(*pair) for pair in zip(h, l, strict=True)])
            angle = {"angle_mean": turned.mean(), "angle_variance": turned.var(axis=1).mean()}
        for strategy, vectors in (("handcrafted", h), *learned, (MIXED, (h + l) / 2)):
            found = _shape(vectors[:CLUSTERED], numbers, seed)
            rows.append({"dim": dim, "strategy": strategy} | found)
        rows[-1] |= angle
    return pd.DataFrame(rows)


def _shape(vectors_knd: np.ndarray, numbers: np.ndarray, seed: int) -> dict[str, float]:
    beside = [beside_classes(numbers, vectors_nd, seed) for vectors_nd in vectors_knd]
    means = np.concatenate([shape(vectors_knd), np.array(beside)], axis=1).mean(axis=0)
    return dict(zip((*INDICATORS, "ari", "silhouette"), means.tolist(), strict=True))
