"""K-means and silhouettes against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from analysis.clustering import best_clustering, cluster


def blobs(clusters: int, seed: int, spread: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(clusters), 9)
    centres = random.normal(size=(clusters, 6)) * 3
    return centres[labels] + spread * random.normal(size=(len(labels), 6)), labels


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_as_good_as_scikit_learn(k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(85, 16))
    found = cluster(vectors, k, seed)
    theirs = KMeans(k, n_init=10, random_state=seed).fit(vectors)
    assert found.inertia <= theirs.inertia_ * 1.01
    means = np.stack([vectors[found.labels == place].mean(axis=0) for place in range(k)])
    assert found.inertia == pytest.approx(((vectors - means[found.labels]) ** 2).sum())
    assert found.silhouette == pytest.approx(silhouette_score(vectors, found.labels))


@pytest.mark.parametrize("clusters", [2, 4, 7])
def test_clear_clusters_are_found_with_their_number(clusters: int) -> None:
    vectors, labels = blobs(clusters, clusters)
    found = best_clustering(vectors)
    assert found.k == clusters
    assert adjusted_rand_score(labels, found.labels) == 1.0


def test_the_place_of_the_origin_does_not_matter() -> None:
    vectors, _ = blobs(4, 0)
    near, far = best_clustering(vectors), best_clustering(vectors + 1e6)
    np.testing.assert_array_equal(near.labels, far.labels)
    assert far.silhouette == pytest.approx(near.silhouette, rel=1e-6)


def test_the_same_seed_gives_the_same_labels() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 8))
    np.testing.assert_array_equal(cluster(vectors, 7, 3).labels, cluster(vectors, 7, 3).labels)


def test_what_cannot_be_clustered() -> None:
    with pytest.raises(ValueError, match="1 distinct vectors are too few"):
        best_clustering(np.ones((7, 3)))
    with pytest.raises(ValueError, match="3 clusters of 2 distinct"):
        cluster(np.array([[0.0], [0.0], [1.0], [1.0]]), 3)
    with pytest.raises(ValueError, match="not finite"):
        best_clustering(np.array([[0.0], [np.nan], [1.0], [2.0]]))
    assert best_clustering(np.array([[0.0], [1.0], [5.0]])).k == 2
