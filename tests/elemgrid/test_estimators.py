"""scikit-learn's own checks, as far as samples that are structures allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils import estimator_checks

from elemgrid import CrystalClassifier, CrystalRegressor

# All that fit nothing; the others make samples of numbers, which are refused as no structures.
CHECKS = (
    "estimator_cloneable",
    "estimator_repr",
    "estimator_tags_renamed",
    "estimators_unfitted",
    "get_params_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "parameters_default_constructible",
    "set_params",
    "valid_tag_types",
)


@pytest.mark.parametrize("kind", [CrystalRegressor, CrystalClassifier])
@pytest.mark.parametrize("name", CHECKS)
def test_a_check_of_scikit_learn_passes(kind: Callable[[], Any], name: str) -> None:
    check: Callable[[str, Any], None] = getattr(estimator_checks, f"check_{name}")
    check(kind.__name__, kind())


def test_samples_that_are_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="structure 0: is a list; give a pymatgen Structure"):
        CrystalRegressor().fit([[1.0, 2.0]] * 3, [3.0, 4.0, 5.0])
