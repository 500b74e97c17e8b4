"""The registry of tasks and MatBench's official folds."""

from collections.abc import Iterable

import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from trainables.crystals.registry import (
    COMPOSITION_TASKS,
    STRUCTURE_TASKS,
    TASKS,
    official_folds,
)


def test_tasks() -> None:
    assert STRUCTURE_TASKS == (
        "jdft2d", "phonons", "dielectric", "log_gvrh", "log_kvrh", "perovskites", "mp_gap",
        "mp_e_form",
    )  # fmt: skip
    assert COMPOSITION_TASKS == ("steels", "expt_gap", "expt_is_metal", "glass")
    for name, task in TASKS.items():
        assert task.name == name
        assert len(task.sha256) == 12
        assert int(task.sha256, 16) >= 0
        assert task.url.startswith("https://")
        assert task.url.endswith(task.file_name)
        if task.kind == "structure":
            assert set(task.published) == {"cgcnn", "megnet", "schnet"} and task.dummy is not None
            assert max(task.published.values()) < task.dummy
    assert len({task.sha256 for task in TASKS.values()}) == len(TASKS)
    assert {n for n, t in TASKS.items() if t.problem == "classification"} == {
        "expt_is_metal",
        "glass",
    }


def test_the_registry_is_read_only() -> None:
    with pytest.raises(TypeError):
        TASKS["mine"] = TASKS["phonons"]  # type: ignore[index]


# (rows of the test part, its first six indices, the sum of its indices), by scikit-learn 1.9.1
REGRESSION = [
    (253, [1, 2, 6, 9, 17, 18], 160888),
    (253, [4, 8, 11, 12, 16, 23], 162812),
    (253, [13, 19, 22, 29, 40, 67], 164345),
    (253, [3, 7, 10, 24, 35, 41], 154381),
    (253, [0, 5, 14, 15, 21, 28], 157054),
]
CLASSES = [
    (21, [0, 1, 4, 5, 7, 12], 1000),
    (21, [8, 13, 21, 23, 29, 30], 1225),
    (21, [11, 15, 18, 22, 28, 34], 1125),
    (20, [14, 16, 25, 27, 31, 33], 1105),
    (20, [2, 3, 6, 9, 10, 17], 798),
]


def test_folds_of_phonons() -> None:
    folds = official_folds(n=1265)
    assert [(len(t), t[:6].tolist(), int(t.sum())) for _, t in folds] == REGRESSION
    for train, test in folds:
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(1265))


def test_folds_of_a_classification_task() -> None:
    labels = [row % 3 == 0 for row in range(103)]
    folds = official_folds(classes=labels)
    assert [(len(t), t[:6].tolist(), int(t.sum())) for _, t in folds] == CLASSES
    for _, test in folds:
        assert np.mean(np.array(labels)[test]) == pytest.approx(35 / 103, abs=0.02)


def pairs(folds: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[tuple[list[int], list[int]]]:
    return [(train.tolist(), test.tolist()) for train, test in folds]


@pytest.mark.parametrize("n", [*range(5, 40), 312, 1265, 4764, 106113])
def test_folds_are_those_of_scikit_learn(n: int) -> None:
    theirs = KFold(5, shuffle=True, random_state=18012019).split(np.zeros(n))
    assert pairs(official_folds(n)) == pairs(theirs)


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("seed", range(40))
def test_stratified_folds_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, kinds = int(random.integers(30, 400)), int(random.integers(1, 6))
    labels = random.integers(0, kinds, n)
    labels[:: int(random.integers(2, 9))] = 0  # of unequal size, some smaller than five
    theirs = StratifiedKFold(5, shuffle=True, random_state=18012019).split(np.zeros(n), labels)
    assert pairs(official_folds(classes=labels.tolist())) == pairs(theirs)


def test_nothing_to_fold() -> None:
    with pytest.raises(ValueError, match="n or classes"):
        official_folds()
    with pytest.raises(ValueError, match="samples"):
        official_folds(n=4)
    for few in ([], [0, 1] * 4):
        with pytest.raises(ValueError, match="no class has 5 samples"):
            official_folds(classes=few)
