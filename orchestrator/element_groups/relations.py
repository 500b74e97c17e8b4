"""Published relations of the elements, and how ours agree with them (Mantel tests).

Published element vectors come with ElementEmbeddings: Mat2Vec (Tshitoyan et al. 2019,
10.1038/s41586-019-1335-8), SkipAtom (Antunes et al. 2022, 10.1038/s41524-022-00729-3) and Magpie's
properties, standardised (Ward et al. 2016, 10.1038/npjcompumats.2016.28).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import combinations

import numpy as np
import pandas as pd

from analysis import cosine, mantel
from analysis.elements import NUMBERS
from analysis.mapping import Map
from analysis.scale.replaceability import Replaceability
from orchestrator.element_groups.files import PROJECTIONS
from orchestrator.element_groups.untrained import channels
from trainables.elements import descriptor

VECTORS = {"Mat2Vec": "mat2vec", "SkipAtom": "skipatom", "Magpie": "magpie_sc"}
REPLACEABILITY = "replaceability"
DESCRIPTOR, UNTRAINED = "descriptor", "untrained, handcrafted"
OURS = {"S": "models, best mixing", "H": "models, handcrafted", "L": "models, learned"}
LEAST_ELEMENTS = 4


@dataclass(frozen=True)
class Relation:
    """Distances of elements: atomic numbers [n], ascending, and distances [n, n]."""

    name: str
    numbers: np.ndarray
    distances: np.ndarray

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The distances between some of its elements."""
        here = np.searchsorted(self.numbers, numbers)
        return self.distances[np.ix_(here, here)]


def ours(distances: pd.DataFrame) -> list[Relation]:
    """The cosine distances of a run, from `distances.parquet`; elements in a pair that no model
    has are left out."""
    found = []
    for table, name in OURS.items():
        if table not in set(distances["table"]):
            continue
        found.append(of_known(name, *cosine.to_matrix(distances, table)))
    return found


def of_known(name: str, numbers: np.ndarray, matrix: np.ndarray) -> Relation:
    """The relation without elements, those that lack most first, whose distances are unknown.

    Args:
        numbers: atomic numbers [n], ascending.
        matrix: distances [n, n], NaN where they are not known.
    """
    while not np.isfinite(matrix).all():
        kept = np.arange(len(numbers)) != np.isnan(matrix).sum(axis=0).argmax()
        numbers, matrix = numbers[kept], matrix[np.ix_(kept, kept)]
    return Relation(name, numbers, matrix)


def published() -> list[Relation]:
    """Cosine distances of published element vectors."""
    from elementembeddings.core import Embedding  # here, as it takes seconds to import

    found = []
    for name, stored in VECTORS.items():
        vectors = Embedding.load_data(stored).embeddings
        numbers = np.array(sorted(NUMBERS[symbol] for symbol in vectors if symbol in NUMBERS))
        by_number = {NUMBERS[symbol]: one for symbol, one in vectors.items() if symbol in NUMBERS}
        stacked = np.array([by_number[z] for z in numbers], dtype=np.float64)
        known = np.isfinite(stacked).all(axis=1) & (np.abs(stacked).sum(axis=1) > 0)
        numbers, stacked = numbers[known], stacked[known]
        found.append(Relation(name, numbers, cosine.cosine_distances(stacked, numbers)))
    return found


def controls(dims: Sequence[int], seed: int, table: np.ndarray | None = None) -> list[Relation]:
    """What the handcrafted descriptor brings without any training.

    Its own cosine distances, and the mean over 40 untrained models of each dimension of those of
    its projections, each scaled as a trained model's are.

    Args:
        table: [119, C], the handcrafted table; the 92 columns unless given.
    """
    table = descriptor.load() if table is None else table
    numbers = np.flatnonzero(np.abs(table).sum(axis=1) > 0)
    own = cosine.cosine_distances(table[numbers].astype(np.float64), numbers)
    projected = (
        (numbers, h) for dim in dims for h in channels(dim, PROJECTIONS, seed, table)[0][:, numbers]
    )
    mean = cosine.accumulate(list(projected)).mean()[np.ix_(numbers, numbers)]
    np.fill_diagonal(mean, 0.0)
    return [Relation(DESCRIPTOR, numbers, own), Relation(UNTRAINED, numbers, mean)]


def of_replaceability(known: Replaceability) -> Relation:
    """−S, of the elements that replace another one."""
    partners = np.setdiff1d(known.numbers, known.isolated)
    return Relation(REPLACEABILITY, partners, -known.of(partners).symmetric)


def compare_all(
    relations: list[Relation], permutations: int, seed: int, map: Map = map
) -> pd.DataFrame:
    """Mantel tests of all pairs of relations, on the elements that all relations have.

    Returns:
        one, other, elements, pairs, correlation (Spearman), p; no rows if all relations have fewer
        than four elements in common.
    """
    common = reduce(np.intersect1d, (relation.numbers for relation in relations))
    columns = ["one", "other", "elements", "pairs", "correlation", "p"]
    if len(common) < LEAST_ELEMENTS:
        return pd.DataFrame(columns=columns)
    matrices = {relation.name: relation.of(common) for relation in relations}
    pairs = list(combinations(matrices, 2))
    tests = map(partial(_compare, matrices, permutations, seed), pairs)
    rows = [
        {"one": one, "other": other, **vars(test)}
        for (one, other), test in zip(pairs, tests, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _compare(
    matrices: Mapping[str, np.ndarray], permutations: int, seed: int, pair: tuple[str, str]
) -> mantel.Mantel:
    return mantel.compare(matrices[pair[0]], matrices[pair[1]], permutations, seed)
