"""Small made-up data sets of formulas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from trainables.compositions.dataset import Compositions
from trainables.compositions.reading import reduced


def made_up_compositions(
    count: int = 40, *, classes: bool = False, seed: int = 0, name: str = "made-up"
) -> Compositions:
    """Formulas of one to five elements; the target follows the atomic numbers."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 6, size=count)
    z = np.concatenate([random.choice(np.arange(1, 95), size, replace=False) for size in sizes])
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    amounts = random.integers(1, 9, size=len(z)).astype(float)
    owner = np.repeat(np.arange(count), sizes)
    fraction = amounts / np.bincount(owner, amounts)[owner]
    target = np.bincount(owner, fraction * (z - 40.0) / 20)
    parts = [slice(a, b) for a, b in pairwise(ptr)]
    return Compositions(
        name=name,
        ptr=ptr,
        z=z.astype(np.uint8),
        fraction=fraction,
        target=(target > np.median(target)).astype(float) if classes else target,
        formulas=np.array([reduced(z[part], amounts[part]) for part in parts]),
        ids=np.array([f"c{row}" for row in range(count)]),
        classes=classes,
    )


def made_up_table(columns: int, seed: int = 0) -> np.ndarray:
    """[118, columns]."""
    return np.random.default_rng(seed).normal(size=(118, columns))
