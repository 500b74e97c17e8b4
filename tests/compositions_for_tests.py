"""Small synthetic data sets of formulas."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from analysis.element_table import to_csv
from trainables.compositions.dataset import Compositions
from trainables.compositions.formulas import reduced


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
        rows=np.arange(count),
    )


def made_up_table(columns: int, seed: int = 0) -> np.ndarray:
    """[118, columns]."""
    return np.random.default_rng(seed).normal(size=(118, columns))


def write_table(path: Path, columns: int = 5, seed: int = 0) -> Path:
    """Writes a synthetic table to a file."""
    path.write_text(to_csv(made_up_table(columns, seed)))
    return path


def write_formulas(path: Path, count: int = 24) -> Path:
    """Writes formulas of three elements with a target to a file; at most 25."""
    lines = [f"Na{a}K{b}Cl{a + b},{a / (a + b)}" for a in range(1, 6) for b in range(1, 6)]
    path.write_text("\n".join(["formula,target", *lines[:count]]))
    return path
