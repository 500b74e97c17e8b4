"""The Mantel test against ElementEmbeddings' and against what is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.mantel import compare


def distances(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)


def test_as_element_embeddings_has_it() -> None:
    from elementembeddings.compare import mantel_test
    from elementembeddings.core import Embedding

    random = np.random.default_rng(0)
    symbols = ["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg"]
    one = random.normal(size=(len(symbols), 5))
    other = one + 1.5 * random.normal(size=one.shape)
    theirs = mantel_test(
        *(
            Embedding(dict(zip(symbols, vectors, strict=True)), name)
            for name, vectors in (("one", one), ("other", other))
        ),
        method="spearman",
    )
    similar = [
        vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)
        for vectors in (one, other)
    ]
    found = compare(*similar)
    assert found.correlation == pytest.approx(theirs[0], abs=1e-12)
    assert found.p == pytest.approx(theirs[1], abs=0.03)
    assert found.elements == 12 and found.pairs == 66


def test_what_is_known() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, 3))
    same = compare(distances(vectors), distances(vectors) ** 3)  # ranks do not feel the power
    assert same.correlation == pytest.approx(1.0) and same.p == 0.001
    chance = compare(distances(vectors), distances(np.random.default_rng(2).normal(size=(20, 3))))
    assert abs(chance.correlation) < 0.3 and chance.p > 0.05
    assert np.isnan(compare(distances(vectors), np.ones((20, 20))).correlation)
    assert compare(distances(vectors), distances(vectors), seed=3) == compare(
        distances(vectors), distances(vectors), seed=3
    )


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="four elements at least"):
        compare(np.zeros((3, 3)), np.zeros((3, 3)))
    unknown = np.zeros((5, 5))
    unknown[0, 1] = np.nan
    with pytest.raises(ValueError, match="not known"):
        compare(unknown, np.zeros((5, 5)))
