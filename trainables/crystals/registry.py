"""The MatBench v0.1 tasks: what they are, where they come from, and their official folds.

Source: A. Dunn et al., npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3, and the
public leaderboard of matbench.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
FOLD_SEED = 18012019
PREFIX = "matbench_"  # of the names of files and of the leaderboard
_URL = "https://ml.materialsproject.org/projects/matbench_{}.json.gz"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One MatBench task. Scores are leaderboard means of the MAE over the five official folds."""

    name: str  # without PREFIX
    n: int
    target: str
    unit: str | None  # None: a bare number or a class
    kind: str = "structure"  # or "composition"
    problem: str = "regression"  # or "classification"
    sha256: str  # first 12 hex digits of the .json.gz
    published: Mapping[str, float] = field(default_factory=dict, hash=False)  # backbone -> score
    dummy: float | None = None
    best: float | None = None  # of the models that the leaderboard lists

    @property
    def file_name(self) -> str:
        """Name of the task's file, in any folder."""
        return f"{PREFIX}{self.name}.json.gz"

    @property
    def url(self) -> str:
        """Address from which the file is downloaded."""
        return _URL.format(self.name)


def _structure(
    name: str, n: int, target: str, unit: str | None, sha256: str, scores: tuple[float, ...]
) -> Task:
    cgcnn, megnet, schnet, dummy, best = scores
    return Task(
        name=name, n=n, target=target, unit=unit, sha256=sha256,
        published={"cgcnn": cgcnn, "megnet": megnet, "schnet": schnet}, dummy=dummy, best=best,
    )  # fmt: skip


_TASKS = (
    _structure("jdft2d", 636, "exfoliation_en", "meV/atom", "26057dc4524e",
               (49.244, 54.172, 42.664, 67.285, 33.192)),
    _structure("phonons", 1265, "last phdos peak", "cm⁻¹", "4db551f21ec5",
               (57.764, 28.761, 38.964, 323.98, 28.761)),
    _structure("dielectric", 4764, "n", None, "83befa09bc2e",
               (0.5988, 0.3391, 0.3277, 0.8088, 0.2711)),
    _structure("log_gvrh", 10987, "log10(G_VRH)", "log10(GPa)", "098af941f4c6",
               (0.0895, 0.0871, 0.0796, 0.2931, 0.0689)),
    _structure("log_kvrh", 10987, "log10(K_VRH)", "log10(GPa)", "44b113ddb7e2",
               (0.0712, 0.0668, 0.0590, 0.2897, 0.0535)),
    _structure("perovskites", 18928, "e_form", "eV/unit cell", "4641e2417f8e",
               (0.0452, 0.0352, 0.0342, 0.5660, 0.0269)),
    _structure("mp_gap", 106113, "gap pbe", "eV", "58b65746bd88",
               (0.2972, 0.1934, 0.2352, 1.3272, 0.1559)),
    _structure("mp_e_form", 132752, "e_form", "eV/atom", "dedcb1d4ba2e",
               (0.0337, 0.0252, 0.0218, 1.0059, 0.0170)),
    Task(name="steels", n=312, target="yield strength", unit="MPa", kind="composition",
         sha256="473bc4957b2e", best=107.316),
    Task(name="expt_gap", n=4604, target="gap expt", unit="eV", kind="composition",
         sha256="783e7d1461eb", best=0.3463),
    Task(name="expt_is_metal", n=4921, target="is_metal", unit=None, kind="composition",
         problem="classification", sha256="8f2a4f9bacdc"),
    Task(name="glass", n=5680, target="gfa", unit=None, kind="composition",
         problem="classification", sha256="36beb654e2a4"),
)  # fmt: skip

# A task whose SHA-256 is not known here: its file is given by path, and nothing is downloaded.
_BY_FILE = (
    Task(name="mp_is_metal", n=106113, target="is_metal", unit=None, problem="classification",
         sha256=""),
)  # fmt: skip

TASKS: MappingProxyType[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
LEADERBOARD = MappingProxyType({task.name: task for task in (*_TASKS, *_BY_FILE)})
STRUCTURE_TASKS = tuple(task.name for task in _TASKS if task.kind == "structure")
COMPOSITION_TASKS = tuple(task.name for task in _TASKS if task.kind == "composition")

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


def official_folds(
    n: int | None = None,
    classes: Sequence[bool] | Sequence[int] | np.ndarray | None = None,
) -> list[Fold]:
    """MatBench's five (train, test) index pairs, ascending, on the order of the file.

    They equal those of scikit-learn's KFold and StratifiedKFold, shuffled by `FOLD_SEED`; computed
    here because importing scikit-learn takes every worker a second.

    Args:
        n: rows of a regression task.
        classes: [n] of a classification task, whose folds hold about the same share of each class;
            they count, not `n`, if both are given.

    Raises:
        ValueError: fewer than five rows, or of each class, or neither argument.
    """
    if classes is not None:
        tested = _stratified(np.asarray(classes))
    elif n is not None:
        tested = _shuffled(n)
    else:
        raise ValueError("official_folds needs n or classes")
    return [
        (np.flatnonzero(tested != fold), np.flatnonzero(tested == fold)) for fold in range(FOLDS)
    ]


def _shuffled(n: int) -> NDArray[np.intp]:
    """[n] the fold that tests each row; the first n % 5 folds are one larger."""
    if n < FOLDS:
        raise ValueError(f"{n} samples; {FOLDS} folds need at least {FOLDS}")
    rows = np.arange(n)
    np.random.RandomState(FOLD_SEED).shuffle(rows)
    tested = np.empty(n, np.intp)
    tested[rows] = np.sort(np.arange(n) % FOLDS)
    return tested


def _stratified(classes: NDArray[Any]) -> NDArray[np.intp]:
    """[n] the fold that tests each row; classes are dealt out to the folds in turn."""
    _, first, counts = np.unique(classes, return_index=True, return_counts=True)
    if not len(counts) or counts.max() < FOLDS:
        raise ValueError(f"no class has {FOLDS} samples; {FOLDS} folds need so many")
    random = np.random.RandomState(FOLD_SEED)
    tested, begin = np.empty(len(classes), np.intp), 0
    for place in np.sort(first):  # classes in the order in which they appear
        members = np.flatnonzero(classes == classes[place])
        dealt = np.sort(np.arange(begin, begin + len(members)) % FOLDS)
        random.shuffle(dealt)
        tested[members] = dealt
        begin += len(members)
    return tested
