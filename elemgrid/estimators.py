"""Estimators in the manner of scikit-learn, of which a sample is a structure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from elemgrid.fitting import fit
from elemgrid.run import Run, load_run
from elemgrid.structures import texts_of
from orchestrator.fit.files import FACTS


class _CrystalEstimator(BaseEstimator):
    """What both have in common: a fit of `elemgrid fit`, in a folder named by its data.

    Args:
        minutes: of this machine, for each fit.
        folder: of the runs; the same data and parameters have the same run, which is not trained
            again.
        folds: 0 to 4; all five, whose models predict together, unless given.
        seed: of the trainings.
        verbose: whether progress is printed.

    Attributes:
        run_: the run, with its report, once fitted.
    """

    run_: Run

    def __init__(
        self,
        minutes: float = 10,
        folder: str = "runs",
        folds: Sequence[int] | None = None,
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        self.minutes = minutes
        self.folder = folder
        self.folds = folds
        self.seed = seed
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # but a list of structures
        tags.input_tags.one_d_array = False
        tags.target_tags.required = True
        tags.no_validation = True
        return tags

    def _fit(self, X: Any, y: Sequence[Any]) -> Self:
        """Trains an ensemble, or takes the one that is there."""
        X = X if hasattr(X, "__len__") else list(X)  # samples may come only once
        digest = hashlib.sha256()
        for part in (*texts_of(X).values(), *map(repr, y), *map(repr, self._settings())):
            digest.update(part.encode(errors="replace") + b"\0")
        folder = Path(self.folder) / f"fit-{digest.hexdigest()[:12]}"
        if (folder / FACTS).is_file():
            self.run_ = load_run(folder)
        else:
            self.run_ = fit(
                X,
                y,
                run=folder,
                minutes=self.minutes,
                folds=self.folds,
                seed=self.seed,
                verbose=self.verbose,
            )
        return self

    def _settings(self) -> tuple[Any, ...]:
        return (self.minutes, self.seed, None if self.folds is None else list(self.folds))

    def _predicted(self, X: Any) -> Any:
        check_is_fitted(self)
        found = self.run_.predict(X)
        bad = found[found["prediction"].isna()]
        if len(bad):
            first = bad.iloc[0]
            raise ValueError(
                f"structure {first['id']}: {first['reason']} ({len(bad)} of {len(found)} have no"
                " prediction; run_.predict has a row for each)"
            )
        return found


class CrystalRegressor(RegressorMixin, _CrystalEstimator):
    """A number from a crystal, with a standard deviation.

    >>> from elemgrid import CrystalRegressor
    >>> model = CrystalRegressor(minutes=10).fit(structures, gaps)  # doctest: +SKIP
    >>> mean, std = model.predict(others, return_std=True)          # doctest: +SKIP
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Trains an ensemble; see `CrystalClassifier` for two classes.

        Args:
            X: [B] structures: pymatgen's, ASE's, or dicts.
            y: [B] numbers.

        Raises:
            ValueError: there are two different numbers or less, which a fit takes for classes.
        """
        if len(set(numbers := _listed(y))) < 3:
            raise ValueError("y has fewer than three different numbers; take CrystalClassifier")
        return self._fit(X, numbers)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """[B] means, or means and standard deviations, in the unit of the target.

        Raises:
            ValueError: a structure cannot be predicted.
        """
        found = self._predicted(X)
        mean = found["prediction"].to_numpy()
        return (mean, found["std"].to_numpy()) if return_std else mean


class CrystalClassifier(ClassifierMixin, _CrystalEstimator):
    """One of two classes from a crystal.

    Attributes:
        classes_: [2], ascending.
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any) -> Self:
        """Trains an ensemble.

        Args:
            X: as of `CrystalRegressor`.
            y: [B], of two different values.

        Raises:
            ValueError: there are not two classes.
        """
        classes, codes = np.unique(np.asarray(_listed(y)), return_inverse=True)
        if len(classes) != 2:
            raise ValueError(f"y has {len(classes)} classes; two are learned")
        self._fit(X, codes.tolist())
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """[B, 2] probabilities."""
        second = self._predicted(X)["prediction"].to_numpy()
        return np.stack([1 - second, second], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """[B] the likelier class."""
        likelier = self.predict_proba(X).argmax(axis=1)
        classes: np.ndarray = self.classes_[likelier]
        return classes


def _listed(y: Any) -> list[Any]:
    return y.tolist() if hasattr(y, "tolist") else list(y)
